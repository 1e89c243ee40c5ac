//! Whether the leader's process has ended.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::broadcast::error::RecvError;

use super::replicated::StartError;
use crate::cluster::Cluster;
use crate::raft::RaftLog;

/// Looks after a leader that closes its connections: where its port is closed too, its process has
/// ended, and another is elected without waiting for its silence.
pub(super) fn watch_leader(raft: &Arc<RaftLog>, cluster: &Cluster) -> Result<(), StartError> {
    let runtime = raft.runtime().ok_or("raft has no runtime")?;
    let mut lost = cluster.lost();
    let raft = Arc::downgrade(raft);
    drop(runtime.spawn(async move {
        loop {
            let node = match lost.recv().await {
                Ok(node) => node,
                Err(RecvError::Lagged(_)) => continue,
                Err(RecvError::Closed) => return,
            };
            let Some(raft) = raft.upgrade() else { return };
            let leader = raft.leader().borrow().clone();
            let Some(leader) = leader.filter(|leader| leader.id == node) else { continue };
            if is_closed(&leader.info.cluster_address).await {
                raft.leader_has_ended(node).await;
            }
        }
    }));
    Ok(())
}

/// Whether nothing listens there, though the host answers.
async fn is_closed(address: &str) -> bool {
    for _ in 0..LOOKS_MAX {
        match tokio::time::timeout(LOOK_MAX, TcpStream::connect(address)).await {
            Ok(Err(error)) if error.kind() == ErrorKind::ConnectionRefused => return true,
            // A process that ends closes one socket after the other.
            Ok(Ok(_)) => tokio::time::sleep(LOOK_AGAIN).await,
            Ok(Err(_)) | Err(_) => return false,
        }
    }
    false
}

const LOOK_MAX: Duration = Duration::from_millis(100);
const LOOK_AGAIN: Duration = Duration::from_millis(5);
const LOOKS_MAX: usize = 4;

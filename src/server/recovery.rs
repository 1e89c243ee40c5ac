//! A quorum that is gone for good: `raft/peers.json` in the data folder says which node is left.
//!
//! Vault's way, with Vault's file. It is read once, when the node starts; what it asks for is
//! carried out by [`crate::raft::plan`], and it goes.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;

use super::control::Control;
use super::replicated::StartError;
use crate::raft::{Peer, StateStore, plan};
use crate::request::Error;
use crate::store::SegmentLog;

/// Does what `raft/peers.json` asks for, where there is one. May be repeated after a crash.
///
/// # Errors
/// Where it cannot be read, or names what is no member: nothing has changed then.
pub(super) async fn recover(
    path: &Path,
    own: u64,
    log: &SegmentLog,
    state: &dyn StateStore,
) -> Result<(), StartError> {
    let file = path.join(PEERS_FILE);
    let text = match fs::read(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(format!("{}: {error}", file.display()).into()),
    };
    let planned = Peer::read(&text).and_then(|peer| plan(own, &peer, log, state));
    let plan = planned.map_err(|reason| {
        format!("{}: {reason}. Nothing was changed: mend the file, or remove it", file.display())
    })?;
    let dropped: String =
        plan.outcome().dropped.iter().map(|(id, name)| format!("{id} {name}\n")).collect();
    if !plan.outcome().is_done {
        write(&path.join("node").join(DROPPED_FILE), &dropped)?;
    }
    let recovery = plan.carry_out(log).await?;
    fs::remove_file(&file)?;
    file.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())?;
    let dropped: Vec<&str> = recovery.dropped.iter().map(|(_, name)| name.as_str()).collect();
    tracing::warn!(
        member = recovery.kept,
        dropped = dropped.join(", "),
        last_index = recovery.last_index,
        "the cluster has been recovered by {PEERS_FILE}: what only the dropped nodes had is lost, \
         and their data folders must be emptied before they are started again"
    );
    Ok(())
}

impl Control {
    /// Notes as removed what a recovery has dropped, so that it is refused should it come back;
    /// the active node calls it every now and then.
    pub(super) async fn note_dropped(&self) -> Result<(), Error> {
        let Some(node) = self.consensus.replicated() else {
            return Ok(());
        };
        let Some(file) = node.folder().map(|folder| folder.join(DROPPED_FILE)) else {
            return Ok(());
        };
        let Some(dropped) = read_dropped(&file)? else {
            return Ok(());
        };
        let members = node.raft().configuration();
        for id in dropped {
            // A recovery that was broken off before it was written has dropped nobody.
            if members.iter().all(|member| member.id != id) {
                self.note_removed(id).await?;
                node.cluster().close_node(id);
            }
        }
        fs::remove_file(&file).map_err(Error::internal)
    }
}

fn read_dropped(file: &Path) -> Result<Option<Vec<u64>>, Error> {
    match fs::read_to_string(file) {
        Ok(text) => {
            let ids = text.lines().filter_map(|line| line.split(' ').next()?.parse().ok());
            Ok(Some(ids.collect()))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::internal(error)),
    }
}

/// Durably.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    path.parent().map_or(Ok(()), |folder| fs::File::open(folder)?.sync_all())
}

/// As Vault has it, below `path` of `storage "raft"`.
const PEERS_FILE: &str = "raft/peers.json";

/// In the folder `node`: the raft ids and names of nodes that a recovery has dropped.
const DROPPED_FILE: &str = "dropped";

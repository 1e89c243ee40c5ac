//! What a node looks for in every entry that it applies.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::admission::decode_ids;
use super::replicated::StartError;
use super::standing::Standing;
use crate::barrier::{Barrier, Keyring};
use crate::raft::{ApplyObserver, RaftLog};
use crate::record::{Applied, RestoreId, SealedBatch, SystemKey, View};
use crate::seal::KeyringRecord;

/// Checks that each entry comes from a node that was unsealed. Against a stolen disk that puts
/// old ciphertext back as leader: an unsealed node seals itself, and serves nothing more.
///
/// Follows keyrings, and cuts the connections of nodes that were removed.
pub(super) struct Observer {
    barrier: Arc<Barrier>,
    view: Arc<dyn View>,
    /// Ends all connections with a node.
    cut: Box<dyn Fn(u64) + Send + Sync>,
    /// Set when this node has sealed itself.
    alarm: watch::Sender<bool>,
    /// The newest that this process has seen.
    restored: watch::Sender<Option<Restored>>,
}

/// A backup that has taken the state's place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Restored {
    /// Of the entry.
    pub(super) index: u64,
    pub(super) id: RestoreId,
}

impl Observer {
    pub(super) fn new(
        barrier: Arc<Barrier>,
        view: Arc<dyn View>,
        cut: impl Fn(u64) + Send + Sync + 'static,
        alarm: watch::Sender<bool>,
    ) -> Self {
        Self { barrier, view, cut: Box::new(cut), alarm, restored: watch::Sender::new(None) }
    }

    /// Changes whenever a backup has taken the state's place.
    pub(super) fn restored(&self) -> watch::Receiver<Option<Restored>> {
        self.restored.subscribe()
    }

    /// Whether the keyring that was restored is open.
    fn goes_back(&self, current: &Keyring) -> bool {
        let Ok(Some((_, record))) = self.view.system(SystemKey::Keyring) else {
            return false;
        };
        let next = KeyringRecord::decode(&record).map(|record| record.go_back(current));
        let Ok(Ok(next)) = next else { return false };
        self.barrier.replace(Arc::new(next));
        true
    }

    /// Takes over a keyring that was just applied, as far as the present one leads to it; else
    /// seals: what comes next could not be read.
    fn follow(&self, current: &Keyring, record: &Bytes) {
        let next = KeyringRecord::decode(record).map(|record| record.follow(current));
        if let Ok(Ok(next)) = next {
            self.barrier.replace(Arc::new(next));
        } else {
            tracing::error!("the new keyring cannot be opened: this node seals itself");
            self.seal();
        }
    }

    fn seal(&self) {
        self.barrier.close();
        self.alarm.send_replace(true);
    }

    fn cut_off(&self, removed: &Bytes) {
        for id in decode_ids(removed) {
            (self.cut)(id);
        }
    }
}

impl ApplyObserver for Observer {
    fn on_applied(
        &self,
        index: u64,
        batch: &SealedBatch,
        encoded: &Bytes,
        mac: &Bytes,
        applied: Applied,
    ) {
        let keyring = self.barrier.keyring().ok();
        if let Some(keyring) = &keyring
            && !keyring.verify_mac(encoded, mac)
        {
            tracing::error!(
                index,
                leader = batch.header.leadership.node,
                "an entry was not made by an unsealed node: this node seals itself; find out \
                 which node's disk is in other hands, and remove it"
            );
            self.seal();
            return;
        }
        if applied != Applied::Committed {
            return;
        }
        for (key, record) in &batch.system_writes {
            match (key, record, &keyring) {
                (SystemKey::Keyring, Some(record), Some(keyring)) => self.follow(keyring, record),
                (SystemKey::RemovedNodes, Some(record), _) => self.cut_off(record),
                _ => {}
            }
        }
    }

    /// Of rotations and a rekey in one snapshot, only the last can be followed.
    fn on_installed(&self, _: u64) {
        if let Ok(Some((_, removed))) = self.view.system(SystemKey::RemovedNodes) {
            self.cut_off(&removed);
        }
        let Ok(keyring) = self.barrier.keyring() else {
            return;
        };
        match self.view.system(SystemKey::Keyring) {
            Ok(Some((_, record))) => self.follow(&keyring, &record),
            Ok(None) | Err(_) => self.seal(),
        }
    }

    fn on_restored(&self, index: u64, id: RestoreId) {
        tracing::info!(index, "a snapshot was restored");
        if let Ok(keyring) = self.barrier.keyring()
            && !self.goes_back(&keyring)
        {
            tracing::warn!(
                "the snapshot that was restored has other keys than this cluster had: this node \
                 seals itself, and the unseal keys of the cluster that the snapshot was taken of, \
                 as of then, open it"
            );
            self.seal();
        }
        self.restored.send_replace(Some(Restored { index, id }));
    }
}

/// What follows when a node has sealed itself: it stands for no election, forwards nothing, and
/// leads no longer than it must.
pub(super) fn heed(
    raft: &Arc<RaftLog>,
    standing: Arc<Standing>,
    mut alarmed: watch::Receiver<bool>,
) -> Result<(), StartError> {
    let runtime = raft.runtime().ok_or("raft has no runtime")?;
    drop(runtime.spawn(async move {
        while alarmed.changed().await.is_ok() {
            // A sealed leader hands over by itself as soon as another node can lead.
            standing.follow();
        }
    }));
    Ok(())
}

#[cfg(test)]
mod tests;

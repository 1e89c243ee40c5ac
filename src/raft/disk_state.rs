//! The state on disk under raft.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::snapshot::{Image, SnapshotFile};
use super::state::StateStore;
use super::types::{
    LogId, Position, decode_stored_membership, encode_stored_membership, from_entry_id, leadership,
    to_entry_id,
};
use crate::record::{Applied, SealedBatch, View, ViewError};
use crate::store::{Error, Pressure, SegmentLog, State, StateOptions, verify};

pub struct DiskStateStore {
    state: State,
    /// Where snapshots stand while they are sent or received.
    exchange: PathBuf,
    number: AtomicU64,
}

impl DiskStateStore {
    /// Opens the state in `folder`, over the log that it follows. `exchange` is a folder for
    /// snapshots under way; what an earlier run left there goes.
    ///
    /// # Errors
    /// Where a folder cannot be made or read, or a newer program wrote the state.
    pub fn open(
        folder: &Path,
        exchange: &Path,
        options: StateOptions,
        log: &SegmentLog,
    ) -> Result<Self, Error> {
        let purged = log.clone();
        let on_durable = Box::new(move |id| {
            // A log that has stopped tells everyone else itself.
            if let Err(error) = purged.checkpointed(id) {
                tracing::warn!(%error, "the log was not told of a checkpoint");
            }
        });
        Self::new(State::open(folder, options, log.flushed(), on_durable)?, exchange)
    }

    pub(super) fn new(state: State, exchange: &Path) -> Result<Self, Error> {
        empty(exchange).map_err(|source| Error::Io {
            action: "empty",
            path: exchange.into(),
            source: Arc::new(source),
        })?;
        Ok(Self { state, exchange: exchange.into(), number: AtomicU64::new(0) })
    }

    /// For backups, the state's hash and the disk's reserve.
    pub fn state(&self) -> &State {
        &self.state
    }

    fn file(&self, purpose: &str) -> SnapshotFile {
        let number = self.number.fetch_add(1, Ordering::Relaxed);
        SnapshotFile::new(self.exchange.join(format!("{purpose}-{number}")))
    }
}

impl StateStore for DiskStateStore {
    fn view(&self) -> Arc<dyn View> {
        Arc::new(self.state.clone())
    }

    fn position(&self) -> io::Result<Position> {
        let membership = self.state.membership().map(decode_stored_membership).transpose();
        Ok(Position {
            last_applied: self.state.applied().map(from_entry_id),
            membership: membership.map_err(io::Error::other)?.unwrap_or_default(),
        })
    }

    fn apply(&self, id: &LogId, batch: &SealedBatch) -> Result<Applied, ViewError> {
        self.state.apply(id.index, leadership(&id.leader_id), batch)
    }

    fn apply_blank(&self, id: &LogId) -> Result<(), ViewError> {
        self.state.apply_blank(to_entry_id(id))
    }

    fn apply_membership(&self, id: &LogId, position: &Position) -> Result<(), ViewError> {
        let membership = encode_stored_membership(&position.membership);
        self.state.apply_membership(to_entry_id(id), membership)
    }

    fn checkpoint(&self) -> io::Result<()> {
        self.state.checkpoint().map(drop).map_err(io::Error::other)
    }

    fn export(&self) -> io::Result<Image> {
        let file = self.file("sending");
        self.state.export(file.path()).map_err(io::Error::other)?;
        Ok(Image::File(file))
    }

    fn inspect(&self, image: &Image) -> io::Result<Position> {
        let Image::File(file) = image else { return Err(other_kind()) };
        let info = verify(file.path()).map_err(io::Error::other)?;
        let membership = info.membership.map(decode_stored_membership).transpose();
        Ok(Position {
            last_applied: Some(from_entry_id(info.applied)),
            membership: membership.map_err(io::Error::other)?.unwrap_or_default(),
        })
    }

    fn receive(&self) -> io::Result<Image> {
        Ok(Image::File(self.file("receiving")))
    }

    fn install(&self, image: Image) -> io::Result<()> {
        let Image::File(file) = image else { return Err(other_kind()) };
        self.state.install(file.path()).map(drop).map_err(io::Error::other)
    }

    fn is_pressed(&self) -> bool {
        self.state.pressure() >= Pressure::Hold
    }
}

fn empty(folder: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)
}

fn other_kind() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a snapshot of another kind of store")
}

//! What raft needs of the replicated state.

use std::io;
use std::sync::Arc;

use bytes::Bytes;

use super::snapshot::Image;
use super::types::{LogId, Position};
use crate::record::{Applied, RestoreId, SealedBatch, View, ViewError};

/// A state store, under raft: entries are applied one after the other, in the order of the log.
pub trait StateStore: Send + Sync + 'static {
    fn view(&self) -> Arc<dyn View>;

    /// # Errors
    /// Where what is stored cannot be read.
    fn position(&self) -> io::Result<Position>;

    /// May block while memory for what is not yet on disk is full.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn apply(&self, id: &LogId, batch: &SealedBatch) -> Result<Applied, ViewError>;

    /// An entry without content.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn apply_blank(&self, id: &LogId) -> Result<(), ViewError>;

    /// # Errors
    /// Where the store cannot be read.
    fn apply_membership(&self, id: &LogId, position: &Position) -> Result<(), ViewError>;

    /// Writes to disk what is applied, so that the log before it may go. Blocks.
    ///
    /// # Errors
    /// Where it cannot be written.
    fn checkpoint(&self) -> io::Result<()>;

    /// The whole state. Blocks.
    ///
    /// # Errors
    /// Where it cannot be read, or the file not be written.
    fn export(&self) -> io::Result<Image>;

    /// Checks a snapshot, all of it, and tells how far it goes. Blocks.
    ///
    /// # Errors
    /// Where it is none, is damaged, or was made by a newer program.
    fn inspect(&self, image: &Image) -> io::Result<Position>;

    /// Where to put a snapshot that is to be installed.
    ///
    /// # Errors
    /// Where there is no place.
    fn receive(&self) -> io::Result<Image>;

    /// Replaces the state, durably. Blocks.
    ///
    /// # Errors
    /// Where the snapshot is none, or the disk fails; the state is then what it was.
    fn install(&self, image: Image) -> io::Result<()>;

    /// Whether the memory for what is not yet on disk is nearly full: new proposals wait.
    fn is_pressed(&self) -> bool;
}

/// Told of entries as they are applied, on every node, before anyone can read them.
pub trait ApplyObserver: Send + Sync + 'static {
    /// After each batch, whatever came of it. `encoded` and `mac` are the entry's own bytes, for
    /// whoever holds the key to check them. Must be quick: nothing else is applied meanwhile.
    fn on_applied(
        &self,
        index: u64,
        batch: &SealedBatch,
        encoded: &Bytes,
        mac: &Bytes,
        applied: Applied,
    );

    /// The whole state was replaced: whatever was remembered of it is void.
    fn on_installed(&self, index: u64);

    /// As [`Self::on_installed`], by an entry that puts a backup in the state's place, once
    /// [`Self::on_applied`] was told of it: what is older than before is meant to be.
    fn on_restored(&self, index: u64, id: RestoreId);
}

/// Observes nothing.
pub struct NoObserver;

impl ApplyObserver for NoObserver {
    fn on_applied(&self, _: u64, _: &SealedBatch, _: &Bytes, _: &Bytes, _: Applied) {}

    fn on_installed(&self, _: u64) {}

    fn on_restored(&self, _: u64, _: RestoreId) {}
}

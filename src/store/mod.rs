//! The replicated state: ciphertext by hashed key, and the one function that changes it; and the
//! files under raft: its log, the state's checkpoints, snapshots.
//!
//! **Invariant:** what was reported durable is on disk, whole. The only place that opens files
//! of the data folder.

pub mod apply;
mod entry;
mod error;
mod log;
mod memory;
mod requests;
mod state;
mod vfs;
mod watermark;

pub use apply::{Effects, apply};
pub use entry::{Entry, EntryId};
pub use error::Error;
pub use log::{DiskSpace, Flushed, Glance, LogState, Options as LogOptions, SegmentLog, glance};
pub use memory::{MemoryState, Tables};
pub use requests::{PROXIED_WINDOW, Requests};
pub use state::{
    Kind as StateKind, OnDurable, Options as StateOptions, Pressure, SnapshotInfo, SnapshotItem,
    State, inspect, verify, walk,
};
pub use vfs::{Disk, File, Free, Lock, Vfs};
pub use watermark::Watermark;

#[cfg(test)]
pub(crate) mod tests;

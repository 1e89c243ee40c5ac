//! The seam between the server and consensus. Raft implements it; so does a log in memory, which
//! tests can make conflict, fence and fail.
//!
//! **Invariant:** nothing above knows raft, nothing below knows plaintext.

mod memory;

pub use memory::MemoryLog;

use std::pin::Pin;
use std::sync::Arc;

use bytes::Bytes;

use crate::record::{Applied, Leadership, View};

pub type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

pub trait ReplicatedLog: Send + Sync {
    /// A point that includes every entry committed before the call: linearizable.
    ///
    /// # Errors
    /// [`LogError::NotLeader`] where another node leads, or none.
    fn begin(&self) -> BoxFuture<'_, Result<Point, LogError>>;

    /// Appends one entry (`SealedBatch::entry`) and waits until this node has applied it.
    ///
    /// # Errors
    /// [`LogError::NotLeader`]: it was never appended. [`LogError::Unknown`]: it may yet be.
    fn propose(&self, entry: Bytes) -> BoxFuture<'_, Result<Applied, LogError>>;
}

/// Where a transaction begins.
#[derive(Clone)]
pub struct Point {
    pub leadership: Leadership,
    /// Sees every later entry too: revisions, not copies, make a transaction consistent.
    pub view: Arc<dyn View>,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogError {
    /// Nothing was appended: the request may go to another node as it is.
    #[error("this node does not lead")]
    NotLeader,
    /// The entry is larger than `max_transaction_size` allows.
    #[error("entry of {size} bytes exceeds the limit of {limit}")]
    TooLarge { size: usize, limit: usize },
    /// The disk is below its reserve on a quorum: reads go on.
    #[error("not enough disk space to write")]
    DiskFull,
    /// Leadership was lost before the entry was known to be committed.
    #[error("leadership was lost before the write was known to be committed")]
    Unknown,
    /// This node's consensus has stopped, and the node with it.
    #[error("replication has stopped: {0}")]
    Stopped(String),
}

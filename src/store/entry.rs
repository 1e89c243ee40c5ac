use std::fmt;

use bytes::Bytes;

use crate::record::Leadership;

/// Which log entry: its place, and the leadership that put it there. The index comes first, so
/// that ids of one log are ordered by it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct EntryId {
    pub index: u64,
    pub term: u64,
    pub node: u64,
}

impl EntryId {
    pub fn new(index: u64, leadership: Leadership) -> Self {
        Self { index, term: leadership.term, node: leadership.node }
    }

    pub fn leadership(self) -> Leadership {
        Leadership { term: self.term, node: self.node }
    }
}

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (term {}, node {})", self.index, self.term, self.node)
    }
}

/// One log entry as raft sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Entry {
    pub id: EntryId,
    /// Opaque to the log: a batch, a membership, or nothing.
    pub payload: Bytes,
}

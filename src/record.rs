//! What replication and storage see: hashed keys, ciphertext, revisions. No plaintext has a name
//! here.

mod batch;
mod numbers;
mod request_id;
mod restore;
mod view;

pub use batch::{Batch as SealedBatch, DecodeError, Header, Write};
pub use numbers::NumberSet;
pub use request_id::{ENCODED_BYTES as REQUEST_ID_BYTES, Numbers, OriginId, Remembered, RequestId};
pub use restore::{Restore, RestoreId, RestoreStep, Staged};
pub use view::{Directory, Part, Record, SystemKey, View, ViewError, VisitRecord};

use std::fmt;

use bytes::Bytes;

/// Where a record is stored: 16 hashed bytes of its directory, then 16 of directory and name.
#[derive(Clone, Copy, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StoredKey(pub [u8; 32]);

impl StoredKey {
    pub fn directory(&self) -> StoredDirectory {
        let mut directory = [0; 16];
        directory.copy_from_slice(self.0.split_at(16).0);
        StoredDirectory(directory)
    }
}

impl fmt::Debug for StoredKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The first 16 bytes of the stored keys of all records in one directory.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StoredDirectory(pub [u8; 16]);

/// The index of the log entry that last wrote a record; for a directory, that last created or
/// deleted a record in it.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Revision(pub u64);

impl Revision {
    pub const ABSENT: Self = Self(0);
}

/// Who leads: a raft term and the node that won it. Two nodes may lead in one term, so the term
/// alone would not do.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Leadership {
    pub term: u64,
    pub node: u64,
}

/// What came of a log entry. The same on every node.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Applied {
    /// Every write took effect.
    Committed,
    /// Nothing did: what the transaction had read has changed since.
    Conflict(Contested),
    /// Nothing did: it was proposed under another leadership.
    Fenced,
    /// Nothing did: this step of this request has taken effect before. What its response was is
    /// for the view to tell.
    Repeated,
    /// Nothing did: the request is older than what is remembered.
    Forgotten,
    /// Nothing did: too much is remembered of others. It has to wait.
    NoRoom,
    /// Nothing did: what was staged for a restore is no snapshot.
    Damaged,
}

/// What a refused transaction lost to: whoever tries again queues on it.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Contested {
    Directory(StoredDirectory),
    Record(StoredKey),
    System(SystemKey),
}

/// Bytes that the barrier has sealed: format, keyring term, nonce, AES-256-GCM.
#[derive(Clone, Eq, PartialEq)]
pub struct Ciphertext(Bytes);

impl Ciphertext {
    /// For the barrier alone, which has sealed them, and for what reads them back from a file,
    /// the log or a peer. `tests/it/tidy.rs` lists who may call it.
    pub fn from_sealed(bytes: Bytes) -> Self {
        Self(bytes)
    }

    pub fn as_bytes(&self) -> &Bytes {
        &self.0
    }
}

impl fmt::Debug for Ciphertext {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ciphertext({} bytes)", self.0.len())
    }
}

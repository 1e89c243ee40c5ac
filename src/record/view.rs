use std::ops::ControlFlow;

use bytes::Bytes;

use super::{Ciphertext, Remembered, RequestId, Revision, Staged, StoredDirectory, StoredKey};
use crate::clock::Timestamp;

/// One stored value and the entry that wrote it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    pub revision: Revision,
    pub value: Ciphertext,
}

/// What is kept of a directory. It goes with its last record.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Directory {
    /// Raised by a create and by a delete, not by an update.
    pub revision: Revision,
    /// Records in it, the markers of directories below it included.
    pub records: u64,
}

impl Directory {
    pub const ABSENT: Self = Self { revision: Revision::ABSENT, records: 0 };
}

/// What is stored in clear, because it is needed before unsealing or by `apply`. Nothing else is.
///
/// The numbers are in the log and in snapshots: never reuse one.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum SystemKey {
    /// Cluster id and name.
    Cluster = 1,
    /// Certificates of the authorities that nodes trust.
    CaCertificates = 2,
    /// Type of seal, shares and threshold.
    SealConfiguration = 3,
    /// The keyring, wrapped by the root key, and the root key, wrapped by the seal.
    Keyring = 4,
    /// Ids of nodes that may not come back.
    RemovedNodes = 5,
    /// The newest format that all voters can read.
    FeatureLevel = 6,
}

impl SystemKey {
    pub const ALL: [Self; 6] = [
        Self::Cluster,
        Self::CaCertificates,
        Self::SealConfiguration,
        Self::Keyring,
        Self::RemovedNodes,
        Self::FeatureLevel,
    ];

    pub fn from_number(number: u32) -> Option<Self> {
        Self::ALL.into_iter().find(|key| *key as u32 == number)
    }
}

/// Which of a directory's records are wanted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Part {
    /// Only those whose stored key is greater.
    pub after: Option<StoredKey>,
    pub records_max: usize,
}

impl Part {
    pub const ALL: Self = Self { after: None, records_max: usize::MAX };
}

/// What [`View::list`] shows each record to.
pub type VisitRecord<'a> = dyn FnMut(StoredKey, Record) -> ControlFlow<()> + 'a;

/// The replicated state, as far as this node has applied it. Every call sees the newest: a caller
/// that needs one point notes revisions and checks them again.
pub trait View: Send + Sync {
    /// # Errors
    /// Where the store cannot be read.
    fn get(&self, key: &StoredKey) -> Result<Option<Record>, ViewError>;

    /// Shows records of a directory at one point, in the order of their stored keys, until
    /// `visit` breaks; returns the directory itself. One record is held at a time, where the
    /// store is on disk.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn list(
        &self,
        directory: &StoredDirectory,
        part: Part,
        visit: &mut VisitRecord<'_>,
    ) -> Result<Directory, ViewError>;

    /// [`Directory::ABSENT`] where it holds no record.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn directory(&self, directory: &StoredDirectory) -> Result<Directory, ViewError>;

    /// # Errors
    /// Where the store cannot be read.
    fn system(&self, key: SystemKey) -> Result<Option<(Revision, Bytes)>, ViewError>;

    /// What is known of a step of a request at `time`, which is not before the state's.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn recall(
        &self,
        request: &RequestId,
        step: u32,
        time: Timestamp,
    ) -> Result<Remembered, ViewError>;

    /// What is there of a snapshot that is to be restored.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn staged(&self) -> Result<Option<Staged>, ViewError>;

    /// The newest entry's time; never goes back.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn time(&self) -> Result<Timestamp, ViewError>;
}

/// The store cannot be read. The node stops: what it would answer cannot be trusted.
#[derive(Debug, thiserror::Error)]
#[error("state store: {0}")]
pub struct ViewError(#[source] pub Box<dyn std::error::Error + Send + Sync>);

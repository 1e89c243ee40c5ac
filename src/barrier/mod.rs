//! Where plaintext ends. Everything below this module holds ciphertext only.

mod keyring;
mod snapshot;

pub use keyring::{DataKey, Keyring, OpenError, ProofRole, SealError, UnwrapError};

use std::sync::{Arc, PoisonError, RwLock};

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::log::Point;
use crate::record::{
    Ciphertext, Header, Numbers, RequestId, Restore, SealedBatch, Write as SealedWrite,
};
use crate::request::Error;
use crate::rng::Rng;
use crate::txn::{Batch, RecordCache, Txn, Write};
use snapshot::Opened;

/// What an entry says for the case that its request is repeated. The default: nothing, where no
/// client has asked.
#[derive(Default)]
pub struct Repeat {
    pub request: Option<RequestId>,
    pub step: u32,
    /// By [`Keyring::seal_response`].
    pub response: Option<Ciphertext>,
    /// Requests of the same origin that are answered.
    pub finished: Vec<Numbers>,
}

/// Sealed, it has no keys; unsealed, it turns transactions into log entries and back.
pub struct Barrier {
    keyring: RwLock<Option<Arc<Keyring>>>,
    cache: Arc<RecordCache>,
    rng: Arc<dyn Rng>,
}

impl Barrier {
    /// Sealed.
    pub fn new(rng: Arc<dyn Rng>) -> Self {
        Self { keyring: RwLock::new(None), cache: Arc::default(), rng }
    }

    pub fn is_sealed(&self) -> bool {
        self.read().is_none()
    }

    /// Unseals, or replaces the keyring after a rotation.
    pub fn open(&self, keyring: Arc<Keyring>) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = Some(keyring);
    }

    /// As [`Self::open`], for a node that is unsealed: one that was sealed meanwhile stays so.
    pub fn replace(&self, keyring: Arc<Keyring>) {
        let mut current = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        if current.is_some() {
            *current = Some(keyring);
        }
    }

    /// As [`Self::replace`], where `known` is still in use; `false` where it is not.
    pub fn exchange(&self, known: &Arc<Keyring>, keyring: Arc<Keyring>) -> bool {
        let mut current = self.keyring.write().unwrap_or_else(PoisonError::into_inner);
        let is_known = current.as_ref().is_some_and(|current| Arc::ptr_eq(current, known));
        if is_known {
            *current = Some(keyring);
        }
        is_known
    }

    /// Drops the keys and every plaintext kept. Transactions under way keep theirs until they
    /// end; what they propose is still sealed, under keys that were good when they began.
    pub fn close(&self) {
        *self.keyring.write().unwrap_or_else(PoisonError::into_inner) = None;
        self.cache.clear();
    }

    /// # Errors
    /// [`Error::Sealed`].
    pub fn keyring(&self) -> Result<Arc<Keyring>, Error> {
        self.read().clone().ok_or(Error::Sealed)
    }

    /// A transaction from this point on. `now` is raised to the newest entry's time, so that a
    /// slow clock cannot bring back what has expired.
    ///
    /// # Errors
    /// [`Error::Sealed`], or where the store cannot be read.
    pub fn begin(&self, point: Point, now: Timestamp) -> Result<Txn, Error> {
        let keyring = self.keyring()?;
        let time = point.view.time().map_err(Error::internal)?.max(now);
        let snapshot = Box::new(Opened::new(keyring, point.view));
        Ok(Txn::new(snapshot, self.cache.clone(), point.leadership, time))
    }

    /// One log entry: what [`crate::log::ReplicatedLog::propose`] takes.
    ///
    /// # Errors
    /// [`Error::Sealed`].
    pub fn seal(&self, batch: Batch, repeat: Repeat) -> Result<Bytes, Error> {
        let keyring = self.keyring()?;
        let reads = batch.reads.iter().map(|(key, seen)| (keyring.stored_key(key), *seen));
        let directories = batch
            .directories
            .iter()
            .map(|(directory, seen)| (keyring.stored_directory(directory), *seen));
        let occupied = batch.occupied.iter().map(|directory| keyring.stored_directory(directory));
        let (reads, directories, occupied) =
            (reads.collect(), directories.collect(), occupied.collect());
        let mut writes = Vec::with_capacity(batch.writes.len());
        for (key, write) in &batch.writes {
            writes.push(match write {
                Write::Delete => SealedWrite { key: keyring.stored_key(key), value: None },
                Write::Put(plain) => {
                    let (key, value) = keyring
                        .seal_record(self.rng.as_ref(), key, plain.expose())
                        .map_err(Error::internal)?;
                    SealedWrite { key, value: Some(value) }
                }
            });
        }
        let sealed = SealedBatch {
            header: Header {
                leadership: batch.leadership,
                time: batch.time,
                request: repeat.request,
                step: repeat.step,
                finished: repeat.finished,
            },
            reads,
            directories,
            occupied,
            writes,
            system_reads: batch.system_reads.into_iter().collect(),
            system_writes: batch.system_writes.into_iter().collect(),
            response: repeat.response,
            restore: None,
        };
        let encoded = sealed.encode();
        let mac = Bytes::copy_from_slice(&keyring.mac(&encoded));
        Ok(SealedBatch::entry(sealed.version(), encoded, mac))
    }

    /// One log entry with a step of a restore, which whoever applies it can tell from a forged one.
    /// `now` is raised as by [`Self::begin`].
    ///
    /// # Errors
    /// [`Error::Sealed`], or where the store cannot be read.
    pub fn seal_restore(
        &self,
        point: &Point,
        now: Timestamp,
        restore: Restore,
    ) -> Result<Bytes, Error> {
        let keyring = self.keyring()?;
        let time = point.view.time().map_err(Error::internal)?.max(now);
        let leadership = point.leadership;
        let sealed = SealedBatch {
            header: Header { leadership, time, request: None, step: 0, finished: Vec::new() },
            reads: Vec::new(),
            directories: Vec::new(),
            occupied: Vec::new(),
            writes: Vec::new(),
            system_reads: Vec::new(),
            system_writes: Vec::new(),
            response: None,
            restore: Some(restore),
        };
        let encoded = sealed.encode();
        let mac = Bytes::copy_from_slice(&keyring.mac(&encoded));
        Ok(SealedBatch::entry(sealed.version(), encoded, mac))
    }

    fn read(&self) -> std::sync::RwLockReadGuard<'_, Option<Arc<Keyring>>> {
        self.keyring.read().unwrap_or_else(PoisonError::into_inner)
    }
}

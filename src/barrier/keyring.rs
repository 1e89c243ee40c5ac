//! The keys of the barrier: what they seal, hash and authenticate, and how they are kept.
//!
//! **Invariant:** a term's key never changes, and nothing is sealed under a term that is not yet
//! in the log: the caller commits what `rotate` returns before it uses it.

mod content;

pub use content::UnwrapError;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::crypto::{LockedKey, aead_open, aead_seal, equal, hmac_sha256};
use crate::key::Key;
use crate::record::{Ciphertext, StoredDirectory, StoredKey};
use crate::rng::Rng;
use crate::secret::Secret;

/// Immutable but for the counts of encryptions: a rotation makes another, which shares the keys
/// of this one, as a clone does.
#[derive(Clone)]
pub struct Keyring {
    created: Timestamp,
    /// By term; never empty, and the last is the active one.
    terms: BTreeMap<u32, Arc<DataKey>>,
    root: Arc<LockedKey>,
    fixed: Arc<FixedKeys>,
}

impl Keyring {
    /// A first keyring, of term 1.
    pub fn generate(rng: &dyn Rng, now: Timestamp) -> Self {
        let fixed = FixedKeys {
            path: LockedKey::generate(rng),
            batch_mac: LockedKey::generate(rng),
            forward_proof: LockedKey::generate(rng),
        };
        let first = DataKey::new(LockedKey::generate(rng), now);
        Self {
            created: now,
            terms: BTreeMap::from([(FIRST_TERM, Arc::new(first))]),
            root: Arc::new(LockedKey::generate(rng)),
            fixed: Arc::new(fixed),
        }
    }

    /// Another keyring with one more term; all other keys are the same. Commit it before it
    /// seals anything.
    ///
    /// # Errors
    /// After 2³² - 1 rotations.
    pub fn rotate(&self, rng: &dyn Rng, now: Timestamp) -> Result<Self, SealError> {
        let term = self.active_term().checked_add(1).ok_or(SealError::TermsExhausted)?;
        let mut terms = self.terms.clone();
        terms.insert(term, Arc::new(DataKey::new(LockedKey::generate(rng), now)));
        let (root, fixed) = (Arc::clone(&self.root), Arc::clone(&self.fixed));
        Ok(Self { created: self.created, terms, root, fixed })
    }

    /// Another keyring of the same terms that is wrapped by another root key, so that whoever
    /// knows the root key of today does not open what is written tomorrow.
    #[must_use]
    pub fn renew_root(&self, rng: &dyn Rng) -> Self {
        Self {
            created: self.created,
            terms: self.terms.clone(),
            root: Arc::new(LockedKey::generate(rng)),
            fixed: Arc::clone(&self.fixed),
        }
    }

    /// Under which new records are sealed.
    pub fn active_term(&self) -> u32 {
        self.active().0
    }

    /// The terms and when they were installed, oldest first.
    pub fn terms(&self) -> impl Iterator<Item = (u32, &DataKey)> {
        self.terms.iter().map(|(term, key)| (*term, key.as_ref()))
    }

    pub fn created(&self) -> Timestamp {
        self.created
    }

    /// When the active term was installed.
    pub fn installed(&self) -> Timestamp {
        self.active().1.installed
    }

    /// Messages that this process has sealed under the active term; see [`DataKey::encryptions`].
    pub fn encryptions(&self) -> u64 {
        self.active().1.encryptions()
    }

    /// Where all records of a directory are stored. `directory` is as in [`Key::directory`].
    pub fn stored_directory(&self, directory: &str) -> StoredDirectory {
        StoredDirectory(self.path_hash(&[DIRECTORY_TAG, directory.as_bytes()]))
    }

    pub fn stored_key(&self, key: &Key) -> StoredKey {
        let directory = self.stored_directory(key.directory());
        // The length parts directory from name, so that no two keys are hashed alike.
        let length = (key.directory().len() as u64).to_be_bytes();
        let record = self.path_hash(&[
            RECORD_TAG,
            &length,
            key.directory().as_bytes(),
            key.name().as_bytes(),
        ]);
        let mut stored = [0; 32];
        let (first, last) = stored.split_at_mut(directory.0.len());
        first.copy_from_slice(&directory.0);
        last.copy_from_slice(&record);
        StoredKey(stored)
    }

    /// Seals a value together with the last part of its name, bound to where it is stored.
    ///
    /// # Errors
    /// Where the name or the value is too long.
    pub fn seal_record(
        &self,
        rng: &dyn Rng,
        key: &Key,
        plaintext: &[u8],
    ) -> Result<(StoredKey, Ciphertext), SealError> {
        let stored = self.stored_key(key);
        let name = key.name().as_bytes();
        let length = u16::try_from(name.len()).map_err(|_| SealError::NameTooLong)?.to_be_bytes();
        let sealed = self.seal(rng, &[], &stored.0, &[&length, name, plaintext])?;
        Ok((stored, sealed))
    }

    /// The last part of the record's name, as in [`Key::name`], and its value.
    ///
    /// # Errors
    /// Where it was not sealed by this cluster for this place, or by a term or format that this
    /// node does not know.
    pub fn open_record(
        &self,
        stored: &StoredKey,
        value: &Ciphertext,
    ) -> Result<(String, Secret<Vec<u8>>), OpenError> {
        let plaintext = self.open(&[], &stored.0, value)?;
        let (length, rest) =
            plaintext.expose().split_first_chunk::<2>().ok_or(OpenError::Tampered)?;
        let (name, value) = rest
            .split_at_checked(usize::from(u16::from_be_bytes(*length)))
            .ok_or(OpenError::Tampered)?;
        let name = std::str::from_utf8(name).map_err(|_| OpenError::Tampered)?;
        Ok((name.to_owned(), Secret::new(value.to_vec())))
    }

    /// Seals what is not stored under a key of its own. It opens only with the same `context`,
    /// and never as a record.
    ///
    /// # Errors
    /// Where the value is too long.
    pub fn seal_response(
        &self,
        rng: &dyn Rng,
        context: &[u8],
        plaintext: &[u8],
    ) -> Result<Ciphertext, SealError> {
        self.seal(rng, RESPONSE_TAG, context, &[plaintext])
    }

    /// # Errors
    /// As [`Keyring::open_record`].
    pub fn open_response(
        &self,
        context: &[u8],
        value: &Ciphertext,
    ) -> Result<Secret<Vec<u8>>, OpenError> {
        self.open(RESPONSE_TAG, context, value)
    }

    /// Seals the checksums of a backup: whoever has no keyring of this cluster can neither make
    /// nor change one. Opens with any later keyring of the cluster.
    ///
    /// # Errors
    /// Where they are too long.
    pub fn seal_checksums(&self, rng: &dyn Rng, checksums: &[u8]) -> Result<Vec<u8>, SealError> {
        let sealed = self.seal(rng, CHECKSUMS_TAG, &[], &[checksums])?;
        Ok(sealed.as_bytes().to_vec())
    }

    /// # Errors
    /// As [`Keyring::open_record`].
    pub fn open_checksums(&self, sealed: &[u8]) -> Result<Secret<Vec<u8>>, OpenError> {
        let sealed = Ciphertext::from_sealed(Bytes::copy_from_slice(sealed));
        self.open(CHECKSUMS_TAG, &[], &sealed)
    }

    /// Shows that an encoded batch comes from a node that was unsealed. The key outlives
    /// rotations.
    pub fn mac(&self, batch: &[u8]) -> [u8; 32] {
        hmac_sha256(self.fixed.batch_mac.expose(), &[BATCH_TAG, batch])
    }

    /// In constant time.
    pub fn verify_mac(&self, batch: &[u8], mac: &[u8]) -> bool {
        equal(&self.mac(batch), mac)
    }

    /// Shows to the other end of a TLS connection that this end is unsealed. Role and ids keep it
    /// from being sent back to who made it. The key outlives rotations.
    pub fn forward_proof(
        &self,
        exporter: &[u8],
        role: ProofRole,
        dialler: u64,
        listener: u64,
    ) -> [u8; 32] {
        hmac_sha256(
            self.fixed.forward_proof.expose(),
            &[
                FORWARD_TAG,
                &[role as u8],
                &dialler.to_be_bytes(),
                &listener.to_be_bytes(),
                exporter,
            ],
        )
    }

    /// In constant time.
    pub fn verify_forward_proof(
        &self,
        exporter: &[u8],
        role: ProofRole,
        dialler: u64,
        listener: u64,
        proof: &[u8],
    ) -> bool {
        equal(&self.forward_proof(exporter, role, dialler, listener), proof)
    }

    /// The key that wraps the keyring.
    pub fn root_key(&self) -> &LockedKey {
        &self.root
    }

    fn active(&self) -> (u32, &DataKey) {
        #[expect(clippy::expect_used, reason = "built with one term, and none is ever removed")]
        let (term, key) = self.terms.last_key_value().expect("a keyring has a term");
        (*term, key)
    }

    fn path_hash(&self, parts: &[&[u8]]) -> [u8; 16] {
        let hash = hmac_sha256(self.fixed.path.expose(), parts);
        let mut half = [0; 16];
        half.copy_from_slice(hash.split_at(16).0);
        half
    }

    fn seal(
        &self,
        rng: &dyn Rng,
        tag: &[u8],
        context: &[u8],
        plaintext: &[&[u8]],
    ) -> Result<Ciphertext, SealError> {
        let (term, key) = self.active();
        key.encryptions.fetch_add(1, Ordering::Relaxed);
        let header = header(term);
        let associated = [tag, &header, context].concat();
        let sealed = aead_seal(&key.key, rng, &associated, &header, plaintext)
            .map_err(|_| SealError::ValueTooLong)?;
        Ok(Ciphertext::from_sealed(Bytes::from(sealed)))
    }

    fn open(
        &self,
        tag: &[u8],
        context: &[u8],
        value: &Ciphertext,
    ) -> Result<Secret<Vec<u8>>, OpenError> {
        let (header, sealed) =
            value.as_bytes().split_first_chunk::<HEADER_BYTES>().ok_or(OpenError::Tampered)?;
        let [format, term @ ..] = *header;
        match format {
            VALUE_FORMAT => {}
            0 => return Err(OpenError::Tampered),
            format => return Err(OpenError::NewerFormat { format }),
        }
        let term = u32::from_be_bytes(term);
        let key = self.terms.get(&term).ok_or(OpenError::UnknownTerm { term })?;
        let associated = [tag, header, context].concat();
        aead_open(&key.key, &associated, sealed).map_err(|_| OpenError::Tampered)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(term {})", self.active_term())
    }
}

/// The key of one term.
pub struct DataKey {
    key: LockedKey,
    installed: Timestamp,
    encryptions: AtomicU64,
}

impl DataKey {
    pub fn installed(&self) -> Timestamp {
        self.installed
    }

    /// Messages that this process has sealed under it. In memory alone: what other processes
    /// sealed comes on top.
    pub fn encryptions(&self) -> u64 {
        self.encryptions.load(Ordering::Relaxed)
    }

    fn new(key: LockedKey, installed: Timestamp) -> Self {
        Self { key, installed, encryptions: AtomicU64::new(0) }
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DataKey(..)")
    }
}

/// Which end of a connection a proof speaks for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ProofRole {
    Dialler = 1,
    Listener = 2,
}

/// A value cannot be sealed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum SealError {
    #[error("the last part of a storage key is longer than 65,535 bytes")]
    NameTooLong,
    #[error("a value is longer than 64 GiB")]
    ValueTooLong,
    #[error("the keyring has used all terms")]
    TermsExhausted,
}

/// A value cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum OpenError {
    /// Sealed by a keyring newer than this node's, or by another cluster's.
    #[error("sealed under keyring term {term}, which this node does not have")]
    UnknownTerm { term: u32 },
    /// Damaged, moved from another place, or sealed by another cluster.
    #[error("a stored value fails authentication")]
    Tampered,
    #[error("a stored value has format {format}, which this version does not know")]
    NewerFormat { format: u8 },
}

/// The keys that nothing ever changes: a new one would move every record, or part nodes that
/// have applied it from those that have not.
struct FixedKeys {
    path: LockedKey,
    batch_mac: LockedKey,
    forward_proof: LockedKey,
}

fn header(term: u32) -> [u8; HEADER_BYTES] {
    let mut header = [VALUE_FORMAT; HEADER_BYTES];
    let (_, last) = header.split_at_mut(1);
    last.copy_from_slice(&term.to_be_bytes());
    header
}

const FIRST_TERM: u32 = 1;
const VALUE_FORMAT: u8 = 1;
/// Format and term.
const HEADER_BYTES: usize = 5;

// What is hashed or authenticated says for what, so that one use never passes for another.
const DIRECTORY_TAG: &[u8] = b"strongroom directory 1\0";
const RECORD_TAG: &[u8] = b"strongroom record 1\0";
const RESPONSE_TAG: &[u8] = b"strongroom response 1\0";
const CHECKSUMS_TAG: &[u8] = b"strongroom backup 1\0";
const BATCH_TAG: &[u8] = b"strongroom batch 1\0";
const FORWARD_TAG: &[u8] = b"strongroom forward proof 1\0";

#[cfg(test)]
mod tests;

//! Whose shares authorise what, and what wraps keys that people do not hold.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};

use super::Keys;
use crate::barrier::{Keyring, UnwrapError};
use crate::crypto::LockedKey;
use crate::log::BoxFuture;
use crate::record::SystemKey;
use crate::request::Error;
use crate::seal::{
    Guard, KeyringRecord, Opened, SealConfiguration, Share, UnsealError, WrappedSealKey,
};
use crate::secret::Secret;
use crate::txn::Scope;

/// What wraps the key of a seal that opens by itself.
pub trait SealWrapper: Send + Sync {
    /// By every seal of the configuration; one that cannot be reached fails it.
    ///
    /// # Errors
    /// [`Error::Unavailable`] with the seal's name.
    fn wrap<'a>(
        &'a self,
        seal_key: &'a LockedKey,
    ) -> BoxFuture<'a, Result<Vec<WrappedSealKey>, Error>>;
}

/// Where people hold all keys there are.
pub struct SharesOnly;

impl SealWrapper for SharesOnly {
    fn wrap<'a>(&'a self, _: &'a LockedKey) -> BoxFuture<'a, Result<Vec<WrappedSealKey>, Error>> {
        Box::pin(async {
            Err(Error::bad_request("this node's configuration has no seal that opens by itself"))
        })
    }
}

/// By which the recovery key is known again. Behind the barrier, so that a disk in other hands
/// cannot put another one there.
#[derive(Deserialize, Serialize)]
pub struct RecoveryRecord {
    /// Base64.
    check: String,
}

impl RecoveryRecord {
    pub fn new(check: [u8; 32]) -> Self {
        Self { check: STANDARD.encode(check) }
    }

    /// # Errors
    /// Where the record is damaged.
    pub fn check(&self) -> Result<[u8; 32], Error> {
        let bytes = STANDARD.decode(&self.check).map_err(Error::internal)?;
        bytes.try_into().map_err(|_| Error::internal("the recovery key's record is damaged"))
    }

    /// In the namespace's `core/`.
    pub const PATH: &'static str = "seal/recovery";
}

/// The seal as a transaction sees it.
pub(super) struct Sealing {
    pub(super) configuration: SealConfiguration,
    pub(super) record: KeyringRecord,
    /// Of the record: never older than what this node uses.
    pub(super) keyring: Keyring,
    /// Of the recovery key, where there is one.
    check: Option<[u8; 32]>,
}

impl Keys {
    pub(super) fn sealing(&self, storage: &mut Scope<'_>) -> Result<Sealing, Error> {
        let (record, keyring) = self.keyring(storage)?;
        let stored = storage.system(SystemKey::SealConfiguration)?.ok_or(Error::Uninitialized)?;
        let configuration = SealConfiguration::decode(&stored).map_err(Error::internal)?;
        let check = match configuration.recovery() {
            Some(_) => storage.beside(CORE, |core| core.get(RecoveryRecord::PATH))?,
            None => None,
        };
        let check = check.map(|record: RecoveryRecord| record.check()).transpose()?;
        Ok(Sealing { configuration, record, keyring, check })
    }

    pub(super) fn keyring(
        &self,
        storage: &mut Scope<'_>,
    ) -> Result<(KeyringRecord, Keyring), Error> {
        let stored = storage.system(SystemKey::Keyring)?.ok_or(Error::Uninitialized)?;
        let record = KeyringRecord::decode(&stored).map_err(Error::internal)?;
        let keyring = match record.follow(&*self.barrier.keyring()?) {
            Ok(keyring) => keyring,
            // This node has applied more than the transaction has read.
            Err(UnwrapError::Older | UnwrapError::WrongRootKey) => return Err(Error::Conflict),
            Err(error) => return Err(Error::internal(error)),
        };
        Ok((record, keyring))
    }
}

impl Sealing {
    /// Whether these were the shares of a rekey whose shares of before open too.
    pub(super) fn shows_new_shares(&self, opened: &Opened) -> bool {
        opened.root_key.is_some()
            && self.record.has_previous()
            && opened.generation == self.record.generation()
    }

    /// What people's shares open.
    pub(super) fn guard(&self) -> Result<Guard, Error> {
        if !self.configuration.kind().opens_itself() {
            return Ok(Guard::of_root_key(&self.configuration, &self.record));
        }
        match (self.configuration.recovery(), self.check) {
            (Some(recovery), Some(check)) => {
                Ok(Guard::of_key(recovery.division, recovery.generation, check))
            }
            _ => Err(Error::bad_request(
                "this cluster has no recovery key: it was initialised without recovery shares",
            )),
        }
    }
}

/// A share as it was typed.
pub(super) fn share(text: Option<&Secret<String>>) -> Result<Share, Error> {
    match text {
        Some(text) if !text.expose().is_empty() => {
            Share::parse(text.expose()).map_err(|error| Error::BadRequest(error.to_string()))
        }
        _ => Err(Error::bad_request("'key' must be specified in request body as JSON")),
    }
}

pub(super) fn refused(error: &UnsealError) -> Error {
    Error::BadRequest(error.to_string())
}

/// Where the namespace keeps what belongs to no mount, below the namespace.
pub(super) const CORE: &str = "core/";

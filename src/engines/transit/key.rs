//! A named key: its settings in one record, each version in one of its own.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::kind::Kind;
use super::material::{StoredVersion, Version};
use crate::clock::Timestamp;
use crate::framework::Call;
use crate::request::Error;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Key {
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) latest: u32,
    /// Versions before it are gone for good; 0: none is.
    #[serde(default)]
    pub(super) min_available: u32,
    /// Versions before it decrypt and verify nothing.
    pub(super) min_decryption: u32,
    /// Versions before it encrypt and sign nothing; 0: the newest alone, unless one is asked for.
    #[serde(default)]
    pub(super) min_encryption: u32,
    #[serde(default)]
    pub(super) deletion_allowed: bool,
    #[serde(default)]
    pub(super) derived: bool,
    #[serde(default)]
    pub(super) convergent: bool,
    #[serde(default)]
    pub(super) exportable: bool,
    #[serde(default)]
    pub(super) allow_plaintext_backup: bool,
    /// Seconds; 0: never.
    #[serde(default)]
    pub(super) auto_rotate_period: u64,
    /// The newest version came from outside.
    #[serde(default)]
    pub(super) imported: bool,
    #[serde(default)]
    pub(super) allow_imported_rotation: bool,
    /// Of `hmac` keys.
    #[serde(default)]
    pub(super) hmac_bytes: Option<usize>,
    pub(super) rotated: Timestamp,
    #[serde(default)]
    pub(super) soft_deleted: bool,
}

impl Key {
    pub(super) fn new(name: &str, kind: Kind, now: Timestamp) -> Self {
        Self {
            name: name.to_owned(),
            kind,
            latest: 0,
            min_available: 0,
            min_decryption: 1,
            min_encryption: 0,
            deletion_allowed: false,
            derived: false,
            convergent: false,
            exportable: false,
            allow_plaintext_backup: false,
            auto_rotate_period: 0,
            imported: false,
            allow_imported_rotation: false,
            hmac_bytes: None,
            rotated: now,
            soft_deleted: false,
        }
    }

    /// Rotated first, where its period is over.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where there is none.
    pub(super) async fn load(call: &mut Call<'_>, name: &str) -> Result<Arc<Self>, Error> {
        let key = Self::find(call, name).await?.ok_or_else(|| Error::bad_request(NO_KEY))?;
        if key.soft_deleted {
            return Err(Error::bad_request("the key is soft-deleted: restore it to use it"));
        }
        Ok(key)
    }

    /// As [`Self::load`], whatever became of it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) async fn find(call: &mut Call<'_>, name: &str) -> Result<Option<Arc<Self>>, Error> {
        check_name(name)?;
        let Some(key) = call.storage.get_shared::<Self>(&path(name))? else {
            return Ok(None);
        };
        if !key.is_rotation_due(call.now) {
            return Ok(Some(key));
        }
        let mut key = Self::clone(&key);
        key.rotate(call).await?;
        key.save(call)?;
        Ok(Some(Arc::new(key)))
    }

    /// Without a rotation: also for who may not do anything with it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn exists(call: &mut Call<'_>, name: &str) -> Result<bool, Error> {
        check_name(name)?;
        Ok(call.storage.get_shared::<Self>(&path(name))?.is_some())
    }

    pub(super) fn save(&self, call: &mut Call<'_>) -> Result<(), Error> {
        call.storage.put(&path(&self.name), self)
    }

    /// Where there is no room the newest version stays in use until old ones are trimmed: better
    /// than a key that does nothing at all.
    fn is_rotation_due(&self, now: Timestamp) -> bool {
        self.auto_rotate_period > 0
            && self.has_room()
            && !self.soft_deleted
            && (!self.imported || self.allow_imported_rotation)
            && self.rotated.plus(Duration::from_secs(self.auto_rotate_period)) <= now
    }

    fn has_room(&self) -> bool {
        self.latest.saturating_sub(self.min_available.max(1)) + 1 < VERSIONS_MAX
    }

    fn check_room(&self) -> Result<(), Error> {
        if self.has_room() {
            return Ok(());
        }
        Err(Error::BadRequest(format!("a key has at most {VERSIONS_MAX} versions: trim it first")))
    }

    /// A new version, made here. The caller saves the key.
    ///
    /// # Errors
    /// Where it cannot be made.
    pub(super) async fn rotate(&mut self, call: &mut Call<'_>) -> Result<(), Error> {
        self.check_room()?;
        let version =
            StoredVersion::generate(self.kind, self.hmac_bytes, call.rng, call.now).await?;
        self.add(call, &version)?;
        self.imported = false;
        Ok(())
    }

    /// The caller saves the key.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where there are too many.
    pub(super) fn add(
        &mut self,
        call: &mut Call<'_>,
        version: &StoredVersion,
    ) -> Result<(), Error> {
        self.check_room()?;
        self.latest += 1;
        self.rotated = call.now;
        call.storage.put(&version_path(&self.name, self.latest), version)
    }

    /// # Errors
    /// Where the record is missing or damaged.
    pub(super) fn version(&self, call: &mut Call<'_>, number: u32) -> Result<Arc<Version>, Error> {
        let version = call.storage.get_shared(&version_path(&self.name, number))?;
        version.ok_or_else(|| Error::internal("a version of a transit key is missing"))
    }

    /// # Errors
    /// As [`Self::version`].
    pub(super) fn stored(&self, call: &mut Call<'_>, number: u32) -> Result<StoredVersion, Error> {
        let version = call.storage.get(&version_path(&self.name, number))?;
        version.ok_or_else(|| Error::internal("a version of a transit key is missing"))
    }

    /// Of those that are there the numbers, oldest first.
    pub(super) fn numbers(&self) -> std::ops::RangeInclusive<u32> {
        self.min_available.max(1)..=self.latest
    }

    /// Which version encrypts or signs; 0 asks for the newest.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it must not.
    pub(super) fn to_encrypt(&self, asked: i64) -> Result<u32, Error> {
        let number = match u32::try_from(asked) {
            Err(_) if asked < 0 => {
                return Err(Error::bad_request("requested version for encryption is negative"));
            }
            Ok(0) => return Ok(self.latest),
            Ok(number) if number <= self.latest => number,
            _ => {
                return Err(Error::bad_request(
                    "requested version for encryption is higher than the latest key version",
                ));
            }
        };
        if number < self.min_encryption.max(self.min_available) {
            return Err(Error::bad_request(
                "requested version for encryption is less than the minimum encryption key version",
            ));
        }
        Ok(number)
    }

    /// Whether a version may decrypt or verify.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it must not.
    pub(super) fn to_decrypt(&self, number: u32) -> Result<u32, Error> {
        if number > self.latest {
            return Err(Error::bad_request("invalid ciphertext: version is too new"));
        }
        if number < self.min_decryption.max(self.min_available) {
            return Err(Error::bad_request(
                "ciphertext or signature version is disallowed by policy (too old)",
            ));
        }
        Ok(number)
    }

    /// All of it.
    ///
    /// # Errors
    /// Where the store cannot be written.
    pub(super) fn delete(&self, call: &mut Call<'_>) -> Result<(), Error> {
        for number in self.numbers() {
            call.storage.delete(&version_path(&self.name, number))?;
        }
        call.storage.delete(&path(&self.name))
    }

    pub(super) fn delete_version(&self, call: &mut Call<'_>, number: u32) -> Result<(), Error> {
        call.storage.delete(&version_path(&self.name, number))
    }
}

/// # Errors
/// [`Error::BadRequest`] for a name that is none.
pub(super) fn check_name(name: &str) -> Result<(), Error> {
    if name.is_empty() || name.contains('/') || name.len() > NAME_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "a key's name has 1 to {NAME_BYTES_MAX} bytes and no slash"
        )));
    }
    Ok(())
}

fn path(name: &str) -> String {
    format!("{KEYS}/{name}")
}

/// Ten digits, so that versions list in their order.
fn version_path(name: &str, number: u32) -> String {
    format!("version/{name}/{number:010}")
}

pub(super) const KEYS: &str = "key";

/// As in Vault: clients look for it.
pub(super) const NO_KEY: &str = "encryption key not found";

/// What deleting a key may take in one transaction.
pub(super) const VERSIONS_MAX: u32 = 4096;

const NAME_BYTES_MAX: usize = 512;

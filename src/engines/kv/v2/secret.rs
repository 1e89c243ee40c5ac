use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::super::{UPGRADED, unversioned_key};
use super::config::Config;
use crate::clock::Timestamp;
use crate::framework::Call;
use crate::request::{Error, Params};

/// All that is known of a secret, but its data: one record.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Secret {
    /// Names its versions' records; empty until it has moved from version 1's place.
    id: String,
    /// 0: none was written yet.
    pub(super) current_version: u64,
    /// 0 until the first was pruned, as Vault shows it.
    pub(super) oldest_version: u64,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    /// 0: the mount's.
    pub(super) max_versions: u64,
    pub(super) cas_required: bool,
    /// Seconds; 0: the mount's.
    pub(super) delete_version_after: i64,
    pub(super) custom_metadata: BTreeMap<String, String>,
    pub(super) versions: BTreeMap<u64, Version>,
}

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Version {
    created: Timestamp,
    /// Past: deleted. To come: deletes itself then.
    pub(super) deletion: Option<Timestamp>,
    /// Its data is gone for good.
    pub(super) destroyed: bool,
}

impl Secret {
    /// One that is not stored yet.
    pub(super) fn new(call: &Call<'_>) -> Self {
        let id = call.rng.base62(ID_LENGTH);
        Self { id, created: call.now, updated: call.now, ..Self::default() }
    }

    pub(super) fn load(call: &mut Call<'_>, path: &str) -> Result<Option<Self>, Error> {
        if let Some(secret) = call.storage.get(&metadata_key(path))? {
            return Ok(Some(secret));
        }
        let Some(upgraded) = call.storage.get_shared::<Timestamp>(UPGRADED)? else {
            return Ok(None);
        };
        if call.storage.get_bytes(&unversioned_key(path))?.is_none() {
            return Ok(None);
        }
        let version = Version { created: *upgraded, deletion: None, destroyed: false };
        Ok(Some(Self {
            current_version: 1,
            created: *upgraded,
            updated: *upgraded,
            versions: BTreeMap::from([(1, version)]),
            ..Self::default()
        }))
    }

    /// As [`Self::load`]; what is still in version 1's place moves, in the same transaction.
    pub(super) fn load_to_change(call: &mut Call<'_>, path: &str) -> Result<Option<Self>, Error> {
        let Some(mut secret) = Self::load(call, path)? else {
            return Ok(None);
        };
        if secret.id.is_empty() {
            let data = call.storage.get_bytes(&unversioned_key(path))?;
            secret.id = call.rng.base62(ID_LENGTH);
            if let Some(data) = data {
                call.storage.put_bytes(&secret.version_key(1), data)?;
            }
            call.storage.delete(&unversioned_key(path))?;
            secret.save(call, path)?;
        }
        Ok(Some(secret))
    }

    pub(super) fn save(&self, call: &mut Call<'_>, path: &str) -> Result<(), Error> {
        call.storage.put(&metadata_key(path), self)
    }

    /// A version's data, which must neither be deleted nor destroyed.
    pub(super) fn data(
        &self,
        call: &mut Call<'_>,
        path: &str,
        number: u64,
    ) -> Result<Value, Error> {
        let key = if self.id.is_empty() { unversioned_key(path) } else { self.version_key(number) };
        call.storage.get(&key)?.ok_or_else(|| Error::internal("a version has lost its data"))
    }

    /// Adds a version, and prunes those beyond the number that is kept.
    pub(super) fn add(
        &mut self,
        call: &mut Call<'_>,
        config: &Config,
        data: &Value,
    ) -> Result<u64, Error> {
        self.current_version += 1;
        let number = self.current_version;
        let deletion = config.deletion_time(call.now, self.delete_version_after);
        self.versions.insert(number, Version { created: call.now, deletion, destroyed: false });
        self.updated = call.now;
        call.storage.put(&self.version_key(number), data)?;
        let kept = config.versions_max(self.max_versions);
        if number - self.oldest_version >= kept {
            self.oldest_version = number - kept + 1;
            let newer = self.versions.split_off(&self.oldest_version);
            for pruned in std::mem::replace(&mut self.versions, newer).into_keys() {
                call.storage.delete(&self.version_key(pruned))?;
            }
        }
        Ok(number)
    }

    /// Takes a version's data away for good; false where there was none.
    pub(super) fn destroy(&mut self, call: &mut Call<'_>, number: u64) -> Result<bool, Error> {
        let key = self.version_key(number);
        let Some(version) = self.versions.get_mut(&number).filter(|version| !version.destroyed)
        else {
            return Ok(false);
        };
        version.destroyed = true;
        call.storage.delete(&key)?;
        Ok(true)
    }

    /// Deletes it with all its versions.
    pub(super) fn purge(self, call: &mut Call<'_>, path: &str) -> Result<(), Error> {
        for (number, version) in &self.versions {
            if !version.destroyed {
                call.storage.delete(&self.version_key(*number))?;
            }
        }
        call.storage.delete(&metadata_key(path))
    }

    /// A version as told beside its data. `None` where there is none of this number.
    pub(super) fn shown(&self, number: u64) -> Option<Params> {
        let version = self.versions.get(&number)?;
        Some(Map::from_iter([
            ("created_time".to_owned(), version.created.rfc3339().into()),
            ("custom_metadata".to_owned(), self.custom_metadata_shown()),
            ("deletion_time".to_owned(), version.deletion_shown().into()),
            ("destroyed".to_owned(), version.destroyed.into()),
            ("version".to_owned(), number.into()),
        ]))
    }

    /// The whole record, as `metadata/` tells it.
    pub(super) fn metadata(&self) -> Value {
        let versions: Map<String, Value> = self
            .versions
            .iter()
            .map(|(number, version)| (number.to_string(), version.shown()))
            .collect();
        json!({
            "cas_required": self.cas_required,
            "created_time": self.created.rfc3339(),
            "current_version": self.current_version,
            "custom_metadata": self.custom_metadata_shown(),
            "delete_version_after": super::config::duration_text(self.delete_version_after),
            "max_versions": self.max_versions,
            "oldest_version": self.oldest_version,
            "updated_time": self.updated.rfc3339(),
            "versions": versions,
        })
    }

    fn custom_metadata_shown(&self) -> Value {
        if self.custom_metadata.is_empty() { Value::Null } else { json!(self.custom_metadata) }
    }

    fn version_key(&self, number: u64) -> String {
        format!("versions/{}.{number}", self.id)
    }
}

impl Version {
    pub(super) fn is_deleted(&self, now: Timestamp) -> bool {
        self.deletion.is_some_and(|deletion| deletion <= now)
    }

    /// Its data can be read.
    pub(super) fn is_live(&self, now: Timestamp) -> bool {
        !self.destroyed && !self.is_deleted(now)
    }

    fn shown(&self) -> Value {
        json!({
            "created_time": self.created.rfc3339(),
            "deletion_time": self.deletion_shown(),
            "destroyed": self.destroyed,
        })
    }

    fn deletion_shown(&self) -> String {
        self.deletion.map(Timestamp::rfc3339).unwrap_or_default()
    }
}

fn metadata_key(path: &str) -> String {
    format!("{METADATA}{path}")
}

/// The directory of all secrets' records.
pub(super) const METADATA: &str = "metadata/";

/// 119 bits: two secrets never draw the same.
const ID_LENGTH: usize = 20;

/// Versions are listed in the secret's one record, which is written with each of them.
pub(super) const VERSIONS_MAX: u64 = 100_000;

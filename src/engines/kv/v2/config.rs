use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::secret::VERSIONS_MAX;
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams, Seconds};
use crate::request::{Error, Reply};

/// Of the whole mount.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Config {
    /// 0: the default, 10.
    max_versions: u64,
    pub(super) cas_required: bool,
    /// Seconds; 0: the secret's own, negative: never, whatever the secret says.
    delete_version_after: i64,
}

impl Config {
    pub(super) fn load(call: &mut Call<'_>) -> Result<Arc<Self>, Error> {
        Ok(call.storage.get_shared(CONFIG)?.unwrap_or_default())
    }

    /// How many versions are kept: the secret's own value wins.
    pub(super) fn versions_max(&self, of_secret: u64) -> u64 {
        [of_secret, self.max_versions].into_iter().find(|max| *max > 0).unwrap_or(VERSIONS_DEFAULT)
    }

    /// When what is written now deletes itself: the shorter of both durations counts.
    pub(super) fn deletion_time(&self, now: Timestamp, of_secret: i64) -> Option<Timestamp> {
        if self.delete_version_after < 0 {
            return None;
        }
        let set = [self.delete_version_after, of_secret];
        let shorter = set.into_iter().filter(|after| *after > 0).min()?;
        Some(now.plus(Duration::from_secs(shorter.unsigned_abs())))
    }
}

pub(super) async fn read(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let config = Config::load(call)?;
    Reply::of(&json!({
        "cas_required": config.cas_required,
        "delete_version_after": duration_text(config.delete_version_after),
        "max_versions": config.max_versions,
    }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteConfig {
    /// How many versions of each secret are kept; 0: 10.
    max_versions: Option<i64>,
    /// Every write must tell the version that it replaces.
    cas_required: Option<bool>,
    /// After this time a version deletes itself; negative: never.
    delete_version_after: Option<Seconds>,
}

pub(super) async fn write(call: &mut Call<'_>, input: WriteConfig) -> Result<Reply, Error> {
    let mut config = Config::clone(&*Config::load(call)?);
    if let Some(max) = input.max_versions {
        config.max_versions = versions_max(max)?;
    }
    if let Some(required) = input.cas_required {
        config.cas_required = required;
    }
    if let Some(after) = input.delete_version_after {
        config.delete_version_after = after.0.max(-1);
    }
    call.storage.put(CONFIG, &config)?;
    Ok(Reply::default())
}

/// # Errors
/// [`Error::BadRequest`] where a secret's metadata could grow without bound.
pub(super) fn versions_max(max: i64) -> Result<u64, Error> {
    u64::try_from(max)
        .ok()
        .filter(|max| *max <= VERSIONS_MAX)
        .ok_or_else(|| Error::BadRequest(format!("max_versions must be from 0 to {VERSIONS_MAX}")))
}

/// As Go writes a duration: `0s`, `1m30s`, `1h0m0s`, `-1s`.
pub(super) fn duration_text(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    let total = seconds.unsigned_abs();
    let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
    if hours > 0 {
        format!("{sign}{hours}h{minutes}m{seconds}s")
    } else if minutes > 0 {
        format!("{sign}{minutes}m{seconds}s")
    } else {
        format!("{sign}{seconds}s")
    }
}

const CONFIG: &str = "config";

/// As in Vault.
const VERSIONS_DEFAULT: u64 = 10;

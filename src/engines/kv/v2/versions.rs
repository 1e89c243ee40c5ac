use schemars::JsonSchema;
use serde::Deserialize;

use super::config::Config;
use super::secret::Secret;
use super::writable;
use crate::framework::Call;
use crate::request::{Error, Reply};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Versions {
    /// Where the secret is.
    path: String,
    /// Numbers of versions. Those that do not exist are passed over.
    #[serde(default)]
    versions: Vec<i64>,
}

pub(super) async fn delete(call: &mut Call<'_>, input: Versions) -> Result<Reply, Error> {
    let (path, numbers) = input.parts(call)?;
    mark_deleted(call, &path, &numbers)?;
    Ok(Reply::default())
}

pub(super) async fn undelete(call: &mut Call<'_>, input: Versions) -> Result<Reply, Error> {
    let (path, numbers) = input.parts(call)?;
    let Some(mut secret) = Secret::load_to_change(call, &path)? else {
        return Ok(Reply::default());
    };
    // What deletes itself after a time does so again.
    let deletion = Config::load(call)?.deletion_time(call.now, secret.delete_version_after);
    let mut changed = false;
    for number in numbers {
        if let Some(version) = secret.versions.get_mut(&number)
            && !version.destroyed
        {
            version.deletion = deletion;
            changed = true;
        }
    }
    if changed {
        secret.save(call, &path)?;
    }
    Ok(Reply::default())
}

pub(super) async fn destroy(call: &mut Call<'_>, input: Versions) -> Result<Reply, Error> {
    let (path, numbers) = input.parts(call)?;
    let Some(mut secret) = Secret::load_to_change(call, &path)? else {
        return Ok(Reply::default());
    };
    let mut changed = false;
    for number in numbers {
        changed |= secret.destroy(call, number)?;
    }
    if changed {
        secret.save(call, &path)?;
    }
    Ok(Reply::default())
}

/// Deletes those versions that are not yet; their data stays.
pub(super) fn mark_deleted(call: &mut Call<'_>, path: &str, numbers: &[u64]) -> Result<(), Error> {
    let Some(mut secret) = Secret::load_to_change(call, path)? else {
        return Ok(());
    };
    let mut changed = false;
    for number in numbers {
        if let Some(version) = secret.versions.get_mut(number)
            && version.is_live(call.now)
        {
            version.deletion = Some(call.now);
            changed = true;
        }
    }
    if changed { secret.save(call, path) } else { Ok(()) }
}

impl Versions {
    fn parts(self, call: &Call<'_>) -> Result<(String, Vec<u64>), Error> {
        let path = writable(call, self.path)?;
        if self.versions.is_empty() {
            return Err(Error::bad_request("No version number provided"));
        }
        let numbers = self.versions.into_iter().filter_map(|number| u64::try_from(number).ok());
        Ok((path, numbers.collect()))
    }
}

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::super::{UNVERSIONED, UPGRADED};
use super::config::versions_max;
use super::secret::{METADATA, Secret};
use super::{AtPath, custom, readable, writable};
use crate::clock::Timestamp;
use crate::framework::{Call, Seconds};
use crate::request::{Error, Reply};

pub(super) async fn read(call: &mut Call<'_>, input: AtPath) -> Result<Reply, Error> {
    let path = readable(call, input.path)?;
    let secret = Secret::load(call, &path)?.ok_or(Error::NotFound)?;
    Reply::of(&secret.metadata())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteMetadata {
    /// Where the secret is.
    path: String,
    /// How many versions are kept; 0: as many as the mount says.
    max_versions: Option<i64>,
    /// Every write must tell the version that it replaces.
    cas_required: Option<bool>,
    /// After this time a version deletes itself; 0: when the mount says.
    delete_version_after: Option<Seconds>,
    /// An object of strings, of the user's choice.
    custom_metadata: Option<Value>,
}

pub(super) async fn write(call: &mut Call<'_>, input: WriteMetadata) -> Result<Reply, Error> {
    let path = writable(call, input.path.clone())?;
    if !says_anything(call) {
        return Ok(Reply::default());
    }
    let mut secret = match Secret::load_to_change(call, &path)? {
        Some(secret) => secret,
        None => Secret::new(call),
    };
    if call.request.params.contains_key("custom_metadata") {
        secret.custom_metadata.clear();
    }
    input.apply(call, secret, &path)
}

/// JSON merge patch: null puts back what is there without setting.
pub(super) async fn patch(call: &mut Call<'_>, input: WriteMetadata) -> Result<Reply, Error> {
    let path = writable(call, input.path.clone())?;
    let mut secret = Secret::load_to_change(call, &path)?.ok_or(Error::NotFound)?;
    if !says_anything(call) {
        return Ok(Reply::default());
    }
    let is_null = |field: &str| call.request.params.get(field).is_some_and(Value::is_null);
    if is_null("max_versions") {
        secret.max_versions = 0;
    }
    if is_null("cas_required") {
        secret.cas_required = false;
    }
    if is_null("delete_version_after") {
        secret.delete_version_after = 0;
    }
    if is_null("custom_metadata") {
        secret.custom_metadata.clear();
    }
    input.apply(call, secret, &path)
}

pub(super) async fn delete(call: &mut Call<'_>, input: AtPath) -> Result<Reply, Error> {
    super::not_root(call, &input.path)?;
    let path = input.path;
    if path.is_empty() || path.ends_with('/') {
        return Ok(Reply::default());
    }
    if let Some(secret) = Secret::load_to_change(call, &path)? {
        secret.purge(call, &path)?;
    }
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ListMetadata {
    /// The directory.
    path: String,
    /// Only names that sort behind this one.
    #[serde(default)]
    after: String,
    /// How many names at most; 0 or less: all.
    #[serde(default)]
    limit: i64,
}

pub(super) async fn list(call: &mut Call<'_>, input: ListMetadata) -> Result<Reply, Error> {
    Ok(Reply::keys(input.names(call)?))
}

pub(super) async fn list_detailed(
    call: &mut Call<'_>,
    input: ListMetadata,
) -> Result<Reply, Error> {
    let names = input.names(call)?;
    if names.len() > DETAILED_MAX {
        return Err(Error::BadRequest(format!(
            "more than {DETAILED_MAX} keys: ask for fewer with `limit` and `after`"
        )));
    }
    if names.is_empty() {
        return Ok(Reply::default());
    }
    let directory = input.path.trim_end_matches('/');
    let slash = if directory.is_empty() { "" } else { "/" };
    let mut told = Map::new();
    for name in &names {
        let mut info = json!({});
        if !name.ends_with('/')
            && let Some(secret) = Secret::load(call, &format!("{directory}{slash}{name}"))?
        {
            info = secret.metadata();
        }
        told.insert(name.clone(), info);
    }
    Reply::of(&json!({ "key_info": told, "keys": names }))
}

impl WriteMetadata {
    fn apply(self, call: &mut Call<'_>, mut secret: Secret, path: &str) -> Result<Reply, Error> {
        if let Some(max) = self.max_versions {
            secret.max_versions = versions_max(max)?;
        }
        if let Some(required) = self.cas_required {
            secret.cas_required = required;
        }
        if let Some(Seconds(after)) = self.delete_version_after {
            if after < 0 {
                return Err(Error::BadRequest(format!(
                    "error converting input for field \"delete_version_after\": cannot provide \
                     negative value '{after}'"
                )));
            }
            secret.delete_version_after = after;
        }
        if let Some(given) = &self.custom_metadata {
            for (key, value) in custom::parse(given)? {
                match value {
                    Some(value) => secret.custom_metadata.insert(key, value),
                    None => secret.custom_metadata.remove(&key),
                };
            }
            custom::check(&secret.custom_metadata)?;
        }
        secret.updated = call.now;
        secret.save(call, path)?;
        Ok(Reply::default())
    }
}

impl ListMetadata {
    fn names(&self, call: &mut Call<'_>) -> Result<Vec<String>, Error> {
        let mut names = call.storage.list(&format!("{METADATA}{}", self.path))?;
        if call.storage.get_shared::<Timestamp>(UPGRADED)?.is_some() {
            names.append(&mut call.storage.list(&format!("{UNVERSIONED}{}", self.path))?);
            names.sort_unstable();
            names.dedup();
        }
        if !self.after.is_empty() {
            names.retain(|name| *name > self.after);
        }
        let limit = usize::try_from(self.limit).ok().filter(|limit| *limit > 0);
        names.truncate(limit.unwrap_or(usize::MAX));
        Ok(names)
    }
}

/// Else nothing is written, as in Vault: no secret is made either.
fn says_anything(call: &Call<'_>) -> bool {
    let fields = ["max_versions", "cas_required", "delete_version_after", "custom_metadata"];
    fields.iter().any(|field| call.request.params.contains_key(*field))
}

/// Each is a record to read.
const DETAILED_MAX: usize = 10_000;

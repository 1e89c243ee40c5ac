//! What of a mount can be changed while it stands: `config` of `sys/mounts/:path`, and `tune`.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Node;
use super::mounts::{get, normalise, options, put};
use crate::auth::lockout;
use crate::duration::SignedDuration;
use crate::engines::kv;
use crate::framework::{Call, Fields, Route, TtlLimits};
use crate::mount::{MountEntry, Table};
use crate::request::{Error, Params, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("mounts/{path...}/tune", "How a secrets engine is tuned.")
            .read(read_secret)
            .write(write_secret),
        Route::new("auth/{path...}/tune", "How an auth method is tuned.")
            .sudo()
            .read(read_auth)
            .write(write_auth),
    ]
}

/// Fields that are absent stay as they are.
#[derive(Default, Deserialize, JsonSchema)]
#[serde(default)]
pub(super) struct Tuning {
    /// Where the mount is.
    path: Option<String>,
    /// Time to live of what asks for none; `system`: the system's.
    default_lease_ttl: Option<String>,
    /// The longest time to live; `system`: the system's.
    max_lease_ttl: Option<String>,
    description: Option<String>,
    force_no_cache: Option<bool>,
    audit_non_hmac_request_keys: Option<Vec<String>>,
    audit_non_hmac_response_keys: Option<Vec<String>>,
    /// Empty, `hidden` or `unauth`: who sees the mount.
    listing_visibility: Option<String>,
    passthrough_request_headers: Option<Vec<String>>,
    allowed_response_headers: Option<Vec<String>>,
    allowed_managed_keys: Option<Vec<String>>,
    delegated_auth_accessors: Option<Vec<String>>,
    identity_token_key: Option<String>,
    /// Of an auth method: `default-service`, `default-batch`, `service` or `batch`.
    token_type: Option<String>,
    /// The engine's own, such as `version`.
    options: Option<BTreeMap<String, String>>,
    plugin_version: Option<String>,
    user_lockout_config: Option<Map<String, Value>>,
}

impl Tuning {
    /// From what `config` holds; the names that mean nothing are told.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where a value is of another type.
    pub(super) fn read(params: Params) -> Result<(Self, Vec<String>), Error> {
        let fields = Fields::of(&schemars::schema_for!(Self));
        let (params, unknown) = fields.coerce(params)?;
        let tuning = serde_json::from_value(Value::Object(params))
            .map_err(|error| Error::BadRequest(error.to_string()))?;
        Ok((tuning, unknown))
    }

    /// # Errors
    /// [`Error::BadRequest`] where a value does not fit the mount; it is then half changed, and
    /// must not be stored.
    pub(super) fn apply(self, entry: &mut MountEntry, system: TtlLimits) -> Result<(), Error> {
        let config = &mut entry.config;
        set_ttl(&mut config.default_lease_ttl, self.default_lease_ttl.as_deref())?;
        set_ttl(&mut config.max_lease_ttl, self.max_lease_ttl.as_deref())?;
        // As in Vault, the system's default may be over a mount's own maximum, which caps it.
        let max = system.of(config).max;
        if config.default_lease_ttl > max {
            return Err(Error::BadRequest(format!(
                "given default lease TTL of {} s is greater than the max lease TTL of {max} s",
                config.default_lease_ttl
            )));
        }
        if let Some(visibility) = self.listing_visibility {
            if !matches!(visibility.as_str(), "" | "hidden" | "unauth") {
                return Err(Error::BadRequest(format!(
                    "invalid listing_visibility {visibility:?}: \"\", \"hidden\" or \"unauth\""
                )));
            }
            config.listing_visibility = visibility;
        }
        if let Some(token_type) = self.token_type {
            set_token_type(entry, token_type)?;
        }
        let config = &mut entry.config;
        set(&mut config.force_no_cache, self.force_no_cache);
        set(&mut config.audit_non_hmac_request_keys, self.audit_non_hmac_request_keys);
        set(&mut config.audit_non_hmac_response_keys, self.audit_non_hmac_response_keys);
        set(&mut config.passthrough_request_headers, self.passthrough_request_headers);
        set(&mut config.allowed_response_headers, self.allowed_response_headers);
        set(&mut config.allowed_managed_keys, self.allowed_managed_keys);
        set(&mut config.delegated_auth_accessors, self.delegated_auth_accessors);
        set(&mut config.identity_token_key, self.identity_token_key);
        set(&mut config.plugin_version, self.plugin_version);
        set(&mut entry.description, self.description);
        if let Some(given) = &self.user_lockout_config {
            entry.config.user_lockout_config = Some(lockout::tuned(entry, given)?);
        }
        if let Some(options) = self.options {
            set_options(entry, options)?;
        }
        Ok(())
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn set_ttl(field: &mut u64, value: Option<&str>) -> Result<(), Error> {
    // Command lines send empty what they were not given.
    let Some(text) = value.filter(|text| !text.is_empty()) else {
        return Ok(());
    };
    *field = match text {
        "system" => 0,
        text => {
            let length = SignedDuration::parse(text).ok().and_then(SignedDuration::unsigned);
            length.map(|length| length.as_secs()).ok_or_else(|| {
                Error::BadRequest(format!(
                    "{text:?} is no time to live: seconds, a duration such as 1h, or system"
                ))
            })?
        }
    };
    Ok(())
}

fn set_token_type(entry: &mut MountEntry, token_type: String) -> Result<(), Error> {
    if entry.table == Table::Secret {
        return Err(Error::bad_request("'token_type' can only be modified on auth mounts"));
    }
    if !matches!(
        token_type.as_str(),
        "" | "default-service" | "default-batch" | "service" | "batch"
    ) {
        return Err(Error::BadRequest(format!(
            "invalid token_type {token_type:?}: default-service, default-batch, service or batch"
        )));
    }
    entry.config.token_type = token_type;
    Ok(())
}

/// The version of a kv mount goes up, never down.
fn set_options(entry: &mut MountEntry, options: BTreeMap<String, String>) -> Result<(), Error> {
    if entry.kind == "kv"
        && let Some(wanted) = options.get("version")
    {
        let current = entry.options.get("version").map_or("1", String::as_str);
        match (current, wanted.as_str()) {
            ("2", "1") => {
                return Err(Error::bad_request("cannot downgrade mount from version 2"));
            }
            (_, "1" | "2") => {}
            (_, other) => {
                return Err(Error::BadRequest(format!("kv has no version {other:?}: 1 or 2")));
            }
        }
    }
    entry.options.extend(options);
    Ok(())
}

#[derive(Deserialize, JsonSchema)]
struct ReadTune {
    /// Where the mount is.
    path: String,
}

async fn read_secret(call: &mut Call<'_, Node>, input: ReadTune) -> Result<Reply, Error> {
    read(call, Table::Secret, &input.path)
}

async fn read_auth(call: &mut Call<'_, Node>, input: ReadTune) -> Result<Reply, Error> {
    read(call, Table::Auth, &input.path)
}

async fn write_secret(call: &mut Call<'_, Node>, input: Tuning) -> Result<Reply, Error> {
    write(call, Table::Secret, input)
}

async fn write_auth(call: &mut Call<'_, Node>, input: Tuning) -> Result<Reply, Error> {
    write(call, Table::Auth, input)
}

fn read(call: &mut Call<'_, Node>, table: Table, path: &str) -> Result<Reply, Error> {
    let entry = find(call, table, path)?;
    let limits = call.ttl.of(&entry.config);
    let config = &entry.config;
    let mut data = Map::new();
    data.insert("default_lease_ttl".into(), limits.default.into());
    data.insert("description".into(), entry.description.clone().into());
    data.insert("force_no_cache".into(), config.force_no_cache.into());
    data.insert("max_lease_ttl".into(), limits.max.into());
    for (name, list) in [
        ("audit_non_hmac_request_keys", &config.audit_non_hmac_request_keys),
        ("audit_non_hmac_response_keys", &config.audit_non_hmac_response_keys),
        ("passthrough_request_headers", &config.passthrough_request_headers),
        ("allowed_response_headers", &config.allowed_response_headers),
        ("delegated_auth_accessors", &config.delegated_auth_accessors),
    ] {
        if !list.is_empty() {
            data.insert(name.into(), list.clone().into());
        }
    }
    for (name, text) in [
        ("listing_visibility", &config.listing_visibility),
        ("identity_token_key", &config.identity_token_key),
        ("token_type", &config.token_type),
    ] {
        if !text.is_empty() {
            data.insert(name.into(), text.clone().into());
        }
    }
    if !entry.options.is_empty() {
        data.insert("options".into(), options(&entry));
    }
    if let Some(lockout) = &config.user_lockout_config {
        data.extend(lockout.clone());
    }
    Ok(Reply::data(data))
}

fn write(call: &mut Call<'_, Node>, table: Table, tuning: Tuning) -> Result<Reply, Error> {
    let path = tuning.path.clone().unwrap_or_default();
    let mut entry = find(call, table, &path)?;
    let was_versioned = kv::is_versioned(&entry);
    tuning.apply(&mut entry, call.ttl)?;
    put(call, &entry)?;
    if entry.kind == "kv" && kv::is_versioned(&entry) && !was_versioned {
        // In the same entry: no request sees the new version without the old one's secrets.
        let now = call.now;
        call.storage.beside(&entry.storage_prefix(), |mount| kv::upgrade(mount, now))?;
    }
    Ok(Reply::default())
}

fn find(call: &mut Call<'_, Node>, table: Table, path: &str) -> Result<MountEntry, Error> {
    let path = normalise(path)?;
    let entry = get(call, table, &path)?;
    entry.ok_or_else(|| {
        Error::BadRequest(format!("tune of path {path:?} failed: no mount entry found"))
    })
}

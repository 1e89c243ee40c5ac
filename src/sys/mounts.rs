//! `sys/mounts` and `sys/auth`: two tables, one behaviour.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Node;
use super::tuning::Tuning;
use crate::auth;
use crate::auth::token::TokenStore;
use crate::engines;
use crate::framework::{Call, NoParams, Route};
use crate::job::{Job, JobKind};
use crate::lease::MountPlaces;
use crate::mount::{MountConfig, MountEntry, Table};
use crate::request::{Error, Reply};
use crate::text::hex;
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("mounts", "The mounted secrets engines.").read(list_secret),
        Route::new("mounts/{path...}", "Mount a secrets engine, show it, unmount it.")
            .read(read_secret)
            .write(enable_secret)
            .delete(disable_secret),
        Route::new("auth", "The enabled auth methods.").read(list_auth),
        Route::new("auth/{path...}", "Enable an auth method, show it, disable it.")
            .sudo()
            .read(read_auth)
            .write(enable_auth)
            .delete(disable_auth),
    ]
}

/// Where a mount is, in either table.
#[derive(Deserialize, JsonSchema)]
pub(super) struct MountPath {
    /// The mount's path.
    pub(super) path: String,
}

#[derive(Deserialize, JsonSchema)]
struct Enable {
    /// Where to mount.
    path: String,
    /// The kind of engine or auth method, such as `kv`.
    #[serde(default)]
    r#type: String,
    /// The kind, for clients of old.
    #[serde(default)]
    plugin_name: String,
    /// For people.
    #[serde(default)]
    description: String,
    /// What `tune` would change.
    #[serde(default)]
    config: Map<String, Value>,
    /// The engine's own, such as `version`.
    #[serde(default)]
    options: BTreeMap<String, String>,
    /// Not to be replicated to other clusters.
    #[serde(default)]
    local: bool,
    /// Kept as it is given; every value is sealed alike.
    #[serde(default)]
    seal_wrap: bool,
    /// Kept as it is given.
    #[serde(default)]
    external_entropy_access: bool,
    /// Of a plugin; built-in ones have none.
    #[serde(default)]
    plugin_version: String,
}

async fn list_secret(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    list(call, Table::Secret)
}

async fn list_auth(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    list(call, Table::Auth)
}

async fn read_secret(call: &mut Call<'_, Node>, input: MountPath) -> Result<Reply, Error> {
    read(call, Table::Secret, &input.path)
}

async fn read_auth(call: &mut Call<'_, Node>, input: MountPath) -> Result<Reply, Error> {
    read(call, Table::Auth, &input.path)
}

async fn enable_secret(call: &mut Call<'_, Node>, input: Enable) -> Result<Reply, Error> {
    enable(call, Table::Secret, input)
}

async fn enable_auth(call: &mut Call<'_, Node>, input: Enable) -> Result<Reply, Error> {
    enable(call, Table::Auth, input)
}

async fn disable_secret(call: &mut Call<'_, Node>, input: MountPath) -> Result<Reply, Error> {
    disable(call, Table::Secret, &input.path)
}

async fn disable_auth(call: &mut Call<'_, Node>, input: MountPath) -> Result<Reply, Error> {
    disable(call, Table::Auth, &input.path)
}

fn list(call: &mut Call<'_, Node>, table: Table) -> Result<Reply, Error> {
    let mut data = Map::new();
    for entry in entries(call, table)? {
        data.insert(entry.path.clone(), describe(&entry));
    }
    Ok(Reply::data(data))
}

fn read(call: &mut Call<'_, Node>, table: Table, path: &str) -> Result<Reply, Error> {
    let path = normalise(path)?;
    let Some(entry) = get(call, table, &path)? else {
        return Err(Error::BadRequest(format!("No secret engine mount at {path}")));
    };
    match describe(&entry) {
        Value::Object(data) => Ok(Reply::data(data)),
        _ => Err(Error::internal("a mount is described by an object")),
    }
}

fn enable(call: &mut Call<'_, Node>, table: Table, input: Enable) -> Result<Reply, Error> {
    let path = normalise(&input.path)?;
    check_reserved(table, &path)?;
    let asked = if input.r#type.is_empty() { &input.plugin_name } else { &input.r#type };
    let mut options = input.options;
    let kind = resolve_kind(table, asked, &mut options)?;
    check_free(call, table, &path, None)?;
    let auth = if table == Table::Auth { "auth_" } else { "" };
    let rng = call.rng;
    let draw = || format!("{auth}{kind}_{}", hex(&rng.bytes::<4>()));
    let accessor = unused_accessor(&mut call.storage, draw)?;
    let mut entry = MountEntry {
        table,
        description: input.description,
        uuid: call.rng.uuid(),
        accessor,
        kind,
        path,
        local: input.local,
        seal_wrap: input.seal_wrap,
        external_entropy_access: input.external_entropy_access,
        options,
        config: MountConfig { plugin_version: input.plugin_version, ..MountConfig::default() },
        tainted: false,
    };
    if table == Table::Auth {
        entry.config.token_type = "default-service".into();
    }
    let mut reply = Reply::default();
    let (tuning, unknown) = Tuning::read(input.config)?;
    if !unknown.is_empty() {
        reply = reply.warn(format!(
            "Endpoint ignored these unrecognized parameters of config: [{}]",
            unknown.join(" ")
        ));
    }
    tuning.apply(&mut entry, call.ttl)?;
    put(call, &entry)?;
    Ok(reply)
}

/// One that no mount has, and none had that has left anything: its accessor's tokens are good for
/// nothing for ever, and its leases would be the new one's. Eight digits, as Vault has them, do
/// come up twice.
fn unused_accessor(
    core: &mut Scope<'_>,
    mut draw: impl FnMut() -> String,
) -> Result<String, Error> {
    for _ in 0..DRAWS_MAX {
        let accessor = draw();
        if MountPlaces::new(core).by_accessor(&accessor)?.is_none()
            && !TokenStore::new(core).is_disabled(&accessor)?
        {
            return Ok(accessor);
        }
    }
    Err(Error::internal("no accessor was free"))
}

/// The record goes at once, and with it the path; what the mount has stored is worked off by a
/// job, which the next leader continues.
fn disable(call: &mut Call<'_, Node>, table: Table, path: &str) -> Result<Reply, Error> {
    let path = normalise(path)?;
    if is_built_in(table, &path) {
        let auth = if table == Table::Auth { "auth/" } else { "" };
        return Err(Error::BadRequest(format!("cannot unmount \"{auth}{path}\"")));
    }
    let Some(entry) = get(call, table, &path)? else {
        return Ok(Reply::default());
    };
    call.storage.delete(&key(table, &path))?;
    if table == Table::Auth {
        TokenStore::new(&mut call.storage).disable_mount(&entry.accessor)?;
    }
    MountPlaces::new(&mut call.storage).gone(&entry)?;
    let name = format!("unmount-{}", entry.uuid);
    Job { kind: JobKind::Unmount { entry: Box::new(entry) } }.file(&name, &mut call.storage)?;
    Ok(Reply::default())
}

/// All mounts of a table, sorted by path; the table is noted, so that two that would overlap
/// cannot both be mounted.
pub(super) fn entries(call: &mut Call<'_, Node>, table: Table) -> Result<Vec<MountEntry>, Error> {
    let directory = table.directory().strip_prefix(CORE).unwrap_or_default();
    let mut entries = Vec::new();
    for name in call.storage.list(directory)? {
        let path = Table::path_of(&name);
        if let Some(entry) = get(call, table, &path)? {
            entries.push(entry);
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

pub(super) fn get(
    call: &mut Call<'_, Node>,
    table: Table,
    path: &str,
) -> Result<Option<MountEntry>, Error> {
    let entry = call.storage.get_shared::<MountEntry>(&key(table, path))?;
    Ok(entry.map(|entry| MountEntry::clone(&entry)))
}

pub(super) fn put(call: &mut Call<'_, Node>, entry: &MountEntry) -> Result<(), Error> {
    call.storage.put(&key(entry.table, &entry.path), entry)
}

/// Below `core/`, which is this engine's scope.
pub(super) fn key(table: Table, path: &str) -> String {
    let key = table.key(path);
    key.strip_prefix(CORE).map(str::to_owned).unwrap_or(key)
}

/// One slash at the end, none in front.
///
/// # Errors
/// Where nothing is left, or the path has segments that would not be reached.
pub(super) fn normalise(path: &str) -> Result<String, Error> {
    let path = path.trim_matches('/');
    if path.is_empty() {
        return Err(Error::bad_request("the path of a mount must not be empty"));
    }
    crate::txn::check_path(path)?;
    if path.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::bad_request("the path of a mount must hold no white space"));
    }
    Ok(format!("{path}/"))
}

pub(super) fn is_built_in(table: Table, path: &str) -> bool {
    match table {
        Table::Auth => path == "token/",
        Table::Secret => RESERVED.contains(&path),
    }
}

fn check_reserved(table: Table, path: &str) -> Result<(), Error> {
    if table == Table::Secret && RESERVED.iter().any(|reserved| path.starts_with(reserved)) {
        return Err(Error::BadRequest(format!("cannot mount over the reserved path \"{path}\"")));
    }
    Ok(())
}

/// Refuses a path that another mount has, or would be nested with. `moved` leaves its own.
pub(super) fn check_free(
    call: &mut Call<'_, Node>,
    table: Table,
    path: &str,
    moved: Option<&str>,
) -> Result<(), Error> {
    check_reserved(table, path)?;
    for other in entries(call, table)? {
        let nested = other.path.starts_with(path) || path.starts_with(&other.path);
        if nested && moved != Some(other.path.as_str()) {
            return Err(Error::BadRequest(format!("path is already in use at {}", other.path)));
        }
    }
    Ok(())
}

/// As `sys/mounts` shows it.
pub(super) fn describe(entry: &MountEntry) -> Value {
    let config = &entry.config;
    let mut shown = Map::new();
    shown.insert("default_lease_ttl".into(), config.default_lease_ttl.into());
    shown.insert("max_lease_ttl".into(), config.max_lease_ttl.into());
    shown.insert("force_no_cache".into(), config.force_no_cache.into());
    for (name, list) in [
        ("audit_non_hmac_request_keys", &config.audit_non_hmac_request_keys),
        ("audit_non_hmac_response_keys", &config.audit_non_hmac_response_keys),
        ("passthrough_request_headers", &config.passthrough_request_headers),
        ("allowed_response_headers", &config.allowed_response_headers),
        ("allowed_managed_keys", &config.allowed_managed_keys),
        ("delegated_auth_accessors", &config.delegated_auth_accessors),
    ] {
        if !list.is_empty() {
            shown.insert(name.into(), list.clone().into());
        }
    }
    for (name, text) in [
        ("listing_visibility", &config.listing_visibility),
        ("identity_token_key", &config.identity_token_key),
        ("token_type", &config.token_type),
    ] {
        if !text.is_empty() {
            shown.insert(name.into(), text.clone().into());
        }
    }
    if let Some(lockout) = &config.user_lockout_config {
        shown.insert("user_lockout_config".into(), Value::Object(lockout.clone()));
    }
    let mut mount = json!({
        "type": entry.kind,
        "description": entry.description,
        "accessor": entry.accessor,
        "config": shown,
        "external_entropy_access": entry.external_entropy_access,
        "local": entry.local,
        "options": options(entry),
        "plugin_version": entry.config.plugin_version,
        "running_plugin_version": RUNNING_VERSION,
        "running_sha256": "",
        "seal_wrap": entry.seal_wrap,
        "uuid": entry.uuid,
    });
    // What is part of the server itself has none.
    if !is_built_in(entry.table, &entry.path)
        && let Some(mount) = mount.as_object_mut()
    {
        mount.insert("deprecation_status".into(), "supported".into());
    }
    mount
}

/// An object where there are none too: consul-template stops at anything else.
pub(super) fn options(entry: &MountEntry) -> Value {
    let options = entry.options.iter();
    Value::Object(options.map(|(name, value)| (name.clone(), value.clone().into())).collect())
}

/// `kv-v2` and its like are a kind and an option.
fn resolve_kind(
    table: Table,
    asked: &str,
    options: &mut BTreeMap<String, String>,
) -> Result<String, Error> {
    let version = match (table, asked) {
        (Table::Secret, "kv-v1" | "generic") => Some("1"),
        (Table::Secret, "kv-v2") => Some("2"),
        _ => None,
    };
    if let Some(version) = version {
        options.insert("version".into(), version.into());
        return Ok("kv".into());
    }
    let kinds = match table {
        Table::Auth => auth::KINDS,
        Table::Secret => engines::KINDS,
    };
    if asked.is_empty() {
        return Err(Error::bad_request("backend type must be specified as a string"));
    }
    if !kinds.contains(&asked) {
        return Err(Error::BadRequest(format!("plugin not found in the catalog: {asked}")));
    }
    // As in Vault, what was not asked for is not shown: Terraform would want to take it away again.
    if asked == "kv"
        && table == Table::Secret
        && let Some(version) = options.get("version")
        && !matches!(version.as_str(), "1" | "2")
    {
        return Err(Error::BadRequest(format!("kv has no version {version:?}: 1 or 2")));
    }
    Ok(asked.to_owned())
}

/// Of four thousand million.
const DRAWS_MAX: usize = 16;

/// The scope of `sys/`, below the namespace.
const CORE: &str = "core/";

/// Paths of secrets engines that are always there, or are another URL space.
const RESERVED: &[&str] = &["audit/", "auth/", "cubbyhole/", "identity/", "sys/"];

pub(super) const RUNNING_VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.vault");

#[cfg(test)]
mod tests;

//! `sys/quotas`: how often a client may ask.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Node;
use super::mounts::entries_in;
use super::openapi;
use crate::framework::{Call, NoParams, Route, Seconds};
use crate::mount::{MountEntry, Table};
use crate::namespace;
use crate::quota::{QUOTAS_MAX, QuotaConfig, QuotaStore, RateLimit};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("quotas/config", "What holds for all quotas.").read(read_config).write(config),
        Route::new("quotas/rate-limit", "The names of the rate-limit quotas.").list(list),
        Route::new("quotas/rate-limit/{name}", "Read, write or delete a rate-limit quota.")
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Config {
    /// Tell audit of requests that are refused for their rate.
    #[serde(default)]
    enable_rate_limit_audit_logging: bool,
    /// Tell clients in `X-Ratelimit-…` where they stand.
    #[serde(default)]
    enable_rate_limit_response_headers: bool,
    /// Paths that no rate limit is for: exact, or with `/` or `*` at the end for what is below.
    rate_limit_exempt_paths: Option<Vec<String>>,
}

async fn read_config(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&QuotaStore::new(&mut call.storage).config()?)
}

/// As in Vault, what is not said is switched off.
async fn config(call: &mut Call<'_, Node>, input: Config) -> Result<Reply, Error> {
    let paths = input.rate_limit_exempt_paths;
    let mut config = QuotaConfig {
        enable_rate_limit_audit_logging: input.enable_rate_limit_audit_logging,
        enable_rate_limit_response_headers: input.enable_rate_limit_response_headers,
        ..QuotaConfig::default()
    };
    if let Some(paths) = paths {
        if paths.len() > EXEMPT_MAX || paths.iter().any(|path| path.len() > PATH_BYTES_MAX) {
            return Err(Error::BadRequest(format!(
                "`rate_limit_exempt_paths`: at most {EXEMPT_MAX} paths of {PATH_BYTES_MAX} bytes"
            )));
        }
        config.rate_limit_exempt_paths = paths;
    }
    QuotaStore::new(&mut call.storage).put_config(&config)?;
    Ok(Reply::default())
}

async fn list(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(QuotaStore::new(&mut call.storage).names()?))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Named {
    /// Name of the quota.
    pub(super) name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the quota.
    name: String,
    /// Always `rate-limit`.
    #[serde(default)]
    #[expect(dead_code, reason = "known, so that it causes no warning")]
    r#type: String,
    /// A mount, or a path in one, maybe with `*` at its end; all requests where it is empty.
    #[serde(default)]
    path: String,
    /// Counts logins with this role alone; the path is then an auth method's.
    #[serde(default)]
    role: String,
    /// Requests in one interval.
    #[serde(default)]
    rate: f64,
    /// How long that is; a second where nothing is said.
    interval: Option<Seconds>,
    /// How long a client that was over the rate is refused.
    block_interval: Option<Seconds>,
    /// Whether it holds in namespaces below; a quota for all requests does by default.
    inheritable: Option<bool>,
}

async fn read(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    let limit = QuotaStore::new(&mut call.storage).get(&input.name)?.ok_or(Error::NotFound)?;
    #[expect(clippy::cast_possible_truncation, clippy::float_cmp, reason = "checked: it is whole")]
    let rate = match limit.rate {
        rate if rate == rate.trunc() && rate.abs() < 1e15 => json!(rate as i64),
        rate => json!(rate),
    };
    Reply::of(&json!({
        "block_interval": limit.block_interval,
        "inheritable": limit.inheritable,
        "interval": limit.interval,
        "name": limit.name,
        "path": limit.path,
        "rate": rate,
        "role": limit.role,
        "type": "rate-limit",
    }))
}

async fn write(call: &mut Call<'_, Node>, input: Write) -> Result<Reply, Error> {
    check_lengths(&input.name, &input.path)?;
    if !(input.rate.is_finite() && input.rate > 0.0) {
        return Err(Error::bad_request("'rate' is invalid"));
    }
    let seconds = |name: &str, value: Option<Seconds>| {
        let value = value.unwrap_or_default().0;
        u64::try_from(value).ok().filter(|value| *value <= SECONDS_MAX).ok_or_else(|| {
            Error::BadRequest(format!("`{name}` must be from 0 to {SECONDS_MAX} seconds"))
        })
    };
    let interval = seconds("interval", input.interval)?;
    let block_interval = seconds("block_interval", input.block_interval)?;
    let place = place(call, &input.path)?;
    let path = place.path.clone();
    check_role(&input.role, &path, place.mount.as_ref())?;
    let mut store = QuotaStore::new(&mut call.storage);
    let names = store.names()?;
    for name in &names {
        if let Some(other) = store.get(name)?
            && other.name != input.name
            && (&other.path, &other.role) == (&path, &input.role)
        {
            return Err(Error::BadRequest(format!(
                "quota rule with similar properties exists under the name {name:?}"
            )));
        }
    }
    if names.len() >= QUOTAS_MAX && !names.contains(&input.name) {
        return Err(Error::BadRequest(format!("there are {QUOTAS_MAX} quotas: delete some first")));
    }
    store.put(&RateLimit {
        name: input.name,
        inheritable: input.inheritable.unwrap_or(path.is_empty()),
        mount_path: place.mount_path(),
        namespace: place.namespace,
        path,
        role: input.role,
        rate: input.rate,
        interval: interval.max(1),
        block_interval,
    })?;
    Ok(Reply::default())
}

async fn delete(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    QuotaStore::new(&mut call.storage).delete(&input.name)?;
    Ok(Reply::default())
}

pub(super) fn check_lengths(name: &str, path: &str) -> Result<(), Error> {
    if name.len() <= NAME_BYTES_MAX && path.len() <= PATH_BYTES_MAX {
        return Ok(());
    }
    Err(Error::BadRequest(format!(
        "a quota's name has at most {NAME_BYTES_MAX} bytes, its path {PATH_BYTES_MAX}"
    )))
}

/// Where a quota holds.
#[derive(Default)]
pub(super) struct Place {
    /// As it is kept; empty: everywhere.
    pub(super) path: String,
    /// Of the namespace.
    pub(super) namespace: String,
    pub(super) mount: Option<MountEntry>,
}

impl Place {
    /// With its namespace; empty where it is no mount.
    pub(super) fn mount_path(&self) -> String {
        let path = self.mount.as_ref().map(MountEntry::api_path);
        path.map(|path| format!("{}{path}", self.namespace)).unwrap_or_default()
    }
}

pub(super) fn place(call: &mut Call<'_, Node>, path: &str) -> Result<Place, Error> {
    let path = path.trim_start_matches('/');
    if path.is_empty() {
        return Ok(Place::default());
    }
    crate::txn::check_path(path)?;
    let slashed = format!("{}/", path.trim_end_matches('/'));
    let (found, _) = namespace::find(&mut call.storage, &slashed)?;
    if !found.is_root() && found.path == slashed {
        return Ok(Place { path: slashed.clone(), namespace: slashed, mount: None });
    }
    let (found, within) = namespace::find(&mut call.storage, path)?;
    let (table, local) = match within.strip_prefix("auth/") {
        Some(local) => (Table::Auth, local),
        None => (Table::Secret, within.as_str()),
    };
    let slashed = format!("{local}/");
    let entries = call.storage.core_of(&found.uuid, |core| entries_in(core, table))?;
    let mount =
        entries.into_iter().find(|entry| local.starts_with(&entry.path) || slashed == entry.path);
    let Some(mount) = mount else {
        return Err(Error::BadRequest(format!("invalid mount path {path:?}")));
    };
    let is_mount = slashed == mount.path || local == mount.path;
    let mut place =
        Place { path: path.to_owned(), namespace: found.path.clone(), mount: Some(mount) };
    if is_mount {
        place.path = place.mount_path();
    }
    Ok(place)
}

/// A role means something where logins name one.
pub(super) fn check_role(role: &str, path: &str, mount: Option<&MountEntry>) -> Result<(), Error> {
    if role.is_empty() {
        return Ok(());
    }
    let Some(mount) = mount.filter(|mount| mount.table == Table::Auth) else {
        return Err(Error::BadRequest(format!(
            "Mount path {path:?} is not a valid auth method and therefore unsuitable for use with \
             role-based quotas"
        )));
    };
    let names_role = openapi::routes_of(mount)?.iter().any(|route| {
        route.login
            && route.operations.iter().any(|(_, schema)| {
                schema.get("properties").and_then(|fields| fields.get("role")).is_some()
            })
    });
    if !names_role {
        return Err(Error::BadRequest(format!(
            "Mount path {:?} does not support use with role-based quotas",
            mount.api_path()
        )));
    }
    Ok(())
}

const NAME_BYTES_MAX: usize = 512;

const PATH_BYTES_MAX: usize = 4096;

const EXEMPT_MAX: usize = 1000;

/// A year.
const SECONDS_MAX: u64 = 365 * 24 * 3600;

//! `sys/quotas/lease-count`: how many leases there may be.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Node;
use super::mounts::get;
use super::quotas::{Named, check_lengths, place};
use crate::framework::{Call, NoParams, Route};
use crate::lease::LeaseStore;
use crate::mount::Table;
use crate::quota::{LeaseLimit, QUOTAS_MAX, QuotaStore};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("quotas/lease-count", "The names of the lease-count quotas.").list(list),
        Route::new("quotas/lease-count/{name}", "Read, write or delete a lease-count quota.")
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// The name of the quota.
    name: String,
    /// Always `lease-count`.
    #[serde(default)]
    #[expect(dead_code, reason = "known, so that it causes no warning")]
    r#type: String,
    /// A mount; where it is empty, all mounts that have no quota of their own.
    #[serde(default)]
    path: String,
    /// Of a login: leases are not counted by it, so it must be empty.
    #[serde(default)]
    role: String,
    /// Leases at one time, tokens among them.
    #[serde(default)]
    max_leases: i64,
    /// Whether it holds in namespaces below; a quota for all mounts does by default.
    inheritable: Option<bool>,
}

async fn list(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(QuotaStore::new(&mut call.storage).lease_limits()?))
}

async fn read(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    let limit = QuotaStore::new(&mut call.storage).lease_limit(&input.name)?;
    let limit = limit.ok_or(Error::NotFound)?;
    let counter = counter(call, &limit)?;
    Reply::of(&json!({
        "counter": counter,
        "inheritable": limit.inheritable,
        "max_leases": limit.max_leases,
        "name": limit.name,
        "path": limit.path,
        "role": "",
        "type": "lease-count",
    }))
}

async fn write(call: &mut Call<'_, Node>, input: Write) -> Result<Reply, Error> {
    check_lengths(&input.name, &input.path)?;
    let max_leases = u64::try_from(input.max_leases).ok().filter(|most| *most > 0);
    let max_leases =
        max_leases.ok_or_else(|| Error::bad_request("'max_leases' is invalid: at least 1"))?;
    if !input.role.is_empty() {
        return Err(Error::bad_request(
            "leases are not counted by role: leave `role` empty, and give a mount or nothing as \
             `path`",
        ));
    }
    let (path, mount) = place(call, &input.path)?;
    if let Some(mount) = mount.filter(|mount| mount.api_path() != path) {
        return Err(Error::BadRequest(format!(
            "leases are not counted by path: {path:?} is within the mount {:?}, which a \
             lease-count quota can be for",
            mount.api_path()
        )));
    }
    let mut store = QuotaStore::new(&mut call.storage);
    let names = store.lease_limits()?;
    for name in &names {
        if let Some(other) = store.lease_limit(name)?
            && other.name != input.name
            && other.path == path
        {
            return Err(Error::BadRequest(format!(
                "quota rule with similar properties exists under the name {name:?}"
            )));
        }
    }
    if names.len() >= QUOTAS_MAX && !names.contains(&input.name) {
        return Err(Error::BadRequest(format!("there are {QUOTAS_MAX} quotas: delete some first")));
    }
    store.put_lease_limit(&LeaseLimit {
        name: input.name,
        inheritable: input.inheritable.unwrap_or(path.is_empty()),
        path,
        max_leases,
    })?;
    Ok(Reply::default())
}

async fn delete(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    QuotaStore::new(&mut call.storage).delete_lease_limit(&input.name)?;
    Ok(Reply::default())
}

/// How many leases there are of those that it counts.
fn counter(call: &mut Call<'_, Node>, limit: &LeaseLimit) -> Result<u64, Error> {
    if !limit.path.is_empty() {
        let accessor = accessor(call, &limit.path)?;
        return accessor
            .map_or(Ok(0), |mount| LeaseStore::new(&mut call.storage).count_all(&mount));
    }
    let mut limited = BTreeSet::new();
    for name in QuotaStore::new(&mut call.storage).lease_limits()? {
        if let Some(other) = QuotaStore::new(&mut call.storage).lease_limit(&name)?
            && !other.path.is_empty()
        {
            limited.extend(accessor(call, &other.path)?);
        }
    }
    LeaseStore::new(&mut call.storage).count_others(&limited)
}

/// Of the mount at a path; it may be gone since.
fn accessor(call: &mut Call<'_, Node>, path: &str) -> Result<Option<String>, Error> {
    let (table, local) = match path.strip_prefix("auth/") {
        Some(local) => (Table::Auth, local),
        None => (Table::Secret, path),
    };
    Ok(get(call, table, local)?.map(|mount| mount.accessor))
}

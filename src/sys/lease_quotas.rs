//! `sys/quotas/lease-count`: how many leases there may be.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Node;
use super::quotas::{Named, check_lengths, check_role, place};
use crate::framework::{Call, NoParams, Route};
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
    /// A mount; a path in one, maybe with `*` at its end; or a namespace (empty: the root's) for
    /// all its mounts that have no quota of their own.
    #[serde(default)]
    path: String,
    /// Counts the logins with this role alone, of the auth mount at `path`.
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
    let quotas = QuotaStore::new(&mut call.storage).compile()?;
    let counter = quotas.leases(&mut call.storage, &limit)?;
    Reply::of(&json!({
        "counter": counter,
        "inheritable": limit.inheritable,
        "max_leases": limit.max_leases,
        "name": limit.name,
        "path": limit.path,
        "role": limit.role,
        "type": "lease-count",
    }))
}

async fn write(call: &mut Call<'_, Node>, input: Write) -> Result<Reply, Error> {
    check_lengths(&input.name, &input.path)?;
    let max_leases = u64::try_from(input.max_leases).ok().filter(|most| *most > 0);
    let max_leases =
        max_leases.ok_or_else(|| Error::bad_request("'max_leases' is invalid: at least 1"))?;
    let place = place(call, &input.path)?;
    let (path, mount) = (place.path.clone(), place.mount_path());
    check_role(&input.role, &path, place.mount.as_ref())?;
    let is_within = place.mount.is_some() && mount != path;
    if is_within && !input.role.is_empty() {
        return Err(Error::BadRequest(format!(
            "a role's quota is for the whole mount: give {mount:?} as `path`"
        )));
    }
    let mut mark = String::new();
    if is_within || !input.role.is_empty() {
        mark = call.rng.base62(MARK_LENGTH);
    }
    let mut store = QuotaStore::new(&mut call.storage);
    let names = store.lease_limits()?;
    for name in &names {
        if let Some(other) = store.lease_limit(name)?
            && other.path == path
            && other.role == input.role
        {
            if other.name == input.name {
                // It goes on counting what it has counted.
                mark = other.mark;
                continue;
            }
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
        namespace: place.namespace,
        path,
        role: input.role,
        mark,
        max_leases,
    })?;
    Ok(Reply::default())
}

/// Enough that no two quotas share one.
const MARK_LENGTH: usize = 24;

async fn delete(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    QuotaStore::new(&mut call.storage).delete_lease_limit(&input.name)?;
    Ok(Reply::default())
}

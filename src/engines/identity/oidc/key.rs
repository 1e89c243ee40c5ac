//! `oidc/key`: the keys that sign, by name.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::named_key::{NamedKey, key};
use super::role::Role;
use super::{CLIENTS, DEFAULT, KEYS, ROLES, all, check_unused, names_with, published, seconds};
use crate::crypto::SigningAlgorithm;
use crate::engines::identity::{Call, Route};
use crate::framework::{NoParams, Seconds};
use crate::request::{Error, Reply};
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/key", "The names of the keys.").list(list),
        Route::new("oidc/key/{name}", "A key that signs tokens.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
        Route::new("oidc/key/{name}/rotate", "Sign with another key from now on.").write(rotate),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the key.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the key.
    name: String,
    /// How often another key signs.
    rotation_period: Option<Seconds>,
    /// How long a key verifies after it has signed last.
    verification_ttl: Option<Seconds>,
    /// RS256 (default), RS384, RS512, ES256, ES384, ES512 or `EdDSA`.
    algorithm: Option<String>,
    /// The client ids of roles and clients that may use it; `*` stands for all.
    allowed_client_ids: Option<Vec<String>>,
}

#[derive(Deserialize, JsonSchema)]
struct Rotate {
    /// Name of the key.
    name: String,
    /// How long the key of until now verifies, instead of what is configured.
    verification_ttl: Option<Seconds>,
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(names_with(&mut call.storage, KEYS, DEFAULT)?))
}

async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(NamedKey::get(&mut call.storage, &input.name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let found = NamedKey::get(&mut call.storage, &input.name)?.ok_or(Error::NotFound)?;
    Reply::of(&json!({
        "algorithm": found.algorithm,
        "allowed_client_ids": found.allowed_client_ids,
        "rotation_period": found.rotation_period,
        "verification_ttl": found.verification_ttl,
    }))
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let before = NamedKey::get(&mut call.storage, &input.name)?;
    let mut changed = before.as_deref().cloned().unwrap_or_else(NamedKey::new);
    if let Some(algorithm) = input.algorithm {
        if SigningAlgorithm::parse(&algorithm).is_none() {
            return Err(Error::BadRequest(format!("unknown signing algorithm {algorithm:?}")));
        }
        changed.algorithm = algorithm;
    }
    if let Some(period) = input.rotation_period {
        changed.rotation_period = seconds(period, "rotation_period")?;
    }
    if let Some(ttl) = input.verification_ttl {
        changed.verification_ttl = seconds(ttl, "verification_ttl")?;
    }
    if let Some(ids) = input.allowed_client_ids {
        changed.allowed_client_ids = ids;
    }
    if changed.rotation_period < 60 {
        return Err(Error::bad_request("rotation_period must be at least one minute"));
    }
    // Beyond a century the time of rotation would leave what a calendar can say.
    if changed.rotation_period > PERIOD_MAX {
        return Err(Error::bad_request("rotation_period must be less than a hundred years"));
    }
    if changed.verification_ttl > changed.rotation_period.saturating_mul(10) {
        return Err(Error::bad_request(
            "verification_ttl cannot be longer than 10x rotation_period",
        ));
    }
    check_users(call, &input.name, &changed)?;
    if let Some(before) = before.filter(|before| before.current.is_some()) {
        if before.algorithm != changed.algorithm {
            changed.rotate(call.rng, call.now, before.verification_ttl)?;
        } else if before.rotation_period != changed.rotation_period {
            let next = call.now.0.saturating_add(changed.rotation_period.saturating_mul(1000));
            changed.next_rotation.0 = changed.next_rotation.0.min(next);
        }
    } else {
        changed.prepare(call.rng, call.now)?;
    }
    changed.put(&mut call.storage, &input.name)?;
    Ok(Reply::default())
}

/// Tokens must not outlive what verifies them.
fn check_users(call: &mut Call<'_>, name: &str, changed: &NamedKey) -> Result<(), Error> {
    let limit = changed.verification_ttl;
    for (role, found) in all::<Role>(&mut call.storage, ROLES)? {
        if found.key == name && found.ttl > limit {
            return Err(Error::BadRequest(format!(
                "unable to update key {name:?} because it is currently referenced by one or more \
                 roles with a token ttl greater than {limit} seconds: {role}"
            )));
        }
    }
    for (client, found) in all::<Client>(&mut call.storage, CLIENTS)? {
        if found.key == name && found.id_token_ttl > limit {
            return Err(Error::BadRequest(format!(
                "unable to update key {name:?} because it is currently referenced by one or more \
                 clients with an id_token_ttl greater than {limit} seconds: {client}"
            )));
        }
    }
    Ok(())
}

async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let name = &input.name;
    if name == DEFAULT {
        return Err(Error::BadRequest(format!("deletion of key {name:?} not allowed")));
    }
    let roles = all::<Role>(&mut call.storage, ROLES)?;
    let roles = roles.into_iter().filter(|(_, role)| role.key == *name).map(|(role, _)| role);
    check_unused("key", name, "roles", &roles.collect::<Vec<_>>())?;
    let clients = all::<Client>(&mut call.storage, CLIENTS)?;
    let clients = clients.into_iter().filter(|(_, client)| client.key == *name);
    check_unused("key", name, "clients", &clients.map(|(client, _)| client).collect::<Vec<_>>())?;
    published::delete(&mut call.storage, &key(name))?;
    Ok(Reply::default())
}

async fn rotate(call: &mut Call<'_>, input: Rotate) -> Result<Reply, Error> {
    let found = NamedKey::get(&mut call.storage, &input.name)?;
    let found = found
        .ok_or_else(|| Error::BadRequest(format!("no named key found at {:?}", input.name)))?;
    let mut changed = NamedKey::clone(&found);
    let ttl = match input.verification_ttl {
        Some(ttl) => seconds(ttl, "verification_ttl")?,
        None => changed.verification_ttl,
    };
    changed.prepare(call.rng, call.now)?;
    changed.rotate(call.rng, call.now, ttl)?;
    changed.put(&mut call.storage, &input.name)?;
    Ok(Reply::default())
}

/// The names of the keys that roles issue tokens with.
pub(super) fn used_by_roles(core: &mut Scope<'_>) -> Result<BTreeSet<String>, Error> {
    Ok(all::<Role>(core, ROLES)?.into_iter().map(|(_, role)| role.key.clone()).collect())
}

/// Seconds.
const PERIOD_MAX: u64 = 100 * 365 * super::named_key::DAY;

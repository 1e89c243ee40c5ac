//! `oidc/`: tokens that tell others who someone is (OpenID Connect Core 1.0), and a provider by
//! which others let them log in.

mod assignment;
mod authorize;
mod claims;
mod client;
mod code;
mod config;
mod discovery;
mod exchange;
mod jwt;
mod key;
mod named_key;
mod provider;
mod published;
mod role;
mod scope;
mod template;
mod token;
mod userinfo;
mod work;

pub use published::KeySets;
pub use work::{due_keys, note_api_address, rotate_due, sweep_codes};

use std::sync::Arc;

use serde::de::DeserializeOwned;

use crate::engines::identity::Route;
use crate::request::Error;
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    [
        assignment::routes(),
        authorize::routes(),
        client::routes(),
        config::routes(),
        discovery::routes(),
        exchange::routes(),
        key::routes(),
        provider::routes(),
        role::routes(),
        scope::routes(),
        token::routes(),
        userinfo::routes(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

/// Where each kind of thing is stored, by its name.
const ASSIGNMENTS: &str = "identity/oidc/assignment";
const CLIENTS: &str = "identity/oidc/client";
const KEYS: &str = "identity/oidc/key";
const PROVIDERS: &str = "identity/oidc/provider";
const ROLES: &str = "identity/oidc/role";
const SCOPES: &str = "identity/oidc/scope";

/// The key and the provider that are always there.
const DEFAULT: &str = "default";

/// The assignment that is always there.
const ALLOW_ALL: &str = "allow_all";

/// Stands for every client.
const EVERY: &str = "*";

/// Every thing of a kind, with its name; for what is checked against all of them.
fn all<T>(core: &mut Scope<'_>, directory: &str) -> Result<Vec<(String, Arc<T>)>, Error>
where
    T: DeserializeOwned + Send + Sync + 'static,
{
    let mut found = Vec::new();
    for name in core.list(directory)? {
        if let Some(one) = core.get_shared::<T>(&format!("{directory}/{name}"))? {
            found.push((name, one));
        }
    }
    Ok(found)
}

/// # Errors
/// [`Error::BadRequest`] where something else needs it.
fn check_unused(what: &str, name: &str, kind: &str, users: &[String]) -> Result<(), Error> {
    if users.is_empty() {
        return Ok(());
    }
    Err(Error::BadRequest(format!(
        "unable to delete {what} {name:?} because it is currently referenced by these {kind}: {}",
        users.join(", ")
    )))
}

/// Whether a list of client ids has one, or has them all.
fn allows(list: &[String], client_id: &str) -> bool {
    list.iter().any(|one| one == client_id || one == EVERY)
}

/// The names in a directory, and one that is always there.
fn names_with(core: &mut Scope<'_>, directory: &str, built_in: &str) -> Result<Vec<String>, Error> {
    let mut names = core.list(directory)?;
    if !names.iter().any(|name| name == built_in) {
        names.push(built_in.to_owned());
        names.sort_unstable();
    }
    Ok(names)
}

/// A duration that must not be negative.
fn seconds(value: crate::framework::Seconds, field: &str) -> Result<u64, Error> {
    u64::try_from(value.0).map_err(|_| {
        Error::BadRequest(format!(
            "error converting input for field {field:?}: cannot provide negative value '{}'",
            value.0
        ))
    })
}

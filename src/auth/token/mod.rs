//! Tokens: what a caller shows, what is kept of it, and the auth method at `auth/token/`.

mod batch;
mod create;
pub mod home;
mod lookup;
mod policies;
mod prefix;
mod renew;
mod revocation;
mod revoke;
mod roles;
mod store;
mod tidy;
mod tidy_leases;
mod wrapping;

pub use create::auth as auth_of;
pub use prefix::mark_prefix;
pub use revoke::{CUBBYHOLES_BELOW, Ending};
pub use store::{EXPIRY_KIND, NewToken, Revoked, TokenEntry, TokenStore, storage_name};
pub use wrapping::Wrapped;

use std::sync::Arc;

use crate::framework::{Call, Engine, Overlap, Route};
use crate::request::Error;
use crate::secret::Secret;

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes: Vec<Route> = [
        create::routes(),
        lookup::routes(),
        renew::routes(),
        revocation::routes(),
        roles::routes(),
        tidy::routes(),
    ]
    .into_iter()
    .flatten()
    .collect();
    Engine::new("token", "Tokens: create, look up, renew, revoke.", routes)
}

/// A token that a request names, or the caller's own where it names none.
struct Named {
    /// Under which it is stored.
    name: String,
    entry: Arc<TokenEntry>,
    /// As the caller knows it; empty where it was found by its accessor.
    id: String,
}

/// The caller's own token. The pipeline has found it good; its last use may be under way.
fn own(call: &mut Call<'_>) -> Result<Named, Error> {
    let token = call.request.token.clone().ok_or(Error::Denied)?;
    let found = TokenStore::new(&mut call.storage).find(&token)?;
    let (name, entry) = found.ok_or(Error::Denied)?;
    Ok(Named { name, entry, id: token.expose().clone() })
}

/// `None` where there is no such token, or none that is good for anything.
fn by_token(call: &mut Call<'_>, token: &Secret<String>) -> Result<Option<Named>, Error> {
    if call.request.token.as_ref().is_some_and(|own| own.matches(token.expose().as_bytes())) {
        return own(call).map(Some);
    }
    let now = call.now;
    let found = TokenStore::new(&mut call.storage).lookup(token, now)?;
    Ok(found.map(|(name, entry)| Named { name, entry, id: token.expose().clone() }))
}

/// # Errors
/// [`Error::BadRequest`] where none is given.
fn by_accessor(call: &mut Call<'_>, accessor: &str) -> Result<Option<Named>, Error> {
    if accessor.is_empty() {
        return Err(listed("missing accessor"));
    }
    let now = call.now;
    let found = TokenStore::new(&mut call.storage).by_accessor(accessor, now)?;
    Ok(found.map(|(name, entry)| Named { name, entry, id: String::new() }))
}

/// As Vault lists what went wrong, even if it is one thing: clients read it.
fn listed(problem: &str) -> Error {
    Error::BadRequest(format!("1 error occurred:\n\t* {problem}\n\n"))
}

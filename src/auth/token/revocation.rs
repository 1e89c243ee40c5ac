//! What revokes tokens, as callers know it. How it is done is `revoke.rs`'s.

use schemars::JsonSchema;
use serde::Deserialize;

use super::store::TokenStore;
use super::{Named, by_accessor, by_token, own};
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply, TokenType};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("revoke", "Revoke a token and all that it has created.").write(revoke),
        Route::new("revoke-accessor", "Revoke a token, by its accessor.").write(revoke_accessor),
        Route::new("revoke-orphan", "Revoke a token, but not what it has created.")
            .write(revoke_orphan),
        Route::new("revoke-self", "Revoke the caller's token.").write(revoke_self),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct OfToken {
    /// The token.
    token: Option<Secret<String>>,
}

#[derive(Deserialize, JsonSchema)]
struct OfAccessor {
    /// The token's accessor.
    #[serde(default)]
    accessor: String,
}

/// An unknown token is as good as revoked.
async fn revoke(call: &mut Call<'_>, input: OfToken) -> Result<Reply, Error> {
    match named(call, input)? {
        Some(found) => end(call, &found),
        None => Ok(Reply::default()),
    }
}

async fn revoke_self(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let found = own(call)?;
    end(call, &found)
}

async fn revoke_accessor(call: &mut Call<'_>, input: OfAccessor) -> Result<Reply, Error> {
    match by_accessor(call, &input.accessor)? {
        Some(found) => end(call, &found),
        None => Ok(Reply::default().warn("No token found with this accessor")),
    }
}

async fn revoke_orphan(call: &mut Call<'_>, input: OfToken) -> Result<Reply, Error> {
    if !call.caller.is_some_and(|caller| caller.has_sudo) {
        return Err(Error::bad_request("root or sudo privileges required to revoke and orphan"));
    }
    let found = named(call, input)?;
    let found = found.ok_or_else(|| Error::bad_request("token to revoke not found"))?;
    // Sudo here says nothing of the namespaces above, where its children would become orphans.
    if found.name.contains('@') {
        return Err(Error::bad_request("token to revoke not found"));
    }
    check_type(&found)?;
    TokenStore::new(&mut call.storage).revoke_alone(&found.name)?;
    Ok(Reply::default())
}

fn named(call: &mut Call<'_>, input: OfToken) -> Result<Option<Named>, Error> {
    let token = input.token.filter(|token| !token.expose().is_empty());
    let token = token.ok_or_else(|| Error::bad_request("missing token ID"))?;
    by_token(call, &token)
}

fn end(call: &mut Call<'_>, found: &Named) -> Result<Reply, Error> {
    check_type(found)?;
    TokenStore::new(&mut call.storage).revoke(&found.name)?;
    Ok(Reply::default())
}

fn check_type(found: &Named) -> Result<(), Error> {
    match found.entry.token_type {
        TokenType::Batch => Err(Error::bad_request("batch tokens cannot be revoked")),
        TokenType::Service => Ok(()),
    }
}

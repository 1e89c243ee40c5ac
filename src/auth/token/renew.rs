use schemars::JsonSchema;
use serde::Deserialize;

use super::create::auth;
use super::home;
use super::lookup::FIRST_ROOT_PATH;
use super::store::TokenStore;
use super::{Named, by_accessor, by_token, listed, own};
use crate::framework::{Call, Route, Seconds, TtlTerms};
use crate::identity::IdentityStore;
use crate::request::{Error, Reply, Then, TokenType};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("renew", "Let a token live longer.").write(renew),
        Route::new("renew-accessor", "Let a token live longer, by its accessor.")
            .write(renew_accessor),
        Route::new("renew-self", "Let the caller's token live longer.").write(renew_self),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct OfToken {
    /// The token.
    token: Option<Secret<String>>,
    /// How long it is to live from now on.
    #[serde(default)]
    increment: Seconds,
}

#[derive(Deserialize, JsonSchema)]
struct OfAccessor {
    /// The token's accessor.
    #[serde(default)]
    accessor: String,
    /// How long it is to live from now on.
    #[serde(default)]
    increment: Seconds,
}

async fn renew(call: &mut Call<'_>, input: OfToken) -> Result<Reply, Error> {
    let token = input.token.filter(|token| !token.expose().is_empty());
    let token = token.ok_or_else(|| Error::bad_request("missing token ID"))?;
    let found = by_token(call, &token)?;
    let found = found.ok_or_else(|| Error::bad_request("token not found"))?;
    extend(call, &found, input.increment)
}

async fn renew_self(call: &mut Call<'_>, input: OfToken) -> Result<Reply, Error> {
    let found = own(call)?;
    extend(call, &found, input.increment)
}

async fn renew_accessor(call: &mut Call<'_>, input: OfAccessor) -> Result<Reply, Error> {
    let found = by_accessor(call, &input.accessor)?;
    let found = found.ok_or_else(|| listed("invalid accessor"))?;
    extend(call, &found, input.increment)
}

/// What an auth method made is renewed by its own rules and its mount's limits, which the
/// pipeline asks for.
fn extend(call: &mut Call<'_>, found: &Named, increment: Seconds) -> Result<Reply, Error> {
    if increment.0 < 0 {
        return Err(Error::BadRequest(format!(
            "Field validation failed: error converting input for field \"increment\": cannot \
             provide negative value '{}'",
            increment.0
        )));
    }
    let entry = &found.entry;
    if entry.token_type == TokenType::Batch {
        return Err(Error::bad_request("batch tokens cannot be renewed"));
    }
    if entry.path == FIRST_ROOT_PATH {
        return Err(Error::bad_request("invalid lease ID"));
    }
    if !entry.renewable {
        return Err(Error::bad_request("lease is not renewable"));
    }
    if !entry.mount_accessor.is_empty() {
        let (name, token) = (found.name.clone(), found.id.clone());
        let then = Then::RenewToken { name, token, increment: increment.unsigned() };
        return Ok(Reply { then: Some(then), ..Reply::default() });
    }
    let terms = TtlTerms {
        requested: increment.unsigned(),
        usual: if entry.ttl_renewed > 0 { entry.ttl_renewed } else { entry.ttl },
        max: 0,
        explicit_max: entry.explicit_max_ttl,
        period: entry.period,
    };
    let granted = call.ttl.grant(&terms, entry.created, call.now);
    let granted = granted.ok_or_else(|| Error::bad_request("past the max TTL, cannot renew"))?;
    let now = call.now;
    let renewed =
        TokenStore::new(&mut call.storage).extend(&found.name, entry, granted.ttl, now)?;
    let mut auth = auth(&renewed, found.id.clone(), granted.ttl);
    let home = home::of_name(call.storage.home(), &found.name);
    call.storage.core_of(&home, |core| IdentityStore::new(core).tell(&mut auth))?;
    Ok(Reply {
        auth: Some(auth),
        warnings: granted.warning.into_iter().collect(),
        ..Reply::default()
    })
}

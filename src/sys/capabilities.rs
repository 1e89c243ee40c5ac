//! `sys/capabilities` and its two sisters: what a token may do on a path.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Node;
use crate::auth::token::TokenStore;
use crate::framework::{Call, Route};
use crate::identity::IdentityStore;
use crate::policy::Acl;
use crate::policy_store::PolicyStore;
use crate::request::{Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("capabilities", "What a token may do on paths.").write(of_token),
        Route::new("capabilities-self", "What the caller's token may do on paths.").write(of_self),
        Route::new("capabilities-accessor", "What an accessor's token may do on paths.")
            .write(of_accessor),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct OfToken {
    /// The token.
    #[serde(default)]
    token: Option<Secret<String>>,
    /// The paths that are asked about.
    #[serde(default)]
    paths: Vec<String>,
    /// The same, for clients of old.
    #[serde(default)]
    path: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct OfAccessor {
    /// The token's accessor.
    #[serde(default)]
    accessor: String,
    /// The paths that are asked about.
    #[serde(default)]
    paths: Vec<String>,
    /// The same, for clients of old.
    #[serde(default)]
    path: Vec<String>,
}

async fn of_token(call: &mut Call<'_, Node>, input: OfToken) -> Result<Reply, Error> {
    let token = input.token.filter(|token| !token.expose().is_empty());
    let token = token.ok_or_else(|| Error::bad_request("missing token"))?;
    let now = call.now;
    let found = TokenStore::new(&mut call.storage).lookup(&token, now)?;
    let (_, entry) = found.ok_or_else(|| Error::bad_request("invalid token"))?;
    let acl = acl(call, &entry.policies, &entry.entity_id, entry.no_identity_policies)?;
    answer(&acl, input.paths, input.path)
}

async fn of_self(call: &mut Call<'_, Node>, input: OfToken) -> Result<Reply, Error> {
    let acl = caller_acl(call)?;
    answer(&acl, input.paths, input.path)
}

async fn of_accessor(call: &mut Call<'_, Node>, input: OfAccessor) -> Result<Reply, Error> {
    if input.accessor.is_empty() {
        return Err(Error::bad_request("missing accessor"));
    }
    let now = call.now;
    let found = TokenStore::new(&mut call.storage).by_accessor(&input.accessor, now)?;
    let (_, entry) = found.ok_or_else(|| Error::bad_request("invalid accessor"))?;
    let acl = acl(call, &entry.policies, &entry.entity_id, entry.no_identity_policies)?;
    answer(&acl, input.paths, input.path)
}

/// What the caller may do.
pub(super) fn caller_acl(call: &mut Call<'_, Node>) -> Result<Arc<Acl>, Error> {
    let caller = call.caller.ok_or(Error::Denied)?;
    acl(call, &caller.policies, &caller.entity_id, caller.is_confined)
}

/// Of policies, and of the entity behind them, unless they are confined to themselves.
fn acl(
    call: &mut Call<'_, Node>,
    policies: &[String],
    entity_id: &str,
    is_confined: bool,
) -> Result<Arc<Acl>, Error> {
    let now = call.now;
    if entity_id.is_empty() {
        return PolicyStore::new(&mut call.storage).acl(policies, None, now, None);
    }
    let who = IdentityStore::new(&mut call.storage).who(entity_id, None)?;
    let Some(who) = who.filter(|who| !who.entity.disabled) else {
        // Their tokens are refused.
        return Ok(Arc::default());
    };
    let policies = if is_confined { policies.to_vec() } else { who.with(policies) };
    PolicyStore::new(&mut call.storage).acl(&policies, Some(&who.identity), now, None)
}

fn answer(acl: &Acl, paths: Vec<String>, path: Vec<String>) -> Result<Reply, Error> {
    let paths = if paths.is_empty() { path } else { paths };
    if paths.is_empty() {
        return Err(Error::bad_request("paths must be supplied"));
    }
    let mut data = Map::new();
    for path in &paths {
        let capabilities = acl.capabilities(path.trim_start_matches('/'));
        data.insert(path.clone(), capabilities.into());
    }
    if let [only] = paths.as_slice() {
        let capabilities = data.get(only).cloned().unwrap_or(Value::Null);
        data.insert("capabilities".into(), capabilities);
    }
    Ok(Reply::data(data))
}

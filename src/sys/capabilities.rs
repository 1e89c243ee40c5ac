//! `sys/capabilities` and its two sisters: what a token may do on a path.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Node;
use crate::auth::token::{TokenEntry, TokenStore};
use crate::framework::{Call, Route};
use crate::identity::IdentityStore;
use crate::policy::{Acl, Identity};
use crate::policy_store::PolicyStore;
use crate::request::{Caller, Error, Reply};
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
    let acl = acl(call, Holder::of(&entry))?;
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
    let acl = acl(call, Holder::of(&entry))?;
    answer(&acl, input.paths, input.path)
}

/// What the caller may do.
pub(super) fn caller_acl(call: &mut Call<'_, Node>) -> Result<Arc<Acl>, Error> {
    let caller = call.caller.ok_or(Error::Denied)?;
    acl(call, Holder::of_caller(caller))
}

/// Whose token is asked about, as far as policies depend on it.
#[derive(Clone, Copy)]
pub(super) struct Holder<'h> {
    policies: &'h [String],
    entity_id: &'h str,
    /// Their entity's policies are not theirs.
    is_confined: bool,
}

/// What a token's policies are, and whom their templates are about.
pub(super) struct Standing {
    pub(super) policies: Vec<String>,
    pub(super) identity: Option<Arc<Identity>>,
}

impl<'h> Holder<'h> {
    pub(super) fn of(entry: &'h TokenEntry) -> Self {
        let TokenEntry { policies, entity_id, no_identity_policies, .. } = entry;
        Self { policies, entity_id, is_confined: *no_identity_policies }
    }

    pub(super) fn of_caller(caller: &'h Caller) -> Self {
        let Caller { policies, entity_id, is_confined, .. } = caller;
        Self { policies, entity_id, is_confined: *is_confined }
    }

    /// The same that the pipeline asks for each request. `None`: the entity is disabled or gone,
    /// and its tokens are refused.
    pub(super) fn standing(&self, call: &mut Call<'_, Node>) -> Result<Option<Standing>, Error> {
        if self.entity_id.is_empty() {
            return Ok(Some(Standing { policies: self.policies.to_vec(), identity: None }));
        }
        let who = IdentityStore::new(&mut call.storage).who(self.entity_id, None)?;
        Ok(who.filter(|who| !who.entity.disabled).map(|who| Standing {
            policies: if self.is_confined {
                self.policies.to_vec()
            } else {
                who.with(self.policies)
            },
            identity: Some(who.identity.clone()),
        }))
    }
}

fn acl(call: &mut Call<'_, Node>, holder: Holder<'_>) -> Result<Arc<Acl>, Error> {
    let Some(standing) = holder.standing(call)? else {
        return Ok(Arc::default());
    };
    let Standing { policies, identity } = standing;
    let now = call.now;
    PolicyStore::new(&mut call.storage).acl(&policies, identity.as_ref(), now, None)
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

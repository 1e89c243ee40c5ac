//! `sys/capabilities` and its two sisters: what a token may do on a path.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Node;
use crate::auth::token::{TokenEntry, TokenStore, home};
use crate::framework::{Call, Route};
use crate::identity::IdentityStore;
use crate::namespace::Own;
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
    let mut tokens = TokenStore::new(&mut call.storage);
    let found = tokens.lookup(&token, now)?;
    let (name, entry) = found.ok_or_else(|| Error::bad_request("invalid token"))?;
    let home = home::of_name(tokens.home(), &name);
    let acl = Grants::of(call, Holder::of(&home, &entry))?;
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
    let mut tokens = TokenStore::new(&mut call.storage);
    let found = tokens.by_accessor(&input.accessor, now)?;
    let (_, entry) = found.ok_or_else(|| Error::bad_request("invalid accessor"))?;
    let home = tokens.home().to_owned();
    let acl = Grants::of(call, Holder::of(&home, &entry))?;
    answer(&acl, input.paths, input.path)
}

/// What a token may do, asked by paths of the request's namespace, which may be below the token's,
/// or beside it.
pub(super) struct Grants {
    acl: Arc<Acl>,
    /// Of the request's namespace.
    here: String,
    /// Of the token's.
    home: String,
}

impl Grants {
    fn of(call: &mut Call<'_, Node>, holder: Holder<'_>) -> Result<Self, Error> {
        let now = call.now;
        let here = call.request.namespace.clone();
        let standing = holder.standing(call)?;
        let (acl, home) = call.storage.core_of(holder.home, |core| {
            let home = Own::of(core)?.path.clone();
            let Some(Standing { policies, identity }) = standing else {
                return Ok((Arc::default(), home));
            };
            Ok((PolicyStore::new(core).acl(&policies, identity.as_ref(), now, None)?, home))
        })?;
        Ok(Self { acl, here, home })
    }

    /// A path of the request's namespace, as the token's policies name it; `None` where it is
    /// outside of their namespace.
    fn seen(&self, path: &str) -> Option<String> {
        let path = format!("{}{path}", self.here);
        path.strip_prefix(self.home.as_str()).map(str::to_owned)
    }

    pub(super) fn capabilities(&self, path: &str) -> Vec<&'static str> {
        match self.seen(path) {
            Some(path) => self.acl.capabilities(&path),
            None => vec!["deny"],
        }
    }

    /// As [`Acl::preflight`].
    pub(super) fn preflight(&self, path: &str) -> bool {
        self.seen(path).is_some_and(|path| self.acl.preflight(&path))
    }

    /// As [`Acl::resultant`]: paths are those of the token's namespace.
    pub(super) fn resultant(&self) -> Map<String, Value> {
        self.acl.resultant()
    }
}

/// What the caller may do.
pub(super) fn caller_acl(call: &mut Call<'_, Node>) -> Result<Grants, Error> {
    let caller = call.caller.ok_or(Error::Denied)?;
    Grants::of(call, Holder::of_caller(caller))
}

/// Whose token is asked about, as far as policies depend on it.
#[derive(Clone, Copy)]
pub(super) struct Holder<'h> {
    /// Of the token's namespace.
    home: &'h str,
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
    pub(super) fn of(home: &'h str, entry: &'h TokenEntry) -> Self {
        let TokenEntry { policies, entity_id, no_identity_policies, .. } = entry;
        Self { home, policies, entity_id, is_confined: *no_identity_policies }
    }

    pub(super) fn of_caller(caller: &'h Caller) -> Self {
        let Caller { home, policies, entity_id, is_confined, .. } = caller;
        Self { home, policies, entity_id, is_confined: *is_confined }
    }

    /// The same that the pipeline asks for each request. `None`: the entity is disabled or gone,
    /// and its tokens are refused.
    pub(super) fn standing(&self, call: &mut Call<'_, Node>) -> Result<Option<Standing>, Error> {
        if self.entity_id.is_empty() {
            return Ok(Some(Standing { policies: self.policies.to_vec(), identity: None }));
        }
        let who = call
            .storage
            .core_of(self.home, |core| IdentityStore::new(core).who(self.entity_id, None))?;
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

fn answer(acl: &Grants, paths: Vec<String>, path: Vec<String>) -> Result<Reply, Error> {
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

//! `oidc/provider`: an issuer of its own, for some clients or for all.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::scope;
use super::{DEFAULT, EVERY, PROVIDERS, allows, config, names_with, published, template};
use crate::clock::Timestamp;
use crate::engines::identity::{Call, Route};
use crate::request::{Error, Reply};
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/provider", "The names of the providers.").list(list),
        Route::new("oidc/provider/{name}", "A provider, through which people log in elsewhere.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Provider {
    /// Scheme, host and port; empty: the server's.
    pub(super) issuer: String,
    /// `*` stands for all.
    pub(super) allowed_client_ids: Vec<String>,
    pub(super) scopes_supported: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the provider.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct List {
    /// Only those that this client may use.
    #[serde(default)]
    allowed_client_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the provider.
    name: String,
    /// Scheme, host and port of its tokens' issuer.
    issuer: Option<String>,
    /// The clients that may use it; `*` stands for all.
    allowed_client_ids: Option<Vec<String>>,
    /// The scopes that may be asked for, besides `openid`.
    scopes_supported: Option<Vec<String>>,
}

impl Provider {
    /// The `iss` of its tokens.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn issuer(&self, core: &mut Scope<'_>, name: &str) -> Result<String, Error> {
        let base = config::base(core, &self.issuer)?;
        Ok(format!("{base}/v1/identity/oidc/provider/{name}"))
    }

    fn shown(&self, core: &mut Scope<'_>, name: &str) -> Result<Value, Error> {
        Ok(json!({
            "allowed_client_ids": self.allowed_client_ids,
            "issuer": self.issuer(core, name)?,
            "scopes_supported": self.scopes_supported,
        }))
    }
}

/// The default provider is there even where nothing is stored.
pub(super) fn get(core: &mut Scope<'_>, name: &str) -> Result<Option<Arc<Provider>>, Error> {
    let stored = core.get_shared::<Provider>(&key(name))?;
    if stored.is_none() && name == DEFAULT {
        let every = vec![EVERY.to_owned()];
        let provider = Provider { allowed_client_ids: every, ..Provider::default() };
        return Ok(Some(Arc::new(provider)));
    }
    Ok(stored)
}

async fn list(call: &mut Call<'_>, input: List) -> Result<Reply, Error> {
    let mut names = Vec::new();
    let mut key_info = Map::new();
    for name in names_with(&mut call.storage, PROVIDERS, DEFAULT)? {
        let Some(provider) = get(&mut call.storage, &name)? else {
            continue;
        };
        let client_id = &input.allowed_client_id;
        if client_id.is_empty() || allows(&provider.allowed_client_ids, client_id) {
            key_info.insert(name.clone(), provider.shown(&mut call.storage, &name)?);
            names.push(name);
        }
    }
    Ok(super::super::entity::keys_with_info(names, key_info))
}

async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(get(&mut call.storage, &input.name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let provider = get(&mut call.storage, &input.name)?.ok_or(Error::NotFound)?;
    Reply::of(&provider.shown(&mut call.storage, &input.name)?)
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let found = get(&mut call.storage, &input.name)?;
    let mut provider = found.as_deref().cloned().unwrap_or_default();
    if let Some(issuer) = input.issuer {
        config::check_issuer(&issuer)?;
        provider.issuer = issuer;
    }
    provider.allowed_client_ids = input.allowed_client_ids.unwrap_or(provider.allowed_client_ids);
    if let Some(mut scopes) = input.scopes_supported {
        scopes.sort_unstable();
        scopes.dedup();
        check_scopes(call, &scopes)?;
        provider.scopes_supported = scopes;
    }
    published::put(&mut call.storage, &key(&input.name), &provider)?;
    Ok(Reply::default())
}

/// Each must be there, and no two may claim the same.
fn check_scopes(call: &mut Call<'_>, scopes: &[String]) -> Result<(), Error> {
    let mut claimed: Map<String, Value> = Map::new();
    for name in scopes {
        if name == scope::OPENID {
            return Err(Error::BadRequest(format!(
                "{:?} must not be in scopes_supported: it always is",
                scope::OPENID
            )));
        }
        let found = scope::get(&mut call.storage, name)?;
        let found =
            found.ok_or_else(|| Error::BadRequest(format!("scope {name:?} does not exist")))?;
        for (claim, _) in template::fill(&found.template, None, Timestamp::ZERO)? {
            if let Some(other) = claimed.insert(claim.clone(), name.clone().into()) {
                return Err(Error::BadRequest(format!(
                    "found scopes with conflicting top-level keys: {claim:?} in {other} and \
                     {name:?}"
                )));
            }
        }
    }
    Ok(())
}

async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    if input.name == DEFAULT {
        return Err(Error::BadRequest(format!(
            "deletion of OIDC provider {DEFAULT:?} not allowed"
        )));
    }
    published::delete(&mut call.storage, &key(&input.name))?;
    Ok(Reply::default())
}

fn key(name: &str) -> String {
    format!("{PROVIDERS}/{name}")
}

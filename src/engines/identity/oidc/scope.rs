//! `oidc/scope`: what a client may ask to be told.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::provider::Provider;
use super::{PROVIDERS, SCOPES, all, check_unused, template};
use crate::engines::identity::{Call, Route};
use crate::framework::NoParams;
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/scope", "The names of the scopes.").list(list),
        Route::new("oidc/scope/{name}", "What clients are told that ask for this scope.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Scope {
    pub(super) description: String,
    pub(super) template: String,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the scope.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the scope.
    name: String,
    /// Claims, as JSON with `{{…}}` where values go; base64 is read too.
    template: Option<String>,
    /// For people.
    description: Option<String>,
}

pub(super) fn get(
    core: &mut crate::txn::Scope<'_>,
    name: &str,
) -> Result<Option<Arc<Scope>>, Error> {
    core.get_shared(&key(name))
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(SCOPES)?))
}

async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(get(&mut call.storage, &input.name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    Reply::of(&*get(&mut call.storage, &input.name)?.ok_or(Error::NotFound)?)
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    if input.name == OPENID {
        return Err(Error::BadRequest(format!("the {OPENID:?} scope name is reserved")));
    }
    let mut scope = get(&mut call.storage, &input.name)?.as_deref().cloned().unwrap_or_default();
    if let Some(text) = input.template {
        template::check(&text)?;
        scope.template = text;
    }
    scope.description = input.description.unwrap_or(scope.description);
    call.storage.put(&key(&input.name), &scope)?;
    Ok(Reply::default())
}

async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let providers = all::<Provider>(&mut call.storage, PROVIDERS)?;
    let users = providers
        .into_iter()
        .filter(|(_, provider)| provider.scopes_supported.contains(&input.name))
        .map(|(name, _)| name);
    check_unused("scope", &input.name, "providers", &users.collect::<Vec<_>>())?;
    call.storage.delete(&key(&input.name))?;
    Ok(Reply::default())
}

fn key(name: &str) -> String {
    format!("{SCOPES}/{name}")
}

/// Asked for by everyone: it stands for the protocol itself.
pub(super) const OPENID: &str = "openid";

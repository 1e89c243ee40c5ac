//! `oidc/role`: what the tokens of `oidc/token` say.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::named_key::{DAY, NamedKey};
use super::{ROLES, published, seconds, template};
use crate::engines::identity::{Call, Route};
use crate::framework::{NoParams, Seconds};
use crate::request::{Error, Reply};
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/role", "The names of the roles.").list(list),
        Route::new("oidc/role/{name}", "What tokens of this role say, and who signs them.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

/// As stored. The time to live is in seconds.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Role {
    pub(super) key: String,
    pub(super) template: String,
    /// Who the tokens are meant for.
    pub(super) client_id: String,
    pub(super) ttl: u64,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the role.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the role.
    name: String,
    /// The key that signs.
    key: Option<String>,
    /// Further claims, as JSON with `{{…}}` where values go; base64 is read too.
    template: Option<String>,
    /// Time to live.
    ttl: Option<Seconds>,
    /// The audience; without one it is drawn.
    client_id: Option<String>,
}

pub(super) fn get(core: &mut Scope<'_>, name: &str) -> Result<Option<Arc<Role>>, Error> {
    core.get_shared(&key(name))
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(ROLES)?))
}

async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(get(&mut call.storage, &input.name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let role = get(&mut call.storage, &input.name)?.ok_or(Error::NotFound)?;
    Reply::of(&json!({
        "client_id": role.client_id,
        "key": role.key,
        "template": role.template,
        "ttl": role.ttl,
    }))
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let before = get(&mut call.storage, &input.name)?;
    let new = || Role { ttl: DAY, ..Role::default() };
    let mut role = before.as_deref().cloned().unwrap_or_else(new);
    role.key = input.key.unwrap_or(role.key);
    if role.key.is_empty() {
        return Err(Error::bad_request("the key parameter is required"));
    }
    if let Some(text) = input.template {
        template::check(&text)?;
        role.template = text;
    }
    if let Some(ttl) = input.ttl {
        role.ttl = seconds(ttl, "ttl")?;
    }
    role.client_id = input.client_id.unwrap_or(role.client_id);
    if role.client_id.is_empty() {
        role.client_id = call.rng.base62(26);
    }
    let key_ = NamedKey::get(&mut call.storage, &role.key)?;
    let key_ = key_.ok_or_else(|| Error::BadRequest(format!("cannot find key {:?}", role.key)))?;
    if role.ttl > key_.verification_ttl {
        return Err(Error::bad_request(
            "a role's token ttl cannot be longer than the verification_ttl of the key it \
             references",
        ));
    }
    published::put(&mut call.storage, &key(&input.name), &role)?;
    Ok(Reply::default())
}

async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    published::delete(&mut call.storage, &key(&input.name))?;
    Ok(Reply::default())
}

fn key(name: &str) -> String {
    format!("{ROLES}/{name}")
}

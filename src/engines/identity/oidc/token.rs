//! `oidc/token`: a signed word of who the caller is; and `oidc/introspect`: whether one is good.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::jwt::{self, Jwt};
use super::named_key::{KeyPair, NamedKey};
use super::{DEFAULT, KEYS, allows, config, names_with, role, template};
use crate::engines::identity::{Call, Route};
use crate::identity::{IdentityStore, Who};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/token/{name}", "A signed token that says who the caller is.").read(issue),
        Route::new("oidc/introspect", "Whether a token is good.").write(introspect),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the role.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Introspect {
    /// The token.
    #[serde(default)]
    token: String,
    /// Who it must be meant for.
    #[serde(default)]
    client_id: String,
}

async fn issue(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let found = role::get(&mut call.storage, &input.name)?;
    let role =
        found.ok_or_else(|| Error::BadRequest(format!("role {:?} not found", input.name)))?;
    let key = NamedKey::get(&mut call.storage, &role.key)?;
    let key = key.ok_or_else(|| Error::BadRequest(format!("key {:?} not found", role.key)))?;
    if !allows(&key.allowed_client_ids, &role.client_id) {
        return Err(Error::BadRequest(format!(
            "the key {:?} does not list the client ID of the role {:?} as an allowed client ID",
            role.key, input.name
        )));
    }
    let who = caller(call)?
        .ok_or_else(|| Error::bad_request("no entity associated with the request's token"))?;
    let now = call.now.seconds();
    let mut claims = template::fill(&role.template, Some(&who), call.now)?;
    claims.extend(standard(&Standard {
        issuer: config::issuer(&mut call.storage)?,
        subject: &who.entity.id,
        audience: &role.client_id,
        now,
        ttl: role.ttl,
    }));
    let pair = signer(call, &role.key, &key)?;
    let token = jwt::sign(&pair, &claims)?;
    Reply::of(&json!({ "client_id": role.client_id, "token": token, "ttl": role.ttl }))
}

/// What every token says.
pub(super) struct Standard<'a> {
    pub(super) issuer: String,
    pub(super) subject: &'a str,
    pub(super) audience: &'a str,
    pub(super) now: u64,
    pub(super) ttl: u64,
}

pub(super) fn standard(standard: &Standard<'_>) -> Map<String, Value> {
    let claims = json!({
        "aud": standard.audience,
        "exp": standard.now.saturating_add(standard.ttl),
        "iat": standard.now,
        "iss": standard.issuer,
        "namespace": "root",
        "sub": standard.subject,
    });
    claims.as_object().cloned().unwrap_or_default()
}

/// The entity behind the caller; the pipeline has found it good.
pub(super) fn caller(call: &mut Call<'_>) -> Result<Option<Arc<Who>>, Error> {
    match call.caller.map(|caller| caller.entity_id.as_str()).filter(|id| !id.is_empty()) {
        Some(id) => IdentityStore::new(&mut call.storage).who(id, None),
        None => Ok(None),
    }
}

/// What a key signs with, made and stored where it is the first time.
pub(super) fn signer(call: &mut Call<'_>, name: &str, key: &NamedKey) -> Result<KeyPair, Error> {
    if let Some(pair) = &key.current {
        return Ok(pair.clone());
    }
    let mut made = key.clone();
    made.prepare(call.rng, call.now)?;
    made.put(&mut call.storage, name)?;
    made.current.ok_or_else(|| Error::internal("a key was made and is not there"))
}

async fn introspect(call: &mut Call<'_>, input: Introspect) -> Result<Reply, Error> {
    match judge(call, &input)? {
        Ok(()) => Reply::bare(&json!({ "active": true })),
        Err(problem) => Reply::bare(&json!({ "active": false, "error": problem })),
    }
}

/// The inner error is what is wrong with the token.
fn judge(call: &mut Call<'_>, input: &Introspect) -> Result<Result<(), String>, Error> {
    let jwt = match Jwt::parse(&input.token) {
        Ok(jwt) => jwt,
        Err(problem) => return Ok(Err(format!("error parsing token: {problem}"))),
    };
    let mut found = None;
    for name in names_with(&mut call.storage, KEYS, DEFAULT)? {
        if let Some(key) = NamedKey::get(&mut call.storage, &name)? {
            found = found.or_else(|| key.public(call.now).find(|one| one.kid == jwt.kid).cloned());
        }
    }
    let claims = found.and_then(|key| jwt.verify(&key));
    let Some(claims) = claims else {
        return Ok(Err("unable to validate the token signature".into()));
    };
    let text = |name: &str| claims.get(name).and_then(Value::as_str).unwrap_or_default();
    let number = |name: &str| claims.get(name).and_then(Value::as_u64).unwrap_or_default();
    if text("iss") != config::issuer(&mut call.storage)? {
        return Ok(Err("error validating claims: invalid issuer claim (iss)".into()));
    }
    if number("exp") <= call.now.seconds() {
        return Ok(Err("error validating claims: token is expired (exp)".into()));
    }
    if !input.client_id.is_empty() && text("aud") != input.client_id {
        return Ok(Err("error validating claims: invalid audience claim (aud)".into()));
    }
    let entity = IdentityStore::new(&mut call.storage).entity_or_successor(text("sub"))?;
    Ok(match entity {
        None => Err("entity was not found".into()),
        Some(entity) if entity.disabled => Err("entity is disabled".into()),
        Some(_) => Ok(()),
    })
}

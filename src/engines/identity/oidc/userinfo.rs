//! `oidc/provider/:name/userinfo`: what an access token lets its client know (OpenID Connect Core
//! 1.0, section 5.3).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::client::Client;
use super::{allows, claims, exchange, provider};
use crate::auth::token::TokenStore;
use crate::engines::identity::{Call, Route};
use crate::identity::IdentityStore;
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        // The access token is the handler's to judge: what is wrong is told as RFC 6750 has it.
        Route::new("oidc/provider/{name}/userinfo", "Who gave a client its access token.")
            .unauthenticated()
            .read(userinfo)
            .write(userinfo),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the provider.
    name: String,
}

async fn userinfo(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let (reply, problem) = match claims_of(call, &input.name)? {
        Ok(claims) => (Reply::bare(&Value::Object(claims))?, None),
        Err(problem) => {
            let body = json!({ "error": "invalid_token", "error_description": problem });
            (Reply { status: Some(401), ..Reply::bare(&body)? }, Some(problem))
        }
    };
    let mut reply = reply;
    reply.headers.insert("cache-control".into(), "no-store".into());
    if let Some(problem) = problem {
        let header = format!("Bearer error=\"invalid_token\",error_description=\"{problem}\"");
        reply.headers.insert("www-authenticate".into(), header);
    }
    Ok(reply)
}

/// The inner error is what is wrong with the access token.
fn claims_of(
    call: &mut Call<'_>,
    name: &str,
) -> Result<Result<Map<String, Value>, &'static str>, Error> {
    let now = call.now;
    let found = match call.request.token.clone() {
        Some(token) => TokenStore::new(&mut call.storage).lookup(&token, now)?,
        None => None,
    };
    let Some((_, entry)) = found else {
        return Ok(Err(DENIED));
    };
    // Whoever has another token is told what is wrong with it, and nothing of the provider.
    if !entry.no_identity_policies || !entry.path.starts_with(PREFIX) {
        return Ok(Err("access token is malformed or invalid"));
    }
    let Some(provider) = provider::get(&mut call.storage, name)? else {
        return Ok(Err(DENIED));
    };
    if entry.path != exchange::path(name) {
        return Ok(Err(DENIED));
    }
    let of_token = |name: &str| entry.meta.get(name).cloned().unwrap_or_default();
    let client = Client::by_id(&mut call.storage, &of_token(exchange::CLIENT_ID))?;
    let Some(client) = client.filter(|one| allows(&provider.allowed_client_ids, &one.client_id))
    else {
        return Ok(Err("client is not found or may not use the provider"));
    };
    let who = IdentityStore::new(&mut call.storage).who(&entry.entity_id, None)?;
    let Some(who) = who.filter(|who| !who.entity.disabled) else {
        return Ok(Err(DENIED));
    };
    if !client.is_assigned(&mut call.storage, &who)? {
        return Ok(Err("identity entity not authorized by client assignment"));
    }
    let scopes: Vec<String> =
        of_token(exchange::SCOPES).split_whitespace().map(str::to_owned).collect();
    let mut claims = claims::of_scopes(&mut call.storage, &provider, &scopes, &who, now)?;
    claims.insert("sub".into(), who.entity.id.clone().into());
    Ok(Ok(claims))
}

const DENIED: &str = "permission denied";

const PREFIX: &str = "identity/oidc/provider/";

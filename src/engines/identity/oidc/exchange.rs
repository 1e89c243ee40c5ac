//! `oidc/provider/:name/token`: a client gives a code and is given tokens (OpenID Connect Core
//! 1.0, section 3.1.3).

use std::collections::BTreeMap;
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::code::Code;
use super::named_key::NamedKey;
use super::provider::{self, Provider};
use super::token::{Standard, signer, standard};
use super::{allows, claims, jwt};
use crate::auth::token::{NewToken, TokenEntry, TokenStore};
use crate::crypto::{equal, sha256};
use crate::engines::identity::{Call, Route};
use crate::identity::{IdentityStore, Who};
use crate::request::{Error, Reply, TokenType};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/provider/{name}/token", "Tokens for a client that has a code.")
            .unauthenticated()
            .write(exchange),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Exchange {
    /// Name of the provider.
    name: String,
    /// The code.
    code: Option<Secret<String>>,
    /// `authorization_code`
    #[serde(default)]
    grant_type: String,
    /// Where the code was sent.
    #[serde(default)]
    redirect_uri: String,
    /// What the code's challenge was made of.
    code_verifier: Option<Secret<String>>,
    /// Of the client, where no header says it.
    #[serde(default)]
    client_id: String,
    /// Of the client, where no header says it.
    client_secret: Option<Secret<String>>,
}

/// RFC 6749's `error` and `error_description`.
struct Refused(&'static str, &'static str);

async fn exchange(call: &mut Call<'_>, input: Exchange) -> Result<Reply, Error> {
    let (status, body) = match grant(call, &input)? {
        Ok(body) => (200, body),
        Err(Refused(error, description)) => {
            let status = if error == "invalid_client" { 401 } else { 400 };
            (status, json!({ "error": error, "error_description": description }))
        }
    };
    let mut reply = Reply { status: Some(status), ..Reply::bare(&body)? };
    reply.headers.insert("cache-control".into(), "no-store".into());
    reply.headers.insert("pragma".into(), "no-cache".into());
    if status == 401 {
        reply.headers.insert("www-authenticate".into(), "Basic".into());
    }
    Ok(reply)
}

/// The tokens, or what is wrong with the question. What is refused once the code was found has
/// cost the code.
fn grant(call: &mut Call<'_>, input: &Exchange) -> Result<Result<Value, Refused>, Error> {
    let Some(provider) = provider::get(&mut call.storage, &input.name)? else {
        return Ok(Err(Refused("invalid_request", "provider not found")));
    };
    let client = match authenticate(call, input)? {
        Ok(client) => client,
        Err(refused) => return Ok(Err(refused)),
    };
    if !allows(&provider.allowed_client_ids, &client.client_id) {
        let text = "client is not authorized to use the provider";
        return Ok(Err(Refused("invalid_client", text)));
    }
    if input.grant_type != "authorization_code" {
        let text = "unsupported grant_type or parameter is empty value";
        return Ok(Err(Refused("unsupported_grant_type", text)));
    }
    let sent = |value: &Option<Secret<String>>| {
        value.as_ref().map(|value| value.expose().clone()).filter(|value| !value.is_empty())
    };
    let Some(text) = sent(&input.code) else {
        return Ok(Err(Refused("invalid_request", "code parameter is required")));
    };
    if input.redirect_uri.is_empty() {
        return Ok(Err(Refused("invalid_request", "redirect_uri parameter is required")));
    }
    let now = call.now;
    let Some(code) = Code::take(&mut call.storage, &text, now)? else {
        return Ok(Err(Refused("invalid_grant", "authorization grant is invalid or expired")));
    };
    let verifier = sent(&input.code_verifier).unwrap_or_default();
    if let Err(refused) = check_code(&code, input, &client, &verifier) {
        return Ok(Err(refused));
    }
    let who = IdentityStore::new(&mut call.storage).who(&code.entity_id, None)?;
    let Some(who) = who.filter(|who| !who.entity.disabled) else {
        let text = "identity entity associated with the request not found or disabled";
        return Ok(Err(Refused("invalid_request", text)));
    };
    if !client.is_assigned(&mut call.storage, &who)? {
        let text = "identity entity not authorized by client assignment";
        return Ok(Err(Refused("invalid_request", text)));
    }
    let Some(key) = NamedKey::get(&mut call.storage, &client.key)?
        .filter(|key| allows(&key.allowed_client_ids, &client.client_id))
    else {
        let text = "client is not authorized to use the key";
        return Ok(Err(Refused("invalid_client", text)));
    };
    let access = access_token(call, &input.name, &code, &client)?;
    let id = id_token(
        call,
        &IdToken {
            provider: &provider,
            code: &code,
            text: &text,
            client: &client,
            who: &who,
            key: &key,
            access: &access,
        },
    )?;
    Ok(Ok(json!({
        "access_token": access.expose(),
        "expires_in": client.access_token_ttl,
        "id_token": id,
        "token_type": "Bearer",
    })))
}

/// By its secret, in a header or in the form; a public client has none, and PKCE instead.
fn authenticate(
    call: &mut Call<'_>,
    input: &Exchange,
) -> Result<Result<Arc<Client>, Refused>, Error> {
    let header = call.request.headers.get("authorization").and_then(|values| values.first());
    let basic = header.and_then(|value| {
        let (scheme, text) = value.split_once(' ')?;
        let bytes =
            STANDARD.decode(text.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let text = String::from_utf8(bytes).ok()?;
        text.split_once(':').map(|(id, secret)| (id.to_owned(), Secret::new(secret.to_owned())))
    });
    let posted = || {
        let secret = input.client_secret.as_ref().map(|secret| secret.expose().clone());
        (input.client_id.clone(), Secret::new(secret.unwrap_or_default()))
    };
    let (id, secret) = basic.unwrap_or_else(posted);
    if id.is_empty() {
        return Ok(Err(Refused("invalid_request", "client_id parameter is required")));
    }
    let client = Client::by_id(&mut call.storage, &id)?;
    let is_it =
        |client: &Arc<Client>| client.is_public || secret.matches(client.client_secret.as_bytes());
    match client.filter(is_it) {
        Some(client) => Ok(Ok(client)),
        None => Ok(Err(Refused("invalid_client", "client failed to authenticate"))),
    }
}

fn check_code(
    code: &Code,
    input: &Exchange,
    client: &Client,
    verifier: &str,
) -> Result<(), Refused> {
    if code.provider != input.name || code.client_id != client.client_id {
        return Err(Refused("invalid_grant", "authorization code was not issued to the client"));
    }
    if code.redirect_uri != input.redirect_uri {
        return Err(Refused(
            "invalid_grant",
            "redirect_uri does not match the redirect_uri used in the authorization request",
        ));
    }
    let uses_challenge = !code.challenge_method.is_empty();
    if uses_challenge && verifier.is_empty() {
        return Err(Refused("invalid_request", "expected code_verifier for token exchange"));
    }
    if !uses_challenge && !verifier.is_empty() {
        return Err(Refused("invalid_request", "unexpected code_verifier for token exchange"));
    }
    let shown = match code.challenge_method.as_str() {
        "S256" => URL_SAFE_NO_PAD.encode(sha256(&[verifier.as_bytes()])),
        _ => verifier.to_owned(),
    };
    if uses_challenge && !equal(shown.as_bytes(), code.challenge.as_bytes()) {
        return Err(Refused("invalid_grant", "invalid code_verifier for token exchange"));
    }
    Ok(())
}

/// A batch token without policies: good for the provider's userinfo alone.
fn access_token(
    call: &mut Call<'_>,
    provider: &str,
    code: &Code,
    client: &Client,
) -> Result<Secret<String>, Error> {
    let meta = BTreeMap::from([
        (CLIENT_ID.to_owned(), client.client_id.clone()),
        (SCOPES.to_owned(), code.scopes.join(" ")),
    ]);
    let entry = TokenEntry {
        path: path(provider),
        meta,
        display_name: "oidc-access".into(),
        ttl: client.access_token_ttl,
        token_type: TokenType::Batch,
        entity_id: code.entity_id.clone(),
        no_identity_policies: true,
        ..TokenEntry::default()
    };
    let (rng, now) = (call.rng, call.now);
    let new = NewToken { entry, id: None };
    let (token, _) = TokenStore::new(&mut call.storage).create(rng, now, new)?;
    Ok(token)
}

struct IdToken<'a> {
    provider: &'a Provider,
    code: &'a Code,
    text: &'a str,
    client: &'a Client,
    who: &'a Who,
    key: &'a NamedKey,
    access: &'a Secret<String>,
}

fn id_token(call: &mut Call<'_>, of: &IdToken<'_>) -> Result<String, Error> {
    let (provider, code, now) = (of.provider, of.code, call.now);
    let mut claims = claims::of_scopes(&mut call.storage, provider, &code.scopes, of.who, now)?;
    claims.extend(standard(&Standard {
        issuer: provider.issuer(&mut call.storage, &code.provider)?,
        subject: &of.who.entity.id,
        audience: &of.client.client_id,
        now: now.seconds(),
        ttl: of.client.id_token_ttl,
    }));
    let pair = signer(call, &of.client.key, of.key)?;
    let algorithm = of.key.signing_algorithm()?;
    let half = |text: &str| URL_SAFE_NO_PAD.encode(algorithm.half_hash(text.as_bytes()));
    claims.insert("at_hash".into(), half(of.access.expose()).into());
    claims.insert("c_hash".into(), half(of.text).into());
    if !code.nonce.is_empty() {
        claims.insert("nonce".into(), code.nonce.clone().into());
    }
    if let Some(auth_time) = code.auth_time {
        claims.insert("auth_time".into(), auth_time.into());
    }
    jwt::sign(&pair, &claims)
}

/// Of the request that made an access token: by it one is known.
pub(super) fn path(provider: &str) -> String {
    format!("identity/oidc/provider/{provider}/token")
}

/// Names in an access token's metadata.
pub(super) const CLIENT_ID: &str = "client_id";
pub(super) const SCOPES: &str = "scopes";

//! What others read to verify tokens (OpenID Connect Discovery 1.0).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::client::Client;
use super::named_key::NamedKey;
use super::provider::{self, Provider};
use super::{CLIENTS, all, allows, config, key};
use crate::crypto::SigningAlgorithm;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/.well-known/openid-configuration", "Where what is to be found.")
            .unauthenticated()
            .read(configuration),
        Route::new("oidc/.well-known/keys", "The keys that verify the tokens of roles.")
            .unauthenticated()
            .read(keys),
        Route::new(
            "oidc/provider/{name}/.well-known/openid-configuration",
            "Where what of a provider is to be found.",
        )
        .unauthenticated()
        .read(provider_configuration),
        Route::new(
            "oidc/provider/{name}/.well-known/keys",
            "The keys that verify the tokens of a provider.",
        )
        .unauthenticated()
        .read(provider_keys),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the provider.
    name: String,
}

async fn configuration(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let issuer = config::issuer(&mut call.storage)?;
    let document = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/keys"),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": algorithms(),
    });
    Ok(cached(Reply::bare(&document)?, 3600))
}

async fn provider_configuration(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let provider = found(call, &input.name)?;
    let issuer = provider.issuer(&mut call.storage, &input.name)?;
    let base = config::base(&mut call.storage, &provider.issuer)?;
    let mut scopes = provider.scopes_supported.clone();
    scopes.push("openid".into());
    let document = json!({
        "issuer": issuer,
        "jwks_uri": format!("{issuer}/.well-known/keys"),
        "authorization_endpoint":
            format!("{base}/ui/vault/identity/oidc/provider/{}/authorize", input.name),
        "token_endpoint": format!("{issuer}/token"),
        "userinfo_endpoint": format!("{issuer}/userinfo"),
        "request_parameter_supported": false,
        "request_uri_parameter_supported": false,
        "id_token_signing_alg_values_supported": algorithms(),
        "response_types_supported": ["code"],
        "scopes_supported": scopes,
        "claims_supported": [],
        "subject_types_supported": ["public"],
        "grant_types_supported": ["authorization_code"],
        "token_endpoint_auth_methods_supported":
            ["none", "client_secret_basic", "client_secret_post"],
        "code_challenge_methods_supported": ["plain", "S256"],
    });
    Ok(cached(Reply::bare(&document)?, 3600))
}

fn found(call: &mut Call<'_>, name: &str) -> Result<std::sync::Arc<Provider>, Error> {
    provider::get(&mut call.storage, name)?.ok_or(Error::NotFound)
}

async fn keys(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let names = key::used_by_roles(&mut call.storage)?;
    key_set(call, names)
}

async fn provider_keys(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let provider = found(call, &input.name)?;
    let clients = all::<Client>(&mut call.storage, CLIENTS)?;
    let allowed = clients
        .into_iter()
        .filter(|(_, client)| allows(&provider.allowed_client_ids, &client.client_id));
    let names: std::collections::BTreeSet<String> =
        allowed.map(|(_, client)| client.key.clone()).collect();
    key_set(call, names)
}

/// What is kept by others is good until a key signs that they do not know yet: two rotations on,
/// because the next is told too. They may keep it for one.
fn key_set(call: &mut Call<'_>, names: impl IntoIterator<Item = String>) -> Result<Reply, Error> {
    let mut keys: Vec<Value> = Vec::new();
    let mut next: Option<u64> = None;
    for name in names {
        if let Some(key) = NamedKey::get(&mut call.storage, &name)? {
            keys.extend(key.public(call.now).map(super::named_key::PublicKey::jwk));
            if key.current.is_some() {
                let left = key.next_rotation.since(call.now).as_secs();
                next = Some(next.map_or(left, |next| next.min(left)));
            }
        }
    }
    let reply = Reply::bare(&json!({ "keys": keys }))?;
    Ok(match next.filter(|next| *next > 0) {
        Some(next) => cached(reply, next),
        None => reply,
    })
}

fn cached(mut reply: Reply, seconds: u64) -> Reply {
    reply.headers.insert("cache-control".into(), format!("max-age={seconds}"));
    reply
}

fn algorithms() -> Vec<&'static str> {
    SigningAlgorithm::ALL.into_iter().map(SigningAlgorithm::name).collect()
}

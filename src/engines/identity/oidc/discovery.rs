//! What others read to verify tokens (OpenID Connect Discovery 1.0).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::provider::{self, Provider};
use super::published::KeySet;
use super::{CLIENTS, all, allows, config, key};
use crate::clock::Timestamp;
use crate::crypto::SigningAlgorithm;
use crate::engines::identity::{Call, Route};
use crate::framework::NoParams;
use crate::request::{Error, Reply};
use crate::txn::Scope;

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
    let sets = &call.state.key_sets;
    let set = sets.get(&mut call.storage, "", call.now, key::used_by_roles)?;
    shown(&set, call.now)
}

async fn provider_keys(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let provider = found(call, &input.name)?;
    let names = |core: &mut Scope<'_>| {
        let clients = all::<Client>(core, CLIENTS)?;
        let allowed = clients
            .into_iter()
            .filter(|(_, client)| allows(&provider.allowed_client_ids, &client.client_id));
        Ok(allowed.map(|(_, client)| client.key.clone()).collect())
    };
    let set = call.state.key_sets.get(&mut call.storage, &input.name, call.now, names)?;
    shown(&set, call.now)
}

/// What is kept by others is good until a key signs that they do not know yet: two rotations on,
/// because the next is told too. They may keep it for one.
fn shown(set: &KeySet, now: Timestamp) -> Result<Reply, Error> {
    let reply = Reply::bare(&json!({ "keys": set.keys }))?;
    let left = set.next_rotation.map(|next| next.since(now).as_secs());
    Ok(match left.filter(|left| *left > 0) {
        Some(left) => cached(reply, left),
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

//! `oidc/provider/:name/authorize`: whoever is logged in here lets a client know it (OpenID
//! Connect Core 1.0, section 3.1.2).

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::client::Client;
use super::code::{Code, LIFE_SECONDS};
use super::named_key::NamedKey;
use super::{allows, provider, scope, token};
use crate::auth::token::TokenStore;
use crate::engines::identity::{Call, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/provider/{name}/authorize", "A code for a client, of who is logged in.")
            .read(authorize)
            .write(authorize),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Authorize {
    /// Name of the provider.
    name: String,
    /// Who asks.
    #[serde(default)]
    client_id: String,
    /// What is asked for: words, `openid` among them.
    #[serde(default)]
    scope: String,
    /// Where the code will be sent.
    #[serde(default)]
    redirect_uri: String,
    /// `code`
    #[serde(default)]
    response_type: String,
    /// Given back as it is.
    #[serde(default)]
    state: String,
    /// Put into the ID token as it is.
    #[serde(default)]
    nonce: String,
    /// Seconds that may have passed since the login.
    max_age: Option<i64>,
    /// Of what the client will show with the code (RFC 7636).
    #[serde(default)]
    code_challenge: String,
    /// `plain` (default) or `S256`.
    #[serde(default)]
    code_challenge_method: String,
    /// Not supported.
    #[serde(default)]
    request: String,
    /// Not supported.
    #[serde(default)]
    request_uri: String,
    /// Whoever shows the page sees to it.
    #[serde(default)]
    #[expect(dead_code, reason = "taken without a warning, as in Vault")]
    prompt: String,
    /// Whoever shows the page sees to it.
    #[serde(default)]
    #[expect(dead_code, reason = "taken without a warning, as in Vault")]
    display: String,
}

/// RFC 6749's `error` and `error_description`.
struct Refused(&'static str, &'static str);

async fn authorize(call: &mut Call<'_>, input: Authorize) -> Result<Reply, Error> {
    match leave(call, &input)? {
        Ok(code) => Reply::bare(&json!({ "code": code, "state": input.state })),
        Err(Refused(error, description)) => {
            let reply = Reply::bare(&json!({
                "error": error,
                "error_description": description,
                "state": input.state,
            }))?;
            Ok(Reply { status: Some(400), ..reply })
        }
    }
}

/// The code, or what is wrong with the question.
fn leave(call: &mut Call<'_>, input: &Authorize) -> Result<Result<String, Refused>, Error> {
    if let Err(refused) = check_support(input) {
        return Ok(Err(refused));
    }
    let Some(provider) = provider::get(&mut call.storage, &input.name)? else {
        return Ok(Err(Refused("invalid_request", "provider not found")));
    };
    let Some(client) = Client::by_id(&mut call.storage, &input.client_id)? else {
        return Ok(Err(Refused("invalid_client_id", "client with client_id not found")));
    };
    if !allows(&provider.allowed_client_ids, &client.client_id) {
        let text = "client is not authorized to use the provider";
        return Ok(Err(Refused("unauthorized_client", text)));
    }
    if let Err(refused) = check_form(input) {
        return Ok(Err(refused));
    }
    if !client.allows_redirect(&input.redirect_uri) {
        let text = "redirect_uri is not allowed for the client";
        return Ok(Err(Refused("invalid_redirect_uri", text)));
    }
    let method = match challenge_method(input, client.is_public) {
        Ok(method) => method,
        Err(refused) => return Ok(Err(refused)),
    };
    let key = NamedKey::get(&mut call.storage, &client.key)?;
    if !key.is_some_and(|key| allows(&key.allowed_client_ids, &client.client_id)) {
        let text = "client is not authorized to use the key";
        return Ok(Err(Refused("unauthorized_client", text)));
    }
    let Some(who) = token::caller(call)? else {
        let text = "identity entity must be associated with the request";
        return Ok(Err(Refused("access_denied", text)));
    };
    if !client.is_assigned(&mut call.storage, &who)? {
        let text = "identity entity not authorized by client assignment";
        return Ok(Err(Refused("access_denied", text)));
    }
    let auth_time = match input.max_age {
        Some(max_age) => {
            let logged_in = login_time(call)?;
            let age = call.now.seconds().saturating_sub(logged_in);
            if i64::try_from(age).unwrap_or(i64::MAX) > max_age {
                let text = "active re-authentication is required by max_age";
                return Ok(Err(Refused("max_age_violation", text)));
            }
            Some(logged_in)
        }
        None => None,
    };
    let code = Code {
        provider: input.name.clone(),
        client_id: client.client_id.clone(),
        entity_id: who.entity.id.clone(),
        redirect_uri: input.redirect_uri.clone(),
        nonce: input.nonce.clone(),
        scopes: scopes(input).filter(|name| provider.scopes_supported.contains(name)).collect(),
        auth_time,
        challenge: input.code_challenge.clone(),
        challenge_method: method.to_owned(),
        expires: call.now.plus(std::time::Duration::from_secs(LIFE_SECONDS)),
    };
    Ok(Ok(code.file(&mut call.storage, call.rng)?))
}

fn scopes(input: &Authorize) -> impl Iterator<Item = String> {
    let names: std::collections::BTreeSet<&str> = input.scope.split_whitespace().collect();
    names.into_iter().map(str::to_owned).collect::<Vec<_>>().into_iter()
}

/// Before it is known who asks.
fn check_support(input: &Authorize) -> Result<(), Refused> {
    let kept = [&input.state, &input.nonce, &input.redirect_uri, &input.scope];
    first([
        (
            !input.request.is_empty(),
            Refused("request_not_supported", "request parameter is not supported"),
        ),
        (
            !input.request_uri.is_empty(),
            Refused("request_uri_not_supported", "request_uri parameter is not supported"),
        ),
        (
            kept.iter().any(|text| text.len() > TEXT_BYTES_MAX),
            Refused("invalid_request", "a parameter is longer than 4096 bytes"),
        ),
        (
            input.client_id.is_empty(),
            Refused("invalid_client_id", "client_id parameter is required"),
        ),
    ])
}

fn check_form(input: &Authorize) -> Result<(), Refused> {
    first([
        (
            !scopes(input).any(|name| name == scope::OPENID),
            Refused("invalid_request", "scope parameter must contain the \"openid\" value"),
        ),
        (
            input.redirect_uri.is_empty(),
            Refused("invalid_request", "redirect_uri parameter is required"),
        ),
        (
            input.response_type.is_empty(),
            Refused("invalid_request", "response_type parameter is required"),
        ),
        (
            input.response_type != "code",
            Refused("unsupported_response_type", "unsupported response_type value"),
        ),
        (
            input.max_age.is_some_and(|age| age < 0),
            Refused("invalid_request", "max_age must not be negative"),
        ),
    ])
}

fn first(refusals: impl IntoIterator<Item = (bool, Refused)>) -> Result<(), Refused> {
    match refusals.into_iter().find(|(is_refused, _)| *is_refused) {
        Some((_, refused)) => Err(refused),
        None => Ok(()),
    }
}

/// RFC 7636, sections 4.2 and 4.3.
fn challenge_method(input: &Authorize, is_public: bool) -> Result<&'static str, Refused> {
    if input.code_challenge.is_empty() {
        if is_public {
            return Err(Refused("invalid_request", "PKCE is required for public clients"));
        }
        return Ok("");
    }
    if !(43..=128).contains(&input.code_challenge.len()) {
        return Err(Refused("invalid_request", "invalid code_challenge"));
    }
    match input.code_challenge_method.as_str() {
        "" | "plain" => Ok("plain"),
        "S256" => Ok("S256"),
        _ => Err(Refused("invalid_request", "invalid code_challenge_method")),
    }
}

/// When the caller's token was made.
fn login_time(call: &mut Call<'_>) -> Result<u64, Error> {
    let token = call.request.token.clone().ok_or(Error::Denied)?;
    let found = TokenStore::new(&mut call.storage).find(&token)?;
    found.map(|(_, entry)| entry.created.seconds()).ok_or(Error::Denied)
}

/// What a code keeps.
const TEXT_BYTES_MAX: usize = 4096;

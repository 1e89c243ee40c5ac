//! Login of people by OpenID Connect's code flow (OpenID Connect Core 1.0, section 3.1), with
//! PKCE (RFC 7636).
//!
//! What a login under way must know is sealed into its `state`, and comes back with it: nothing
//! is stored for those who only ask for a URL, and any node can go on that leads by then. That a
//! state was used is stored, until it would have ended.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hyper::Uri;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::claims::{check_bound, identify};
use super::config::{Config, Kind};
use super::login::role;
use super::role::{Role, RoleType};
use super::sources::{Provider, exchange, provider, verify};
use super::{Call, Route};
use crate::auth::jose::{Expected, JoseError, Token, Verified, number, texts};
use crate::clock::Timestamp;
use crate::crypto::{SignatureAlgorithm, SigningAlgorithm, equal, sha256};
use crate::request::{Auth, Error, Reply};
use crate::secret::Secret;
use crate::text::{UNRESERVED, hex, percent_encode};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/auth_url", "Where a person logs in with the provider.")
            .unauthenticated()
            .write(auth_url),
        Route::new("oidc/callback", "Log in with the code that the provider gave.")
            .login()
            .read(callback),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct AuthUrl {
    /// The role; the mount's default where none is given.
    #[serde(default)]
    role: String,
    /// Where the provider sends the person back to.
    #[serde(default)]
    redirect_uri: String,
    /// What the callback must show too.
    #[serde(default)]
    client_nonce: String,
}

#[derive(Deserialize, JsonSchema)]
struct Callback {
    /// As it was in the URL.
    state: Option<Secret<String>>,
    /// What the provider gave.
    code: Option<Secret<String>>,
    /// As it was when the URL was asked for.
    client_nonce: Option<Secret<String>>,
    /// What the provider gave instead of a code.
    #[serde(default)]
    error: String,
}

/// A login under way.
#[derive(Deserialize, Serialize)]
struct Login {
    role: String,
    redirect_uri: String,
    client_nonce: String,
    nonce: String,
    verifier: String,
    expires: Timestamp,
}

async fn auth_url(call: &mut Call<'_>, input: AuthUrl) -> Result<Reply, Error> {
    let config = Config::get(call)?;
    if config.kind() != Kind::Client {
        return Err(Error::bad_request("OIDC login is not configured for this mount"));
    }
    if input.redirect_uri.is_empty() {
        return Err(Error::bad_request("missing redirect_uri"));
    }
    if input.client_nonce.len() > TEXT_BYTES_MAX || input.redirect_uri.len() > TEXT_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "redirect_uri and client_nonce may have {TEXT_BYTES_MAX} bytes each"
        )));
    }
    let (name, role) = role(call, &config, &input.role)?;
    if role.role_type != RoleType::Oidc || !is_allowed(&role, &input.redirect_uri) {
        // As in Vault: nobody is told which of them there are.
        return Reply::of(&json!({ "auth_url": "" }));
    }
    let provider = provider(call, &config)?;
    let login = Login {
        role: name,
        redirect_uri: input.redirect_uri,
        client_nonce: input.client_nonce,
        nonce: call.rng.base62(32),
        verifier: call.rng.base62(64),
        expires: call.now.plus(LIFE),
    };
    let plaintext = Secret::new(serde_json::to_vec(&login).map_err(Error::internal)?);
    let state = call.storage.seal(call.rng, &context(call), &plaintext)?;
    let state = URL_SAFE_NO_PAD.encode(state);
    Reply::of(&json!({ "auth_url": url(&config, &role, &provider, &login, &state) }))
}

fn url(config: &Config, role: &Role, provider: &Provider, login: &Login, state: &str) -> String {
    let scopes = std::iter::once("openid").chain(role.oidc_scopes.iter().map(String::as_str));
    let scopes: Vec<&str> = scopes.collect();
    let challenge = URL_SAFE_NO_PAD.encode(sha256(&[login.verifier.as_bytes()]));
    let max_age = (role.max_age > 0).then(|| ("max_age", role.max_age.to_string()));
    let query = [
        ("client_id", config.oidc_client_id.clone()),
        ("code_challenge", challenge),
        ("code_challenge_method", "S256".to_owned()),
        ("nonce", login.nonce.clone()),
        ("redirect_uri", login.redirect_uri.clone()),
        ("response_type", "code".to_owned()),
        ("scope", scopes.join(" ")),
        ("state", state.to_owned()),
    ];
    let endpoint = &provider.authorization_endpoint;
    let mark = if endpoint.contains('?') { '&' } else { '?' };
    format!("{endpoint}{mark}{}", form(query.into_iter().chain(max_age)))
}

async fn callback(call: &mut Call<'_>, input: Callback) -> Result<Reply, Error> {
    let config = Config::get(call)?;
    let text = |value: &Option<Secret<String>>| {
        value.as_ref().map(|value| value.expose().clone()).unwrap_or_default()
    };
    let state = text(&input.state);
    let gone = || failed("Expired or missing OAuth state.");
    let login = open(call, &state).ok_or_else(gone)?;
    let spent = spent_key(&login, &state);
    if call.storage.get::<bool>(&spent)?.is_some() {
        return Err(gone());
    }
    if !equal(text(&input.client_nonce).as_bytes(), login.client_nonce.as_bytes()) {
        return Err(Error::bad_request("invalid client_nonce"));
    }
    if !input.error.is_empty() {
        return Err(failed(&input.error));
    }
    let code = text(&input.code);
    if code.is_empty() {
        return Err(failed("No code or id_token received."));
    }
    let (name, role) = role(call, &config, &login.role)?;
    if config.kind() != Kind::Client || role.role_type != RoleType::Oidc {
        return Err(failed("The role is no role for OIDC any more."));
    }
    let outcome = finish(call, &config, (&name, &role), &login, &code);
    if let Err(Error::Outside(question)) = outcome {
        return Err(Error::Outside(question));
    }
    // Whatever came of it: the code was shown, and so the state is of no more use.
    sweep(call)?;
    call.storage.put(&spent, &true)?;
    let mut auth = match outcome {
        Ok(auth) => auth,
        Err(Error::BadRequest(text)) => {
            return Ok(Reply { status: Some(400), ..Reply::bare(&json!({ "errors": [text] }))? });
        }
        Err(error) => return Err(error),
    };
    role.token.grant(call.mount, call.request, &mut auth)?;
    Ok(Reply { auth: Some(auth), ..Reply::default() })
}

/// Who it is, by the provider's answer to the code.
fn finish(
    call: &mut Call<'_>,
    config: &Config,
    (name, role): (&str, &Role),
    login: &Login,
    code: &str,
) -> Result<Auth, Error> {
    let provider = provider(call, config)?;
    let body = form([
        ("grant_type", "authorization_code".to_owned()),
        ("code", code.to_owned()),
        ("code_verifier", login.verifier.clone()),
        ("redirect_uri", login.redirect_uri.clone()),
    ]);
    let answer = call.ask("code", || exchange(config, &provider, body))?;
    let refused = |reason: &str| failed(&format!("Error exchanging oidc code: {reason:?}."));
    let answer = answer.map_err(|reason| refused(&reason))?;
    let id_token = answer.get("id_token").and_then(Value::as_str).unwrap_or_default();
    let invalid = |error: JoseError| refused(&format!("id_token failed verification: {error}"));
    let token = Token::parse(id_token).map_err(invalid)?;
    let verified = verify(call, config, &token)?;
    check(&verified, config, role, login, call.now).map_err(invalid)?;
    let mut claims = verified.claims;
    add_userinfo(&mut claims, answer.get("userinfo"));
    if !role.bound_subject.is_empty() && claims.get("sub") != Some(&json!(role.bound_subject)) {
        return Err(Error::bad_request("sub claim does not match bound subject"));
    }
    check_bound(role, &claims)?;
    let auth = identify(role, name, &claims)?;
    if role.verbose_oidc_logging {
        let names: Vec<&String> = claims.keys().collect();
        tracing::debug!(?names, "claims of a login by OIDC");
    }
    Ok(auth)
}

/// OpenID Connect Core 1.0, section 3.1.3.7.
fn check(
    token: &Verified,
    config: &Config,
    role: &Role,
    login: &Login,
    now: Timestamp,
) -> Result<(), JoseError> {
    let claims = &token.claims;
    let mut algorithms = config.algorithms();
    if algorithms.is_empty() {
        algorithms.push(SignatureAlgorithm::Own(SigningAlgorithm::Rs256));
    }
    let client = [config.oidc_client_id.clone()];
    let expected = Expected {
        issuer: &config.oidc_discovery_url,
        subject: "",
        audiences: &client,
        algorithms: &algorithms,
        leeways: role.leeways(),
    };
    expected.check(token, now)?;
    if number(claims, "exp")?.is_none() || number(claims, "iat")?.is_none() {
        return Err(JoseError::Claim("an ID token must have exp and iat"));
    }
    let audiences = texts(claims, "aud", "aud must be a string or a list of strings")?;
    let is_bound = |audience: &&str| role.bound_audiences.iter().any(|bound| bound == audience);
    if !role.bound_audiences.is_empty() && !audiences.iter().any(is_bound) {
        return Err(JoseError::Claim(
            "invalid audience (aud) claim: audience claim does not match any expected audience",
        ));
    }
    let party = claims.get("azp").and_then(Value::as_str);
    if (audiences.len() > 1 || party.is_some()) && party != Some(config.oidc_client_id.as_str()) {
        return Err(JoseError::Claim("invalid authorized party (azp) claim"));
    }
    let nonce = claims.get("nonce").and_then(Value::as_str).unwrap_or_default();
    if !equal(nonce.as_bytes(), login.nonce.as_bytes()) {
        return Err(JoseError::Claim("invalid id_token nonce"));
    }
    if role.max_age > 0 {
        let asked = number(claims, "auth_time")?
            .ok_or(JoseError::Claim("missing auth_time claim when max age was requested"))?;
        let age = i64::try_from(now.seconds()).unwrap_or(i64::MAX).saturating_sub(asked);
        if age > i64::try_from(role.max_age).unwrap_or(i64::MAX).saturating_add(SKEW) {
            return Err(JoseError::Claim("the person was asked longer ago than max_age"));
        }
    }
    Ok(())
}

/// What the provider tells besides; what was signed is not told otherwise, and what is of another
/// subject not at all (OpenID Connect Core 1.0, section 5.3.2).
fn add_userinfo(claims: &mut Map<String, Value>, userinfo: Option<&Value>) {
    let Some(userinfo) = userinfo.and_then(Value::as_object) else {
        return;
    };
    if userinfo.get("sub").is_none() || userinfo.get("sub") != claims.get("sub") {
        return;
    }
    for (name, value) in userinfo {
        claims.entry(name.clone()).or_insert_with(|| value.clone());
    }
}

/// As it was registered; on this machine itself with any port (RFC 8252, section 7.3).
fn is_allowed(role: &Role, uri: &str) -> bool {
    let parts = |text: &str| {
        let uri: Uri = text.parse().ok()?;
        let host = uri.host()?.to_owned();
        let rest = uri.path_and_query().map(ToString::to_string).unwrap_or_default();
        LOOPBACK.contains(&host.as_str()).then(|| (uri.scheme_str().map(str::to_owned), host, rest))
    };
    let given = parts(uri);
    role.allowed_redirect_uris
        .iter()
        .any(|allowed| allowed == uri || (given.is_some() && parts(allowed) == given))
}

fn open(call: &Call<'_>, state: &str) -> Option<Login> {
    let sealed = URL_SAFE_NO_PAD.decode(state).ok()?;
    let plaintext = call.storage.open(&context(call), &sealed)?;
    let login: Login = serde_json::from_slice(plaintext.expose()).ok()?;
    Some(login).filter(|login| call.now < login.expires)
}

/// A state is good for the mount that made it.
fn context(call: &Call<'_>) -> Vec<u8> {
    format!("oidc-state/{}", call.mount.uuid).into_bytes()
}

/// The minute in which it ends is in it, so that it is swept away without an index.
fn spent_key(login: &Login, state: &str) -> String {
    let digest = hex(&sha256(&[state.as_bytes()]));
    format!("{SPENT}/{}/{digest}", minute(login.expires))
}

fn minute(time: Timestamp) -> u64 {
    time.0 / 60_000
}

/// Each login takes some of the old marks away, more than it makes.
fn sweep(call: &mut Call<'_>) -> Result<(), Error> {
    let now = minute(call.now);
    for directory in call.storage.peek_names(SPENT)? {
        let name = directory.trim_end_matches('/');
        if name.parse::<u64>().is_ok_and(|minute| minute < now) {
            let directory = format!("{SPENT}/{name}");
            let names = call.storage.page(&directory, None, SWEPT_MAX)?.names;
            for name in names {
                call.storage.delete(&format!("{directory}/{name}"))?;
            }
            return Ok(());
        }
    }
    Ok(())
}

/// `application/x-www-form-urlencoded`.
fn form(pairs: impl IntoIterator<Item = (&'static str, String)>) -> String {
    let mut text = String::new();
    for (name, value) in pairs {
        if !text.is_empty() {
            text.push('&');
        }
        text.push_str(name);
        text.push('=');
        percent_encode(&value, UNRESERVED, &mut text);
    }
    text
}

/// RFC 6749, section 2.3.1.
pub(super) fn basic(id: &str, secret: &str) -> Secret<String> {
    let mut pair = String::new();
    percent_encode(id, UNRESERVED, &mut pair);
    pair.push(':');
    percent_encode(secret, UNRESERVED, &mut pair);
    Secret::new(format!("Basic {}", STANDARD.encode(pair)))
}

/// The same where the secret goes into the form.
pub(super) fn posted(id: &str, secret: &str) -> String {
    form([("client_id", id.to_owned()), ("client_secret", secret.to_owned())])
}

fn failed(text: &str) -> Error {
    Error::BadRequest(format!("Vault login failed. {text}"))
}

const LOOPBACK: &[&str] = &["localhost", "127.0.0.1", "[::1]"];

/// For which a person may take to log in.
const LIFE: std::time::Duration = std::time::Duration::from_secs(600);

/// Seconds by which clocks may differ.
const SKEW: i64 = 60;

/// Of what goes into a state.
const TEXT_BYTES_MAX: usize = 512;

const SPENT: &str = "oidc/spent";

const SWEPT_MAX: usize = 16;

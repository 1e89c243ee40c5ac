//! Keys that others publish: asked for when they are needed, kept for minutes, and asked for
//! again when a token is signed by one that is not known.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Value, json};

use super::Call;
use super::config::{Config, Kind};
use super::oidc::{basic, posted};
use crate::auth::jose::{JoseError, KeySet, Token, Verified};
use crate::client::Web;
use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::request::{Answer, Error};
use crate::secret::Secret;
use crate::text::hex;

/// What a mount keeps in memory.
#[derive(Default)]
pub struct State(Mutex<BTreeMap<String, Arc<Kept>>>);

/// Where keys are published.
#[derive(Clone, Debug)]
pub(super) struct Source {
    url: String,
    ca_pem: String,
    is_discovery: bool,
}

/// Of one source.
#[derive(Default)]
struct Kept {
    /// One asks, the others wait for what it finds.
    turn: tokio::sync::Mutex<()>,
    found: Mutex<Found>,
}

#[derive(Clone, Default)]
struct Found {
    keys: Option<Arc<KeySet>>,
    provider: Option<Arc<Provider>>,
    /// When they were published.
    at: Timestamp,
    /// When it was tried last, and what then was wrong.
    tried: Option<Timestamp>,
    /// When it was asked for a key that is not known.
    tried_anew: Option<Timestamp>,
    failure: String,
    /// How often it was tried.
    tries: u64,
}

/// What a provider says of itself (OpenID Connect Discovery 1.0, section 3).
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Provider {
    pub(super) issuer: String,
    pub(super) authorization_endpoint: String,
    pub(super) token_endpoint: String,
    pub(super) userinfo_endpoint: String,
    pub(super) jwks_uri: String,
    pub(super) token_endpoint_auth_methods_supported: Vec<String>,
}

impl Source {
    pub(super) fn discovery(url: &str, ca_pem: &str) -> Self {
        Self { url: url.to_owned(), ca_pem: ca_pem.to_owned(), is_discovery: true }
    }

    pub(super) fn published(url: &str, ca_pem: &str) -> Self {
        Self { url: url.to_owned(), ca_pem: ca_pem.to_owned(), is_discovery: false }
    }

    pub(super) fn is_discovery(&self) -> bool {
        self.is_discovery
    }

    /// Another one where anything of it is another.
    pub(super) fn id(&self) -> String {
        let kind: &[u8] = if self.is_discovery { b"discovery" } else { b"keys" };
        hex(&sha256(&[kind, b"\0", self.url.as_bytes(), b"\0", self.ca_pem.as_bytes()]))
    }

    fn web(&self) -> Result<Web, String> {
        Web::new(&self.ca_pem).map_err(|error| error.to_string())
    }
}

impl State {
    fn of(&self, source: &Source) -> Arc<Kept> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let id = source.id();
        if !kept.contains_key(&id) && kept.len() >= SOURCES_MAX {
            // The configuration was changed often.
            kept.clear();
        }
        Arc::clone(kept.entry(id).or_default())
    }
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Found> {
        self.found.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn found(&self) -> Found {
        self.lock().clone()
    }

    /// Asks, unless another has asked since.
    async fn refresh(
        self: Arc<Self>,
        source: Source,
        (tries, anew): (u64, bool),
        now: Timestamp,
    ) -> Answer {
        let _turn = self.turn.lock().await;
        if self.lock().tries != tries {
            return Ok(Value::Null);
        }
        let fetched = fetch(&source).await;
        let mut found = self.lock();
        found.tries += 1;
        found.tried = Some(now);
        if anew {
            found.tried_anew = Some(now);
        }
        match fetched {
            Ok((provider, keys)) => {
                found.at = now;
                found.keys = Some(Arc::new(keys));
                found.provider = provider.map(Arc::new);
                found.failure = String::new();
            }
            Err(reason) => {
                tracing::warn!(url = source.url, reason, "keys of tokens cannot be had");
                found.failure = reason;
            }
        }
        Ok(Value::Null)
    }
}

impl Found {
    fn usable(&self, now: Timestamp) -> Option<Arc<KeySet>> {
        self.keys.clone().filter(|_| now.since(self.at) < KEPT_WITHOUT_ANSWER)
    }

    /// Whether it may be asked for once more. That it was asked for keys a moment ago does not
    /// count where a key is not known: a new provider makes its first when it signs.
    fn may_try(&self, anew: bool, now: Timestamp) -> bool {
        let tried = if anew && self.failure.is_empty() { self.tried_anew } else { self.tried };
        tried.is_none_or(|tried| now.since(tried) >= TRY_PAUSE)
    }
}

/// What is known of a source, asked for where it is not, or is old; where `anew`, also where it is
/// only some seconds old.
fn known(call: &Call<'_>, source: &Source, anew: bool) -> Result<Found, Error> {
    let kept = call.state.of(source);
    let found = kept.found();
    let is_fresh = found.keys.is_some() && call.now.since(found.at) < FRESH;
    if (is_fresh && !anew) || !found.may_try(anew, call.now) {
        return Ok(found);
    }
    let (now, tries) = (call.now, found.tries);
    let question = || Arc::clone(&kept).refresh(source.clone(), (tries, anew), now);
    // A request asks twice at most: for keys, and for those it does not know.
    let name = format!("keys {} {anew}", source.id());
    call.ask(&name, question)?.map_err(Error::BadRequest)?;
    Ok(kept.found())
}

/// # Errors
/// [`Error::BadRequest`] where the provider cannot be reached.
pub(super) fn provider(call: &Call<'_>, config: &Config) -> Result<Arc<Provider>, Error> {
    let source = Source::discovery(&config.oidc_discovery_url, &config.oidc_discovery_ca_pem);
    let found = known(call, &source, false)?;
    found.provider.ok_or_else(|| {
        Error::BadRequest(format!("error reaching the OIDC provider: {}", found.failure))
    })
}

/// What a token claims, verified by the keys that the configuration names.
///
/// # Errors
/// [`Error::BadRequest`] where none vouches for it, or they cannot be had.
pub(super) fn verify(
    call: &Call<'_>,
    config: &Config,
    token: &Token<'_>,
) -> Result<Verified, Error> {
    let refused = |error: JoseError| Error::BadRequest(format!("error validating token: {error}"));
    if config.kind() == Kind::Static {
        let keys = KeySet::from_pems(&config.jwt_validation_pubkeys);
        let keys = keys.ok_or_else(|| Error::internal("a stored public key cannot be read"))?;
        return keys.verify(token).map_err(refused);
    }
    let mut failure = None;
    for anew in [false, true] {
        for source in config.sources() {
            let found = known(call, &source, anew)?;
            let Some(keys) = found.usable(call.now) else {
                failure = Some(found.failure);
                continue;
            };
            if let Ok(verified) = keys.verify(token) {
                return Ok(verified);
            }
        }
    }
    match failure {
        Some(reason) => Err(Error::BadRequest(format!(
            "error validating token: error verifying token signature: fetching keys: {reason}"
        ))),
        None => Err(refused(JoseError::NoKey)),
    }
}

async fn fetch(source: &Source) -> Result<(Option<Provider>, KeySet), String> {
    let web = source.web()?;
    if !source.is_discovery {
        return Ok((None, keys(&web, &source.url).await?));
    }
    let provider = discover(&web, &source.url).await?;
    let keys = keys(&web, &provider.jwks_uri).await?;
    Ok((Some(provider), keys))
}

async fn keys(web: &Web, url: &str) -> Result<KeySet, String> {
    let text = get(web, url).await?;
    KeySet::from_jwks(&text).ok_or_else(|| format!("{url}: its answer is no JWK set"))
}

async fn discover(web: &Web, issuer: &str) -> Result<Provider, String> {
    let url = format!("{}/.well-known/openid-configuration", issuer.trim_end_matches('/'));
    let text = get(web, &url).await?;
    let provider: Provider = serde_json::from_slice(&text)
        .map_err(|_| format!("{url}: its answer is no OpenID configuration"))?;
    if provider.issuer != issuer {
        return Err(format!(
            "{url}: the issuer did not match: {issuer:?} is expected, it says {:?}",
            provider.issuer
        ));
    }
    // What comes over TLS must not lead away from it.
    let leads_away = |to: &str| issuer.starts_with("https://") && to.starts_with("http://");
    let endpoints = [&provider.jwks_uri, &provider.token_endpoint, &provider.userinfo_endpoint];
    if endpoints.into_iter().any(|to| leads_away(to)) {
        return Err(format!("{url}: its endpoints are not served over https"));
    }
    Ok(provider)
}

async fn get(web: &Web, url: &str) -> Result<bytes::Bytes, String> {
    let got = web.get(url).await.and_then(|got| got.ok(url));
    got.map_err(|error| error.to_string())
}

/// Whether keys can be had there, for whoever configures it.
pub(super) async fn published(source: Source) -> Answer {
    let keys = keys(&source.web()?, &source.url).await?;
    Ok(json!(!keys.is_empty()))
}

/// Whether a provider answers there.
pub(super) async fn discovered(source: Source) -> Answer {
    discover(&source.web()?, &source.url).await.map(|provider| json!(provider.issuer))
}

/// What the provider gives for a code (OpenID Connect Core 1.0, section 3.1.3), with what it tells
/// of the person besides. A code is good once: who asks twice is refused by the provider.
pub(super) fn exchange(
    config: &Config,
    provider: &Provider,
    body: String,
) -> impl Future<Output = Answer> + use<> {
    let (config, provider) = (config.clone(), provider.clone());
    async move {
        let web = Web::new(&config.oidc_discovery_ca_pem).map_err(|error| error.to_string())?;
        let methods = &provider.token_endpoint_auth_methods_supported;
        let has = |method: &str| methods.iter().any(|known| known == method);
        let (id, secret) = (&config.oidc_client_id, &config.oidc_client_secret);
        // Basic is what a provider has that does not say (OpenID Connect Discovery 1.0, section 3).
        let (authorization, body) = if has("client_secret_post") && !has("client_secret_basic") {
            (None, format!("{body}&{}", posted(id, secret)))
        } else {
            (Some(basic(id, secret)), body)
        };
        let url = &provider.token_endpoint;
        let got = web.post(url, authorization.as_ref(), FORM, body.into()).await;
        let got = got.map_err(|error| error.to_string())?;
        let answer: Value = serde_json::from_slice(&got.body).unwrap_or_default();
        let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default();
        if got.status != 200 {
            return Err(format!("{} {} {}", got.status, text("error"), text("error_description")));
        }
        let access = Secret::new(format!("Bearer {}", text("access_token")));
        let userinfo = match provider.userinfo_endpoint.as_str() {
            "" => Value::Null,
            url => {
                // Not every provider answers: what the ID token says is enough then.
                let got = web.get_as(url, &access).await.and_then(|got| got.ok(url));
                let told = got.ok().and_then(|body| serde_json::from_slice(&body).ok());
                told.unwrap_or_default()
            }
        };
        Ok(json!({ "id_token": text("id_token"), "userinfo": userinfo }))
    }
}

const FORM: &str = "application/x-www-form-urlencoded";

/// For which keys are used without a question.
const FRESH: Duration = Duration::from_secs(600);

/// For which keys are used although whoever published them does not answer any more.
const KEPT_WITHOUT_ANSWER: Duration = Duration::from_secs(3600);

/// Between two questions, whoever shows tokens that nobody has signed.
const TRY_PAUSE: Duration = Duration::from_secs(10);

/// Of one mount: those of its configuration, and of what it was before.
const SOURCES_MAX: usize = 16;

//! Whose signatures are believed.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::sources::{Source, discovered, published};
use super::{Call, Route};
use crate::auth::jose::KeySet;
use crate::client::Web;
use crate::crypto::SignatureAlgorithm;
use crate::framework::NoParams;
use crate::request::{Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("config", "Whose signatures are believed: one of static keys, published keys and an OpenID Connect provider.")
            .read(read)
            .write(write),
    ]
}

/// As stored.
// No `Debug`: it holds a secret.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Config {
    pub(super) oidc_discovery_url: String,
    pub(super) oidc_discovery_ca_pem: String,
    pub(super) oidc_client_id: String,
    pub(super) oidc_client_secret: String,
    pub(super) oidc_response_mode: String,
    pub(super) oidc_response_types: Vec<String>,
    pub(super) jwks_url: String,
    pub(super) jwks_ca_pem: String,
    pub(super) jwks_pairs: Vec<Pair>,
    pub(super) jwt_validation_pubkeys: Vec<String>,
    pub(super) bound_issuer: String,
    pub(super) jwt_supported_algs: Vec<String>,
    pub(super) default_role: String,
    pub(super) namespace_in_state: bool,
}

/// Where keys are published, and whose certificate the server there has.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(default, deny_unknown_fields)]
pub(super) struct Pair {
    pub(super) jwks_url: String,
    pub(super) jwks_ca_pem: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Of an OpenID Connect provider, without `/.well-known/openid-configuration`.
    #[serde(default)]
    oidc_discovery_url: String,
    /// The authorities that its certificate must come from; empty: the system's.
    #[serde(default)]
    oidc_discovery_ca_pem: String,
    /// By which the provider knows this server.
    #[serde(default)]
    oidc_client_id: String,
    /// By which it proves that to the provider.
    oidc_client_secret: Option<Secret<String>>,
    /// `query`: how the provider answers.
    #[serde(default)]
    oidc_response_mode: String,
    /// `code`: what the provider answers.
    #[serde(default)]
    oidc_response_types: Vec<String>,
    /// Where keys are published as a JWK set.
    #[serde(default)]
    jwks_url: String,
    /// The authorities that its certificate must come from; empty: the system's.
    #[serde(default)]
    jwks_ca_pem: String,
    /// Several such places: each a map of `jwks_url` and `jwks_ca_pem`.
    jwks_pairs: Option<Value>,
    /// Public keys or certificates in PEM.
    #[serde(default)]
    jwt_validation_pubkeys: Vec<String>,
    /// What a token's `iss` must be.
    #[serde(default)]
    bound_issuer: String,
    /// Signing algorithms that are accepted; RS256 alone for OIDC, else all where none is given.
    #[serde(default)]
    jwt_supported_algs: Vec<String>,
    /// The role of logins that name none.
    #[serde(default)]
    default_role: String,
    /// Settings of particular providers: none is known.
    provider_config: Option<Map<String, Value>>,
    /// The namespace is told in the state, not in the redirect.
    namespace_in_state: Option<bool>,
}

/// What tokens are verified with.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Kind {
    Static,
    Published,
    /// Keys of an OpenID Connect provider, of which this server is no client.
    Discovery,
    /// And one of which it is.
    Client,
}

impl Config {
    /// # Errors
    /// Where nothing is configured.
    pub(super) fn get(call: &mut Call<'_>) -> Result<std::sync::Arc<Self>, Error> {
        let config = call.storage.get_shared::<Self>(KEY)?;
        config.ok_or_else(|| Error::bad_request("could not load configuration"))
    }

    pub(super) fn kind(&self) -> Kind {
        if !self.jwt_validation_pubkeys.is_empty() {
            Kind::Static
        } else if self.oidc_discovery_url.is_empty() {
            Kind::Published
        } else if self.oidc_client_id.is_empty() {
            Kind::Discovery
        } else {
            Kind::Client
        }
    }

    /// Where keys are to be had, unless they are static.
    pub(super) fn sources(&self) -> Vec<Source> {
        if !self.oidc_discovery_url.is_empty() {
            return vec![Source::discovery(&self.oidc_discovery_url, &self.oidc_discovery_ca_pem)];
        }
        let one = Pair { jwks_url: self.jwks_url.clone(), jwks_ca_pem: self.jwks_ca_pem.clone() };
        let all = std::iter::once(&one).chain(&self.jwks_pairs);
        let all = all.filter(|pair| !pair.jwks_url.is_empty());
        all.map(|pair| Source::published(&pair.jwks_url, &pair.jwks_ca_pem)).collect()
    }

    pub(super) fn algorithms(&self) -> Vec<SignatureAlgorithm> {
        let names = self.jwt_supported_algs.iter();
        names.filter_map(|name| SignatureAlgorithm::parse(name)).collect()
    }

    fn of(input: Write, namespace_in_state: bool) -> Result<Self, Error> {
        let secret = input.oidc_client_secret.map(|secret| secret.expose().clone());
        let pairs = input.jwks_pairs.map(pairs).transpose()?.unwrap_or_default();
        let config = Self {
            oidc_discovery_url: input.oidc_discovery_url,
            oidc_discovery_ca_pem: input.oidc_discovery_ca_pem,
            oidc_client_id: input.oidc_client_id,
            oidc_client_secret: secret.unwrap_or_default(),
            oidc_response_mode: input.oidc_response_mode,
            oidc_response_types: input.oidc_response_types,
            jwks_url: input.jwks_url,
            jwks_ca_pem: input.jwks_ca_pem,
            jwks_pairs: pairs,
            jwt_validation_pubkeys: input.jwt_validation_pubkeys,
            bound_issuer: input.bound_issuer,
            jwt_supported_algs: input.jwt_supported_algs,
            default_role: input.default_role,
            namespace_in_state: input.namespace_in_state.unwrap_or(namespace_in_state),
        };
        if input.provider_config.is_some_and(|config| !config.is_empty()) {
            return Err(Error::bad_request(
                "invalid provider_config: settings of particular providers are not supported; \
                 leave it out",
            ));
        }
        config.check()?;
        Ok(config)
    }

    /// What can be told without asking anyone.
    fn check(&self) -> Result<(), Error> {
        let given = [
            !self.jwt_validation_pubkeys.is_empty(),
            !self.jwks_url.is_empty(),
            !self.jwks_pairs.is_empty(),
            !self.oidc_discovery_url.is_empty(),
        ];
        if given.into_iter().filter(|given| *given).count() != 1 {
            return Err(Error::bad_request(
                "exactly one of 'jwt_validation_pubkeys', 'jwks_url', 'jwks_pairs' or \
                 'oidc_discovery_url' must be set",
            ));
        }
        if self.oidc_client_id.is_empty() != self.oidc_client_secret.is_empty() {
            return Err(Error::bad_request(
                "both 'oidc_client_id' and 'oidc_client_secret' must be set for OIDC",
            ));
        }
        if !self.oidc_client_id.is_empty() && self.oidc_discovery_url.is_empty() {
            return Err(Error::bad_request("'oidc_discovery_url' must be set for OIDC"));
        }
        if KeySet::from_pems(&self.jwt_validation_pubkeys).is_none() {
            return Err(Error::bad_request(
                "error parsing public key: data does not contain any valid public keys: a PEM \
                 block PUBLIC KEY or CERTIFICATE with an RSA key of 2048 to 8192 bits, an EC key \
                 on P-256, P-384 or P-521 or an Ed25519 key is expected",
            ));
        }
        let unknown = |name: &&String| SignatureAlgorithm::parse(name).is_none();
        if let Some(name) = self.jwt_supported_algs.iter().find(unknown) {
            return Err(Error::BadRequest(format!(
                "invalid jwt_supported_algs: unsupported signing algorithm {name:?}"
            )));
        }
        if !["", "query", "form_post"].contains(&self.oidc_response_mode.as_str()) {
            return Err(Error::BadRequest(format!(
                "invalid response_mode: {:?}",
                self.oidc_response_mode
            )));
        }
        if self.oidc_response_types.iter().any(|kind| kind != "code" && kind != "id_token") {
            return Err(Error::BadRequest(format!(
                "invalid response_types {:?}. 'code' and 'id_token' are allowed",
                self.oidc_response_types
            )));
        }
        let sends_token = self.oidc_response_types.iter().any(|kind| kind == "id_token");
        if sends_token || self.oidc_response_mode == "form_post" {
            return Err(Error::bad_request(
                "the code flow alone is supported: oidc_response_types may be code, and \
                 oidc_response_mode may be query",
            ));
        }
        for (name, pem) in [("oidc_discovery_ca_pem", &self.oidc_discovery_ca_pem)]
            .into_iter()
            .chain([("jwks_ca_pem", &self.jwks_ca_pem)])
            .chain(self.jwks_pairs.iter().map(|pair| ("jwks_ca_pem", &pair.jwks_ca_pem)))
        {
            if Web::new(pem).is_err() {
                return Err(Error::BadRequest(format!(
                    "error checking {name}: could not parse CA PEM value successfully"
                )));
            }
        }
        Ok(())
    }
}

fn pairs(given: Value) -> Result<Vec<Pair>, Error> {
    let pairs: Vec<Pair> = serde_json::from_value(given).map_err(|_| {
        Error::bad_request(
            "invalid jwks_pairs: a list of maps is expected, each with 'jwks_url' and perhaps \
             'jwks_ca_pem'",
        )
    })?;
    if pairs.iter().any(|pair| pair.jwks_url.is_empty()) || pairs.len() > PAIRS_MAX {
        return Err(Error::BadRequest(format!(
            "invalid jwks_pairs: each needs a 'jwks_url', and there may be {PAIRS_MAX}"
        )));
    }
    Ok(pairs)
}

async fn read(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let Some(config) = call.storage.get_shared::<Config>(KEY)? else {
        return Ok(Reply::default());
    };
    Reply::of(&json!({
        "bound_issuer": config.bound_issuer,
        "default_role": config.default_role,
        "jwks_ca_pem": config.jwks_ca_pem,
        "jwks_pairs": config.jwks_pairs,
        "jwks_url": config.jwks_url,
        "jwt_supported_algs": config.jwt_supported_algs,
        "jwt_validation_pubkeys": config.jwt_validation_pubkeys,
        "namespace_in_state": config.namespace_in_state,
        "oidc_client_id": config.oidc_client_id,
        "oidc_discovery_ca_pem": config.oidc_discovery_ca_pem,
        "oidc_discovery_url": config.oidc_discovery_url,
        "oidc_response_mode": config.oidc_response_mode,
        "oidc_response_types": config.oidc_response_types,
        "provider_config": {},
    }))
}

/// All of it: what is not given is not kept, but for `namespace_in_state`.
async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let before = call.storage.get_shared::<Config>(KEY)?;
    let config = Config::of(input, before.is_none_or(|before| before.namespace_in_state))?;
    for source in config.sources() {
        let name = format!("config {}", source.id());
        let answer = match source.is_discovery() {
            true => call.ask(&name, || discovered(source.clone()))?,
            false => call.ask(&name, || published(source.clone()))?,
        };
        if let Err(reason) = answer {
            let what = if source.is_discovery() { "oidc discovery URL" } else { "jwks URL" };
            return Err(Error::BadRequest(format!("error checking {what}: {reason}")));
        }
    }
    call.storage.put(KEY, &config)?;
    Ok(Reply::default())
}

const KEY: &str = "config";

const PAIRS_MAX: usize = 4;

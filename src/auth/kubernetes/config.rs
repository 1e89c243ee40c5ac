//! Which Kubernetes is asked, and as whom.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Call, Route};
use crate::auth::jose::KeySet;
use crate::client::Web;
use crate::framework::NoParams;
use crate::request::{Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("config", "Which Kubernetes is asked, and as whom.").read(read).write(write)]
}

/// As stored.
// No `Debug`: it holds a secret.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Config {
    /// A URL.
    pub(super) kubernetes_host: String,
    /// PEM; empty: that of the pod this server runs in.
    pub(super) kubernetes_ca_cert: String,
    /// Empty: that of the pod this server runs in, or whoever logs in asks for themselves.
    pub(super) token_reviewer_jwt: String,
    /// Empty: Kubernetes alone says whether a token is good.
    pub(super) pem_keys: Vec<String>,
    pub(super) disable_local_ca_jwt: bool,
    pub(super) issuer: String,
    pub(super) disable_iss_validation: bool,
    pub(super) use_annotations_as_alias_metadata: bool,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// URL of the API server.
    #[serde(default)]
    kubernetes_host: String,
    /// The authority of its certificate, in PEM; that of this server's pod where none is given.
    #[serde(default)]
    kubernetes_ca_cert: String,
    /// The token of a service account that may review tokens; where none is given, that of this
    /// server's pod, or else the token of whoever logs in.
    token_reviewer_jwt: Option<Secret<String>>,
    /// Public keys or certificates in PEM that tokens of service accounts are signed with.
    #[serde(default)]
    pem_keys: Vec<String>,
    /// Do not use the certificate and the token of this server's pod.
    #[serde(default)]
    disable_local_ca_jwt: bool,
    /// Of old: what a token's `iss` must be, unless that is not checked.
    #[serde(default)]
    issuer: String,
    /// Of old: whether `iss` is not checked, which is the default.
    disable_iss_validation: Option<bool>,
    /// Annotations of service accounts are kept with their alias.
    #[serde(default)]
    use_annotations_as_alias_metadata: bool,
}

impl Config {
    /// # Errors
    /// Where nothing is configured.
    pub(super) fn get(call: &mut Call<'_>) -> Result<Arc<Self>, Error> {
        let config = call.storage.get_shared::<Self>(KEY)?;
        config.ok_or_else(|| Error::bad_request("could not load backend configuration"))
    }

    /// What a token's `iss` must be; empty: anything.
    pub(super) fn issuer(&self) -> &str {
        match (self.disable_iss_validation, self.issuer.as_str()) {
            (true, _) => "",
            (false, "") => DEFAULT_ISSUER,
            (false, issuer) => issuer,
        }
    }

    fn check(&self) -> Result<(), Error> {
        if self.kubernetes_host.is_empty() {
            return Err(Error::bad_request("no host provided"));
        }
        let is_url = ["https://", "http://"].iter().any(|scheme| {
            self.kubernetes_host.strip_prefix(scheme).is_some_and(|host| !host.is_empty())
        });
        if !is_url {
            return Err(Error::bad_request(
                "kubernetes_host must be a URL that begins with https:// or http://",
            ));
        }
        if self.kubernetes_ca_cert.is_empty() && self.disable_local_ca_jwt {
            return Err(Error::bad_request(
                "kubernetes_ca_cert must be given when disable_local_ca_jwt is true",
            ));
        }
        if Web::new(&self.kubernetes_ca_cert).is_err() {
            return Err(Error::bad_request("kubernetes_ca_cert holds no certificates in PEM"));
        }
        if KeySet::from_pems(&self.pem_keys).is_none() {
            return Err(Error::bad_request(
                "pem_keys: data does not contain any valid public keys: a PEM block PUBLIC KEY or \
                 CERTIFICATE with an RSA, EC or Ed25519 key is expected",
            ));
        }
        Ok(())
    }
}

async fn read(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let Some(config) = call.storage.get_shared::<Config>(KEY)? else {
        return Ok(Reply::default());
    };
    let config = config.as_ref().clone();
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
    add("disable_iss_validation", config.disable_iss_validation.into());
    add("disable_local_ca_jwt", config.disable_local_ca_jwt.into());
    add("issuer", config.issuer.into());
    add("kubernetes_ca_cert", config.kubernetes_ca_cert.into());
    add("kubernetes_host", config.kubernetes_host.into());
    add("pem_keys", config.pem_keys.into());
    add("token_reviewer_jwt_set", (!config.token_reviewer_jwt.is_empty()).into());
    add("use_annotations_as_alias_metadata", config.use_annotations_as_alias_metadata.into());
    Ok(Reply::data(data))
}

/// All of it: what is not given is not kept.
async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let reviewer = input.token_reviewer_jwt.map(|token| token.expose().clone());
    let config = Config {
        kubernetes_host: input.kubernetes_host.trim_end_matches('/').to_owned(),
        kubernetes_ca_cert: input.kubernetes_ca_cert,
        token_reviewer_jwt: reviewer.unwrap_or_default(),
        pem_keys: input.pem_keys,
        disable_local_ca_jwt: input.disable_local_ca_jwt,
        issuer: input.issuer,
        disable_iss_validation: input.disable_iss_validation.unwrap_or(true),
        use_annotations_as_alias_metadata: input.use_annotations_as_alias_metadata,
    };
    config.check()?;
    if config.kubernetes_ca_cert.is_empty() {
        let pod = call.state.pod();
        call.ask("local CA", || pod.check())?.map_err(Error::BadRequest)?;
    }
    call.storage.put(KEY, &config)?;
    Ok(Reply::default())
}

/// Of tokens that were made before Kubernetes 1.21.
const DEFAULT_ISSUER: &str = "kubernetes/serviceaccount";

const KEY: &str = "config";

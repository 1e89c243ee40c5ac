use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::config::Config;
use super::role::{AliasName, Role};
use super::{Call, Route};
use crate::auth::jose::{JoseError, KeySet, Leeways, Token, check_times, text, texts};
use crate::auth::token_parameters::TokenParameters;
use crate::framework::{self, LoginTerms};
use crate::request::{Auth, Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("login", "Log in with the token of a service account.").login().write(login)]
}

#[derive(Deserialize, JsonSchema)]
struct Login {
    /// The role.
    #[serde(default)]
    role: String,
    /// The service account's token.
    jwt: Option<Secret<String>>,
}

/// Whom a token claims to be.
#[derive(Debug, Default, Eq, PartialEq)]
struct Account {
    namespace: String,
    name: String,
    uid: String,
    /// Of a token of old, which is kept in a secret.
    secret_name: String,
}

impl Account {
    /// From a token's claims: as tokens are made now, or of old.
    fn of(claims: &Map<String, Value>) -> Option<Self> {
        let old = |name: &str| {
            let claim = claims.get(&format!("kubernetes.io/serviceaccount/{name}"));
            claim.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let now = claims.get("kubernetes.io");
        let of = |pointer: &str| {
            let value = now.and_then(|now| now.pointer(pointer));
            value.and_then(Value::as_str).unwrap_or_default().to_owned()
        };
        let account = match now {
            Some(_) => Self {
                namespace: of("/namespace"),
                name: of("/serviceaccount/name"),
                uid: of("/serviceaccount/uid"),
                secret_name: String::new(),
            },
            None => Self {
                namespace: old("namespace"),
                name: old("service-account.name"),
                uid: old("service-account.uid"),
                secret_name: old("secret.name"),
            },
        };
        // They go into paths of requests to Kubernetes.
        let is_good = is_name(&account.namespace) && is_name(&account.name);
        (is_good && !account.uid.is_empty()).then_some(account)
    }
}

async fn login(call: &mut Call<'_>, input: Login) -> Result<Reply, Error> {
    if input.role.is_empty() {
        return Err(Error::bad_request("missing role"));
    }
    let jwt = input.jwt.filter(|jwt| !jwt.expose().is_empty());
    let jwt = jwt.ok_or_else(|| Error::bad_request("missing jwt"))?;
    let role = Role::get(call, &input.role)?;
    let role =
        role.ok_or_else(|| Error::BadRequest(format!("invalid role name {:?}", input.role)))?;
    let config = Config::get(call)?;
    let account = read(call, &config, &role, jwt.expose())?;
    let selector = role.selector().map_err(Error::internal)?;
    let is_named = role.has_namespace(&account.namespace);
    if !is_named && selector.is_none() {
        return Err(Error::Forbidden("namespace not authorized".into()));
    }
    if !role.has_name(&account.name) {
        return Err(Error::Forbidden("service account name not authorized".into()));
    }
    let api = || call.state.api(&config, jwt.expose());
    let status = asked(call.ask("review", || api().review(role.audience.clone()))?)?;
    check_review(&status, &account, &role)?;
    if let Some(selector) = selector.filter(|_| !is_named) {
        let path = format!("namespaces/{}", account.namespace);
        let metadata = asked(call.ask("namespace", || api().metadata(path))?)?;
        if !selector.matches(&texts_of(&metadata, "labels")) {
            return Err(Error::Forbidden("namespace not authorized".into()));
        }
    }
    let mut metadata = BTreeMap::from([
        ("service_account_name".to_owned(), account.name.clone()),
        ("service_account_namespace".to_owned(), account.namespace.clone()),
        ("service_account_secret_name".to_owned(), account.secret_name.clone()),
        ("service_account_uid".to_owned(), account.uid.clone()),
    ]);
    let mut alias_metadata = metadata.clone();
    if config.use_annotations_as_alias_metadata {
        let path = format!("namespaces/{}/serviceaccounts/{}", account.namespace, account.name);
        let found = asked(call.ask("service account", || api().metadata(path))?)?;
        for (name, value) in texts_of(&found, "annotations") {
            if let Some(name) = name.strip_prefix(ANNOTATION) {
                // What the token says is not to be said otherwise.
                alias_metadata.entry(name.to_owned()).or_insert(value);
            }
        }
    }
    metadata.insert(ROLE.into(), input.role);
    let alias_name = match role.alias_name_source {
        AliasName::Name => format!("{}/{}", account.namespace, account.name),
        AliasName::Uid => account.uid.clone(),
    };
    let mut auth = Auth {
        metadata,
        alias_metadata,
        alias_name,
        display_name: format!("{}-{}", account.namespace, account.name),
        ..Auth::default()
    };
    role.token.grant(call.mount, call.request, &mut auth)?;
    Ok(Reply { auth: Some(auth), ..Reply::default() })
}

/// What can be told of a token without asking Kubernetes. Where no keys are configured, nothing
/// of it is to be believed yet.
fn read(call: &Call<'_>, config: &Config, role: &Role, jwt: &str) -> Result<Account, Error> {
    let token = Token::parse(jwt).map_err(|_| Error::Denied)?;
    if !config.pem_keys.is_empty() {
        let keys = KeySet::from_pems(&config.pem_keys);
        let keys = keys.ok_or_else(|| Error::internal("a stored public key cannot be read"))?;
        keys.verify(&token).map_err(|_| Error::Denied)?;
    }
    let claims = token.unverified();
    let told = |error: JoseError| Error::Forbidden(error.to_string());
    let issuer = text(claims, "iss", "iss must be a string").map_err(told)?;
    if !config.issuer().is_empty() && issuer != Some(config.issuer()) {
        return Err(Error::Forbidden("invalid issuer (iss) claim".into()));
    }
    let audiences = texts(claims, "aud", "aud must be a string or a list of strings");
    if !role.audience.is_empty() && !audiences.map_err(told)?.contains(&role.audience.as_str()) {
        return Err(Error::Forbidden(
            "invalid audience (aud) claim: audience claim does not match any expected audience"
                .into(),
        ));
    }
    if ["exp", "iat", "nbf"].iter().any(|name| claims.contains_key(*name)) {
        // Tokens of old have no end: Kubernetes says whether they are good.
        let leeways = Leeways { expiration: i64::MAX, not_before: i64::MAX, clock_skew: 0 };
        check_times(claims, leeways, call.now).map_err(told)?;
    }
    Account::of(claims).ok_or(Error::Denied)
}

/// Whether Kubernetes says that the token is good, and whose it says that it is.
fn check_review(status: &Value, account: &Account, role: &Role) -> Result<(), Error> {
    let text = |pointer: &str| status.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let username = format!("system:serviceaccount:{}:{}", account.namespace, account.name);
    let audiences = status.get("audiences").and_then(Value::as_array);
    // A server that knows of no audiences answers for its own alone.
    let is_meant = role.audience.is_empty()
        || audiences.is_some_and(|all| all.iter().any(|one| *one == role.audience.as_str()));
    let is_good = status.get("authenticated") == Some(&Value::Bool(true))
        && text("/error").is_empty()
        && text("/user/username") == username
        && text("/user/uid") == account.uid
        && is_meant;
    if is_good { Ok(()) } else { Err(Error::Denied) }
}

/// Why Kubernetes did not answer is the operator's to know.
fn asked(answer: Result<Value, String>) -> Result<Value, Error> {
    answer.map_err(|reason| {
        tracing::warn!(reason, "Kubernetes could not be asked about a login");
        Error::Denied
    })
}

fn texts_of(metadata: &Value, name: &str) -> BTreeMap<String, String> {
    let all = metadata.get(name).and_then(Value::as_object);
    let text = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    all.into_iter().flatten().filter_map(text).collect()
}

/// A DNS subdomain (RFC 1123), as Kubernetes' names are.
fn is_name(name: &str) -> bool {
    let is_edge = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    name.len() <= 253
        && bytes.first().is_some_and(is_edge)
        && bytes.last().is_some_and(is_edge)
        && bytes.iter().all(|byte| is_edge(byte) || matches!(byte, b'-' | b'.'))
        && !name.contains("..")
}

/// What a renewal of a token of a role may grant, by the role as it is now.
///
/// # Errors
/// [`Error::BadRequest`] where the role is gone.
pub(super) async fn renew(
    call: &mut Call<'_>,
    login: framework::Login<IgnoredAny>,
) -> Result<LoginTerms, Error> {
    let name = login.metadata.get(ROLE).map(String::as_str).unwrap_or_default();
    let role = if name.is_empty() { None } else { Role::get(call, name)? };
    TokenParameters::renewal_by(name, role.as_ref().map(|role| &role.token))
}

/// What a token's metadata calls the role.
const ROLE: &str = "role";

/// What annotations begin with that are kept with an alias.
const ANNOTATION: &str = "vault.hashicorp.com/alias-metadata-";

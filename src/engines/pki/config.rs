//! `config/`, and what is told of issuers and keys.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::certificate::{chain, colons, pem_of};
use super::der::{self, Extension};
use super::issuer::{self, ISSUERS, Issuer, KEYS};
use super::key::key_identifier;
use super::{list, sans};
use crate::clock::Timestamp;
use crate::duration::SignedDuration;
use crate::framework::{Call, NoParams};
use crate::request::{Error, Reply};

/// Where certificates say that their issuer and its lists are to be found.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Urls {
    issuing_certificates: Vec<String>,
    crl_distribution_points: Vec<String>,
    ocsp_servers: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteUrls {
    issuing_certificates: Option<Vec<String>>,
    crl_distribution_points: Option<Vec<String>>,
    ocsp_servers: Option<Vec<String>>,
}

impl Urls {
    pub(super) fn write(&self, extensions: &mut Vec<Extension>) {
        if !self.issuing_certificates.is_empty() || !self.ocsp_servers.is_empty() {
            extensions
                .push(der::authority_information(&self.ocsp_servers, &self.issuing_certificates));
        }
        if !self.crl_distribution_points.is_empty() {
            extensions.push(der::distribution_points(&self.crl_distribution_points));
        }
    }
}

pub(super) fn urls(call: &mut Call<'_>) -> Result<Urls, Error> {
    Ok(call.storage.get(URLS)?.unwrap_or_default())
}

pub(super) async fn read_urls(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&urls(call)?)
}

/// What is not given stays.
pub(super) async fn write_urls(call: &mut Call<'_>, input: WriteUrls) -> Result<Reply, Error> {
    let mut urls = urls(call)?;
    for (field, given, name) in [
        (&mut urls.issuing_certificates, input.issuing_certificates, "issuing_certificates"),
        (
            &mut urls.crl_distribution_points,
            input.crl_distribution_points,
            "crl_distribution_points",
        ),
        (&mut urls.ocsp_servers, input.ocsp_servers, "ocsp_servers"),
    ] {
        let Some(given) = given else {
            continue;
        };
        if let Some(bad) = given.iter().find(|url| !sans::is_uri(url)) {
            return Err(Error::BadRequest(format!(
                "invalid URL found in Authority Information Access (AIA) parameter {name}: {bad}"
            )));
        }
        *field = given;
    }
    call.storage.put(URLS, &urls)?;
    Reply::of(&urls)
}

#[derive(Clone, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Crl {
    /// How long a list holds, as it was written.
    expiry: String,
    /// Lists are empty.
    pub(super) disable: bool,
    /// A list that is about to end is signed anew when it is asked for.
    pub(super) auto_rebuild: bool,
    /// How long before its end.
    auto_rebuild_grace_period: String,
    pub(super) allow_expired_cert_revocation: bool,
}

impl Default for Crl {
    fn default() -> Self {
        Self {
            expiry: "72h".into(),
            disable: false,
            auto_rebuild: false,
            auto_rebuild_grace_period: "12h".into(),
            allow_expired_cert_revocation: false,
        }
    }
}

impl Crl {
    pub(super) fn expiry_seconds(&self) -> u64 {
        seconds(&self.expiry).unwrap_or(259_200)
    }

    pub(super) fn grace_seconds(&self) -> u64 {
        seconds(&self.auto_rebuild_grace_period).unwrap_or(43_200)
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteCrl {
    /// How long a list holds.
    expiry: Option<String>,
    disable: Option<bool>,
    auto_rebuild: Option<bool>,
    /// How long before its end a list is signed anew.
    auto_rebuild_grace_period: Option<String>,
    allow_expired_cert_revocation: Option<bool>,
    /// Refused: there are no delta lists.
    enable_delta: Option<bool>,
}

fn seconds(text: &str) -> Option<u64> {
    let seconds = SignedDuration::parse(text).ok()?.whole_seconds();
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0)
}

pub(super) fn crl(call: &mut Call<'_>) -> Result<Crl, Error> {
    Ok(call.storage.get(CRL)?.unwrap_or_default())
}

pub(super) async fn read_crl(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&crl(call)?)
}

/// What is not given stays. Lists are signed anew.
pub(super) async fn write_crl(call: &mut Call<'_>, input: WriteCrl) -> Result<Reply, Error> {
    let mut settings = crl(call)?;
    if input.enable_delta == Some(true) {
        return Err(Error::bad_request("enable_delta is not supported: leave it false"));
    }
    for (field, given, name) in [
        (&mut settings.expiry, input.expiry, "expiry"),
        (
            &mut settings.auto_rebuild_grace_period,
            input.auto_rebuild_grace_period,
            "auto_rebuild_grace_period",
        ),
    ] {
        if let Some(given) = given {
            seconds(&given).ok_or_else(|| {
                Error::BadRequest(format!(
                    "given {name} could not be decoded: take a duration such as \"72h\""
                ))
            })?;
            *field = given;
        }
    }
    for (field, given) in [
        (&mut settings.disable, input.disable),
        (&mut settings.auto_rebuild, input.auto_rebuild),
        (&mut settings.allow_expired_cert_revocation, input.allow_expired_cert_revocation),
    ] {
        *field = given.unwrap_or(*field);
    }
    if settings.auto_rebuild && settings.grace_seconds() >= settings.expiry_seconds() {
        return Err(Error::bad_request("auto_rebuild_grace_period must be shorter than expiry"));
    }
    call.storage.put(CRL, &settings)?;
    list::sign_all(call, Timestamp::ZERO)?;
    Reply::of(&settings)
}

pub(super) async fn read_issuers(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let defaults = issuer::defaults(call)?;
    Reply::of(&json!({
        "default": defaults.issuer,
        "default_follows_latest_issuer": defaults.follows_latest_issuer,
    }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteDefault {
    /// Which one, by id or name.
    default: Option<String>,
    /// Of issuers: the newest becomes the default.
    default_follows_latest_issuer: Option<bool>,
}

pub(super) async fn write_issuers(
    call: &mut Call<'_>,
    input: WriteDefault,
) -> Result<Reply, Error> {
    let reference = named(input.default.as_deref(), "issuer")?;
    let found = issuer::find(call, &reference)?.ok_or_else(|| {
        Error::BadRequest(format!(
            "Error resolving issuer reference: unable to find PKI issuer for reference: {reference}"
        ))
    })?;
    let mut defaults = issuer::defaults(call)?;
    defaults.issuer.clone_from(&found.id);
    defaults.follows_latest_issuer =
        input.default_follows_latest_issuer.unwrap_or(defaults.follows_latest_issuer);
    issuer::set_defaults(call, &defaults)?;
    read_issuers(call, NoParams {}).await
}

pub(super) async fn read_keys(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let defaults = issuer::defaults(call)?;
    Reply::of(&json!({ "default": defaults.key }))
}

pub(super) async fn write_keys(call: &mut Call<'_>, input: WriteDefault) -> Result<Reply, Error> {
    let reference = named(input.default.as_deref(), "key")?;
    let found = issuer::get_key(call, &reference)?;
    let mut defaults = issuer::defaults(call)?;
    defaults.key.clone_from(&found.id);
    issuer::set_defaults(call, &defaults)?;
    read_keys(call, NoParams {}).await
}

fn named(given: Option<&str>, what: &str) -> Result<String, Error> {
    match given {
        None | Some("" | "default") => Err(Error::BadRequest(format!(
            "Invalid {what} specification; must be non-empty and can't be 'default'."
        ))),
        Some(reference) => Ok(reference.to_owned()),
    }
}

pub(super) async fn list_issuers(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let defaults = issuer::defaults(call)?;
    let (mut keys, mut info) = (Vec::new(), Map::new());
    for one in issuer::all(call)? {
        keys.push(one.id.clone());
        let about = json!({
            "issuer_name": one.name,
            "is_default": one.id == defaults.issuer,
            "key_id": one.key_id,
            "serial_number": colons(&one.facts()?.serial),
        });
        info.insert(one.id.clone(), about);
    }
    Ok(listed(keys, info))
}

pub(super) async fn list_keys(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let defaults = issuer::defaults(call)?;
    let (mut keys, mut info) = (Vec::new(), Map::new());
    for one in issuer::all_keys(call)? {
        keys.push(one.id.clone());
        let about = json!({ "key_name": one.name, "is_default": one.id == defaults.key });
        info.insert(one.id.clone(), about);
    }
    Ok(listed(keys, info))
}

fn listed(keys: Vec<String>, info: Map<String, Value>) -> Reply {
    let mut reply = Reply::keys(keys);
    if let crate::request::Body::Data(data) = &mut reply.body {
        data.insert("key_info".into(), info.into());
    }
    reply
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct IssuerRef {
    /// `default`, an id or a name.
    issuer_ref: String,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteIssuer {
    /// `default`, an id or a name.
    issuer_ref: String,
    issuer_name: Option<String>,
    /// What becomes of certificates that would outlive it: `err`, `truncate` or `permit`.
    leaf_not_after_behavior: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct KeyRef {
    /// `default`, an id or a name.
    key_ref: String,
    key_name: Option<String>,
}

pub(super) async fn read_issuer(call: &mut Call<'_>, input: IssuerRef) -> Result<Reply, Error> {
    let found = issuer::get(call, &input.issuer_ref)?;
    shown(call, &found)
}

fn shown(call: &mut Call<'_>, of: &Issuer) -> Result<Reply, Error> {
    let chain = chain(call, of, false)?;
    let chain: Vec<String> =
        chain.iter().map(|der| format!("{}\n", pem_of("CERTIFICATE", der))).collect();
    Reply::of(&json!({
        "issuer_id": of.id,
        "issuer_name": of.name,
        "key_id": of.key_id,
        "certificate": format!("{}\n", pem_of("CERTIFICATE", &of.der()?)),
        "ca_chain": chain,
        "leaf_not_after_behavior": of.leaf_not_after_behavior,
        "revoked": false,
    }))
}

/// What is not given stays.
pub(super) async fn write_issuer(call: &mut Call<'_>, input: WriteIssuer) -> Result<Reply, Error> {
    let found = issuer::get(call, &input.issuer_ref)?;
    let mut changed = Issuer::clone(&found);
    if let Some(name) = input.issuer_name {
        issuer::check_name(&name, "issuer")?;
        let other = if name.is_empty() { None } else { issuer::find(call, &name)? };
        if other.is_some_and(|other| other.id != found.id) {
            return Err(Error::bad_request("issuer name already in use"));
        }
        changed.name = name;
    }
    if let Some(behavior) = input.leaf_not_after_behavior {
        if !matches!(behavior.as_str(), "err" | "truncate" | "permit") {
            return Err(Error::bad_request(
                "Unknown value for field `leaf_not_after_behavior`. Possible values are `err`, \
                 `truncate`, and `permit`.",
            ));
        }
        changed.leaf_not_after_behavior = behavior;
    }
    issuer::save(call, &changed)?;
    shown(call, &changed)
}

/// Its list stays: another of the same name and key has the same.
pub(super) async fn delete_issuer(call: &mut Call<'_>, input: IssuerRef) -> Result<Reply, Error> {
    let Some(found) = issuer::find(call, &input.issuer_ref)? else {
        return Ok(Reply::default());
    };
    call.storage.delete(&format!("{ISSUERS}/{}", found.id))?;
    let mut defaults = issuer::defaults(call)?;
    if defaults.issuer == found.id {
        defaults.issuer.clear();
        issuer::set_defaults(call, &defaults)?;
        return Ok(Reply::default().warn(
            "Deleted the default issuer: set another one at /config/issuers, or nothing is issued",
        ));
    }
    Ok(Reply::default())
}

/// All issuers and keys.
pub(super) async fn delete_root(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    for one in issuer::all(call)? {
        call.storage.delete(&format!("{ISSUERS}/{}", one.id))?;
    }
    for one in issuer::all_keys(call)? {
        call.storage.delete(&format!("{KEYS}/{}", one.id))?;
    }
    issuer::set_defaults(call, &issuer::Defaults::default())?;
    Ok(Reply::default().warn(
        "DELETE /root deletes all keys and issuers; prefer the new DELETE /key/:key_ref and \
         DELETE /issuer/:issuer_ref for finer granularity.",
    ))
}

pub(super) async fn read_key(call: &mut Call<'_>, input: KeyRef) -> Result<Reply, Error> {
    let found = issuer::get_key(call, &input.key_ref)?;
    told_of_key(&found, &found.name)
}

fn told_of_key(found: &issuer::StoredKey, name: &str) -> Result<Reply, Error> {
    Reply::of(&json!({
        "key_id": found.id,
        "key_name": name,
        "key_type": found.key.kind.name(),
        "subject_key_id": colons(&key_identifier(&found.key.public_key()?)?),
    }))
}

pub(super) async fn write_key(call: &mut Call<'_>, input: KeyRef) -> Result<Reply, Error> {
    let found = issuer::get_key(call, &input.key_ref)?;
    let name = input.key_name.unwrap_or_else(|| found.name.clone());
    issuer::check_name(&name, "key")?;
    let other = if name.is_empty() { None } else { issuer::find_key(call, &name)? };
    if other.is_some_and(|other| other.id != found.id) {
        return Err(Error::bad_request("key name already in use"));
    }
    issuer::rename_key(call, &found, &name)?;
    told_of_key(&found, &name)
}

pub(super) async fn delete_key(call: &mut Call<'_>, input: KeyRef) -> Result<Reply, Error> {
    let Some(found) = issuer::find_key(call, &input.key_ref)? else {
        return Ok(Reply::default());
    };
    if let Some(user) = issuer::all(call)?.iter().find(|one| one.key_id == found.id) {
        return Err(Error::BadRequest(format!(
            "cannot delete key: it is that of issuer {}; delete the issuer first",
            user.id
        )));
    }
    call.storage.delete(&format!("{KEYS}/{}", found.id))?;
    let mut defaults = issuer::defaults(call)?;
    if defaults.key == found.id {
        defaults.key.clear();
        issuer::set_defaults(call, &defaults)?;
    }
    Ok(Reply::default())
}

const URLS: &str = "config/urls";
const CRL: &str = "config/crl";

//! `sys/audit`, `sys/audit-hash`, and the request headers that devices log.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Node;
use crate::audit::{AuditStore, StoredDevice, normalise, share_file};
use crate::audit_log::ChainKey;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("audit", "The enabled audit devices.").sudo().read(list),
        Route::new("audit/{path...}", "Enable an audit device, or disable it.")
            .sudo()
            .write(enable)
            .delete(disable),
        Route::new("audit-hash/{path...}", "A text as an audit device writes it.").write(hash),
        Route::new(
            "audit-chain/{path...}",
            "What checks the chain of an audit device's records: its key, and where it has come to.",
        )
        .sudo()
        .read(chain),
        Route::new("config/auditing/request-headers", "The request headers that are audited.")
            .sudo()
            .read(list_headers),
        Route::new("config/auditing/request-headers/{header}", "Audit a request header, or not.")
            .sudo()
            .read(read_header)
            .write(write_header)
            .delete(delete_header),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct DevicePath {
    /// The device's path.
    path: String,
}

#[derive(Deserialize, JsonSchema)]
struct Enable {
    /// The device's path.
    path: String,
    /// `file`, `socket` or `syslog`.
    #[serde(default)]
    r#type: String,
    /// For people.
    #[serde(default)]
    description: String,
    /// The device's own, such as `file_path`.
    #[serde(default)]
    options: BTreeMap<String, String>,
    /// Not to be replicated to other clusters.
    #[serde(default)]
    local: bool,
}

async fn list(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let mut data = Map::new();
    for device in AuditStore::new(&mut call.storage).devices()? {
        let shown = json!({
            "description": device.description,
            "local": device.local,
            "options": device.options,
            "path": device.path,
            "type": device.kind,
        });
        data.insert(device.path, shown);
    }
    Ok(Reply::data(data))
}

/// The device is shown a record before it is stored: one that cannot write would stop every
/// request. A second try, after a conflict, shows it another.
async fn enable(call: &mut Call<'_, Node>, input: Enable) -> Result<Reply, Error> {
    let path = normalise(&input.path)?;
    if input.description.len() > DESCRIPTION_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "`description` must have at most {DESCRIPTION_BYTES_MAX} bytes"
        )));
    }
    let mut store = AuditStore::new(&mut call.storage);
    let others = store.devices()?;
    let nested =
        |other: &StoredDevice| other.path.starts_with(&path) || path.starts_with(&other.path);
    if others.iter().any(nested) {
        return Err(Error::bad_request("path already in use"));
    }
    if others.len() >= DEVICES_MAX {
        return Err(Error::BadRequest(format!(
            "at most {DEVICES_MAX} audit devices can be enabled"
        )));
    }
    let mut device = StoredDevice::new(path, input.r#type.trim().to_owned(), call.rng);
    device.description = input.description;
    device.options = input.options;
    device.local = input.local;
    if let Some(other) = others.iter().find(|other| share_file(other, &device)) {
        return Err(Error::BadRequest(format!(
            "the audit device {} writes to this file: give each a file of its own",
            other.path
        )));
    }
    let unknown = call.state.audit().test(&device).await?;
    store.put(&device)?;
    let reply = Reply::default();
    if unknown.is_empty() {
        return Ok(reply);
    }
    Ok(reply.warn(format!("Endpoint ignored these unrecognized options: [{}]", unknown.join(" "))))
}

/// What is not there is no error.
async fn disable(call: &mut Call<'_, Node>, input: DevicePath) -> Result<Reply, Error> {
    let path = normalise(&input.path)?;
    let mut store = AuditStore::new(&mut call.storage);
    match store.get(&path)? {
        None => {}
        Some(device) if device.declared => {
            return Err(Error::BadRequest(format!(
                "the audit device {path} is declared in the configuration: take it out there"
            )));
        }
        Some(_) => store.delete(&path)?,
    }
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
struct Hash {
    /// The device's path.
    path: String,
    /// The text.
    #[serde(default)]
    input: String,
}

async fn hash(call: &mut Call<'_, Node>, input: Hash) -> Result<Reply, Error> {
    if input.input.is_empty() {
        return Err(Error::bad_request("the \"input\" parameter is empty"));
    }
    let device = stored(call, &input.path)?;
    Reply::of(&json!({ "hash": device.hasher()?.hash(&input.input) }))
}

/// The head as this node has written it; `None` before its first record.
async fn chain(call: &mut Call<'_, Node>, input: DevicePath) -> Result<Reply, Error> {
    let device = stored(call, &input.path)?;
    let head = call.state.audit().head(&device.path);
    Reply::of(&json!({
        "key": ChainKey::of_salt(device.hasher()?.salt()).text(),
        "head": head.map(|head| head.to_string()),
    }))
}

fn stored(call: &mut Call<'_, Node>, path: &str) -> Result<StoredDevice, Error> {
    let path = normalise(path)?;
    let device = AuditStore::new(&mut call.storage).get(&path)?;
    device.ok_or_else(|| Error::BadRequest(format!("unknown audit backend {path:?}")))
}

#[derive(Deserialize, JsonSchema)]
struct HeaderName {
    /// Name of the header.
    header: String,
}

#[derive(Deserialize, JsonSchema)]
struct WriteHeader {
    /// Name of the header.
    header: String,
    /// Whether its values are hashed.
    #[serde(default)]
    hmac: bool,
}

async fn list_headers(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let headers = AuditStore::new(&mut call.storage).headers()?;
    let shown = headers.into_iter().map(|(name, hmac)| (name, json!({ "hmac": hmac })));
    let shown: Map<String, Value> = shown.collect();
    Reply::of(&json!({ "headers": shown }))
}

async fn read_header(call: &mut Call<'_, Node>, input: HeaderName) -> Result<Reply, Error> {
    let name = header_name(&input.header)?;
    let headers = AuditStore::new(&mut call.storage).headers()?;
    match headers.get(&name) {
        Some(hmac) => Reply::of(&json!({ (input.header): { "hmac": hmac } })),
        None => Err(Error::bad_request("Could not find header in config")),
    }
}

async fn write_header(call: &mut Call<'_, Node>, input: WriteHeader) -> Result<Reply, Error> {
    let name = header_name(&input.header)?;
    AuditStore::new(&mut call.storage).set_header(&name, Some(input.hmac))?;
    Ok(Reply::default())
}

async fn delete_header(call: &mut Call<'_, Node>, input: HeaderName) -> Result<Reply, Error> {
    let name = header_name(&input.header)?;
    AuditStore::new(&mut call.storage).set_header(&name, None)?;
    Ok(Reply::default())
}

/// RFC 9110, section 5.1: a token.
fn header_name(name: &str) -> Result<String, Error> {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || name.len() > HEADER_BYTES_MAX || !name.bytes().all(is_token) {
        return Err(Error::BadRequest(format!("{name:?} is no name of a header")));
    }
    Ok(name.to_ascii_lowercase())
}

const DEVICES_MAX: usize = 64;

const DESCRIPTION_BYTES_MAX: usize = 4096;

const HEADER_BYTES_MAX: usize = 256;

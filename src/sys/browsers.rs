//! `sys/config/cors` and `sys/config/ui/headers`: what browsers are told.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Node;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("config/cors", "Which other sites' scripts may ask.")
            .sudo()
            .read(read_cors)
            .write(write_cors)
            .delete(delete_cors),
        Route::new("config/ui/headers", "Headers of the user interface's pages.")
            .sudo()
            .list(list_headers),
        Route::new("config/ui/headers/{header}", "One header of the user interface's pages.")
            .sudo()
            .read(read_header)
            .write(write_header)
            .delete(delete_header),
    ]
}

/// As stored: what nodes' listeners are set by.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct CorsRecord {
    pub allowed_origins: Vec<String>,
    /// Besides those that the API itself needs.
    pub allowed_headers: Vec<String>,
}

impl CorsRecord {
    /// All that a script may set.
    pub fn headers(&self) -> Vec<String> {
        let own = API_HEADERS.iter().map(|name| (*name).to_owned());
        own.chain(self.allowed_headers.iter().cloned()).collect()
    }
}

async fn read_cors(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    match call.storage.get::<CorsRecord>(CORS)? {
        None => Reply::of(&json!({ "enabled": false })),
        Some(cors) => Reply::of(&json!({
            "enabled": true,
            "allowed_origins": cors.allowed_origins,
            "allowed_headers": cors.headers(),
            "allow_credentials": false,
        })),
    }
}

#[derive(Deserialize, JsonSchema)]
struct Cors {
    /// As `https://example.com`; `*` alone for all.
    #[serde(default)]
    allowed_origins: Vec<String>,
    /// Headers that scripts may set, besides those of the API.
    #[serde(default)]
    allowed_headers: Vec<String>,
    /// Kept for clients that send it: writing switches on, deleting off.
    #[serde(default)]
    #[expect(dead_code, reason = "known, so that it causes no warning")]
    enable: bool,
}

async fn write_cors(call: &mut Call<'_, Node>, input: Cors) -> Result<Reply, Error> {
    let trimmed = |list: Vec<String>| -> Vec<String> {
        let list = list.into_iter().map(|text| text.trim().to_owned());
        list.filter(|text| !text.is_empty()).collect()
    };
    let origins = trimmed(input.allowed_origins);
    let headers = trimmed(input.allowed_headers);
    if origins.is_empty() {
        return Err(Error::bad_request("at least one origin or the wildcard must be provided"));
    }
    if origins.len() > 1 && origins.iter().any(|origin| origin == "*") {
        return Err(Error::bad_request(
            "to allow all origins the '*' must be the only value for allowed_origins",
        ));
    }
    for origin in origins.iter().filter(|origin| *origin != "*") {
        if origin.len() > VALUE_BYTES_MAX || !origin.contains("://") || !is_value(origin) {
            return Err(Error::BadRequest(format!(
                "{origin:.60?} is no origin: expected such as \"https://example.com\""
            )));
        }
    }
    if let Some(wrong) = headers.iter().find(|name| !is_name(name)) {
        return Err(Error::BadRequest(format!("{wrong:.60?} is no name of a header")));
    }
    if origins.len() > LIST_MAX || headers.len() > LIST_MAX {
        return Err(Error::BadRequest(format!("more than {LIST_MAX} origins or headers")));
    }
    let record = CorsRecord { allowed_origins: origins, allowed_headers: headers };
    call.storage.put(CORS, &record)?;
    Ok(Reply::default())
}

async fn delete_cors(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    call.storage.delete(CORS)?;
    Ok(Reply::default())
}

/// Headers of the user interface by their names in lower case.
#[derive(Debug, Default, Deserialize, Serialize)]
struct UiHeaders(BTreeMap<String, UiHeader>);

#[derive(Debug, Deserialize, Serialize)]
struct UiHeader {
    /// As it was written.
    name: String,
    values: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct OfHeader {
    /// Name of the header.
    header: String,
    /// Tell all of its values.
    #[serde(default)]
    multivalue: bool,
}

#[derive(Deserialize, JsonSchema)]
struct SetHeader {
    /// Name of the header.
    header: String,
    /// Its values.
    #[serde(default)]
    values: Vec<String>,
    /// Kept for clients that send it.
    #[serde(default)]
    #[expect(dead_code, reason = "known, so that it causes no warning")]
    multivalue: bool,
}

async fn list_headers(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let headers = ui_headers(call)?;
    Ok(Reply::keys(headers.0.into_values().map(|header| header.name).collect()))
}

async fn read_header(call: &mut Call<'_, Node>, input: OfHeader) -> Result<Reply, Error> {
    let mut headers = ui_headers(call)?;
    let header = headers.0.remove(&input.header.to_lowercase()).ok_or(Error::NotFound)?;
    if input.multivalue {
        return Reply::of(&json!({ "values": header.values }));
    }
    Reply::of(&json!({ "value": header.values.first() }))
}

async fn write_header(call: &mut Call<'_, Node>, input: SetHeader) -> Result<Reply, Error> {
    let name = input.header.trim();
    let lower = name.to_lowercase();
    if name.is_empty() || input.values.is_empty() {
        return Err(Error::bad_request("header and values must be specified"));
    }
    if lower.starts_with("x-vault-") {
        return Err(Error::bad_request("X-Vault headers cannot be set"));
    }
    if !is_name(name) || name.len() > NAME_BYTES_MAX {
        return Err(Error::BadRequest(format!("{name:.60?} is no name of a header")));
    }
    let size: usize = input.values.iter().map(String::len).sum();
    if size > VALUE_BYTES_MAX || !input.values.iter().all(|value| is_value(value)) {
        return Err(Error::BadRequest(format!(
            "the values of a header are printable, and {VALUE_BYTES_MAX} bytes together at most"
        )));
    }
    let mut headers = ui_headers(call)?;
    if headers.0.len() >= LIST_MAX && !headers.0.contains_key(&lower) {
        return Err(Error::BadRequest(format!("more than {LIST_MAX} headers")));
    }
    let header = UiHeader { name: name.to_owned(), values: input.values };
    let mut reply = Reply { status: Some(200), ..Reply::default() };
    if lower == "content-security-policy" {
        reply = reply.warn(
            "overriding default Content-Security-Policy which is secure by default, proceed with \
             caution",
        );
    }
    headers.0.insert(lower, header);
    call.storage.put(UI_HEADERS, &headers)?;
    Ok(reply)
}

async fn delete_header(call: &mut Call<'_, Node>, input: OfHeader) -> Result<Reply, Error> {
    let mut headers = ui_headers(call)?;
    if headers.0.remove(&input.header.to_lowercase()).is_some() {
        call.storage.put(UI_HEADERS, &headers)?;
    }
    Ok(Reply::default())
}

fn ui_headers(call: &mut Call<'_, Node>) -> Result<UiHeaders, Error> {
    Ok(call.storage.get(UI_HEADERS)?.unwrap_or_default())
}

/// A token of HTTP (RFC 9110, section 5.6.2).
fn is_name(text: &str) -> bool {
    let is_token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.len() <= NAME_BYTES_MAX && text.bytes().all(is_token)
}

fn is_value(text: &str) -> bool {
    text.bytes().all(|byte| (b' '..=b'~').contains(&byte))
}

/// Below `core/`.
pub const CORS: &str = "config/cors";

const UI_HEADERS: &str = "config/ui-headers";

/// As in Vault.
const API_HEADERS: &[&str] = &[
    "Content-Type",
    "Authorization",
    "X-Vault-Token",
    "X-Vault-MFA",
    "X-Vault-No-Request-Forwarding",
    "X-Vault-Wrap-Format",
    "X-Vault-Wrap-TTL",
    "X-Requested-With",
    "X-Vault-AWS-IAM-Server-ID",
    "X-Vault-Policy-Override",
];

const LIST_MAX: usize = 100;

const NAME_BYTES_MAX: usize = 128;

const VALUE_BYTES_MAX: usize = 8192;

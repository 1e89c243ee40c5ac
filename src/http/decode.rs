//! HTTP's method, path, headers and body, read into a [`Request`].

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::header::{self, HeaderMap, HeaderName};
use hyper::http::request::Parts;
use serde_json::Value;

use super::json;
use super::path;
use super::settings::JsonLimits;
use super::status::Refusal;
use crate::duration::SignedDuration;
use crate::request::{Error, Operation, Params, Request};
use crate::secret::Secret;

/// Who sent a request.
#[derive(Clone, Debug, Default)]
pub(super) struct Origin {
    pub(super) remote: Option<SocketAddr>,
    pub(super) client_certificates: Vec<Vec<u8>>,
}

/// What a request's head asks for; its body is read afterwards.
#[derive(Debug)]
pub(super) struct Head {
    request: Request,
    body: BodyKind,
}

/// What is made of the body.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum BodyKind {
    /// The parameters came in the query.
    Ignored,
    Form,
    Json,
    /// Handed over as bytes: an OCSP or CMP request.
    Binary,
}

impl Head {
    /// `path` is decoded and has no `/v1/`.
    pub(super) fn decode(parts: &Parts, path: String, origin: Origin) -> Result<Self, Refusal> {
        let namespace = namespace(&parts.headers)?;
        let query = path::pairs(parts.uri.query().unwrap_or_default())
            .ok_or_else(|| Refusal::text(400, "the query is not valid percent-encoded UTF-8"))?;
        let operation = operation(parts, &query)?;
        let body = match operation {
            Operation::Update | Operation::Patch => body_kind(parts, operation)?,
            _ => BodyKind::Ignored,
        };
        let params = match body {
            BodyKind::Ignored => query_params(query),
            _ => Params::new(),
        };
        let mut path = path;
        if operation == Operation::List && !path.is_empty() && !path.ends_with('/') {
            path.push('/');
        }
        let (token, headers) = token_and_headers(&parts.headers);
        let request = Request {
            operation,
            namespace,
            path,
            params,
            token,
            wrap_ttl: wrap_ttl(&parts.headers)?,
            remote: origin.remote,
            client_certificates: origin.client_certificates,
            headers,
            ..Request::default()
        };
        Ok(Self { request, body })
    }

    pub(super) fn body(&self) -> BodyKind {
        self.body
    }

    /// Without looking at the body.
    pub(super) fn into_request(self, id: String) -> Request {
        Request { id, ..self.request }
    }

    /// The memory that the body's parameters will take, in bytes.
    pub(super) fn weigh(&self, body: &[u8], limits: JsonLimits) -> Result<usize, Refusal> {
        let body = body.trim_ascii();
        Ok(match self.body {
            BodyKind::Ignored | BodyKind::Binary => 0,
            BodyKind::Form if is_form(body) => form_fields(body, limits)? * json::MEMBER_BYTES,
            BodyKind::Form | BodyKind::Json => json::weigh(body, limits)?,
        })
    }

    /// Adds the body's parameters.
    pub(super) fn with_body(
        self,
        id: String,
        body: &[u8],
        limits: JsonLimits,
    ) -> Result<Request, Refusal> {
        let mut request = Request { id, ..self.request };
        let body = body.trim_ascii();
        match self.body {
            BodyKind::Ignored | BodyKind::Binary => {}
            _ if body.is_empty() => {}
            BodyKind::Form if is_form(body) => {
                request.params = form_params(body, limits)?;
            }
            BodyKind::Form | BodyKind::Json => request.params = json::object(body, limits)?,
        }
        Ok(request)
    }
}

fn operation(parts: &Parts, query: &[(String, String)]) -> Result<Operation, Refusal> {
    if query.iter().any(|(name, value)| name == "help" && !value.is_empty()) {
        return Ok(Operation::Help);
    }
    Ok(match parts.method.as_str() {
        "GET" => {
            let list = query.iter().find(|(name, _)| name == "list").map(|(_, value)| value);
            match list.map_or(Some(false), |value| go_bool(value)) {
                Some(true) => Operation::List,
                Some(false) => Operation::Read,
                None => return Err(Refusal::new(400, [])),
            }
        }
        "LIST" => Operation::List,
        "POST" | "PUT" => Operation::Update,
        "PATCH" => Operation::Patch,
        "DELETE" => Operation::Delete,
        "HEAD" => Operation::Header,
        "HELP" => Operation::Help,
        "OPTIONS" => {
            return Err(Refusal::text(400, "OPTIONS is answered to cross-origin requests alone"));
        }
        _ => return Err(Refusal::new(405, [])),
    })
}

/// What Go's `strconv.ParseBool` takes; an empty value is false.
fn go_bool(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn body_kind(parts: &Parts, operation: Operation) -> Result<BodyKind, Refusal> {
    let content_type = media_type(&parts.headers);
    if operation == Operation::Patch {
        return match content_type.as_deref() {
            None => Err(Refusal::text(400, "mime: no media type")),
            Some("application/merge-patch+json") => Ok(BodyKind::Json),
            Some(other) => Err(Refusal::text(
                415,
                format!(
                    "PATCH requires Content-Type of application/merge-patch+json, provided {other}"
                ),
            )),
        };
    }
    Ok(match content_type.as_deref() {
        Some("application/x-www-form-urlencoded") => BodyKind::Form,
        Some("application/ocsp-request" | "application/pkixcmp") => BodyKind::Binary,
        // Of whatever type: many clients name none, or a wrong one.
        _ => BodyKind::Json,
    })
}

/// In lower case, without parameters; `None` where there is none that can be read.
fn media_type(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::CONTENT_TYPE)?.to_str().ok()?;
    let essence = text.split(';').next().unwrap_or_default().trim();
    let is_token = |part: &str| {
        !part.is_empty()
            && part
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte))
    };
    essence.split('/').all(is_token).then(|| essence.to_ascii_lowercase())
}

/// Repeated names become a list.
fn query_params(query: Vec<(String, String)>) -> Params {
    let mut params = Params::new();
    for (name, value) in query {
        if ["help", "list", "scan"].contains(&name.as_str()) {
            continue;
        }
        match params.get_mut(&name) {
            None => drop(params.insert(name, Value::String(value))),
            Some(Value::Array(values)) => values.push(Value::String(value)),
            Some(present) => {
                let first = present.take();
                *present = Value::Array(vec![first, Value::String(value)]);
            }
        }
    }
    params
}

/// As in Vault: what looks like JSON is JSON, because that is what `curl -d` sends.
fn is_form(body: &[u8]) -> bool {
    !body.starts_with(b"{") && !body.starts_with(b"[")
}

fn form_fields(body: &[u8], limits: JsonLimits) -> Result<usize, Refusal> {
    let fields = 1 + body.iter().filter(|byte| **byte == b'&').count();
    if fields > limits.strings_max {
        let text = format!("the form has more than {} fields", limits.strings_max);
        return Err(Refusal::text(400, text));
    }
    Ok(fields)
}

/// As in Vault, repeated names are joined by commas and the query is not looked at.
fn form_params(body: &[u8], limits: JsonLimits) -> Result<Params, Refusal> {
    let invalid = || Refusal::text(400, "the form is not valid percent-encoded UTF-8");
    let text = std::str::from_utf8(body).map_err(|_| invalid())?;
    form_fields(body, limits)?;
    let mut params = Params::new();
    for (name, value) in path::pairs(text).ok_or_else(invalid)? {
        match params.get_mut(&name) {
            Some(Value::String(present)) => {
                present.push(',');
                present.push_str(&value);
            }
            _ => drop(params.insert(name, Value::String(value))),
        }
    }
    Ok(params)
}

/// `X-Vault-Namespace`, with its slashes put right. Whether there is such a namespace is the
/// pipeline's to say.
fn namespace(headers: &HeaderMap) -> Result<String, Refusal> {
    let Some(sent) = headers.get(&NAMESPACE) else {
        return Ok(String::new());
    };
    let sent = sent.to_str().map_err(|_| Error::Missing("namespace not found".to_owned()))?;
    let segments = sent.trim().split('/').filter(|segment| !segment.is_empty());
    let segments: Vec<&str> = segments.collect();
    if matches!(segments.as_slice(), [] | ["root"]) {
        return Ok(String::new());
    }
    if segments.iter().any(|segment| matches!(*segment, "." | "..")) {
        return Err(Error::Missing("namespace not found".to_owned()).into());
    }
    Ok(format!("{}/", segments.join("/")))
}

/// By name in lower case.
type Headers = BTreeMap<String, Vec<String>>;

/// `X-Vault-Token` wins over a bearer token. What became the token is in no header list.
fn token_and_headers(headers: &HeaderMap) -> (Option<Arc<Secret<String>>>, Headers) {
    let own = headers.get(&TOKEN).map(|value| value.as_bytes()).filter(|value| !value.is_empty());
    let bearer = headers
        .get_all(header::AUTHORIZATION)
        .iter()
        .find_map(|value| value.as_bytes().strip_prefix(b"Bearer "));
    let token = own.or(bearer).map(|token| String::from_utf8_lossy(token).trim().to_owned());
    let mut kept = Headers::new();
    for (name, value) in headers {
        let value = value.as_bytes();
        let is_token = name == TOKEN
            || (own.is_none()
                && name == header::AUTHORIZATION
                && bearer.is_some()
                && value.strip_prefix(b"Bearer ") == bearer);
        if !is_token {
            let value = String::from_utf8_lossy(value).into_owned();
            kept.entry(name.as_str().to_owned()).or_default().push(value);
        }
    }
    (token.filter(|token| !token.is_empty()).map(|token| Arc::new(Secret::new(token))), kept)
}

fn wrap_ttl(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let failed =
        |text: &str| Refusal::text(400, format!("error parsing X-Vault-Wrap-TTL header: {text}"));
    let Some(sent) = headers.get(&WRAP_TTL) else {
        return Ok(None);
    };
    let text = sent.to_str().map_err(|_| failed("not readable"))?;
    if text.trim().is_empty() {
        return Ok(None);
    }
    let read = SignedDuration::parse(text).map_err(|error| failed(&error.to_string()))?;
    let ttl = read.unsigned().ok_or_else(|| failed("requested wrap ttl cannot be negative"))?;
    // Go counts nanoseconds in 63 bits; what lies beyond would fail in clients.
    if i64::try_from(ttl.as_nanos()).is_err() {
        return Err(failed(&format!("time: invalid duration \"{text}\"")));
    }
    // In whole milliseconds, as it goes between nodes: it must be the same on each.
    let milliseconds = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
    Ok(Some(Duration::from_millis(milliseconds)).filter(|ttl| !ttl.is_zero()))
}

pub(super) const NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");

#[cfg(test)]
mod tests;

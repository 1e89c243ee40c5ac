//! Replies and errors, written as Vault writes them.

use bytes::Bytes;
use hyper::StatusCode;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use serde_json::{Map, Value, json};

use super::status::{Connection, Refusal};
use crate::request::{self, Body, Error, Operation, Reply};

/// What an answer's form depends on beside the answer.
#[derive(Debug)]
pub(super) struct Asked {
    pub(super) request_id: String,
    pub(super) operation: Operation,
    pub(super) path: String,
}

/// Status, headers and body, before the listener adds what every answer has.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

pub(super) fn outcome(outcome: Result<Reply, Error>, asked: &Asked) -> Encoded {
    match outcome {
        Ok(reply) => self::reply(reply, asked),
        // As in Vault: without a newline at the end.
        Err(Error::NotFoundWith(reply)) => {
            let mut reply = *reply;
            let status = status(reply.status.unwrap_or(404));
            let headers = headers_of(&reply);
            let (mut headers, body) = match std::mem::take(&mut reply.body) {
                Body::Raw(raw) => (with_content_type(headers, &raw.content_type), raw.bytes),
                Body::Bare(value) => (headers, to_bytes(&value, Newline::Without)),
                Body::Data(data) => (headers, envelope(reply, Some(data), asked, Newline::Without)),
                Body::Empty => (headers, envelope(reply, None, asked, Newline::Without)),
            };
            headers.entry(header::CONTENT_TYPE).or_insert(JSON);
            Encoded { status, headers, body }
        }
        Err(error) => {
            if let Error::Internal(source) = &error {
                tracing::error!(request_id = asked.request_id, %source, "internal error");
            }
            let mut encoded = refusal(&Refusal::from(&error));
            if let Error::TooManyWith { headers, .. } = &error {
                add_headers(&mut encoded.headers, headers.iter());
            }
            encoded
        }
    }
}

pub(super) fn refusal(refusal: &Refusal) -> Encoded {
    let mut headers = HeaderMap::from_iter([(header::CONTENT_TYPE, JSON)]);
    if let Some(seconds) = refusal.retry_after_seconds {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    if refusal.connection == Connection::Close {
        headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    let body = to_bytes(&json!({ "errors": refusal.errors }), Newline::With);
    Encoded { status: status(refusal.status), headers, body }
}

/// 307.
pub(super) fn redirect(location: &str) -> Encoded {
    let Ok(value) = HeaderValue::from_str(location) else {
        return refusal(&Refusal::text(400, "the path cannot be redirected"));
    };
    Encoded {
        status: StatusCode::TEMPORARY_REDIRECT,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, JSON), (header::LOCATION, value)]),
        body: Bytes::new(),
    }
}

/// 200, without a body.
pub(super) fn nothing() -> Encoded {
    let headers = HeaderMap::from_iter([(header::CONTENT_TYPE, JSON)]);
    Encoded { status: StatusCode::OK, headers, body: Bytes::new() }
}

pub(super) fn text(body: &'static str) -> Encoded {
    let plain = HeaderValue::from_static("text/plain; charset=utf-8");
    Encoded {
        status: StatusCode::OK,
        headers: HeaderMap::from_iter([(header::CONTENT_TYPE, plain)]),
        body: Bytes::from_static(body.as_bytes()),
    }
}

fn reply(mut reply: Reply, asked: &Asked) -> Encoded {
    let is_read = matches!(asked.operation, Operation::Header | Operation::List | Operation::Read);
    if reply.is_empty() && reply.status.is_none() {
        if is_read {
            return with_headers(refusal(&Refusal::from(&Error::NotFound)), headers_of(&reply));
        }
        let mut headers = headers_of(&reply);
        headers.entry(header::CONTENT_TYPE).or_insert(JSON);
        return Encoded { status: StatusCode::NO_CONTENT, headers, body: Bytes::new() };
    }
    let mut headers = headers_of(&reply);
    let code = reply.status;
    // As in Vault: what names its status itself is written without a newline at the end.
    let newline = if code.is_some() { Newline::Without } else { Newline::With };
    let (default, body) = match std::mem::take(&mut reply.body) {
        Body::Raw(raw) => {
            headers = with_content_type(headers, &raw.content_type);
            (200, raw.bytes)
        }
        Body::Bare(value) => (200, to_bytes(&value, Newline::With)),
        Body::Empty if reply.is_empty() => (204, Bytes::new()),
        Body::Empty => {
            let default = if lists_nothing(&reply, None, asked) { 404 } else { 200 };
            (default, envelope(reply, None, asked, newline))
        }
        Body::Data(data) => {
            if lists_nothing(&reply, Some(&data), asked) && code.is_none() {
                if reply.warnings.is_empty() {
                    return with_headers(refusal(&Refusal::from(&Error::NotFound)), headers);
                }
                (404, envelope(reply, Some(data), asked, newline))
            } else {
                (200, envelope(reply, Some(data), asked, newline))
            }
        }
    };
    let status = status(code.unwrap_or(default));
    headers.entry(header::CONTENT_TYPE).or_insert(JSON);
    let body = if status == StatusCode::NO_CONTENT { Bytes::new() } else { body };
    Encoded { status, headers, body }
}

fn lists_nothing(reply: &Reply, data: Option<&Map<String, Value>>, asked: &Asked) -> bool {
    asked.operation == Operation::List
        && reply.wrap_info.is_none()
        && match data.and_then(|data| data.get("keys")) {
            Some(Value::Array(keys)) => keys.is_empty(),
            Some(Value::Null) | None => true,
            Some(_) => false,
        }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Newline {
    With,
    Without,
}

/// The order of keys is part of the interface: shells cut it apart.
fn envelope(
    reply: Reply,
    data: Option<Map<String, Value>>,
    asked: &Asked,
    newline: Newline,
) -> Bytes {
    let mut body = Map::new();
    // A wrapped answer shows nothing of what is in the wrapping.
    let (reply, data, request_id) = if reply.wrap_info.is_some() {
        (Reply { auth: None, lease: None, ..reply }, None, "")
    } else {
        (reply, data, asked.request_id.as_str())
    };
    if let Some(data) = data.as_ref().filter(|_| copies_data(&asked.path)) {
        body.extend(data.iter().map(|(name, value)| (name.clone(), value.clone())));
    }
    let fields = request::envelope(reply, data, request_id);
    for (name, value) in fields {
        // Of a copied key with the same name only the envelope's value stays, in its own place.
        body.shift_remove(name);
        body.insert(name.to_owned(), value);
    }
    to_bytes(&Value::Object(body), newline)
}

/// Paths whose data stood at the top level before there was an envelope: old clients still read it
/// there.
fn copies_data(path: &str) -> bool {
    let Some(path) = path.strip_prefix("sys/") else {
        return false;
    };
    let path = path.strip_suffix('/').unwrap_or(path);
    EXACT.contains(&path) || BELOW.iter().any(|prefix| path.starts_with(prefix))
}

const EXACT: &[&str] = &[
    "audit",
    "auth",
    "config/auditing/request-headers",
    "config/cors",
    "ha-status",
    "key-status",
    "mounts",
    "policy",
    "rekey/backup",
    "rekey/recovery-key-backup",
    "remount",
    "wrapping/wrap",
];

const BELOW: &[&str] = &[
    "audit-hash/",
    "auth/",
    "capabilities",
    "config/auditing/request-headers/",
    "mounts/",
    "policy/",
    "rotate",
];

fn headers_of(reply: &Reply) -> HeaderMap {
    let mut headers = HeaderMap::new();
    add_headers(&mut headers, reply.headers.iter());
    headers
}

/// Those that are no valid headers are left out, with a line in the log.
pub(super) fn add_headers<'a>(
    headers: &mut HeaderMap,
    more: impl Iterator<Item = (&'a String, &'a String)>,
) {
    for (name, value) in more {
        match (HeaderName::from_bytes(name.as_bytes()), HeaderValue::from_str(value)) {
            (Ok(name), Ok(value)) => drop(headers.insert(name, value)),
            _ => tracing::warn!(name, "a reply's header is not valid"),
        }
    }
}

fn with_headers(mut encoded: Encoded, headers: HeaderMap) -> Encoded {
    encoded.headers.extend(headers);
    encoded
}

fn with_content_type(mut headers: HeaderMap, content_type: &str) -> HeaderMap {
    if let Ok(value) = HeaderValue::from_str(content_type) {
        headers.insert(header::CONTENT_TYPE, value);
    }
    headers
}

fn status(code: u16) -> StatusCode {
    StatusCode::from_u16(code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

fn to_bytes(value: &Value, newline: Newline) -> Bytes {
    let mut text = value.to_string();
    if newline == Newline::With {
        text.push('\n');
    }
    Bytes::from(text)
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

#[cfg(test)]
mod tests;

//! A record as Vault writes it: the names of members, their order and what of them is hashed are
//! what programs that read audit logs rely on.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::hash::Hasher;
use super::options::Shape;
use super::{PolicyResults, Record, Side};
use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::mount::{MountEntry, Table};
use crate::request::{Auth, Body, Caller, Error, Operation, Reply, TokenType, WrapInfo};

/// Request headers that are logged, in lower case, and whether hashed.
pub(super) type Headers = BTreeMap<String, bool>;

/// What decides how a device writes.
pub(super) struct Writing<'w> {
    pub(super) hasher: &'w Hasher,
    pub(super) shape: &'w Shape,
    pub(super) headers: &'w Headers,
}

impl Writing<'_> {
    /// `time`: RFC 3339.
    pub(super) fn entry(&self, record: &Record<'_>, time: &str) -> Map<String, Value> {
        let mut entry = Map::new();
        entry.insert("time".into(), time.into());
        entry.insert("type".into(), record.side.name().into());
        entry.insert("auth".into(), Value::Object(self.auth(record)));
        entry.insert("request".into(), Value::Object(self.request(record)));
        if matches!(record.side, Side::Response(_)) {
            entry.insert("response".into(), Value::Object(self.response(record)));
        }
        let error = match &record.side {
            Side::Request(refusal) => refusal.and_then(|error| told(error, record)),
            Side::Response(Err(error)) => told(error, record),
            Side::Response(Ok(_)) => None,
        };
        if let Some(error) = error {
            entry.insert("error".into(), error.into());
        }
        if let Some(from) = &record.request.forwarded_from {
            entry.insert("forwarded_from".into(), from.as_str().into());
        }
        entry
    }

    fn auth(&self, record: &Record<'_>) -> Map<String, Value> {
        let Some(caller) = record.caller else {
            // Whoever logged in is known by the answer alone.
            return match &record.side {
                Side::Response(Ok(Reply { auth: Some(auth), .. })) => self.new_auth(auth),
                _ => Map::from_iter([("token_type".to_owned(), "default".into())]),
            };
        };
        let mut auth = Map::new();
        let mut add = |name: &str, value: Value| drop(auth.insert(name.to_owned(), value));
        if let Some(token) = &record.request.token {
            add("client_token", self.secret(token.expose()));
        }
        if !caller.accessor.is_empty() {
            add("accessor", self.accessor(&caller.accessor));
        }
        if !caller.display_name.is_empty() {
            add("display_name", caller.display_name.as_str().into());
        }
        add("policies", json!(caller.policies));
        let facts = &caller.facts;
        add("token_policies", json!(facts.policies));
        let of_identity: Vec<&String> =
            caller.policies.iter().filter(|policy| !facts.policies.contains(policy)).collect();
        if !of_identity.is_empty() {
            add("identity_policies", json!(of_identity));
        }
        if let Some(results) = record.policies {
            add("policy_results", policy_results(results));
        }
        if !facts.metadata.is_empty() {
            add("metadata", json!(facts.metadata));
        }
        if !caller.entity_id.is_empty() {
            add("entity_id", caller.entity_id.as_str().into());
        }
        if facts.remaining_uses > 0 {
            add("remaining_uses", facts.remaining_uses.into());
        }
        add("token_type", token_type(caller.token_type));
        if facts.ttl > 0 {
            add("token_ttl", facts.ttl.into());
        }
        let issued = Timestamp::from_seconds(facts.issued.seconds());
        add("token_issue_time", issued.rfc3339().into());
        auth
    }

    /// A token that was just made or renewed.
    fn new_auth(&self, new: &Auth) -> Map<String, Value> {
        let mut auth = Map::new();
        let mut add = |name: &str, value: Value| drop(auth.insert(name.to_owned(), value));
        if !new.client_token.is_empty() {
            add("client_token", self.secret(&new.client_token));
        }
        if !new.accessor.is_empty() {
            add("accessor", self.accessor(&new.accessor));
        }
        if !new.display_name.is_empty() {
            add("display_name", new.display_name.as_str().into());
        }
        add("policies", json!(new.policies));
        add("token_policies", json!(new.token_policies));
        if !new.identity_policies.is_empty() {
            add("identity_policies", json!(new.identity_policies));
        }
        if !new.metadata.is_empty() {
            add("metadata", json!(new.metadata));
        }
        if new.num_uses > 0 {
            add("num_uses", new.num_uses.into());
        }
        if !new.entity_id.is_empty() {
            add("entity_id", new.entity_id.as_str().into());
        }
        add("token_type", token_type(new.token_type));
        if !new.ttl.is_zero() {
            add("token_ttl", new.ttl.as_secs().into());
        }
        auth
    }

    fn request(&self, record: &Record<'_>) -> Map<String, Value> {
        let asked = record.request;
        let mut request = Map::new();
        let mut add = |name: &str, value: Value| drop(request.insert(name.to_owned(), value));
        add("id", asked.id.as_str().into());
        if let Some(caller) = record.caller {
            add("client_id", client_id(caller).into());
        }
        add("operation", record.operation.name().into());
        if let Some(mount) = record.mount {
            mount_members(mount, "mount_running_version", &mut add);
        }
        if let Some(token) = &asked.token {
            add("client_token", self.secret(token.expose()));
        }
        if let Some(caller) = record.caller.filter(|caller| !caller.accessor.is_empty()) {
            add("client_token_accessor", self.accessor(&caller.accessor));
        }
        add("namespace", namespace(&asked.namespace));
        add("path", asked.path.as_str().into());
        if !asked.params.is_empty() {
            let clear =
                record.mount.map(|mount| mount.config.audit_non_hmac_request_keys.as_slice());
            add("data", Value::Object(self.data(&asked.params, clear.unwrap_or_default())));
        }
        if let Some(remote) = asked.remote {
            add("remote_address", remote.ip().to_string().into());
            add("remote_port", remote.port().into());
        }
        if let Some(ttl) = asked.wrap_ttl.filter(|ttl| !ttl.is_zero()) {
            add("wrap_ttl", ttl.as_secs().into());
        }
        let headers = self.request_headers(&asked.headers);
        if !headers.is_empty() {
            add("headers", Value::Object(headers));
        }
        if record.is_repeated {
            add("repeated", true.into());
        }
        let serial = asked.client_certificates.first().and_then(|der| serial_number(der));
        if let Some(serial) = serial {
            add("client_certificate_serial_number", serial.into());
        }
        request
    }

    fn request_headers(&self, sent: &BTreeMap<String, Vec<String>>) -> Map<String, Value> {
        let logged = self.headers.iter().filter_map(|(name, hashed)| {
            let values = sent.get(name)?;
            let values: Vec<Value> = values
                .iter()
                .map(|value| if *hashed { self.secret(value) } else { value.as_str().into() })
                .collect();
            Some((name.clone(), Value::Array(values)))
        });
        logged.collect()
    }

    fn response(&self, record: &Record<'_>) -> Map<String, Value> {
        let reply = match &record.side {
            Side::Response(Ok(reply)) => Some(*reply),
            Side::Response(Err(Error::NotFoundWith(reply))) => Some(reply.as_ref()),
            _ => None,
        };
        let mut response = Map::new();
        let mut add = |name: &str, value: Value| drop(response.insert(name.to_owned(), value));
        if let Some(auth) = reply.and_then(|reply| reply.auth.as_ref()) {
            add("auth", Value::Object(self.new_auth(auth)));
        }
        if let Some(mount) = record.mount {
            mount_members(mount, "mount_running_plugin_version", &mut add);
        }
        let lease = reply.and_then(|reply| reply.lease.as_ref());
        if let Some(lease) = lease.filter(|lease| !lease.id.is_empty()) {
            add("secret", json!({ "lease_id": lease.id }));
        }
        let data = match (reply, &record.side) {
            (Some(reply), _) => self.reply_data(record, reply),
            (None, Side::Response(Err(error))) => {
                hidden(error).map(|text| Map::from_iter([("error".to_owned(), self.secret(&text))]))
            }
            (None, _) => None,
        };
        if let Some(data) = data {
            add("data", Value::Object(data));
        }
        if let Some(reply) = reply {
            if !reply.warnings.is_empty() {
                add("warnings", json!(reply.warnings));
            }
            if let Some(wrap) = &reply.wrap_info {
                add("wrap_info", self.wrap_info(wrap));
            }
        }
        response
    }

    fn reply_data(&self, record: &Record<'_>, reply: &Reply) -> Option<Map<String, Value>> {
        let clear = record.mount.map(|mount| mount.config.audit_non_hmac_response_keys.as_slice());
        let clear = clear.unwrap_or_default();
        let counts = self.shape.elide_list_responses && record.operation == Operation::List;
        match &reply.body {
            // What is in the wrapping is not answered.
            _ if reply.wrap_info.is_some() => None,
            Body::Empty => None,
            Body::Data(data) if counts => Some(self.data(&counted(data), clear)),
            Body::Data(data) | Body::Bare(Value::Object(data)) => Some(self.data(data, clear)),
            Body::Bare(other) => {
                let data = Map::from_iter([("value".to_owned(), other.clone())]);
                Some(self.data(&data, clear))
            }
            Body::Raw(raw) => {
                let body = Value::String(STANDARD.encode(&raw.bytes));
                let data = Map::from_iter([
                    ("http_content_type".to_owned(), raw.content_type.as_str().into()),
                    ("http_raw_body".to_owned(), body),
                    ("http_status_code".to_owned(), reply.status.unwrap_or(200).into()),
                ]);
                let clear = [clear, &["http_content_type".to_owned()]].concat();
                Some(self.data(&data, &clear))
            }
        }
    }

    fn wrap_info(&self, wrap: &WrapInfo) -> Value {
        let mut info = Map::new();
        info.insert("ttl".into(), wrap.ttl.as_secs().into());
        info.insert("token".into(), self.secret(&wrap.token));
        info.insert("accessor".into(), self.accessor(&wrap.accessor));
        info.insert("creation_time".into(), wrap.creation_time.rfc3339().into());
        info.insert("creation_path".into(), wrap.creation_path.as_str().into());
        if let Some(accessor) = &wrap.wrapped_accessor {
            info.insert("wrapped_accessor".into(), self.accessor(accessor));
        }
        Value::Object(info)
    }

    fn data(&self, data: &Map<String, Value>, clear: &[String]) -> Map<String, Value> {
        if self.shape.log_raw { data.clone() } else { self.hasher.hash_all(data, clear) }
    }

    fn secret(&self, text: &str) -> Value {
        if self.shape.log_raw { text.into() } else { self.hasher.hash(text).into() }
    }

    fn accessor(&self, text: &str) -> Value {
        if self.shape.hmac_accessor { self.secret(text) } else { text.into() }
    }
}

/// How many names instead of which; `key_info` tells of each.
fn counted(data: &Map<String, Value>) -> Map<String, Value> {
    let count = |(name, value): (&String, &Value)| {
        let count = match (name.as_str(), value) {
            ("keys", Value::Array(keys)) => Some(keys.len()),
            ("key_info", Value::Object(info)) => Some(info.len()),
            _ => None,
        };
        (name.clone(), count.map_or_else(|| value.clone(), Value::from))
    };
    data.iter().map(count).collect()
}

fn mount_members(mount: &MountEntry, version: &str, add: &mut impl FnMut(&str, Value)) {
    let class = match mount.table {
        Table::Auth => "auth",
        Table::Secret => "secret",
    };
    add("mount_point", mount.api_path().into());
    add("mount_type", mount.kind.as_str().into());
    add("mount_accessor", mount.accessor.as_str().into());
    add(version, RUNNING_VERSION.into());
    add("mount_class", class.into());
}

fn policy_results(results: &PolicyResults) -> Value {
    let mut shown = Map::new();
    shown.insert("allowed".into(), results.allowed.into());
    if results.allowed && !results.granting.is_empty() {
        let granting = results
            .granting
            .iter()
            .map(|name| json!({ "name": name, "namespace_id": "root", "type": "acl" }));
        shown.insert("granting_policies".into(), Value::Array(granting.collect()));
    }
    for (name, text) in [("rule", &results.rule), ("refusal", &results.refusal)] {
        if let Some(text) = text {
            shown.insert(name.into(), text.as_str().into());
        }
    }
    Value::Object(shown)
}

fn namespace(path: &str) -> Value {
    if path.is_empty() { json!({ "id": "root" }) } else { json!({ "path": path }) }
}

fn token_type(of: TokenType) -> Value {
    match of {
        TokenType::Batch => "batch",
        TokenType::Service => "service",
    }
    .into()
}

/// As Vault counts clients: an entity is one, and so are all tokens without one that have the same
/// policies.
fn client_id(caller: &Caller) -> String {
    if !caller.entity_id.is_empty() {
        return caller.entity_id.clone();
    }
    let mut policies = caller.policies.clone();
    policies.sort_unstable();
    STANDARD.encode(sha256(&[policies.join("\x7F").as_bytes(), b"\0", b"root"]))
}

/// In decimal, as Go prints it.
fn serial_number(der: &[u8]) -> Option<String> {
    let (_, certificate) = X509Certificate::from_der(der).ok()?;
    Some(certificate.tbs_certificate.serial.to_string())
}

/// What stands in clear: the case, never the text that the caller is told, which may repeat what
/// they sent. `None` where nothing is there, which is no error to Vault.
fn told(error: &Error, record: &Record<'_>) -> Option<String> {
    let is_stranger = record.caller.is_none() && matches!(record.side, Side::Request(_));
    match error {
        Error::NotFound | Error::NotFoundWith(_) | Error::Missing(_) => None,
        // As in Vault: without a token there is no policy that denies.
        Error::Denied if is_stranger => Some(error.case().into()),
        _ => Some(format!("1 error occurred:\n\t* {}\n\n", error.case())),
    }
}

/// What is hashed: the text that the caller is told.
fn hidden(error: &Error) -> Option<String> {
    match error {
        Error::NotFound | Error::Internal(_) => None,
        other => Some(other.to_string()),
    }
}

const RUNNING_VERSION: &str = concat!("v", env!("CARGO_PKG_VERSION"), "+builtin.vault");

#[cfg(test)]
mod tests;

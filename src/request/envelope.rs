//! Vault's envelope around what a handler answers: as clients read it, and as a wrapping token
//! keeps it.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::reply::{Auth, Reply, WrapInfo};

/// The envelope's fields in their order, which is part of the interface: shells cut it apart.
/// `data` is what the reply's body held.
pub fn envelope(
    reply: Reply,
    data: Option<Map<String, Value>>,
    request_id: &str,
) -> [(&'static str, Value); 9] {
    let lease = reply.lease.unwrap_or_default();
    [
        ("request_id", Value::from(request_id)),
        ("lease_id", Value::from(lease.id)),
        ("renewable", Value::from(lease.renewable)),
        ("lease_duration", seconds(lease.ttl)),
        ("data", data.map_or(Value::Null, Value::Object)),
        ("wrap_info", reply.wrap_info.as_ref().map_or(Value::Null, wrap_info)),
        ("warnings", if reply.warnings.is_empty() { Value::Null } else { reply.warnings.into() }),
        ("auth", reply.auth.as_ref().map_or(Value::Null, auth)),
        ("mount_type", Value::from(reply.mount_type)),
    ]
}

fn auth(auth: &Auth) -> Value {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    add("client_token", json!(auth.client_token));
    add("accessor", json!(auth.accessor));
    add("policies", json!(auth.policies));
    if !auth.token_policies.is_empty() {
        add("token_policies", json!(auth.token_policies));
    }
    if !auth.identity_policies.is_empty() {
        add("identity_policies", json!(auth.identity_policies));
    }
    let metadata = if auth.metadata.is_empty() { Value::Null } else { json!(auth.metadata) };
    add("metadata", metadata);
    add("lease_duration", seconds(auth.ttl));
    add("renewable", json!(auth.renewable));
    add("entity_id", json!(auth.entity_id));
    add("token_type", json!(auth.token_type));
    add("orphan", json!(auth.orphan));
    add("mfa_requirement", Value::Null);
    add("num_uses", json!(auth.num_uses));
    Value::Object(fields)
}

fn wrap_info(wrapping: &WrapInfo) -> Value {
    let mut fields = Map::new();
    let mut add = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
    add("token", json!(wrapping.token));
    add("accessor", json!(wrapping.accessor));
    add("ttl", seconds(wrapping.ttl));
    add("creation_time", json!(wrapping.creation_time.rfc3339()));
    add("creation_path", json!(wrapping.creation_path));
    if let Some(accessor) = wrapping.wrapped_accessor.as_ref().filter(|text| !text.is_empty()) {
        add("wrapped_accessor", json!(accessor));
    }
    Value::Object(fields)
}

fn seconds(duration: Duration) -> Value {
    Value::from(duration.as_secs())
}

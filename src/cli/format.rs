//! What replies look like in each format.

use serde_json::{Map, Value, json};

use super::{go_text, table, yaml};
use crate::client::{AuthBlock, Envelope, WrapBlock};

/// `-format`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    Table,
    Json,
    Yaml,
    /// The body as it came.
    Raw,
    /// Vault knows it, for a few commands that are not here.
    Pretty,
    /// Of `audit report` alone.
    Csv,
    /// Of `audit report` alone.
    Html,
}

impl Format {
    pub(super) fn parse(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "" | "table" => Some(Self::Table),
            "json" => Some(Self::Json),
            "yaml" | "yml" => Some(Self::Yaml),
            "raw" => Some(Self::Raw),
            "pretty" => Some(Self::Pretty),
            "csv" => Some(Self::Csv),
            "html" => Some(Self::Html),
            _ => None,
        }
    }

    pub(super) fn is_of_reports(self) -> bool {
        matches!(self, Self::Csv | Self::Html)
    }
}

/// Two spaces of indent and no newline at the end.
pub(super) fn json_text(value: &Value) -> String {
    // A `Value` always serialises: its keys are text.
    serde_json::to_string_pretty(value).unwrap_or_default()
}

pub(super) fn yaml_text(value: &Value) -> String {
    yaml::text(value).trim_end_matches('\n').to_owned()
}

/// The same with the keys of all objects in order, as Go prints a map.
pub(super) fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(values) => {
            let mut pairs: Vec<_> = values.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            Value::Object(
                pairs.into_iter().map(|(key, value)| (key.clone(), sorted(value))).collect(),
            )
        }
        Value::Array(values) => Value::Array(values.iter().map(sorted).collect()),
        value => value.clone(),
    }
}

/// An envelope with the keys that Vault's command line prints, in its order.
pub(super) fn envelope_value(envelope: &Envelope) -> Value {
    let warnings = Some(&envelope.warnings).filter(|warnings| !warnings.is_empty());
    let mut value = Map::new();
    value.insert("request_id".into(), json!(envelope.request_id));
    value.insert("lease_id".into(), json!(envelope.lease_id));
    value.insert("lease_duration".into(), json!(envelope.lease_duration));
    value.insert("renewable".into(), json!(envelope.renewable));
    value.insert("data".into(), sorted(&envelope.data));
    value.insert("warnings".into(), json!(warnings));
    if let Some(auth) = &envelope.auth {
        value.insert("auth".into(), auth_value(auth));
    }
    if let Some(wrap) = &envelope.wrap_info {
        value.insert("wrap_info".into(), wrap_value(wrap));
    }
    if !envelope.mount_type.is_empty() {
        value.insert("mount_type".into(), json!(envelope.mount_type));
    }
    Value::Object(value)
}

fn auth_value(auth: &AuthBlock) -> Value {
    json!({
        "client_token": auth.client_token,
        "accessor": auth.accessor,
        "policies": auth.policies,
        "token_policies": auth.token_policies,
        "identity_policies": auth.identity_policies,
        "metadata": sorted(&auth.metadata),
        "orphan": auth.orphan,
        "entity_id": auth.entity_id,
        "lease_duration": auth.lease_duration,
        "renewable": auth.renewable,
        "mfa_requirement": sorted(&auth.mfa_requirement),
    })
}

fn wrap_value(wrap: &WrapBlock) -> Value {
    json!({
        "token": wrap.token,
        "accessor": wrap.accessor,
        "ttl": wrap.ttl,
        "creation_time": wrap.creation_time,
        "creation_path": wrap.creation_path,
        "wrapped_accessor": wrap.wrapped_accessor,
    })
}

/// The rows of an envelope's table, without the header.
pub(super) fn envelope_rows(envelope: &Envelope) -> Vec<(String, String)> {
    let mut rows = Rows(Vec::new());
    if envelope.lease_duration > 0 {
        let duration = go_text::duration(envelope.lease_duration);
        if envelope.lease_id.is_empty() {
            // A plain secret has no lease: it says how often to read it again.
            rows.push("refresh_interval", duration);
        } else {
            rows.push("lease_id", envelope.lease_id.clone());
            rows.push("lease_duration", duration);
            rows.push("lease_renewable", envelope.renewable.to_string());
        }
    }
    if let Some(auth) = &envelope.auth {
        push_auth(auth, &mut rows);
    }
    if let Some(wrap) = &envelope.wrap_info {
        rows.push("wrapping_token:", wrap.token.clone());
        rows.push("wrapping_accessor:", wrap.accessor.clone());
        rows.push("wrapping_token_ttl:", go_text::duration(wrap.ttl));
        rows.push("wrapping_token_creation_time:", go_time(&wrap.creation_time));
        rows.push("wrapping_token_creation_path:", wrap.creation_path.clone());
        if !wrap.wrapped_accessor.is_empty() {
            rows.push("wrapped_accessor:", wrap.wrapped_accessor.clone());
        }
    }
    if let Some(data) = envelope.data() {
        rows.0.extend(data_rows(data));
    }
    rows.0
}

fn push_auth(auth: &AuthBlock, rows: &mut Rows) {
    if auth.mfa_requirement.is_object() {
        return push_mfa(&auth.mfa_requirement, rows);
    }
    let duration = match auth.lease_duration {
        0 => "∞".into(),
        seconds => go_text::duration(seconds),
    };
    rows.push("token", auth.client_token.clone());
    rows.push("token_accessor", auth.accessor.clone());
    rows.push("token_duration", duration);
    rows.push("token_renewable", auth.renewable.to_string());
    rows.push("token_policies", go_text::quoted(auth.token_policies.as_ref()));
    rows.push("identity_policies", go_text::quoted(auth.identity_policies.as_ref()));
    rows.push("policies", go_text::quoted(auth.policies.as_ref()));
    if let Value::Object(metadata) = sorted(&auth.metadata) {
        for (key, value) in metadata {
            rows.push(&format!("token_meta_{key}"), go_text::text(&value));
        }
    }
}

fn push_mfa(requirement: &Value, rows: &mut Rows) {
    let text = |value: Option<&Value>| value.map(go_text::text).unwrap_or_default();
    rows.push("mfa_request_id", text(requirement.get("mfa_request_id")));
    let constraints = requirement.get("mfa_constraints").and_then(Value::as_object);
    for (name, constraint) in constraints.into_iter().flatten() {
        for method in constraint.get("any").and_then(Value::as_array).into_iter().flatten() {
            let prefix = format!("mfa_constraint_{name}_{}", text(method.get("type")));
            rows.push(&format!("{prefix}_id"), text(method.get("id")));
            rows.push(&format!("{prefix}_uses_passcode"), text(method.get("uses_passcode")));
            if let Some(name) = method.get("name") {
                rows.push(&format!("{prefix}_name"), go_text::text(name));
            }
        }
    }
}

/// Keys in order; seconds of what is named like a duration as such.
pub(super) fn data_rows(data: &Map<String, Value>) -> Vec<(String, String)> {
    let mut pairs: Vec<_> = data.iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    let text = |key: &str, value: &Value| match value.as_u64() {
        Some(seconds) if is_duration(key) => go_text::duration(seconds),
        _ => go_text::text(value),
    };
    pairs.into_iter().map(|(key, value)| (key.clone(), text(key, value))).collect()
}

fn is_duration(key: &str) -> bool {
    ["period", "ttl", "duration"].iter().any(|name| {
        key.strip_suffix(name).is_some_and(|rest| rest.is_empty() || rest.ends_with('_'))
    }) || matches!(key, "lease_max" | "ttl_max")
}

/// One field of an envelope, as `-field` asks for it; `None` where there is none, or null.
pub(super) fn field(envelope: &Envelope, name: &str) -> Option<Value> {
    let value = match (&envelope.auth, &envelope.wrap_info) {
        (Some(auth), _) => auth_field(auth, name),
        (None, Some(wrap)) => wrap_field(wrap, name),
        (None, None) => match name {
            "lease_id" => Some(json!(envelope.lease_id)),
            "lease_duration" | "refresh_interval" => Some(json!(envelope.lease_duration)),
            "lease_renewable" => Some(json!(envelope.renewable)),
            "data" if envelope.data().is_some_and(|data| !data.contains_key("data")) => {
                Some(envelope.data.clone())
            }
            _ => None,
        },
    };
    value.or_else(|| envelope.data()?.get(name).cloned()).filter(|value| !value.is_null())
}

fn auth_field(auth: &AuthBlock, name: &str) -> Option<Value> {
    match name {
        "token" => Some(json!(auth.client_token)),
        "token_accessor" => Some(json!(auth.accessor)),
        "token_duration" => Some(json!(auth.lease_duration)),
        "token_renewable" => Some(json!(auth.renewable)),
        "token_policies" => Some(json!(auth.token_policies.as_deref().unwrap_or_default())),
        "identity_policies" => Some(json!(auth.identity_policies.as_deref().unwrap_or_default())),
        "policies" => Some(json!(auth.policies.as_deref().unwrap_or_default())),
        _ => {
            let key = name.strip_prefix("token_meta_")?;
            auth.metadata.get(key).cloned()
        }
    }
}

fn wrap_field(wrap: &WrapBlock, name: &str) -> Option<Value> {
    match name {
        "wrapping_token" => Some(json!(wrap.token)),
        "wrapping_accessor" => Some(json!(wrap.accessor)),
        "wrapping_token_ttl" => Some(json!(wrap.ttl)),
        "wrapping_token_creation_time" => Some(json!(wrap.creation_time)),
        "wrapping_token_creation_path" => Some(json!(wrap.creation_path)),
        "wrapped_accessor" => Some(json!(wrap.wrapped_accessor)),
        _ => None,
    }
}

/// RFC 3339 as Go prints a time: `2026-11-24 08:05:24.5 +0000 UTC`.
fn go_time(rfc3339: &str) -> String {
    match rfc3339.strip_suffix('Z').and_then(|time| time.split_once('T')) {
        Some((date, time)) => format!("{date} {time} +0000 UTC"),
        None => rfc3339.to_owned(),
    }
}

/// `== Title ==` and the table of a map below it.
pub(super) fn titled_map(title: &str, map: &Map<String, Value>) -> String {
    let mut rows: Vec<(String, String)> =
        map.iter().map(|(key, value)| (key.clone(), go_text::text(value))).collect();
    rows.sort();
    let title = table::title(title, map.keys().map(String::as_str));
    format!("{title}\n{}", table::of_pairs(&rows))
}

/// Text in lines of at most 78 characters, behind `  * `.
pub(super) fn bullet(text: &str) -> String {
    let mut lines = Vec::new();
    let mut line = String::from("  *");
    for word in text.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > 78 && line.len() > 3 {
            lines.push(std::mem::replace(&mut line, String::from(" ")));
        }
        line.push(' ');
        line.push_str(word);
    }
    lines.push(line);
    lines.join("\n")
}

struct Rows(Vec<(String, String)>);

impl Rows {
    fn push(&mut self, key: &str, value: String) {
        self.0.push((key.to_owned(), value));
    }
}

#[cfg(test)]
mod tests;

//! What a rule says of a request's parameters.

use serde_json::{Number, Value};

use super::super::parse::Permissions;
use super::Refusal;
use crate::request::Params;

/// `None` where the rule has nothing against them.
///
/// A request without parameters passes but for those that are required, whatever is allowed: as
/// in Vault, where reads would otherwise fail.
pub(super) fn refusal(permissions: &Permissions, params: &Params) -> Option<Refusal> {
    for name in &permissions.required_parameters {
        if !params.contains_key(name) {
            return Some(Refusal::ParameterRequired(name.clone()));
        }
    }
    let (allowed, denied) = (&permissions.allowed_parameters, &permissions.denied_parameters);
    for (name, value) in params {
        // Its values do not matter: as in Vault.
        if denied.contains_key(ANY) {
            return Some(Refusal::ParameterDenied(name.clone()));
        }
        let values = denied.get(&name.to_lowercase());
        if values.is_some_and(|values| is_denied(value, values)) {
            return Some(Refusal::ParameterDenied(name.clone()));
        }
    }
    if allowed.is_empty() {
        return None;
    }
    for (name, value) in params {
        let is_allowed = match allowed.get(&name.to_lowercase()) {
            Some(values) => is_allowed(value, values),
            None => allowed.contains_key(ANY),
        };
        if !is_allowed {
            return Some(Refusal::ParameterNotAllowed(name.clone()));
        }
    }
    None
}

/// The name that stands for every parameter.
const ANY: &str = "*";

fn is_allowed(value: &Value, values: &[Value]) -> bool {
    values.is_empty() || values.iter().any(|known| matches(value, known))
}

/// Stricter than [`is_allowed`], and than Vault. Handlers take `"5"` for 5 and `["a"]` for `"a"`,
/// so that what is denied in one form is denied in all of them.
fn is_denied(value: &Value, values: &[Value]) -> bool {
    if is_allowed(value, values) {
        return true;
    }
    match value {
        Value::Array(elements) => elements.iter().any(|element| is_denied(element, values)),
        Value::Bool(_) | Value::Number(_) | Value::String(_) => {
            let text = weak_text(value);
            values.iter().any(|known| text_matches(&text, &weak_text(known)))
                || text.split(',').any(|part| {
                    values.iter().any(|known| text_matches(part.trim(), &weak_text(known)))
                })
        }
        Value::Null | Value::Object(_) => false,
    }
}

fn matches(value: &Value, known: &Value) -> bool {
    match (value, known) {
        (Value::String(value), Value::String(known)) => text_matches(value, known),
        (Value::Number(value), Value::Number(known)) => same_number(value, known),
        _ => value == known,
    }
}

/// `*` is a wildcard at either end, unless it is all there is: as in Vault.
fn text_matches(value: &str, known: &str) -> bool {
    if known.len() < 2 {
        return value == known;
    }
    match (known.strip_prefix('*'), known.strip_suffix('*')) {
        (Some(rest), Some(_)) => value.contains(rest.strip_suffix('*').unwrap_or(rest)),
        (Some(end), None) => value.ends_with(end),
        (None, Some(start)) => value.starts_with(start),
        (None, None) => value == known,
    }
}

/// However they are written.
fn same_number(one: &Number, other: &Number) -> bool {
    match (one.as_i128(), other.as_i128()) {
        (Some(one), Some(other)) => one == other,
        _ => one == other || (one.as_f64().is_some() && one.as_f64() == other.as_f64()),
    }
}

fn weak_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

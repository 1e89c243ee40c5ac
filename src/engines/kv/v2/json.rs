//! What patches and looks into JSON values. Numbers keep their text: none passes through a float.

use serde_json::{Map, Value};

/// JSON merge patch (RFC 7396, section 2).
pub(super) fn merge_patch(target: &mut Value, patch: Value) {
    let Value::Object(patch) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Value::Object(members) = target else {
        return;
    };
    for (name, value) in patch {
        if value.is_null() {
            // Keeps the order of those that stay.
            members.shift_remove(&name);
        } else {
            merge_patch(members.entry(name).or_insert(Value::Null), value);
        }
    }
}

/// The keys alone: whatever is no object becomes null, and so does what is deeper than `depth`
/// levels (0: all are shown). As in Vault, an empty object is null too, but for the outermost.
pub(super) fn subkeys(value: &Value, depth: u64) -> Value {
    let Value::Object(members) = value else {
        return Value::Null;
    };
    let inner = |value: &Value| match value {
        Value::Object(members) if members.is_empty() || depth == 1 => Value::Null,
        value => subkeys(value, depth.saturating_sub(1)),
    };
    members.iter().map(|(name, value)| (name.clone(), inner(value))).collect()
}

#[cfg(test)]
mod tests;

//! Values as Go prints them, since scripts read Vault's tables.

use serde_json::Value;

/// As `%v`: `map[a:1 b:[x y]]`, `<nil>`, strings as they are, numbers as they were written.
pub(super) fn text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".into(),
        Value::Bool(value) => value.to_string(),
        Value::Number(value) => value.to_string(),
        Value::String(value) => value.clone(),
        Value::Array(values) => {
            let values: Vec<String> = values.iter().map(text).collect();
            format!("[{}]", values.join(" "))
        }
        Value::Object(values) => {
            let mut pairs: Vec<_> = values.iter().collect();
            pairs.sort_by_key(|(key, _)| *key);
            let pairs: Vec<String> =
                pairs.iter().map(|(key, value)| format!("{key}:{}", text(value))).collect();
            format!("map[{}]", pairs.join(" "))
        }
    }
}

/// As `%q` of a list: `["a" "b"]`.
pub(super) fn quoted(values: Option<&Vec<String>>) -> String {
    let values: Vec<String> =
        values.into_iter().flatten().map(|value| format!("{value:?}")).collect();
    format!("[{}]", values.join(" "))
}

/// A duration as Vault's tables show it: `768h`, `1h30m`, `59s`.
pub(super) fn duration(seconds: u64) -> String {
    let (hours, minutes, rest) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let mut text = String::new();
    for (count, unit) in [(hours, 'h'), (minutes, 'm'), (rest, 's')] {
        if count > 0 {
            text.push_str(&format!("{count}{unit}"));
        }
    }
    if text.is_empty() { "0s".into() } else { text }
}

#[cfg(test)]
mod tests;

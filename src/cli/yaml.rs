//! YAML as Go's encoder writes it: keys sorted, lists not indented.

use serde_json::Value;

pub(super) fn text(value: &Value) -> String {
    let mut lines = String::new();
    match value {
        Value::Object(values) if !values.is_empty() => write_object(values, 0, &mut lines),
        Value::Array(values) if !values.is_empty() => write_array(values, 0, &mut lines),
        value => {
            lines.push_str(&scalar(value));
            lines.push('\n');
        }
    }
    lines
}

fn write_object(values: &serde_json::Map<String, Value>, indent: usize, lines: &mut String) {
    let mut pairs: Vec<_> = values.iter().collect();
    pairs.sort_by_key(|(key, _)| *key);
    for (index, (key, value)) in pairs.into_iter().enumerate() {
        // The first line of an object in a list stands behind the dash.
        if index > 0 || !lines.ends_with("- ") {
            lines.push_str(&" ".repeat(indent));
        }
        lines.push_str(&string(key));
        lines.push(':');
        write_below(value, indent, lines);
    }
}

fn write_array(values: &[Value], indent: usize, lines: &mut String) {
    for (index, value) in values.iter().enumerate() {
        if index > 0 || !lines.ends_with("- ") {
            lines.push_str(&" ".repeat(indent));
        }
        lines.push_str("- ");
        match value {
            Value::Object(values) if !values.is_empty() => write_object(values, indent + 2, lines),
            Value::Array(values) if !values.is_empty() => write_array(values, indent + 2, lines),
            value => {
                lines.push_str(&scalar(value));
                lines.push('\n');
            }
        }
    }
}

fn write_below(value: &Value, indent: usize, lines: &mut String) {
    match value {
        Value::Object(values) if !values.is_empty() => {
            lines.push('\n');
            write_object(values, indent + 2, lines);
        }
        Value::Array(values) if !values.is_empty() => {
            lines.push('\n');
            write_array(values, indent, lines);
        }
        value => {
            lines.push(' ');
            lines.push_str(&scalar(value));
            lines.push('\n');
        }
    }
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => string(text),
        Value::Array(_) => "[]".into(),
        Value::Object(_) => "{}".into(),
        value => value.to_string(),
    }
}

fn string(text: &str) -> String {
    // What JSON quotes is valid in YAML's double quotes.
    if is_plain(text) { text.to_owned() } else { Value::from(text).to_string() }
}

/// Whether every YAML reader, of 1.1 or 1.2, takes it for this very string.
fn is_plain(text: &str) -> bool {
    let starts_well = text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '/');
    let is_word = matches!(
        text.to_ascii_lowercase().as_str(),
        "y" | "n" | "yes" | "no" | "on" | "off" | "true" | "false" | "null"
    );
    let is_quiet = |c: char| c.is_ascii_alphanumeric() || " -_./@+,()=:'".contains(c);
    starts_well
        && !is_word
        && text.chars().all(is_quiet)
        && !text.contains(": ")
        && !text.ends_with([':', ' '])
}

#[cfg(test)]
mod tests;

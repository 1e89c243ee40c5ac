//! JSON as XML, after IBM's JSONx: elements are named after types, members by an attribute.

use serde_json::{Map, Value};

/// One document on one line.
pub(super) fn document(object: &Map<String, Value>) -> String {
    let mut text = String::from(BEGIN);
    members(&mut text, object);
    text.push_str("</json:object>");
    text
}

fn members(text: &mut String, object: &Map<String, Value>) {
    for (name, value) in object {
        element(text, Some(name), value);
    }
}

fn element(text: &mut String, name: Option<&str>, value: &Value) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    text.push_str("<json:");
    text.push_str(kind);
    if let Some(name) = name {
        text.push_str(" name=\"");
        escape(text, name);
        text.push('"');
    }
    text.push('>');
    match value {
        Value::Null => {}
        Value::Bool(value) => text.push_str(if *value { "true" } else { "false" }),
        Value::Number(number) => text.push_str(&number.to_string()),
        Value::String(content) => escape(text, content),
        Value::Array(items) => items.iter().for_each(|item| element(text, None, item)),
        Value::Object(object) => members(text, object),
    }
    text.push_str("</json:");
    text.push_str(kind);
    text.push('>');
}

fn escape(text: &mut String, content: &str) {
    for c in content.chars() {
        match c {
            '&' => text.push_str("&amp;"),
            '<' => text.push_str("&lt;"),
            '>' => text.push_str("&gt;"),
            '"' => text.push_str("&#34;"),
            '\'' => text.push_str("&#39;"),
            '\t' => text.push_str("&#x9;"),
            '\n' => text.push_str("&#xA;"),
            '\r' => text.push_str("&#xD;"),
            // What XML 1.0 cannot hold.
            c if c.is_control() => text.push(char::REPLACEMENT_CHARACTER),
            c => text.push(c),
        }
    }
}

const BEGIN: &str = "<json:object xmlns:json=\"http://www.ibm.com/xmlns/prod/2009/jsonx\">";

//! JSON Schema of 2020-12, as `schemars` writes it, made what OpenAPI 3.0 calls a schema.

use serde_json::{Map, Value, json};

/// OpenAPI 3.0 knows one type at a time, and `nullable`; of a union with null only that is left.
pub(super) fn of(schema: &Value) -> Value {
    let Value::Object(schema) = schema else {
        // `true`: whatever there is.
        return json!({});
    };
    if let Some(Value::Array(alternatives)) = schema.get("anyOf").or_else(|| schema.get("oneOf")) {
        return union(schema, alternatives);
    }
    let mut made = Map::new();
    for (name, value) in schema {
        match name.as_str() {
            "type" => add_type(&mut made, value),
            "items" => drop(made.insert(name.clone(), of(value))),
            "properties" => drop(made.insert(name.clone(), properties(value))),
            "additionalProperties" if value.is_object() => {
                made.insert(name.clone(), of(value));
            }
            "const" => drop(made.insert("enum".into(), json!([value]))),
            "additionalProperties"
            | "default"
            | "description"
            | "enum"
            | "maximum"
            | "minimum"
            | "maxLength"
            | "minLength"
            | "pattern"
            | "required" => {
                made.insert(name.clone(), value.clone());
            }
            // As in Vault: seconds, or text such as `1h30m`.
            "format" if value == "duration" => drop(made.insert(name.clone(), value.clone())),
            _ => {}
        }
    }
    if made.get("type").is_some_and(|kind| kind == "array") {
        made.entry("items").or_insert_with(|| json!({}));
    }
    if made.get("default") == Some(&Value::Null) {
        made.remove("default");
    }
    Value::Object(made)
}

fn union(schema: &Map<String, Value>, alternatives: &[Value]) -> Value {
    let is_null = |one: &&Value| one.get("type").is_some_and(|kind| kind == "null");
    let mut others: Vec<Value> = alternatives.iter().filter(|one| !is_null(one)).map(of).collect();
    let mut made = match (others.len(), others.pop()) {
        (1, Some(Value::Object(only))) => only,
        (_, Some(last)) => {
            others.push(last);
            Map::from_iter([("anyOf".to_owned(), Value::Array(others))])
        }
        (_, None) => Map::new(),
    };
    if alternatives.iter().any(|one| is_null(&one)) && made.contains_key("type") {
        made.insert("nullable".into(), true.into());
    }
    if let Some(description) = schema.get("description") {
        made.insert("description".into(), description.clone());
    }
    Value::Object(made)
}

fn add_type(made: &mut Map<String, Value>, value: &Value) {
    match value {
        Value::Array(kinds) => {
            if let Some(kind) = kinds.iter().find(|kind| *kind != "null") {
                made.insert("type".into(), kind.clone());
            }
            if kinds.iter().any(|kind| kind == "null") && made.contains_key("type") {
                made.insert("nullable".into(), true.into());
            }
        }
        kind => drop(made.insert("type".into(), kind.clone())),
    }
}

fn properties(value: &Value) -> Value {
    let properties = value.as_object().into_iter().flatten();
    Value::Object(properties.map(|(name, schema)| (name.clone(), of(schema))).collect())
}

#[cfg(test)]
mod tests;

//! Vault's weak typing: what clients send is made what the handler declares, by its schema.

use std::collections::BTreeMap;

use schemars::Schema;
use serde_json::{Map, Value};

use crate::duration::SignedDuration;
use crate::request::{Error, Params};

/// What a handler's input declares, read off its schema once.
#[derive(Clone, Debug)]
pub struct Fields {
    fields: BTreeMap<String, FieldKind>,
    /// The input takes whatever comes.
    open: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum FieldKind {
    Any,
    Boolean,
    Duration,
    Integer,
    IntegerList,
    /// String to string.
    Map,
    Number,
    Object,
    String,
    StringList,
}

impl Fields {
    pub fn of(schema: &Schema) -> Self {
        let schema = schema.as_value();
        let open = schema.get("additionalProperties") == Some(&Value::Bool(true));
        let properties = schema.get("properties").and_then(Value::as_object);
        let fields = properties
            .into_iter()
            .flatten()
            .map(|(name, property)| (name.clone(), kind(property)))
            .collect();
        Self { fields, open }
    }

    /// Whether no parameter is unknown.
    pub fn takes_anything(&self) -> bool {
        self.open
    }

    /// The parameters as the handler declares them, and the names of those it does not.
    ///
    /// # Errors
    /// [`Error::BadRequest`] that names the field. The value is not told: it may be a secret.
    pub fn coerce(&self, params: Params) -> Result<(Params, Vec<String>), Error> {
        if self.open {
            return Ok((params, Vec::new()));
        }
        let (mut known, mut ignored) = (Map::new(), Vec::new());
        for (name, value) in params {
            let Some(kind) = self.fields.get(&name) else {
                ignored.push(name);
                continue;
            };
            if value.is_null() {
                continue;
            }
            let coerced = coerce(*kind, value).ok_or_else(|| {
                Error::BadRequest(format!(
                    "Field validation failed: error converting input for field {name:?}: \
                     expected {}",
                    kind.expected()
                ))
            })?;
            known.insert(name, coerced);
        }
        ignored.sort_unstable();
        Ok((known, ignored))
    }
}

impl FieldKind {
    /// Of one property of a schema.
    pub fn of_schema(property: &Value) -> Self {
        kind(property)
    }

    /// As help shows it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Boolean => "bool",
            Self::Duration => "duration",
            Self::Integer => "int",
            Self::IntegerList => "list of int",
            Self::Map => "key=value map",
            Self::Number => "float",
            Self::Object => "map",
            Self::String => "string",
            Self::StringList => "list of string",
        }
    }

    fn expected(self) -> &'static str {
        match self {
            Self::Any => "any value",
            Self::Boolean => "a boolean",
            Self::Duration => "a duration such as 3600, \"1h30m\" or \"7d\"",
            Self::Integer => "an integer",
            Self::IntegerList => "a list of integers",
            Self::Map => "a map of strings, or a list of \"key=value\"",
            Self::Number => "a number",
            Self::Object => "an object",
            Self::String => "a string",
            Self::StringList => "a list of strings, or one string with commas",
        }
    }
}

pub(super) fn kind(property: &Value) -> FieldKind {
    let of_type = |name: &str| match property.get("type") {
        Some(Value::String(only)) => only == name,
        Some(Value::Array(several)) => several.iter().any(|one| one == name),
        _ => false,
    };
    if property.get("format").is_some_and(|format| format == "duration") {
        FieldKind::Duration
    } else if of_type("string") {
        FieldKind::String
    } else if of_type("boolean") {
        FieldKind::Boolean
    } else if of_type("integer") {
        FieldKind::Integer
    } else if of_type("number") {
        FieldKind::Number
    } else if of_type("array") {
        match property.get("items").map(kind) {
            Some(FieldKind::String) => FieldKind::StringList,
            Some(FieldKind::Integer) => FieldKind::IntegerList,
            _ => FieldKind::Any,
        }
    } else if of_type("object") {
        match property.get("additionalProperties").map(kind) {
            Some(FieldKind::String) => FieldKind::Map,
            _ => FieldKind::Object,
        }
    } else if let Some(Value::Array(alternatives)) = property.get("anyOf") {
        let null = |one: &&Value| one.get("type").is_some_and(|name| name == "null");
        alternatives.iter().find(|one| !null(one)).map_or(FieldKind::Any, kind)
    } else {
        FieldKind::Any
    }
}

fn whole_seconds(text: &str) -> Option<i64> {
    SignedDuration::parse(text).ok().map(SignedDuration::whole_seconds)
}

fn coerce(to: FieldKind, value: Value) -> Option<Value> {
    match to {
        FieldKind::Any => Some(value),
        FieldKind::Boolean => boolean(&value).map(Value::Bool),
        FieldKind::Duration => match value {
            Value::String(text) if text.trim().is_empty() => Some(0.into()),
            Value::String(text) => whole_seconds(&text).map(Value::from),
            other => integer(&other),
        },
        FieldKind::Integer => integer(&value),
        FieldKind::Number => match value {
            Value::Number(_) => Some(value),
            Value::String(text) => serde_json::from_str(text.trim()).ok().filter(Value::is_number),
            _ => None,
        },
        FieldKind::IntegerList => list(value)?.iter().map(integer).collect(),
        FieldKind::StringList => list(value)?.into_iter().map(string).collect(),
        FieldKind::String => string(value),
        FieldKind::Map => map(value),
        FieldKind::Object => match value {
            Value::Object(_) => Some(value),
            Value::String(text) => serde_json::from_str(&text).ok().filter(Value::is_object),
            _ => None,
        },
    }
}

/// As Go's `strconv.ParseBool`, and numbers.
fn boolean(value: &Value) -> Option<bool> {
    match value {
        Value::Bool(value) => Some(*value),
        Value::Number(number) => Some(number.as_f64()? != 0.0),
        Value::String(text) => match text.trim() {
            "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
            "" | "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
            _ => None,
        },
        _ => None,
    }
}

fn integer(value: &Value) -> Option<Value> {
    match value {
        Value::Bool(value) => Some(i64::from(*value).into()),
        Value::Number(number) => whole(&number.to_string()),
        Value::String(text) if text.trim().is_empty() => Some(0.into()),
        Value::String(text) => whole(text.trim()),
        _ => None,
    }
}

/// JSON writers may put a whole number as `1.0` or `1e3`.
fn whole(text: &str) -> Option<Value> {
    if let Ok(number) = text.parse::<i64>() {
        return Some(number.into());
    }
    let number = text.parse::<f64>().ok().filter(|number| number.fract() == 0.0)?;
    #[expect(clippy::cast_possible_truncation, reason = "whole, and within i64: checked")]
    (number.abs() < 9e15).then_some((number as i64).into())
}

fn string(value: Value) -> Option<Value> {
    match value {
        Value::String(_) => Some(value),
        Value::Bool(value) => Some(Value::String(if value { "1" } else { "0" }.into())),
        Value::Number(number) => Some(Value::String(number.to_string())),
        Value::Array(_) | Value::Object(_) | Value::Null => None,
    }
}

fn list(value: Value) -> Option<Vec<Value>> {
    match value {
        Value::Array(items) => Some(items),
        Value::String(text) => Some(
            text.split(',')
                .map(str::trim)
                .filter(|item| !item.is_empty())
                .map(|item| Value::String(item.to_owned()))
                .collect(),
        ),
        Value::Number(_) | Value::Bool(_) => Some(vec![value]),
        Value::Object(_) | Value::Null => None,
    }
}

fn map(value: Value) -> Option<Value> {
    let mut pairs = Map::new();
    match value {
        Value::Object(object) => {
            for (key, value) in object {
                pairs.insert(key, string(value)?);
            }
        }
        Value::String(text) if text.trim_start().starts_with('{') => {
            return serde_json::from_str(&text).ok().and_then(map_of_object);
        }
        other => {
            for item in list(other)? {
                let (key, value) = item.as_str()?.split_once('=')?;
                pairs.insert(key.trim().to_owned(), Value::String(value.trim().to_owned()));
            }
        }
    }
    Some(Value::Object(pairs))
}

fn map_of_object(value: Value) -> Option<Value> {
    if value.is_object() { map(value) } else { None }
}

#[cfg(test)]
mod tests;

//! What users note of a secret, in bounds.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use crate::request::Error;

/// Weakly typed, as in Vault: numbers and booleans become text. A key without value is to be
/// removed.
///
/// # Errors
/// [`Error::BadRequest`] where it is no map of strings.
pub(super) fn parse(given: &Value) -> Result<BTreeMap<String, Option<String>>, Error> {
    let none = Map::new();
    let given = match given {
        Value::Object(given) => given,
        Value::Null => &none,
        _ => {
            return Err(Error::bad_request(
                "error converting input for field \"custom_metadata\": expected a map of strings",
            ));
        }
    };
    let mut parsed = BTreeMap::new();
    for (key, value) in given {
        let value = match value {
            Value::Null => None,
            Value::String(text) => Some(text.clone()),
            Value::Bool(value) => Some(if *value { "1".into() } else { "0".into() }),
            Value::Number(number) => Some(number.to_string()),
            Value::Array(_) | Value::Object(_) => {
                return Err(Error::BadRequest(format!(
                    "custom_metadata validation failed: value for key {key:?} is not a string"
                )));
            }
        };
        parsed.insert(key.clone(), value);
    }
    Ok(parsed)
}

/// # Errors
/// [`Error::BadRequest`] with all that is wrong, as Vault words it.
pub(super) fn check(custom: &BTreeMap<String, String>) -> Result<(), Error> {
    let mut wrong = Vec::new();
    if custom.len() > KEYS_MAX {
        let given = custom.len();
        wrong.push(format!("payload must contain at most {KEYS_MAX} keys, provided {given}"));
    } else {
        for (key, value) in custom {
            check_pair(key, value, &mut wrong);
        }
    }
    if wrong.is_empty() {
        return Ok(());
    }
    let count = wrong.len();
    let errors = if count == 1 { "error" } else { "errors" };
    let lines: String = wrong
        .iter()
        .map(|text| format!("\t* custom_metadata validation failed: {text}\n"))
        .collect();
    Err(Error::BadRequest(format!("{count} {errors} occurred:\n{lines}\n")))
}

fn check_pair(key: &str, value: &str, wrong: &mut Vec<String>) {
    let (key_length, value_length) = (key.len(), value.len());
    if key_length == 0 || key_length > KEY_BYTES_MAX {
        wrong.push(format!(
            "length of key {key:?} is {key_length} but must be 0 < len(key) <= {KEY_BYTES_MAX}"
        ));
    }
    if value_length == 0 || value_length > VALUE_BYTES_MAX {
        wrong.push(format!(
            "length of value for key {key:?} is {value_length} but must be 0 < len(value) <= \
             {VALUE_BYTES_MAX}"
        ));
    }
    if !is_printable(key) {
        wrong.push(format!("key {key:?} contains unprintable characters"));
    }
    if !is_printable(value) {
        wrong.push(format!("value for key {key:?} contains unprintable characters"));
    }
}

/// Of all white space, only the plain space.
fn is_printable(text: &str) -> bool {
    !text.chars().any(|c| c.is_control() || (c.is_whitespace() && c != ' '))
}

/// As in Vault.
const KEYS_MAX: usize = 64;
const KEY_BYTES_MAX: usize = 128;
const VALUE_BYTES_MAX: usize = 512;

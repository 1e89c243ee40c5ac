//! JSON bodies, bounded before they are parsed.

use serde::Deserialize as _;
use serde_json::Value;

use super::settings::JsonLimits;
use crate::request::{Error, Params};

/// Numbers keep their text: nothing is rounded.
///
/// # Errors
/// What is over the limits, no JSON, or no object. `null` stands for an object without members.
pub(super) fn object(body: &[u8], limits: JsonLimits) -> Result<Params, Error> {
    let _bytes = weigh(body, limits)?;
    let mut reader = serde_json::Deserializer::from_slice(body);
    // The depth was counted above, and more than serde's own 128 levels are allowed.
    reader.disable_recursion_limit();
    let value = Value::deserialize(&mut reader)
        .and_then(|value| reader.end().map(|()| value))
        .map_err(|error| failed(&error.to_string()))?;
    match value {
        Value::Object(params) => Ok(params),
        Value::Null => Ok(Params::new()),
        other => Err(failed(&format!("the body is {}, not an object", kind(&other)))),
    }
}

/// The memory that the parsed body will take at most, roughly, in bytes. Counts without
/// allocating. What it counts is at least what a parser would make of the body, be
/// it valid or not.
pub(super) fn weigh(body: &[u8], limits: JsonLimits) -> Result<usize, Error> {
    let (mut depth, mut strings, mut members) = (0_usize, 0_usize, 0_usize);
    let mut bytes = body.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'"' => {
                strings += 1;
                while let Some(inner) = bytes.next() {
                    match inner {
                        b'\\' => drop(bytes.next()),
                        b'"' => break,
                        _ => {}
                    }
                }
            }
            b'{' | b'[' => {
                depth += 1;
                members += 1;
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b',' => members += 1,
            _ => {}
        }
        for (count, max, what) in [
            (depth, limits.depth_max, "levels of nesting"),
            (strings, limits.strings_max, "strings"),
            (members, limits.members_max, "members"),
        ] {
            if count > max {
                return Err(failed(&format!("the body has more than {max} {what}")));
            }
        }
    }
    Ok(members * MEMBER_BYTES + strings * STRING_BYTES)
}

fn failed(text: &str) -> Error {
    Error::bad_request(format!("failed to decode JSON input: {text}"))
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Array(_) => "an array",
        Value::Bool(_) => "a boolean",
        Value::Null => "null",
        Value::Number(_) => "a number",
        Value::Object(_) => "an object",
        Value::String(_) => "a string",
    }
}

/// A member of an object: its entry, hash and value; and what the allocator adds to a string.
pub(super) const MEMBER_BYTES: usize = 160;
const STRING_BYTES: usize = 32;

#[cfg(test)]
mod tests;

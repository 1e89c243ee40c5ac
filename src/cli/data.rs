//! `key=value` arguments.

use std::fs;

use serde_json::{Map, Value};

use super::failure::Failure;
use super::io::Io;

/// Reads what follows a path: `key=value`, `key=@file`, `key=-` (standard input), `@file` (a JSON
/// object), `-` (the same from standard input). `\@` at a value's start is a plain `@`. A key that
/// is given twice becomes a list.
pub(super) fn read(io: &mut Io<'_>, arguments: &[String]) -> Result<Map<String, Value>, Failure> {
    let mut data = Map::new();
    let mut is_input_read = false;
    for argument in arguments {
        read_one(io, &mut is_input_read, argument, &mut data).map_err(|reason| {
            Failure::local(format!(
                "Failed to parse K=V data: invalid key/value pair {argument:?}: {reason}"
            ))
        })?;
    }
    Ok(data)
}

/// As [`read`], for what must be text: options of a login or an audit device.
pub(super) fn read_text(
    io: &mut Io<'_>,
    arguments: &[String],
) -> Result<Map<String, Value>, Failure> {
    let data = read(io, arguments)?;
    let not_text = data.iter().find(|(_, value)| !value.is_string());
    match not_text {
        Some((key, _)) => Err(Failure::local(format!("`{key}` must be given once, as text"))),
        None => Ok(data),
    }
}

fn read_one(
    io: &mut Io<'_>,
    is_input_read: &mut bool,
    argument: &str,
    data: &mut Map<String, Value>,
) -> Result<(), String> {
    if argument == "-" {
        let text = read_input(io, is_input_read)?;
        return merge(&text, data);
    }
    if let Some(path) = argument.strip_prefix('@') {
        return merge(&read_file(path)?, data);
    }
    let (key, value) = argument.split_once('=').ok_or("format must be key=value")?;
    let value = if value == "-" {
        read_input(io, is_input_read)?
    } else if let Some(path) = value.strip_prefix('@') {
        read_file(path).map_err(|reason| format!("error reading file: {reason}"))?
    } else {
        value.strip_prefix('\\').filter(|rest| rest.starts_with('@')).unwrap_or(value).to_owned()
    };
    add(data, key, Value::String(value));
    Ok(())
}

fn merge(text: &str, data: &mut Map<String, Value>) -> Result<(), String> {
    let object: Map<String, Value> =
        serde_json::from_str(text).map_err(|error| format!("not a JSON object: {error}"))?;
    for (key, value) in object {
        add(data, &key, value);
    }
    Ok(())
}

fn add(data: &mut Map<String, Value>, key: &str, value: Value) {
    let value = match data.remove(key) {
        None => value,
        Some(Value::Array(mut values)) => {
            values.push(value);
            Value::Array(values)
        }
        Some(before) => Value::Array(vec![before, value]),
    };
    data.insert(key.to_owned(), value);
}

fn read_input(io: &mut Io<'_>, is_input_read: &mut bool) -> Result<String, String> {
    if std::mem::replace(is_input_read, true) {
        return Err("standard input can be read only once".into());
    }
    let bytes = io.read_input().map_err(|failure| failure.message)?;
    String::from_utf8(bytes).map_err(|_| "standard input is not UTF-8".into())
}

fn read_file(path: &str) -> Result<String, String> {
    fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests;

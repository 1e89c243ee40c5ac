//! Names of connections and roles.

use crate::request::Error;

/// Letters, digits, and in the middle also `-` and `.`.
///
/// # Errors
/// [`Error::BadRequest`] where it is not such a name.
pub(super) fn check(name: &str) -> Result<(), Error> {
    let is_edge = |letter: char| letter.is_ascii_alphanumeric() || letter == '_';
    let inner = |letter: char| is_edge(letter) || letter == '-' || letter == '.';
    if name.len() <= NAME_BYTES_MAX
        && name.starts_with(is_edge)
        && name.ends_with(is_edge)
        && name.chars().all(inner)
    {
        return Ok(());
    }
    Err(Error::BadRequest(format!(
        "a name has up to {NAME_BYTES_MAX} letters, digits and `_`, and between them `-` and `.`"
    )))
}

/// `*` stands for any characters.
pub(super) fn matches(pattern: &str, name: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(mut left) = name.strip_prefix(first) else {
        return false;
    };
    let mut parts: Vec<&str> = rest.split('*').collect();
    let last = parts.pop().unwrap_or_default();
    for part in parts {
        let Some((_, after)) = left.split_once(part) else {
            return false;
        };
        left = after;
    }
    left.ends_with(last)
}

const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;

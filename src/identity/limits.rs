//! What names, policies and metadata may be.

use std::collections::BTreeMap;

use crate::policy::{RESPONSE_WRAPPING, ROOT, sanitize_names};
use crate::request::Error;

/// Of an entity, a group or an alias.
///
/// # Errors
/// [`Error::BadRequest`] where it is too long or cannot be printed.
pub fn check_name(name: &str) -> Result<(), Error> {
    if name.len() > NAME_BYTES_MAX {
        return Err(Error::BadRequest(format!("the name is longer than {NAME_BYTES_MAX} bytes")));
    }
    if name.chars().any(char::is_control) {
        return Err(Error::bad_request("the name must be printable"));
    }
    Ok(())
}

/// As tokens have them: in lower case, each once, sorted.
///
/// # Errors
/// [`Error::BadRequest`] where one of them cannot be given to anyone, or there are too many.
pub fn check_policies(names: &[String]) -> Result<Vec<String>, Error> {
    let names = sanitize_names(names);
    for refused in [ROOT, RESPONSE_WRAPPING] {
        if names.iter().any(|name| name == refused) {
            return Err(Error::BadRequest(format!("policies cannot contain {refused}")));
        }
    }
    if names.len() > POLICIES_MAX {
        return Err(Error::BadRequest(format!("more than {POLICIES_MAX} policies")));
    }
    Ok(names)
}

/// Vault's bounds. `of` is what it belongs to, such as `entity`.
///
/// # Errors
/// [`Error::BadRequest`] with the pair that is too long.
pub fn check_metadata(of: &str, metadata: &BTreeMap<String, String>) -> Result<(), Error> {
    let refuse = |problem: String| {
        Err(Error::BadRequest(format!(
            "1 error occurred:\n\t* invalid {of} metadata: {problem}\n\n"
        )))
    };
    if metadata.len() > PAIRS_MAX {
        return refuse(format!("metadata cannot contain more than {PAIRS_MAX} key/value pairs"));
    }
    for (key, value) in metadata {
        let problem = if key.len() > KEY_BYTES_MAX {
            format!("key is too long (limit: {KEY_BYTES_MAX} characters)")
        } else if value.len() > VALUE_BYTES_MAX {
            format!("value is too long (limit: {VALUE_BYTES_MAX} characters)")
        } else {
            continue;
        };
        return refuse(format!("failed to load metadata pair ({key:?}, {value:?}): {problem}"));
    }
    Ok(())
}

/// As [`check_metadata`], for what is set on an alias by whoever administers: no key and no value
/// may be empty.
///
/// # Errors
/// [`Error::BadRequest`] with the key that is refused.
pub fn check_custom_metadata(metadata: &BTreeMap<String, String>) -> Result<(), Error> {
    let refuse = |problem: String| {
        Err(Error::BadRequest(format!(
            "1 error occurred:\n\t* custom_metadata validation failed: {problem}\n\n"
        )))
    };
    if metadata.len() > PAIRS_MAX {
        return refuse(format!(
            "payload must contain at most {PAIRS_MAX} keys, provided {}",
            metadata.len()
        ));
    }
    for (key, value) in metadata {
        if key.is_empty() || key.len() > KEY_BYTES_MAX {
            return refuse(format!(
                "length of key {key} is {} but must be 0 < len(key) <= {KEY_BYTES_MAX}",
                key.len()
            ));
        }
        if value.is_empty() || value.len() > VALUE_BYTES_MAX {
            return refuse(format!(
                "length of value for key {key} is {} but must be 0 < len(value) <= \
                 {VALUE_BYTES_MAX}",
                value.len()
            ));
        }
        if key.chars().chain(value.chars()).any(char::is_control) {
            return refuse(format!("key {key:?} or its value is not printable"));
        }
    }
    Ok(())
}

/// What a step of a job writes before another transaction goes on with it: records of entities may
/// be long, and a log entry must stay short.
pub(super) const STEP_BYTES_MAX: usize = 1 << 20;

/// Of a name in a listing.
const NAME_BYTES_MAX: usize = 512;

/// Of one entity or group: each request asks for all of them.
const POLICIES_MAX: usize = 1024;

const PAIRS_MAX: usize = 64;

const KEY_BYTES_MAX: usize = 128;

const VALUE_BYTES_MAX: usize = 512;

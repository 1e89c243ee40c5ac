//! What must not be read in a log stands there as its HMAC under the device's salt: the same
//! value is found again, but nobody can tell it.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use crate::audit_log::hex;
use crate::crypto::hmac_sha256;

/// Hashes with one device's salt.
#[derive(Clone)]
pub struct Hasher {
    salt: Vec<u8>,
}

impl Hasher {
    /// `salt` in base64, as it is stored; `None` where it is not.
    pub fn of_stored(salt: &str) -> Option<Self> {
        let salt = STANDARD.decode(salt).ok().filter(|salt| salt.len() >= SALT_BYTES)?;
        Some(Self { salt })
    }

    /// `hmac-sha256:` and 64 hexadecimal digits.
    pub fn hash(&self, text: &str) -> String {
        format!("{PREFIX}{}", hex(&hmac_sha256(&self.salt, &[text.as_bytes()])))
    }

    /// Every string in it, but those under one of the keys in `clear`; names of members, numbers
    /// and booleans stay, as in Vault.
    pub fn hash_all(&self, data: &Map<String, Value>, clear: &[String]) -> Map<String, Value> {
        let hashed = data
            .iter()
            .map(|(key, value)| (key.clone(), self.value(value, clear.contains(key), clear)));
        hashed.collect()
    }

    /// `is_clear`: as the member that it is or lies in is.
    fn value(&self, value: &Value, is_clear: bool, clear: &[String]) -> Value {
        match value {
            Value::String(_) if is_clear => value.clone(),
            Value::String(text) => Value::String(self.hash(text)),
            Value::Array(items) => {
                Value::Array(items.iter().map(|item| self.value(item, is_clear, clear)).collect())
            }
            Value::Object(members) => Value::Object(self.hash_all(members, clear)),
            Value::Null | Value::Bool(_) | Value::Number(_) => value.clone(),
        }
    }

    /// For what else a device derives of its salt.
    pub fn salt(&self) -> &[u8] {
        &self.salt
    }
}

impl fmt::Debug for Hasher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hasher(..)")
    }
}

const PREFIX: &str = "hmac-sha256:";

pub(super) const SALT_BYTES: usize = 32;

#[cfg(test)]
mod tests;

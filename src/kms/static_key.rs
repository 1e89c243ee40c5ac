//! `seal "static"`: a key of the configuration, as OpenBao has it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures_util::future::BoxFuture;
use zeroize::Zeroizing;

use super::{Kms, KmsError};
use crate::crypto::{LockedKey, aead_open, aead_seal};
use crate::rng::SystemRng;
use crate::seal::SealKind;
use crate::text::of_hex;

/// The present key, and the one before, which still unwraps.
pub struct StaticSeal {
    current: StaticKey,
    previous: Option<StaticKey>,
}

/// A key and its name.
pub struct StaticKey {
    id: String,
    key: LockedKey,
}

impl StaticKey {
    /// `text` is 32 bytes in hexadecimal or base64, or `env://NAME` or `file:///path`, which hold
    /// either, or the bytes themselves: 32 characters of text are none, but half of a key.
    ///
    /// # Errors
    /// What is wrong with it; never the key.
    pub fn new(id: &str, text: &str, env: &dyn Fn(&str) -> Option<String>) -> Result<Self, String> {
        let bytes = if let Some(name) = text.strip_prefix("env://") {
            let value = env(name).filter(|value| !value.is_empty());
            let value = value.ok_or_else(|| format!("the variable {name} is not set"))?;
            Zeroizing::new(value.into_bytes())
        } else if let Some(path) = text.strip_prefix("file://") {
            let read = std::fs::read(path).map_err(|error| format!("{path}: {error}"))?;
            Zeroizing::new(read)
        } else {
            Zeroizing::new(text.as_bytes().to_vec())
        };
        let key = parse(&bytes).ok_or(
            "it must be 32 bytes, in hexadecimal or base64, such as `openssl rand -hex 32`",
        )?;
        Ok(Self { id: id.to_owned(), key })
    }
}

impl StaticSeal {
    pub fn new(current: StaticKey, previous: Option<StaticKey>) -> Self {
        Self { current, previous }
    }
}

impl Kms for StaticSeal {
    fn kind(&self) -> SealKind {
        SealKind::Static
    }

    fn wrap<'a>(
        &'a self,
        key: &'a LockedKey,
    ) -> BoxFuture<'a, Result<(String, Vec<u8>), KmsError>> {
        Box::pin(async move {
            let context = context(&self.current.id);
            let wrapped =
                aead_seal(&self.current.key, &SystemRng, &context, &[], &[key.expose().as_slice()])
                    .map_err(|error| KmsError::Refused(error.to_string()))?;
            Ok((self.current.id.clone(), wrapped))
        })
    }

    fn unwrap<'a>(
        &'a self,
        key_id: &'a str,
        wrapped: &'a [u8],
    ) -> BoxFuture<'a, Result<LockedKey, KmsError>> {
        Box::pin(async move {
            let mut keys = [Some(&self.current), self.previous.as_ref()].into_iter().flatten();
            let key = keys
                .find(|key| key.id == key_id)
                .ok_or_else(|| KmsError::UnknownKey(key_id.to_owned()))?;
            let opened = aead_open(&key.key, &context(key_id), wrapped);
            let opened = opened.map_err(|_| KmsError::WrongKey)?;
            LockedKey::from_slice(opened.expose()).ok_or(KmsError::WrongKey)
        })
    }

    fn current_key_id(&self) -> Option<&str> {
        Some(&self.current.id)
    }
}

fn context(id: &str) -> Vec<u8> {
    [TAG, id.as_bytes()].concat()
}

fn parse(bytes: &[u8]) -> Option<LockedKey> {
    // Of random bytes, all are printable once in 10¹³ times.
    let is_text = bytes.iter().all(|byte| byte.is_ascii_graphic() || byte.is_ascii_whitespace());
    if !is_text && let Some(key) = LockedKey::from_slice(bytes) {
        return Some(key);
    }
    let text = std::str::from_utf8(bytes).ok()?.trim();
    if text.len() == 64 {
        return LockedKey::from_slice(&of_hex(text)?);
    }
    let key = Zeroizing::new(STANDARD.decode(text).ok()?);
    LockedKey::from_slice(&key)
}

const TAG: &[u8] = b"strongroom static seal 1\0";

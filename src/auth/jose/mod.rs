//! JSON Web Tokens that others have signed: form (RFC 7515, section 7.1), keys (RFC 7517) and
//! times (RFC 7519). Signatures are `crypto`'s.
//!
//! A token says by which key and algorithm it was signed, and is believed in neither: the
//! algorithm must be the key's, and keys come from the configuration alone, never from the token
//! (`jwk`, `jku`, `x5c` and `x5u` are not looked at).

mod claims;
mod keys;
mod strict;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value};

use crate::crypto::SignatureAlgorithm;

pub use claims::{Expected, Leeways, check_times, number, text, texts};
pub use keys::KeySet;

/// Why a token is not believed: for whoever showed it.
#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoseError {
    #[error("error verifying token signature: the token is too long")]
    TooLong,
    #[error("error verifying token signature: compact JWS format must have three parts")]
    Parts,
    #[error("error verifying token signature: illegal base64 data")]
    Base64,
    #[error("error verifying token signature: a part is no JSON object, or names a member twice")]
    Json,
    #[error("error verifying token signature: the token demands what is not understood (crit)")]
    Critical,
    #[error(
        "error verifying token signature: no known key successfully validated the token signature"
    )]
    NoKey,
    #[error("invalid algorithm (alg) header parameter: token signed with unexpected algorithm")]
    Algorithm,
    #[error("{0}")]
    Claim(&'static str),
}

/// A token, read but not yet believed.
#[derive(Debug)]
pub struct Token<'t> {
    algorithm: SignatureAlgorithm,
    kid: Option<String>,
    message: &'t str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

impl<'t> Token<'t> {
    /// # Errors
    /// Where its form is wrong.
    pub fn parse(text: &'t str) -> Result<Self, JoseError> {
        if text.len() > TOKEN_BYTES_MAX {
            return Err(JoseError::TooLong);
        }
        let (message, signature) = text.rsplit_once('.').ok_or(JoseError::Parts)?;
        let (header, payload) = message.split_once('.').ok_or(JoseError::Parts)?;
        if payload.contains('.') || signature.is_empty() {
            return Err(JoseError::Parts);
        }
        // Without padding, and without bits that mean nothing: each token has one form.
        let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| JoseError::Base64);
        let (header, payload, signature) = (decode(header)?, decode(payload)?, decode(signature)?);
        let header = strict::object(&header).ok_or(JoseError::Json)?;
        // RFC 7515, section 4.1.11: what must be understood and is not; RFC 7797's `b64` is no
        // other thing.
        if header.contains_key("crit") {
            return Err(JoseError::Critical);
        }
        let algorithm = header.get("alg").and_then(Value::as_str).unwrap_or_default();
        let algorithm = SignatureAlgorithm::parse(algorithm).ok_or(JoseError::NoKey)?;
        let kid = match header.get("kid") {
            None => None,
            Some(Value::String(kid)) => Some(kid.clone()),
            Some(_) => return Err(JoseError::Json),
        };
        let claims = strict::object(&payload).ok_or(JoseError::Json)?;
        Ok(Self { algorithm, kid, message, signature, claims })
    }

    /// What it claims, which is not to be believed: to find the keys that it is checked with.
    pub fn unverified(&self) -> &Map<String, Value> {
        &self.claims
    }
}

/// What a token claims, once a key has vouched for it.
#[derive(Debug)]
pub struct Verified {
    pub claims: Map<String, Value>,
    pub algorithm: SignatureAlgorithm,
}

/// The longest tokens in use carry some hundred groups.
const TOKEN_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests;

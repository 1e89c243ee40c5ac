//! JSON Web Tokens in their compact form (RFC 7515, section 7.1): framing alone, signatures are
//! `crypto`'s.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};

use super::named_key::{KeyPair, PublicKey};
use crate::request::Error;

/// # Errors
/// Where the key cannot be used.
pub(super) fn sign(pair: &KeyPair, claims: &Map<String, Value>) -> Result<String, Error> {
    let part = |value: &Value| serde_json::to_vec(value).map(|bytes| URL_SAFE_NO_PAD.encode(bytes));
    let header = json!({ "alg": pair.public.algorithm, "kid": pair.public.kid });
    let header = part(&header).map_err(Error::internal)?;
    let claims = part(&Value::Object(claims.clone())).map_err(Error::internal)?;
    let message = format!("{header}.{claims}");
    let signature = pair.sign(message.as_bytes())?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}

/// A token, read but not yet believed.
pub(super) struct Jwt<'t> {
    pub(super) kid: String,
    algorithm: String,
    message: &'t str,
    signature: Vec<u8>,
    claims: Map<String, Value>,
}

impl<'t> Jwt<'t> {
    /// # Errors
    /// With what is wrong with its form.
    pub(super) fn parse(token: &'t str) -> Result<Self, &'static str> {
        let parts = token.rsplit_once('.').filter(|(message, _)| message.matches('.').count() == 1);
        let (message, signature) = parts.ok_or("a signed token has three parts")?;
        let (header, claims) = message.split_once('.').ok_or("a signed token has three parts")?;
        let decode =
            |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| "a part is no base64url");
        let object = |bytes: Vec<u8>| {
            serde_json::from_slice::<Map<String, Value>>(&bytes)
                .map_err(|_| "a part is no JSON object")
        };
        let header = object(decode(header)?)?;
        let text = |name: &str| header.get(name).and_then(Value::as_str).unwrap_or_default();
        Ok(Self {
            kid: text("kid").to_owned(),
            algorithm: text("alg").to_owned(),
            message,
            signature: decode(signature)?,
            claims: object(decode(claims)?)?,
        })
    }

    /// What it claims, once a key vouches for it. The key says by which algorithm, never the
    /// token alone.
    pub(super) fn verify(self, key: &PublicKey) -> Option<Map<String, Value>> {
        let is_good =
            self.algorithm == key.algorithm && key.verify(self.message.as_bytes(), &self.signature);
        is_good.then_some(self.claims)
    }
}

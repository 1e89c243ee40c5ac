use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::Value;

use super::{JoseError, Token, Verified};
use crate::crypto::{PublicNumbers, SignatureAlgorithm};

/// Public keys that tokens may be signed with.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Key>);

#[derive(Clone, Debug)]
struct Key {
    kid: Option<String>,
    /// The only one that it is used with, where its owner says so.
    algorithm: Option<SignatureAlgorithm>,
    numbers: PublicNumbers,
}

/// As published (RFC 7517; RFC 7518, section 6; RFC 8037, section 2).
#[derive(Deserialize)]
struct Published {
    kty: String,
    kid: Option<String>,
    alg: Option<String>,
    #[serde(rename = "use")]
    used_for: Option<String>,
    key_ops: Option<Vec<String>>,
    crv: Option<String>,
    n: Option<String>,
    e: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

impl KeySet {
    /// PEM texts of one key each. `None` where one of them is no key that could be used.
    pub fn from_pems(pems: &[String]) -> Option<Self> {
        let key = |pem: &String| {
            let numbers = PublicNumbers::from_pem(pem)?;
            Some(Key { kid: None, algorithm: None, numbers })
        };
        pems.iter().map(key).collect::<Option<Vec<_>>>().map(Self)
    }

    /// A JWK set. Keys of kinds that are not known are left out, as RFC 7517, section 5 wants.
    /// `None` where it is no set.
    pub fn from_jwks(text: &[u8]) -> Option<Self> {
        let set: Value = serde_json::from_slice(text).ok()?;
        let keys = set.get("keys")?.as_array()?;
        Some(Self(keys.iter().take(KEYS_MAX).filter_map(read).collect()))
    }

    pub fn extend(&mut self, other: &Self) {
        self.0.extend(other.0.iter().cloned());
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// # Errors
    /// [`JoseError::NoKey`] where no key vouches for it.
    pub fn verify(&self, token: &Token<'_>) -> Result<Verified, JoseError> {
        let may_be = |key: &&Key| {
            // A key without an id may be anyone's, and so may a token's.
            let is_named = match (&key.kid, &token.kid) {
                (Some(key), Some(token)) => key == token,
                _ => true,
            };
            is_named && key.algorithm.is_none_or(|only| only == token.algorithm)
        };
        let message = token.message.as_bytes();
        let signed = |key: &Key| token.algorithm.verify(&key.numbers, message, &token.signature);
        if !self.0.iter().filter(may_be).any(signed) {
            return Err(JoseError::NoKey);
        }
        Ok(Verified { claims: token.claims.clone(), algorithm: token.algorithm })
    }
}

fn read(value: &Value) -> Option<Key> {
    let key = Published::deserialize(value).ok()?;
    if key.used_for.is_some_and(|used_for| used_for != "sig")
        || key.key_ops.is_some_and(|ops| !ops.iter().any(|op| op == "verify"))
    {
        return None;
    }
    let algorithm = match key.alg.as_deref() {
        None | Some("") => None,
        Some(name) => Some(SignatureAlgorithm::parse(name)?),
    };
    let bytes = |text: &Option<String>| URL_SAFE_NO_PAD.decode(text.as_ref()?).ok();
    let numbers = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => PublicNumbers::Rsa { n: bare(bytes(&key.n)?), e: bare(bytes(&key.e)?) },
        ("EC", Some(curve)) => {
            let length = match curve {
                "P-256" => 32,
                "P-384" => 48,
                "P-521" => 66,
                _ => return None,
            };
            let (x, y) = (bytes(&key.x)?, bytes(&key.y)?);
            (x.len() == length && y.len() == length).then_some(PublicNumbers::Ec { x, y })?
        }
        ("OKP", Some("Ed25519")) => PublicNumbers::Ed { x: bytes(&key.x)? },
        _ => return None,
    };
    let kid = key.kid.filter(|kid| !kid.is_empty());
    Some(Key { kid, algorithm, numbers: numbers.usable()? })
}

/// Some write a zero in front, which RFC 7518 forbids.
fn bare(number: Vec<u8>) -> Vec<u8> {
    number.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// Of one set: the largest in use have some dozens.
const KEYS_MAX: usize = 256;

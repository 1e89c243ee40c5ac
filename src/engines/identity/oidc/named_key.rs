//! Keys that sign tokens, by name: one that signs, one that will, and those that still verify.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::{DEFAULT, EVERY, KEYS, published};
use crate::clock::Timestamp;
use crate::crypto::{PublicNumbers, SigningAlgorithm, SigningKey};
use crate::request::Error;
use crate::rng::Rng;
use crate::txn::Scope;

/// As stored. Durations in seconds.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct NamedKey {
    pub(super) algorithm: String,
    pub(super) rotation_period: u64,
    /// How long a key verifies after it has signed last.
    pub(super) verification_ttl: u64,
    pub(super) allowed_client_ids: Vec<String>,
    /// Signs. None before it is first needed.
    pub(super) current: Option<KeyPair>,
    /// Signs next: others know it before they need it.
    pub(super) next: Option<KeyPair>,
    pub(super) next_rotation: Timestamp,
    pub(super) retired: Vec<Retired>,
}

#[derive(Clone, Deserialize, Serialize)]
pub(super) struct KeyPair {
    pub(super) public: PublicKey,
    /// Base64. The record is sealed as a whole.
    pkcs8: String,
}

/// A key as others see it.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct PublicKey {
    pub(super) kid: String,
    pub(super) algorithm: String,
    /// The members of the JSON Web Key (RFC 7517) that say which it is.
    pub(super) numbers: Map<String, Value>,
}

#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Retired {
    pub(super) public: PublicKey,
    pub(super) until: Timestamp,
}

impl NamedKey {
    pub(super) fn new() -> Self {
        Self {
            algorithm: SigningAlgorithm::Rs256.name().into(),
            rotation_period: DAY,
            verification_ttl: DAY,
            allowed_client_ids: Vec::new(),
            current: None,
            next: None,
            next_rotation: Timestamp::ZERO,
            retired: Vec::new(),
        }
    }

    /// The default key is there even where nothing is stored.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn get(core: &mut Scope<'_>, name: &str) -> Result<Option<Arc<Self>>, Error> {
        let stored = core.get_shared::<Self>(&key(name))?;
        if stored.is_none() && name == DEFAULT {
            let every = vec![EVERY.to_owned()];
            return Ok(Some(Arc::new(Self { allowed_client_ids: every, ..Self::new() })));
        }
        Ok(stored)
    }

    pub(super) fn put(&self, core: &mut Scope<'_>, name: &str) -> Result<(), Error> {
        published::put(core, &key(name), self)
    }

    pub(super) fn signing_algorithm(&self) -> Result<SigningAlgorithm, Error> {
        SigningAlgorithm::parse(&self.algorithm)
            .ok_or_else(|| Error::internal("a key's algorithm is not known to this program"))
    }

    /// Makes what it signs with, where there is none yet.
    ///
    /// # Errors
    /// Where no key can be made.
    pub(super) fn prepare(&mut self, rng: &dyn Rng, now: Timestamp) -> Result<(), Error> {
        if self.current.is_none() {
            let algorithm = self.signing_algorithm()?;
            self.current = Some(KeyPair::generate(rng, algorithm)?);
            self.next = Some(KeyPair::generate(rng, algorithm)?);
            self.next_rotation = Timestamp(now.0.saturating_add(self.rotation_period * 1000));
        }
        Ok(())
    }

    /// The next key signs from now on; the one before verifies for `verification_ttl` seconds.
    ///
    /// # Errors
    /// Where no key can be made, or too many still verify.
    pub(super) fn rotate(
        &mut self,
        rng: &dyn Rng,
        now: Timestamp,
        verification_ttl: u64,
    ) -> Result<(), Error> {
        self.prune(now);
        if self.retired.len() >= RETIRED_MAX {
            return Err(Error::BadRequest(format!(
                "{RETIRED_MAX} older keys still verify: wait until one of them has expired"
            )));
        }
        let algorithm = self.signing_algorithm()?;
        let new = KeyPair::generate(rng, algorithm)?;
        // A change of algorithm does not wait for a key of the old one.
        let next = self.next.take().filter(|next| next.public.algorithm == self.algorithm);
        let next = match next {
            Some(next) => next,
            None => KeyPair::generate(rng, algorithm)?,
        };
        if let Some(before) = self.current.replace(next) {
            let until = Timestamp(now.0.saturating_add(verification_ttl.saturating_mul(1000)));
            self.retired.push(Retired { public: before.public, until });
        }
        self.next = Some(new);
        self.next_rotation =
            Timestamp(now.0.saturating_add(self.rotation_period.saturating_mul(1000)));
        Ok(())
    }

    /// Whether it is to be rotated, or forgets what verifies no more. One with too many that still
    /// verify waits until the first of them is over.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        let over = self.retired.iter().any(|old| old.until <= now);
        let rotates = self.next_rotation <= now && self.retired.len() < RETIRED_MAX;
        self.current.is_some() && (over || rotates)
    }

    pub(super) fn prune(&mut self, now: Timestamp) {
        self.retired.retain(|retired| now < retired.until);
    }

    /// All that verify, or will.
    pub(super) fn public(&self, now: Timestamp) -> impl Iterator<Item = &PublicKey> {
        let pairs = self.current.iter().chain(&self.next).map(|pair| &pair.public);
        let retired = self.retired.iter().filter(move |retired| now < retired.until);
        pairs.chain(retired.map(|retired| &retired.public))
    }
}

impl KeyPair {
    fn generate(rng: &dyn Rng, algorithm: SigningAlgorithm) -> Result<Self, Error> {
        let pkcs8 = algorithm.generate().map_err(Error::internal)?;
        let key = SigningKey::from_pkcs8(algorithm, pkcs8.expose()).map_err(Error::internal)?;
        let public = PublicKey {
            kid: rng.uuid(),
            algorithm: algorithm.name().into(),
            numbers: numbers(algorithm, &key.public().map_err(Error::internal)?),
        };
        Ok(Self { public, pkcs8: STANDARD.encode(pkcs8.expose()) })
    }

    pub(super) fn sign(&self, message: &[u8]) -> Result<Vec<u8>, Error> {
        let algorithm = SigningAlgorithm::parse(&self.public.algorithm)
            .ok_or_else(|| Error::internal("a key's algorithm is not known to this program"))?;
        let pkcs8 =
            crate::secret::Secret::new(STANDARD.decode(&self.pkcs8).map_err(Error::internal)?);
        let key = SigningKey::from_pkcs8(algorithm, pkcs8.expose()).map_err(Error::internal)?;
        key.sign(message).map_err(Error::internal)
    }
}

impl PublicKey {
    pub(super) fn jwk(&self) -> Value {
        let mut jwk = json!({ "use": "sig", "kid": self.kid, "alg": self.algorithm });
        if let Some(jwk) = jwk.as_object_mut() {
            jwk.extend(self.numbers.clone());
        }
        jwk
    }

    pub(super) fn verify(&self, message: &[u8], signature: &[u8]) -> bool {
        let number = |name: &str| {
            let text = self.numbers.get(name).and_then(Value::as_str)?;
            URL_SAFE_NO_PAD.decode(text).ok()
        };
        let public = match self.numbers.get("kty").and_then(Value::as_str) {
            Some("RSA") => number("n").zip(number("e")).map(|(n, e)| PublicNumbers::Rsa { n, e }),
            Some("EC") => number("x").zip(number("y")).map(|(x, y)| PublicNumbers::Ec { x, y }),
            _ => number("x").map(|x| PublicNumbers::Ed { x }),
        };
        SigningAlgorithm::parse(&self.algorithm)
            .zip(public)
            .is_some_and(|(algorithm, public)| algorithm.verify(&public, message, signature))
    }
}

/// RFC 7518, section 6, and RFC 8037, section 2.
fn numbers(algorithm: SigningAlgorithm, public: &PublicNumbers) -> Map<String, Value> {
    let text = |bytes: &[u8]| URL_SAFE_NO_PAD.encode(bytes);
    let numbers = match public {
        PublicNumbers::Rsa { n, e } => json!({ "kty": "RSA", "n": text(n), "e": text(e) }),
        PublicNumbers::Ec { x, y } => {
            let curve = match algorithm {
                SigningAlgorithm::Es384 => "P-384",
                SigningAlgorithm::Es512 => "P-521",
                _ => "P-256",
            };
            json!({ "kty": "EC", "crv": curve, "x": text(x), "y": text(y) })
        }
        PublicNumbers::Ed { x } => json!({ "kty": "OKP", "crv": "Ed25519", "x": text(x) }),
    };
    numbers.as_object().cloned().unwrap_or_default()
}

pub(super) fn key(name: &str) -> String {
    format!("{KEYS}/{name}")
}

/// Seconds.
pub(super) const DAY: u64 = 86_400;

/// Of one name: their record stays small.
const RETIRED_MAX: usize = 256;

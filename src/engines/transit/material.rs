//! What one version of a key is made of, ready for use.
//!
//! All primitives are aws-lc's: AEADs (SP 800-38D, RFC 8439), RSA-OAEP (RFC 8017), HKDF
//! (RFC 5869). `signature.rs` has what signs.

use aws_lc_rs::aead::{AES_128_GCM, AES_256_GCM, Aad, Algorithm, CHACHA20_POLY1305, LessSafeKey};
use aws_lc_rs::aead::{Nonce, UnboundKey};
use aws_lc_rs::encoding::{AsBigEndian as _, AsDer as _};
use aws_lc_rs::rsa::{
    KeySize, OAEP_SHA256_MGF1SHA256, OaepPrivateDecryptingKey, OaepPublicEncryptingKey,
    PrivateDecryptingKey,
};
use aws_lc_rs::signature::{EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _};
use aws_lc_rs::{rsa, signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use super::kind::Kind;
use crate::clock::Timestamp;
use crate::costly::KEYS;
use crate::crypto::{hkdf_sha256, hmac_sha256};
use crate::request::Error;
use crate::rng::Rng;
use crate::secret::Secret;

/// One version, as it is stored: behind the barrier like everything.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct StoredVersion {
    pub(super) kind: Kind,
    /// Base64: the raw key of symmetric types and Ed25519's seed, else PKCS#8 (RFC 5208).
    pub(super) secret: String,
    /// Base64: for `hmac/`, whatever the type.
    pub(super) hmac: String,
    pub(super) created: Timestamp,
}

/// One version, parsed once and kept while its record stands.
#[derive(Deserialize)]
#[serde(try_from = "StoredVersion")]
pub(super) struct Version {
    pub(super) material: Material,
    pub(super) hmac: Secret<Vec<u8>>,
    pub(super) created: Timestamp,
}

pub(super) enum Material {
    Aead(Kind, Secret<Vec<u8>>),
    Ecdsa(Box<Ecdsa>),
    /// The seed; the pair is made for each signature, because it may be derived.
    Ed25519(Secret<Vec<u8>>),
    Hmac(Secret<Vec<u8>>),
    Rsa(Box<Rsa>),
}

/// One key twice: a pair signs in one form only.
pub(super) struct Ecdsa {
    /// Two integers in DER.
    pub(super) asn1: EcdsaKeyPair,
    /// Two numbers of one length (RFC 7518, section 3.4).
    pub(super) jws: EcdsaKeyPair,
    pub(super) kind: Kind,
}

pub(super) struct Rsa {
    pub(super) signing: rsa::KeyPair,
    decrypting: OaepPrivateDecryptingKey,
    encrypting: OaepPublicEncryptingKey,
    pub(super) pkcs8: Secret<Vec<u8>>,
}

impl StoredVersion {
    /// # Errors
    /// Where a key cannot be made.
    pub(super) async fn generate(
        kind: Kind,
        hmac_bytes: Option<usize>,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let random = |bytes: usize| {
            let mut buffer = vec![0; bytes];
            rng.fill(&mut buffer);
            Secret::new(buffer)
        };
        let secret = match kind {
            Kind::Aes128 | Kind::Aes256 | Kind::ChaCha20 | Kind::Ed25519 | Kind::Hmac => {
                random(hmac_bytes.unwrap_or(kind.secret_bytes()))
            }
            Kind::EcdsaP256 | Kind::EcdsaP384 | Kind::EcdsaP521 => {
                let pair = EcdsaKeyPair::generate(signing(kind)).map_err(failed)?;
                Secret::new(pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec())
            }
            Kind::Rsa2048 | Kind::Rsa3072 | Kind::Rsa4096 => {
                let made = KEYS.run(move || PrivateDecryptingKey::generate(size(kind))).await?;
                let key = made.map_err(failed)?;
                Secret::new(key.as_der().map_err(failed)?.as_ref().to_vec())
            }
        };
        let hmac =
            if kind == Kind::Hmac { secret.expose().clone() } else { random(32).expose().clone() };
        let hmac = Secret::new(hmac);
        Ok(Self {
            kind,
            secret: BASE64.encode(secret.expose()),
            hmac: BASE64.encode(hmac.expose()),
            created: now,
        })
    }

    /// # Errors
    /// [`Error::BadRequest`] where it is no key of this type.
    pub(super) fn import(
        kind: Kind,
        key: &Secret<Vec<u8>>,
        rng: &dyn Rng,
        now: Timestamp,
    ) -> Result<Self, Error> {
        let secret = match kind {
            Kind::Ed25519 => Secret::new(ed25519_seed(key.expose())?),
            _ => Secret::new(key.expose().clone()),
        };
        let hmac = match kind {
            Kind::Hmac => Secret::new(secret.expose().clone()),
            _ => Secret::new(rng.bytes::<32>().to_vec()),
        };
        let stored = Self {
            kind,
            secret: BASE64.encode(secret.expose()),
            hmac: BASE64.encode(hmac.expose()),
            created: now,
        };
        let fits = Version::try_from(stored.clone());
        fits.map_err(|_| Error::BadRequest(format!("the key is no {}", kind.name())))?;
        Ok(stored)
    }
}

impl StoredVersion {
    /// Whether it is what [`Self::generate`] or [`Self::import`] could have made.
    pub(super) fn is_sound(&self) -> bool {
        let hmac = BASE64.decode(&self.hmac).map(Secret::new);
        let hmac_fits = hmac.is_ok_and(|hmac| {
            (HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(&hmac.expose().len())
                && (self.kind != Kind::Hmac || self.hmac == self.secret)
        });
        hmac_fits && Version::try_from(self.clone()).is_ok()
    }
}

impl TryFrom<StoredVersion> for Version {
    type Error = String;

    fn try_from(stored: StoredVersion) -> Result<Self, String> {
        let decode =
            |text: &str| BASE64.decode(text).map(Secret::new).map_err(|error| error.to_string());
        let secret = decode(&stored.secret)?;
        let bad = || format!("a {} key cannot be read", stored.kind.name());
        let material = match stored.kind {
            kind if kind.is_aead() => {
                if secret.expose().len() != kind.secret_bytes() {
                    return Err(bad());
                }
                Material::Aead(kind, secret)
            }
            Kind::Hmac => {
                if !(HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(&secret.expose().len()) {
                    return Err(bad());
                }
                Material::Hmac(secret)
            }
            Kind::Ed25519 => {
                Ed25519KeyPair::from_seed_unchecked(secret.expose()).map_err(|_| bad())?;
                Material::Ed25519(secret)
            }
            kind if kind.is_ecdsa() => {
                let pair = |algorithm| {
                    EcdsaKeyPair::from_pkcs8(algorithm, secret.expose()).map_err(|_| bad())
                };
                let (asn1, jws) = (pair(signing(kind))?, pair(signing_fixed(kind))?);
                Material::Ecdsa(Box::new(Ecdsa { asn1, jws, kind }))
            }
            kind => {
                let rsa = Rsa::parse(secret).ok_or_else(bad)?;
                if rsa.signing.public_modulus_len() != size(kind).len() {
                    return Err(bad());
                }
                Material::Rsa(Box::new(rsa))
            }
        };
        let hmac = decode(&stored.hmac)?;
        Ok(Self { material, hmac, created: stored.created })
    }
}

impl Rsa {
    fn parse(pkcs8: Secret<Vec<u8>>) -> Option<Self> {
        let signing = rsa::KeyPair::from_pkcs8(pkcs8.expose()).ok()?;
        let key = PrivateDecryptingKey::from_pkcs8(pkcs8.expose()).ok()?;
        let encrypting = OaepPublicEncryptingKey::new(key.public_key()).ok()?;
        let decrypting = OaepPrivateDecryptingKey::new(key).ok()?;
        Some(Self { signing, decrypting, encrypting, pkcs8 })
    }
}

/// What one message may bring beside itself.
#[derive(Default)]
pub(super) struct Extra {
    /// Of derived keys.
    pub(super) context: Option<Vec<u8>>,
    /// Authenticated, not encrypted.
    pub(super) associated: Vec<u8>,
    /// Equal plaintexts give equal ciphertexts.
    pub(super) convergent: bool,
}

impl Version {
    /// Nonce, ciphertext and tag; of RSA the ciphertext alone.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the key cannot encrypt this.
    pub(super) fn encrypt(
        &self,
        plaintext: &[u8],
        extra: &Extra,
        rng: &dyn Rng,
    ) -> Result<Vec<u8>, Error> {
        match &self.material {
            Material::Aead(kind, secret) => {
                let key = self.key(secret, extra);
                let nonce: [u8; NONCE_BYTES] = if extra.convergent {
                    convergent_nonce(key.expose(), plaintext, extra)
                } else {
                    rng.bytes()
                };
                let mut sealed = nonce.to_vec();
                let mut body = plaintext.to_vec();
                aead(*kind, key.expose())?
                    .seal_in_place_append_tag(
                        Nonce::assume_unique_for_key(nonce),
                        Aad::from(&extra.associated),
                        &mut body,
                    )
                    .map_err(failed)?;
                sealed.append(&mut body);
                Ok(sealed)
            }
            Material::Rsa(rsa) => {
                let most = rsa.encrypting.max_plaintext_size(&OAEP_SHA256_MGF1SHA256);
                if plaintext.len() > most {
                    return Err(Error::BadRequest(format!(
                        "the plaintext has {} bytes, this key encrypts {most} at most",
                        plaintext.len()
                    )));
                }
                let mut sealed = vec![0; rsa.encrypting.ciphertext_size()];
                let written = rsa
                    .encrypting
                    .encrypt(&OAEP_SHA256_MGF1SHA256, plaintext, &mut sealed, None)
                    .map_err(failed)?
                    .len();
                sealed.truncate(written);
                Ok(sealed)
            }
            _ => Err(cannot("encryption")),
        }
    }

    /// # Errors
    /// [`Error::BadRequest`] where it was not encrypted with this key, context and associated
    /// data, or is damaged.
    pub(super) fn decrypt(&self, sealed: &[u8], extra: &Extra) -> Result<Secret<Vec<u8>>, Error> {
        match &self.material {
            Material::Aead(kind, secret) => {
                let Some((nonce, body)) = sealed.split_first_chunk::<NONCE_BYTES>() else {
                    return Err(Error::bad_request("invalid ciphertext length"));
                };
                let key = self.key(secret, extra);
                let mut body = body.to_vec();
                let opened = aead(*kind, key.expose())?.open_in_place(
                    Nonce::assume_unique_for_key(*nonce),
                    Aad::from(&extra.associated),
                    &mut body,
                );
                let length = opened.map_err(|_| Error::bad_request(NOT_AUTHENTIC))?.len();
                body.truncate(length);
                Ok(Secret::new(body))
            }
            Material::Rsa(rsa) => {
                let mut opened = vec![0; rsa.decrypting.min_output_size()];
                let length = rsa
                    .decrypting
                    .decrypt(&OAEP_SHA256_MGF1SHA256, sealed, &mut opened, None)
                    .map_err(|_| Error::bad_request("the ciphertext cannot be decrypted"))?
                    .len();
                opened.truncate(length);
                Ok(Secret::new(opened))
            }
            _ => Err(cannot("decryption")),
        }
    }

    /// The key itself, or what is derived of it for a context.
    fn key(&self, secret: &Secret<Vec<u8>>, extra: &Extra) -> Secret<Vec<u8>> {
        match &extra.context {
            Some(context) => derived(secret, context),
            None => Secret::new(secret.expose().clone()),
        }
    }

    /// For people and other programs: PEM (RFC 7468), of Ed25519 the raw key in base64.
    ///
    /// # Errors
    /// Where it cannot be written; `None` of symmetric types.
    pub(super) fn public_key(&self, context: Option<&[u8]>) -> Result<Option<String>, Error> {
        Ok(match &self.material {
            Material::Aead(..) | Material::Hmac(_) => None,
            Material::Ed25519(seed) => {
                let pair = ed25519(seed, context)?;
                Some(BASE64.encode(pair.public_key().as_ref()))
            }
            Material::Ecdsa(pair) => {
                let der = pair.asn1.public_key().as_der().map_err(failed)?;
                Some(pem_of("PUBLIC KEY", der.as_ref()))
            }
            Material::Rsa(rsa) => {
                let der = rsa.signing.public_key().as_der().map_err(failed)?;
                Some(pem_of("PUBLIC KEY", der.as_ref()))
            }
        })
    }

    /// As [`Self::public_key`], the secret half.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn private_key(&self) -> Result<String, Error> {
        match &self.material {
            Material::Aead(_, secret) | Material::Hmac(secret) => {
                Ok(BASE64.encode(secret.expose()))
            }
            Material::Ed25519(seed) => {
                // As Go's: the seed, then the public key.
                let mut whole = seed.expose().clone();
                whole.extend_from_slice(ed25519(seed, None)?.public_key().as_ref());
                Ok(BASE64.encode(Secret::new(whole).expose()))
            }
            Material::Ecdsa(pair) => {
                let der = pair.asn1.private_key().as_der().map_err(failed)?;
                Ok(pem_of("EC PRIVATE KEY", der.as_ref()))
            }
            Material::Rsa(rsa) => Ok(pem_of("PRIVATE KEY", rsa.pkcs8.expose())),
        }
    }
}

/// HKDF-SHA256 over the context; AES-128 takes the first half.
fn derived(secret: &Secret<Vec<u8>>, context: &[u8]) -> Secret<Vec<u8>> {
    let key = hkdf_sha256(secret.expose(), &[], context);
    let length = secret.expose().len().min(32);
    Secret::new(key.expose().iter().copied().take(length).collect())
}

/// Depends on all that is sealed: with equal nonces but different associated data a forger could
/// compute the key that authenticates.
fn convergent_nonce(key: &[u8], plaintext: &[u8], extra: &Extra) -> [u8; NONCE_BYTES] {
    let nonces = hkdf_sha256(key, &[], b"convergent nonce");
    let length = (extra.associated.len() as u64).to_be_bytes();
    let digest = hmac_sha256(nonces.expose(), &[&length, &extra.associated, plaintext]);
    let mut nonce = [0; NONCE_BYTES];
    nonce.copy_from_slice(digest.split_at(NONCE_BYTES).0);
    nonce
}

fn aead(kind: Kind, key: &[u8]) -> Result<LessSafeKey, Error> {
    let algorithm: &'static Algorithm = match kind {
        Kind::Aes128 => &AES_128_GCM,
        Kind::ChaCha20 => &CHACHA20_POLY1305,
        _ => &AES_256_GCM,
    };
    Ok(LessSafeKey::new(UnboundKey::new(algorithm, key).map_err(failed)?))
}

/// # Errors
/// Where the seed is none.
pub(super) fn ed25519(
    seed: &Secret<Vec<u8>>,
    context: Option<&[u8]>,
) -> Result<Ed25519KeyPair, Error> {
    let pair = match context {
        Some(context) => Ed25519KeyPair::from_seed_unchecked(derived(seed, context).expose()),
        None => Ed25519KeyPair::from_seed_unchecked(seed.expose()),
    };
    pair.map_err(Error::internal)
}

/// From a raw seed, Go's 64 bytes or PKCS#8.
fn ed25519_seed(key: &[u8]) -> Result<Vec<u8>, Error> {
    if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key) {
        return Ok(pair.seed().map_err(failed)?.as_be_bytes().map_err(failed)?.as_ref().to_vec());
    }
    match key.len() {
        32 | 64 => Ok(key.iter().copied().take(32).collect()),
        _ => Err(Error::bad_request("the key is no ed25519")),
    }
}

fn signing(kind: Kind) -> &'static EcdsaSigningAlgorithm {
    match kind {
        Kind::EcdsaP384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
        Kind::EcdsaP521 => &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
        _ => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
    }
}

fn signing_fixed(kind: Kind) -> &'static EcdsaSigningAlgorithm {
    match kind {
        Kind::EcdsaP384 => &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
        Kind::EcdsaP521 => &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
        _ => &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
    }
}

fn size(kind: Kind) -> KeySize {
    match kind {
        Kind::Rsa3072 => KeySize::Rsa3072,
        Kind::Rsa4096 => KeySize::Rsa4096,
        _ => KeySize::Rsa2048,
    }
}

pub(super) fn pem_of(label: &str, der: &[u8]) -> String {
    let config = pem::EncodeConfig::new().set_line_ending(pem::LineEnding::LF);
    pem::encode_config(&pem::Pem::new(label, der), config)
}

pub(super) fn cannot(what: &str) -> Error {
    Error::BadRequest(format!("message or key type does not support {what}"))
}

pub(super) fn failed(error: aws_lc_rs::error::Unspecified) -> Error {
    Error::internal(error)
}

pub(super) const NONCE_BYTES: usize = 12;

/// As Vault's `key_size`.
pub(super) const HMAC_BYTES_MIN: usize = 32;
pub(super) const HMAC_BYTES_MAX: usize = 512;

/// As in Vault: clients look for it.
const NOT_AUTHENTIC: &str = "cipher: message authentication failed";

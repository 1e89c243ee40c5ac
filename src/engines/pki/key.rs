//! Private keys: made, imported, and signing.
//!
//! All primitives are aws-lc's: RSA (RFC 8017), ECDSA (FIPS 186-5), Ed25519 (RFC 8032).

use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::rsa::{self, KeySize};
use aws_lc_rs::signature::{self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair};
use aws_lc_rs::signature::{
    EcdsaVerificationAlgorithm, KeyPair as _, RsaEncoding, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::{AlgorithmIdentifier, SubjectPublicKeyInfo};

use super::der;
use crate::costly::KEYS;
use crate::request::Error;
use crate::secret::Secret;

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Kind {
    Rsa2048,
    Rsa3072,
    Rsa4096,
    P256,
    P384,
    P521,
    Ed25519,
}

impl Kind {
    /// 0 bits: the usual ones.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where such a key cannot be.
    pub(super) fn parse(kind: &str, bits: i64) -> Result<Self, Error> {
        Ok(match (kind, bits) {
            ("rsa", 0 | 2048) => Self::Rsa2048,
            ("rsa", 3072) => Self::Rsa3072,
            ("rsa", 4096) => Self::Rsa4096,
            ("rsa", bits) if bits < 2048 => {
                return Err(Error::BadRequest(format!(
                    "RSA keys < 2048 bits are unsafe and not supported: got {bits}"
                )));
            }
            ("rsa", bits) => {
                return Err(Error::BadRequest(format!(
                    "unsupported bit length for RSA key: {bits}; take 2048, 3072 or 4096"
                )));
            }
            ("ec", 0 | 256) => Self::P256,
            ("ec", 384) => Self::P384,
            ("ec", 521) => Self::P521,
            ("ec", bits) => {
                return Err(Error::BadRequest(format!(
                    "unsupported bit length for EC key: {bits}"
                )));
            }
            ("ed25519", _) => Self::Ed25519,
            (other, _) => return Err(Error::BadRequest(format!("unknown key type {other}"))),
        })
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096 => "rsa",
            Self::P256 | Self::P384 | Self::P521 => "ec",
            Self::Ed25519 => "ed25519",
        }
    }

    /// As roles show it.
    pub(super) fn bits(self) -> i64 {
        match self {
            Self::Rsa2048 => 2048,
            Self::Rsa3072 => 3072,
            Self::Rsa4096 => 4096,
            Self::P256 => 256,
            Self::P384 => 384,
            Self::P521 => 521,
            Self::Ed25519 => 0,
        }
    }

    fn curve(self) -> &'static EcdsaSigningAlgorithm {
        match self {
            Self::P384 => &signature::ECDSA_P384_SHA384_ASN1_SIGNING,
            Self::P521 => &signature::ECDSA_P521_SHA512_ASN1_SIGNING,
            _ => &signature::ECDSA_P256_SHA256_ASN1_SIGNING,
        }
    }
}

/// PKCS#8 in base64, as it is stored.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct PrivateKey {
    pub(super) kind: Kind,
    pair: Pair,
    pkcs8: Secret<Vec<u8>>,
}

enum Pair {
    Rsa(Box<rsa::KeyPair>),
    Ec(Box<EcdsaKeyPair>),
    Ed25519(Box<Ed25519KeyPair>),
}

/// How an issuer signs; of other keys than RSA the key alone decides.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// Of the hash: 0 (256), 256, 384 or 512.
    pub(super) bits: i64,
    pub(super) pss: bool,
}

impl Manner {
    /// # Errors
    /// [`Error::BadRequest`] where there is no such hash.
    pub(super) fn check(self) -> Result<(), Error> {
        if matches!(self.bits, 0 | 256 | 384 | 512) {
            return Ok(());
        }
        Err(Error::bad_request("invalid signature_bits: must be 0, 256, 384 or 512"))
    }
}

impl PrivateKey {
    /// # Errors
    /// Where a key cannot be made.
    pub(super) async fn generate(kind: Kind) -> Result<Self, Error> {
        let (pair, pkcs8) = match kind {
            Kind::Rsa2048 | Kind::Rsa3072 | Kind::Rsa4096 => {
                let size = match kind {
                    Kind::Rsa2048 => KeySize::Rsa2048,
                    Kind::Rsa3072 => KeySize::Rsa3072,
                    _ => KeySize::Rsa4096,
                };
                let made = KEYS.run(move || rsa::KeyPair::generate(size)).await?;
                let pair = made.map_err(failed)?;
                let pkcs8 = pair.as_der().map_err(failed)?.as_ref().to_vec();
                (Pair::Rsa(Box::new(pair)), pkcs8)
            }
            Kind::P256 | Kind::P384 | Kind::P521 => {
                let pair = EcdsaKeyPair::generate(kind.curve()).map_err(failed)?;
                let pkcs8 = pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec();
                (Pair::Ec(Box::new(pair)), pkcs8)
            }
            Kind::Ed25519 => {
                let pair = Ed25519KeyPair::generate().map_err(failed)?;
                let pkcs8 = pair.to_pkcs8v1().map_err(failed)?.as_ref().to_vec();
                (Pair::Ed25519(Box::new(pair)), pkcs8)
            }
        };
        Ok(Self { kind, pair, pkcs8: Secret::new(pkcs8) })
    }

    /// PKCS#8, PKCS#1 or SEC 1; `None` where it is no key that can be used here.
    pub(super) fn parse(key: &[u8]) -> Option<Self> {
        let rsa = rsa::KeyPair::from_pkcs8(key).or_else(|_| rsa::KeyPair::from_der(key));
        if let Ok(pair) = rsa {
            let kind = match pair.public_modulus_len() {
                256 => Kind::Rsa2048,
                384 => Kind::Rsa3072,
                512 => Kind::Rsa4096,
                _ => return None,
            };
            let pkcs8 = Secret::new(pair.as_der().ok()?.as_ref().to_vec());
            return Some(Self { kind, pair: Pair::Rsa(Box::new(pair)), pkcs8 });
        }
        for kind in [Kind::P256, Kind::P384, Kind::P521] {
            let curve = kind.curve();
            let pair = EcdsaKeyPair::from_pkcs8(curve, key)
                .or_else(|_| EcdsaKeyPair::from_private_key_der(curve, key));
            if let Ok(pair) = pair {
                let pkcs8 = Secret::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec());
                return Some(Self { kind, pair: Pair::Ec(Box::new(pair)), pkcs8 });
            }
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(key).ok()?;
        let pkcs8 = Secret::new(pair.to_pkcs8v1().ok()?.as_ref().to_vec());
        Some(Self { kind: Kind::Ed25519, pair: Pair::Ed25519(Box::new(pair)), pkcs8 })
    }

    /// For storage.
    pub(super) fn to_base64(&self) -> String {
        BASE64.encode(self.pkcs8.expose())
    }

    /// # Errors
    /// Where it cannot be written.
    pub(super) fn public_key(&self) -> Result<Vec<u8>, Error> {
        let der = match &self.pair {
            Pair::Rsa(pair) => pair.public_key().as_der(),
            Pair::Ec(pair) => pair.public_key().as_der(),
            Pair::Ed25519(pair) => pair.public_key().as_der(),
        };
        Ok(der.map_err(failed)?.as_ref().to_vec())
    }

    /// The `AlgorithmIdentifier` that [`Self::sign`] signs by.
    pub(super) fn algorithm(&self, manner: Manner) -> Vec<u8> {
        const SHA2: &[u64] = &[2, 16, 840, 1, 101, 3, 4, 2];
        let (sha, of_rsa, bytes) = match manner.bits {
            384 => (2, 12, 48),
            512 => (3, 13, 64),
            _ => (1, 11, 32),
        };
        match self.kind {
            Kind::Rsa2048 | Kind::Rsa3072 | Kind::Rsa4096 if manner.pss => {
                let hash = [SHA2, &[sha]].concat();
                let parameters = der::pss_parameters(&hash, bytes);
                der::algorithm(&[1, 2, 840, 113_549, 1, 1, 10], Some(&parameters))
            }
            Kind::Rsa2048 | Kind::Rsa3072 | Kind::Rsa4096 => {
                der::algorithm(&[1, 2, 840, 113_549, 1, 1, of_rsa], Some(der::NULL))
            }
            Kind::P256 => der::algorithm(&[1, 2, 840, 10_045, 4, 3, 2], None),
            Kind::P384 => der::algorithm(&[1, 2, 840, 10_045, 4, 3, 3], None),
            Kind::P521 => der::algorithm(&[1, 2, 840, 10_045, 4, 3, 4], None),
            Kind::Ed25519 => der::algorithm(&[1, 3, 101, 112], None),
        }
    }

    /// # Errors
    /// Where it cannot sign.
    pub(super) fn sign(&self, manner: Manner, message: &[u8]) -> Result<Vec<u8>, Error> {
        match &self.pair {
            Pair::Rsa(pair) => {
                let encoding: &'static dyn RsaEncoding = match (manner.pss, manner.bits) {
                    (false, 384) => &signature::RSA_PKCS1_SHA384,
                    (false, 512) => &signature::RSA_PKCS1_SHA512,
                    (false, _) => &signature::RSA_PKCS1_SHA256,
                    (true, 384) => &signature::RSA_PSS_SHA384,
                    (true, 512) => &signature::RSA_PSS_SHA512,
                    (true, _) => &signature::RSA_PSS_SHA256,
                };
                let mut signed = vec![0; pair.public_modulus_len()];
                pair.sign(encoding, &SystemRandom::new(), message, &mut signed).map_err(failed)?;
                Ok(signed)
            }
            Pair::Ec(pair) => {
                let signed = pair.sign(&SystemRandom::new(), message).map_err(failed)?;
                Ok(signed.as_ref().to_vec())
            }
            Pair::Ed25519(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// Signs what a builder in [`der`] made.
    ///
    /// # Errors
    /// Where it cannot sign.
    pub(super) fn signed(&self, manner: Manner, to_be_signed: &[u8]) -> Result<Vec<u8>, Error> {
        let signature = self.sign(manner, to_be_signed)?;
        Ok(der::signed(to_be_signed, &self.algorithm(manner), &signature))
    }

    /// The name of its form in PEM, and its DER: PKCS#8, or the form of its own type.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn exported(&self, pkcs8: bool) -> Result<(&'static str, Secret<Vec<u8>>), Error> {
        if pkcs8 {
            return Ok(("PRIVATE KEY", Secret::new(self.pkcs8.expose().clone())));
        }
        match &self.pair {
            Pair::Rsa(_) => {
                let key = der::key_of_pkcs8(self.pkcs8.expose());
                let key = key.ok_or_else(|| Error::internal("a key is no PKCS#8"))?;
                Ok(("RSA PRIVATE KEY", Secret::new(key)))
            }
            Pair::Ec(pair) => {
                let key = pair.private_key().as_der().map_err(failed)?.as_ref().to_vec();
                Ok(("EC PRIVATE KEY", Secret::new(key)))
            }
            // It has no other form.
            Pair::Ed25519(_) => self.exported(true),
        }
    }
}

impl TryFrom<String> for PrivateKey {
    type Error = &'static str;

    fn try_from(stored: String) -> Result<Self, Self::Error> {
        let key = BASE64.decode(Secret::new(stored).expose()).map(Secret::new);
        let key = key.map_err(|_| "a key is not base64")?;
        Self::parse(key.expose()).ok_or("a key cannot be read")
    }
}

/// SHA-1 of the key's bits (RFC 5280, section 4.2.1.2): a name, no proof.
///
/// # Errors
/// [`Error::BadRequest`] where it is no public key.
pub(super) fn key_identifier(public_key: &[u8]) -> Result<Vec<u8>, Error> {
    let (_, info) = SubjectPublicKeyInfo::from_der(public_key)
        .map_err(|_| Error::bad_request("the public key cannot be read"))?;
    Ok(digest(&SHA1_FOR_LEGACY_USE_ONLY, &info.subject_public_key.data).as_ref().to_vec())
}

/// Whether a P-521 key signed this; `None` of other keys, which x509-parser verifies itself.
pub(super) fn verified_by_p521(
    public_key: &SubjectPublicKeyInfo<'_>,
    algorithm: &AlgorithmIdentifier<'_>,
    message: &[u8],
    signed: &[u8],
) -> Option<bool> {
    let curve = public_key.algorithm.parameters.as_ref()?.as_oid().ok()?;
    if curve.to_id_string() != "1.3.132.0.35" {
        return None;
    }
    let with: &'static EcdsaVerificationAlgorithm =
        match algorithm.algorithm.to_id_string().as_str() {
            "1.2.840.10045.4.3.2" => &signature::ECDSA_P521_SHA256_ASN1,
            "1.2.840.10045.4.3.3" => &signature::ECDSA_P521_SHA384_ASN1,
            "1.2.840.10045.4.3.4" => &signature::ECDSA_P521_SHA512_ASN1,
            _ => return Some(false),
        };
    let key = UnparsedPublicKey::new(with, &public_key.subject_public_key.data);
    Some(key.verify(message, signed).is_ok())
}

fn failed(_: aws_lc_rs::error::Unspecified) -> Error {
    Error::internal("a key could not be made, written or used")
}

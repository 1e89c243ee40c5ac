//! Signatures of JSON Web Tokens (RFC 7518, section 3; RFC 8037), by aws-lc.

use aws_lc_rs::digest;
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der, PublicKeyX509Der};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    self, EcdsaKeyPair, EcdsaSigningAlgorithm, Ed25519KeyPair, KeyPair as _, RsaEncoding,
    RsaKeyPair, RsaParameters, RsaPublicKeyComponents, UnparsedPublicKey, VerificationAlgorithm,
};
use x509_parser::prelude::FromDer as _;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use crate::secret::Secret;

/// By the names of RFC 7518.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SigningAlgorithm {
    Rs256,
    Rs384,
    Rs512,
    Es256,
    Es384,
    Es512,
    EdDsa,
}

/// A private key, parsed.
pub struct SigningKey(Pair);

enum Pair {
    Rsa(&'static dyn RsaEncoding, Box<RsaKeyPair>),
    Ec(Box<EcdsaKeyPair>),
    Ed(Box<Ed25519KeyPair>),
}

/// What others verify with, big-endian.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum PublicNumbers {
    Rsa { n: Vec<u8>, e: Vec<u8> },
    Ec { x: Vec<u8>, y: Vec<u8> },
    Ed { x: Vec<u8> },
}

/// A key that cannot be made, read or used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the signing key cannot be made or used")]
pub struct SigningError;

impl SigningAlgorithm {
    pub const ALL: [Self; 7] =
        [Self::Rs256, Self::Rs384, Self::Rs512, Self::Es256, Self::Es384, Self::Es512, Self::EdDsa];

    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.name() == name)
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Rs256 => "RS256",
            Self::Rs384 => "RS384",
            Self::Rs512 => "RS512",
            Self::Es256 => "ES256",
            Self::Es384 => "ES384",
            Self::Es512 => "ES512",
            Self::EdDsa => "EdDSA",
        }
    }

    /// A new private key, as PKCS #8 (RFC 5958). RSA keys have 2048 bits.
    ///
    /// # Errors
    /// Where the library cannot make one.
    pub fn generate(self) -> Result<Secret<Vec<u8>>, SigningError> {
        let pkcs8 = match self.kind() {
            Kind::Rsa(..) => {
                let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048)?;
                let der: Pkcs8V1Der<'_> = pair.as_der()?;
                der.as_ref().to_vec()
            }
            Kind::Ec(signing, _) => {
                EcdsaKeyPair::generate(signing)?.to_pkcs8v1()?.as_ref().to_vec()
            }
            Kind::Ed => Ed25519KeyPair::generate()?.to_pkcs8v1()?.as_ref().to_vec(),
        };
        Ok(Secret::new(pkcs8))
    }

    /// Whether a signature is the owner's of these numbers.
    pub fn verify(self, public: &PublicNumbers, message: &[u8], signature: &[u8]) -> bool {
        let unparsed = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
            UnparsedPublicKey::new(algorithm, key).verify(message, signature).is_ok()
        };
        match (self.kind(), public) {
            (Kind::Rsa(_, parameters), PublicNumbers::Rsa { n, e }) => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            (Kind::Ec(_, algorithm), PublicNumbers::Ec { x, y }) => {
                // SEC 1, section 2.3.3: uncompressed.
                unparsed(algorithm, &[&[4], x.as_slice(), y].concat())
            }
            (Kind::Ed, PublicNumbers::Ed { x }) => unparsed(&signature::ED25519, x),
            _ => false,
        }
    }

    /// The left half of a hash, by which an ID token vouches for what comes with it (OpenID
    /// Connect Core 1.0, section 3.1.3.6).
    pub fn half_hash(self, text: &[u8]) -> Vec<u8> {
        let hash = match self {
            Self::Rs256 | Self::Es256 => &digest::SHA256,
            Self::Rs384 | Self::Es384 => &digest::SHA384,
            Self::Rs512 | Self::Es512 | Self::EdDsa => &digest::SHA512,
        };
        let hash = digest::digest(hash, text);
        hash.as_ref().iter().take(hash.as_ref().len() / 2).copied().collect()
    }

    fn kind(self) -> Kind {
        match self {
            Self::Rs256 => {
                Kind::Rsa(&signature::RSA_PKCS1_SHA256, &signature::RSA_PKCS1_2048_8192_SHA256)
            }
            Self::Rs384 => {
                Kind::Rsa(&signature::RSA_PKCS1_SHA384, &signature::RSA_PKCS1_2048_8192_SHA384)
            }
            Self::Rs512 => {
                Kind::Rsa(&signature::RSA_PKCS1_SHA512, &signature::RSA_PKCS1_2048_8192_SHA512)
            }
            Self::Es256 => Kind::Ec(
                &signature::ECDSA_P256_SHA256_FIXED_SIGNING,
                &signature::ECDSA_P256_SHA256_FIXED,
            ),
            Self::Es384 => Kind::Ec(
                &signature::ECDSA_P384_SHA384_FIXED_SIGNING,
                &signature::ECDSA_P384_SHA384_FIXED,
            ),
            Self::Es512 => Kind::Ec(
                &signature::ECDSA_P521_SHA512_FIXED_SIGNING,
                &signature::ECDSA_P521_SHA512_FIXED,
            ),
            Self::EdDsa => Kind::Ed,
        }
    }
}

enum Kind {
    Rsa(&'static dyn RsaEncoding, &'static RsaParameters),
    Ec(&'static EcdsaSigningAlgorithm, &'static dyn VerificationAlgorithm),
    Ed,
}

impl SigningKey {
    /// # Errors
    /// Where it is no such key.
    pub fn from_pkcs8(algorithm: SigningAlgorithm, pkcs8: &[u8]) -> Result<Self, SigningError> {
        Ok(Self(match algorithm.kind() {
            Kind::Rsa(encoding, _) => Pair::Rsa(encoding, Box::new(RsaKeyPair::from_pkcs8(pkcs8)?)),
            Kind::Ec(signing, _) => Pair::Ec(Box::new(EcdsaKeyPair::from_pkcs8(signing, pkcs8)?)),
            Kind::Ed => Pair::Ed(Box::new(Ed25519KeyPair::from_pkcs8(pkcs8)?)),
        }))
    }

    /// As RFC 7518 wants it: of fixed length, where the curve says so.
    ///
    /// # Errors
    /// Where the library cannot sign.
    pub fn sign(&self, message: &[u8]) -> Result<Vec<u8>, SigningError> {
        let rng = SystemRandom::new();
        match &self.0 {
            Pair::Rsa(encoding, pair) => {
                let mut signature = vec![0; pair.public_modulus_len()];
                pair.sign(*encoding, &rng, message, &mut signature)?;
                Ok(signature)
            }
            Pair::Ec(pair) => Ok(pair.sign(&rng, message)?.as_ref().to_vec()),
            Pair::Ed(pair) => Ok(pair.sign(message).as_ref().to_vec()),
        }
    }

    /// # Errors
    /// Where the library tells it in another form than it documents.
    pub fn public(&self) -> Result<PublicNumbers, SigningError> {
        match &self.0 {
            Pair::Rsa(_, pair) => {
                let der: PublicKeyX509Der<'_> = pair.public_key().as_der()?;
                let (_, info) =
                    SubjectPublicKeyInfo::from_der(der.as_ref()).map_err(|_| SigningError)?;
                let Ok(PublicKey::RSA(key)) = info.parsed() else {
                    return Err(SigningError);
                };
                let bare = |number: &[u8]| {
                    let zeros = number.iter().take_while(|byte| **byte == 0).count();
                    number.get(zeros..).unwrap_or_default().to_vec()
                };
                Ok(PublicNumbers::Rsa { n: bare(key.modulus), e: bare(key.exponent) })
            }
            Pair::Ec(pair) => {
                let (_, point) = pair.public_key().as_ref().split_first().ok_or(SigningError)?;
                let (x, y) = point.split_at(point.len() / 2);
                Ok(PublicNumbers::Ec { x: x.to_vec(), y: y.to_vec() })
            }
            Pair::Ed(pair) => Ok(PublicNumbers::Ed { x: pair.public_key().as_ref().to_vec() }),
        }
    }
}

impl From<aws_lc_rs::error::Unspecified> for SigningError {
    fn from(_: aws_lc_rs::error::Unspecified) -> Self {
        Self
    }
}

impl From<aws_lc_rs::error::KeyRejected> for SigningError {
    fn from(_: aws_lc_rs::error::KeyRejected) -> Self {
        Self
    }
}

#[cfg(test)]
mod tests;

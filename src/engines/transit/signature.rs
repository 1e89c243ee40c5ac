//! Signatures: ECDSA (FIPS 186-5), Ed25519 (RFC 8032), RSA-PSS and PKCS#1 v1.5 (RFC 8017).

use aws_lc_rs::digest::{self, Digest};
use aws_lc_rs::encoding::AsDer as _;
use aws_lc_rs::rsa::RsaPssSaltLength;
use aws_lc_rs::signature::{
    self, KeyPair as _, RsaParameters, RsaSignatureEncoding, UnparsedPublicKey,
};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD as BASE64, URL_SAFE_NO_PAD as BASE64_URL};

use super::hash::Hash;
use super::kind::Kind;
use super::material::{Material, Rsa, Version, cannot, ed25519, failed};
use crate::request::Error;

/// How a signature is to be made.
#[derive(Clone, Debug)]
pub(super) struct Manner {
    /// `None`: the input is what is signed.
    pub(super) hash: Option<Hash>,
    /// The input is a digest already.
    pub(super) prehashed: bool,
    pub(super) padding: Padding,
    pub(super) marshaling: Marshaling,
    pub(super) salt: Salt,
    /// Of derived keys.
    pub(super) context: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Padding {
    #[default]
    Pss,
    Pkcs1v15,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Marshaling {
    #[default]
    Asn1,
    /// RFC 7515 and RFC 7518: of ECDSA the two numbers one after the other.
    Jws,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) enum Salt {
    /// Signs with the longest; verifies the longest and that of the hash.
    #[default]
    Auto,
    Hash,
    Bytes(usize),
}

impl Marshaling {
    pub(super) fn encode(self, signature: &[u8]) -> String {
        match self {
            Self::Asn1 => BASE64.encode(signature),
            Self::Jws => BASE64_URL.encode(signature),
        }
    }

    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Asn1 => BASE64.decode(text).ok(),
            Self::Jws => BASE64_URL.decode(text).ok(),
        }
    }
}

impl Version {
    /// # Errors
    /// [`Error::BadRequest`] where the key cannot sign so.
    pub(super) fn sign(&self, input: &[u8], manner: &Manner) -> Result<Vec<u8>, Error> {
        match &self.material {
            Material::Aead(..) | Material::Hmac(_) => Err(cannot("signing")),
            Material::Ed25519(seed) => {
                refuse_prehashed(manner)?;
                let pair = ed25519(seed, manner.context.as_deref())?;
                Ok(pair.sign(input).as_ref().to_vec())
            }
            Material::Ecdsa(pair) => {
                let digest = curve_digest(pair.kind, &hashed(input, manner)?)?;
                let pair = match manner.marshaling {
                    Marshaling::Asn1 => &pair.asn1,
                    Marshaling::Jws => &pair.jws,
                };
                Ok(pair.sign_digest(&digest).map_err(failed)?.as_ref().to_vec())
            }
            Material::Rsa(rsa) => sign_rsa(rsa, input, manner),
        }
    }

    /// Whether `signature` is of this input.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the key cannot verify so.
    pub(super) fn verify(
        &self,
        input: &[u8],
        signature: &[u8],
        manner: &Manner,
    ) -> Result<bool, Error> {
        match &self.material {
            Material::Aead(..) | Material::Hmac(_) => Err(cannot("verification")),
            Material::Ed25519(seed) => {
                refuse_prehashed(manner)?;
                let pair = ed25519(seed, manner.context.as_deref())?;
                let public = UnparsedPublicKey::new(&signature::ED25519, pair.public_key());
                Ok(public.verify(input, signature).is_ok())
            }
            Material::Ecdsa(pair) => {
                let digest = curve_digest(pair.kind, &hashed(input, manner)?)?;
                let jws = manner.marshaling == Marshaling::Jws;
                let algorithm = match (pair.kind, jws) {
                    (Kind::EcdsaP384, false) => &signature::ECDSA_P384_SHA384_ASN1,
                    (Kind::EcdsaP384, true) => &signature::ECDSA_P384_SHA384_FIXED,
                    (Kind::EcdsaP521, false) => &signature::ECDSA_P521_SHA512_ASN1,
                    (Kind::EcdsaP521, true) => &signature::ECDSA_P521_SHA512_FIXED,
                    (_, false) => &signature::ECDSA_P256_SHA256_ASN1,
                    (_, true) => &signature::ECDSA_P256_SHA256_FIXED,
                };
                let public = UnparsedPublicKey::new(algorithm, pair.asn1.public_key());
                Ok(public.verify_digest(&digest, signature).is_ok())
            }
            Material::Rsa(rsa) => verify_rsa(rsa, input, signature, manner),
        }
    }
}

fn refuse_prehashed(manner: &Manner) -> Result<(), Error> {
    if manner.prehashed {
        return Err(Error::bad_request("prehashed input is not supported for ed25519 keys"));
    }
    Ok(())
}

/// The digest of the input, or the input that is one.
fn hashed(input: &[u8], manner: &Manner) -> Result<Vec<u8>, Error> {
    match manner.hash {
        Some(hash) if !manner.prehashed => Ok(hash.of(input)),
        Some(hash) if input.len() != hash.bytes() => Err(Error::BadRequest(format!(
            "prehashed input has {} bytes, a {} digest has {}",
            input.len(),
            hash.name(),
            hash.bytes()
        ))),
        None if input.is_empty() => Err(Error::bad_request("missing input")),
        _ => Ok(input.to_vec()),
    }
}

/// FIPS 186-5, section 6.4.1: of a longer digest the leftmost bits count; a shorter one is the
/// same number with zeros before it.
fn curve_digest(kind: Kind, hashed: &[u8]) -> Result<Digest, Error> {
    let algorithm = match kind {
        Kind::EcdsaP384 => &digest::SHA384,
        Kind::EcdsaP521 => &digest::SHA512,
        _ => &digest::SHA256,
    };
    let length = algorithm.output_len();
    let kept: Vec<u8> = hashed.iter().copied().take(length).collect();
    let mut padded = vec![0; length.saturating_sub(kept.len())];
    padded.extend_from_slice(&kept);
    Digest::import_less_safe(&padded, algorithm).map_err(failed)
}

fn sign_rsa(rsa: &Rsa, input: &[u8], manner: &Manner) -> Result<Vec<u8>, Error> {
    let (encoding, algorithm) = encoding(rsa, manner)?;
    let digest = Digest::import_less_safe(&hashed(input, manner)?, algorithm).map_err(failed)?;
    let mut signature = vec![0; rsa.signing.public_modulus_len()];
    rsa.signing.sign_digest(encoding, &digest, &mut signature).map_err(failed)?;
    Ok(signature)
}

fn verify_rsa(rsa: &Rsa, input: &[u8], signature: &[u8], manner: &Manner) -> Result<bool, Error> {
    let (parameters, algorithm) = parameters(rsa, manner)?;
    let digest = Digest::import_less_safe(&hashed(input, manner)?, algorithm).map_err(failed)?;
    let public = rsa.signing.public_key().as_der().map_err(failed)?;
    let valid = |parameters: &&'static RsaParameters| {
        let public = UnparsedPublicKey::new(*parameters, public.as_ref());
        public.verify_digest(&digest, signature).is_ok()
    };
    Ok(parameters.iter().any(valid))
}

/// The salt of a signature: the longest (`true`), or as long as the hash.
fn longest(rsa: &Rsa, hash: usize, salt: Salt) -> Result<bool, Error> {
    let most = rsa.signing.public_modulus_len().saturating_sub(hash).saturating_sub(2);
    match salt {
        Salt::Auto => Ok(true),
        Salt::Hash => Ok(false),
        Salt::Bytes(bytes) if bytes == hash => Ok(false),
        Salt::Bytes(bytes) if bytes == most => Ok(true),
        Salt::Bytes(_) => Err(Error::BadRequest(format!(
            "salt_length must be \"auto\", \"hash\", {hash} or {most} with this key and hash"
        ))),
    }
}

fn encoding(
    rsa: &Rsa,
    manner: &Manner,
) -> Result<(&'static RsaSignatureEncoding, &'static digest::Algorithm), Error> {
    let hash = manner.hash.ok_or_else(no_hash)?;
    let longest = longest(rsa, hash.bytes(), manner.salt)?;
    Ok(match (manner.padding, hash, longest) {
        (Padding::Pkcs1v15, Hash::Sha2_256, _) => (&signature::RSA_PKCS1_SHA256, &digest::SHA256),
        (Padding::Pkcs1v15, Hash::Sha2_384, _) => (&signature::RSA_PKCS1_SHA384, &digest::SHA384),
        (Padding::Pkcs1v15, Hash::Sha2_512, _) => (&signature::RSA_PKCS1_SHA512, &digest::SHA512),
        (Padding::Pss, Hash::Sha2_256, false) => (&signature::RSA_PSS_SHA256, &digest::SHA256),
        (Padding::Pss, Hash::Sha2_384, false) => (&signature::RSA_PSS_SHA384, &digest::SHA384),
        (Padding::Pss, Hash::Sha2_512, false) => (&signature::RSA_PSS_SHA512, &digest::SHA512),
        (Padding::Pss, Hash::Sha2_256, true) => (&PSS_SHA256_LONGEST, &digest::SHA256),
        (Padding::Pss, Hash::Sha2_384, true) => (&PSS_SHA384_LONGEST, &digest::SHA384),
        (Padding::Pss, Hash::Sha2_512, true) => (&PSS_SHA512_LONGEST, &digest::SHA512),
        _ => return Err(no_hash()),
    })
}

/// Those of them that the signature may have been made with.
fn parameters(
    rsa: &Rsa,
    manner: &Manner,
) -> Result<(Vec<&'static RsaParameters>, &'static digest::Algorithm), Error> {
    let hash = manner.hash.ok_or_else(no_hash)?;
    let longest = longest(rsa, hash.bytes(), manner.salt)?;
    let (long, short, algorithm): (&'static RsaParameters, &'static RsaParameters, _) =
        match (manner.padding, hash) {
            (Padding::Pkcs1v15, Hash::Sha2_256) => {
                return Ok((vec![&signature::RSA_PKCS1_2048_8192_SHA256], &digest::SHA256));
            }
            (Padding::Pkcs1v15, Hash::Sha2_384) => {
                return Ok((vec![&signature::RSA_PKCS1_2048_8192_SHA384], &digest::SHA384));
            }
            (Padding::Pkcs1v15, Hash::Sha2_512) => {
                return Ok((vec![&signature::RSA_PKCS1_2048_8192_SHA512], &digest::SHA512));
            }
            (Padding::Pss, Hash::Sha2_256) => {
                (&VERIFY_SHA256_LONGEST, &signature::RSA_PSS_2048_8192_SHA256, &digest::SHA256)
            }
            (Padding::Pss, Hash::Sha2_384) => {
                (&VERIFY_SHA384_LONGEST, &signature::RSA_PSS_2048_8192_SHA384, &digest::SHA384)
            }
            (Padding::Pss, Hash::Sha2_512) => {
                (&VERIFY_SHA512_LONGEST, &signature::RSA_PSS_2048_8192_SHA512, &digest::SHA512)
            }
            _ => return Err(no_hash()),
        };
    let chosen = match (manner.salt, longest) {
        (Salt::Auto, _) => vec![long, short],
        (_, true) => vec![long],
        (_, false) => vec![short],
    };
    Ok((chosen, algorithm))
}

fn no_hash() -> Error {
    Error::bad_request("RSA keys sign and verify with sha2-256, sha2-384 and sha2-512")
}

static PSS_SHA256_LONGEST: RsaSignatureEncoding =
    signature::RSA_PSS_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
static PSS_SHA384_LONGEST: RsaSignatureEncoding =
    signature::RSA_PSS_SHA384.with_pss_salt_length(RsaPssSaltLength::Max);
static PSS_SHA512_LONGEST: RsaSignatureEncoding =
    signature::RSA_PSS_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);
static VERIFY_SHA256_LONGEST: RsaParameters =
    signature::RSA_PSS_2048_8192_SHA256.with_pss_salt_length(RsaPssSaltLength::Max);
static VERIFY_SHA384_LONGEST: RsaParameters =
    signature::RSA_PSS_2048_8192_SHA384.with_pss_salt_length(RsaPssSaltLength::Max);
static VERIFY_SHA512_LONGEST: RsaParameters =
    signature::RSA_PSS_2048_8192_SHA512.with_pss_salt_length(RsaPssSaltLength::Max);

//! Signatures of others: which algorithms of RFC 7518 and RFC 8037 are known, and public keys as
//! they are published.

use aws_lc_rs::signature::{self, RsaParameters, RsaPublicKeyComponents};
use x509_parser::der_parser::oid;
use x509_parser::pem::Pem;
use x509_parser::prelude::{FromDer as _, X509Certificate};
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::{PublicNumbers, SigningAlgorithm};

/// By the names of RFC 7518. There is neither `none` nor an HMAC: a public key is no secret.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum SignatureAlgorithm {
    /// What we sign with too.
    Own(SigningAlgorithm),
    Ps256,
    Ps384,
    Ps512,
}

impl SignatureAlgorithm {
    pub fn parse(name: &str) -> Option<Self> {
        match name {
            "PS256" => Some(Self::Ps256),
            "PS384" => Some(Self::Ps384),
            "PS512" => Some(Self::Ps512),
            name => SigningAlgorithm::parse(name).map(Self::Own),
        }
    }

    pub fn name(self) -> &'static str {
        match self {
            Self::Own(own) => own.name(),
            Self::Ps256 => "PS256",
            Self::Ps384 => "PS384",
            Self::Ps512 => "PS512",
        }
    }

    /// Whether a signature is the owner's of these numbers. False where the key is of another
    /// kind or curve than the algorithm's.
    pub fn verify(self, public: &PublicNumbers, message: &[u8], signature: &[u8]) -> bool {
        let with = |parameters: &RsaParameters| match public {
            PublicNumbers::Rsa { n, e } => {
                RsaPublicKeyComponents { n, e }.verify(parameters, message, signature).is_ok()
            }
            _ => false,
        };
        match self {
            Self::Own(own) => own.verify(public, message, signature),
            Self::Ps256 => with(&signature::RSA_PSS_2048_8192_SHA256),
            Self::Ps384 => with(&signature::RSA_PSS_2048_8192_SHA384),
            Self::Ps512 => with(&signature::RSA_PSS_2048_8192_SHA512),
        }
    }
}

impl PublicNumbers {
    /// The key in PEM text: a public key (RFC 5280's), or a certificate's. `None` where the first
    /// block is neither, or its key is none that signs tokens.
    pub fn from_pem(text: &str) -> Option<Self> {
        let pem = Pem::iter_from_buffer(text.as_bytes()).next()?.ok()?;
        match pem.label.as_str() {
            "PUBLIC KEY" => {
                let (rest, info) = SubjectPublicKeyInfo::from_der(&pem.contents).ok()?;
                Self::of(&info).filter(|_| rest.is_empty())
            }
            "CERTIFICATE" => {
                let (_, certificate) = X509Certificate::from_der(&pem.contents).ok()?;
                Self::of(certificate.public_key())
            }
            _ => None,
        }
    }

    /// As it came, unless no signature of it could ever be accepted.
    pub fn usable(self) -> Option<Self> {
        let is_usable = match &self {
            Self::Rsa { n, e } => {
                let bits = n.len() * 8;
                (2048..=8192).contains(&bits) && !e.is_empty() && e.len() <= 8
            }
            Self::Ec { x, y } => [32, 48, 66].contains(&x.len()) && x.len() == y.len(),
            Self::Ed { x } => x.len() == 32,
        };
        is_usable.then_some(self)
    }

    fn of(info: &SubjectPublicKeyInfo<'_>) -> Option<Self> {
        let algorithm = &info.algorithm.algorithm;
        if *algorithm == oid!(1.3.101.112) {
            return Self::Ed { x: info.subject_public_key.data.to_vec() }.usable();
        }
        let numbers = match info.parsed().ok()? {
            PublicKey::RSA(key) => {
                Self::Rsa { n: bare(key.modulus).to_vec(), e: bare(key.exponent).to_vec() }
            }
            PublicKey::EC(point) => {
                let (form, numbers) = point.data().split_first()?;
                let (x, y) = numbers.split_at(numbers.len() / 2);
                let curve = info.algorithm.parameters.as_ref()?.as_oid().ok()?;
                let bytes = if curve == oid!(1.2.840.10045.3.1.7) {
                    32
                } else if curve == oid!(1.3.132.0.34) {
                    48
                } else if curve == oid!(1.3.132.0.35) {
                    66
                } else {
                    return None;
                };
                (*form == 4 && x.len() == bytes)
                    .then(|| Self::Ec { x: x.to_vec(), y: y.to_vec() })?
            }
            _ => return None,
        };
        numbers.usable()
    }
}

/// A number without zeros in front.
pub(super) fn bare(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.get(zeros..).unwrap_or_default()
}

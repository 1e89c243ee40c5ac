//! Hash functions by the names that Vault gives them, and HMAC over each.

use aws_lc_rs::digest::{self, digest};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha3::{Digest as _, Sha3_224, Sha3_256, Sha3_384, Sha3_512};

use crate::request::Error;

/// FIPS 180-4 and FIPS 202.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Hash {
    Sha1,
    Sha2_224,
    Sha2_256,
    Sha2_384,
    Sha2_512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl Hash {
    /// # Errors
    /// [`Error::BadRequest`] where there is no such function.
    pub(super) fn parse(name: &str) -> Result<Self, Error> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, hash)| *hash).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            Error::BadRequest(format!(
                "unsupported algorithm {name:?}: one of {}",
                known.join(", ")
            ))
        })
    }

    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, hash)| *hash == self).map_or("", |(name, _)| name)
    }

    pub(super) fn bytes(self) -> usize {
        match self {
            Self::Sha1 => 20,
            Self::Sha2_224 | Self::Sha3_224 => 28,
            Self::Sha2_256 | Self::Sha3_256 => 32,
            Self::Sha2_384 | Self::Sha3_384 => 48,
            Self::Sha2_512 | Self::Sha3_512 => 64,
        }
    }

    pub(super) fn of(self, input: &[u8]) -> Vec<u8> {
        let by = |algorithm| digest(algorithm, input).as_ref().to_vec();
        match self {
            Self::Sha1 => by(&digest::SHA1_FOR_LEGACY_USE_ONLY),
            Self::Sha2_224 => by(&digest::SHA224),
            Self::Sha2_256 => by(&digest::SHA256),
            Self::Sha2_384 => by(&digest::SHA384),
            Self::Sha2_512 => by(&digest::SHA512),
            Self::Sha3_224 => Sha3_224::digest(input).to_vec(),
            Self::Sha3_256 => by(&digest::SHA3_256),
            Self::Sha3_384 => by(&digest::SHA3_384),
            Self::Sha3_512 => by(&digest::SHA3_512),
        }
    }

    /// RFC 2104. [`Self::Sha1`] is not offered.
    pub(super) fn hmac(self, key: &[u8], input: &[u8]) -> Option<Vec<u8>> {
        macro_rules! with {
            ($hash:ty) => {{
                let mut mac = Hmac::<$hash>::new_from_slice(key).ok()?;
                mac.update(input);
                mac.finalize().into_bytes().to_vec()
            }};
        }
        Some(match self {
            Self::Sha1 => return None,
            Self::Sha2_224 => with!(sha2::Sha224),
            Self::Sha2_256 => with!(sha2::Sha256),
            Self::Sha2_384 => with!(sha2::Sha384),
            Self::Sha2_512 => with!(sha2::Sha512),
            Self::Sha3_224 => with!(Sha3_224),
            Self::Sha3_256 => with!(Sha3_256),
            Self::Sha3_384 => with!(Sha3_384),
            Self::Sha3_512 => with!(Sha3_512),
        })
    }
}

const NAMES: &[(&str, Hash)] = &[
    ("sha1", Hash::Sha1),
    ("sha2-224", Hash::Sha2_224),
    ("sha2-256", Hash::Sha2_256),
    ("sha2-384", Hash::Sha2_384),
    ("sha2-512", Hash::Sha2_512),
    ("sha3-224", Hash::Sha3_224),
    ("sha3-256", Hash::Sha3_256),
    ("sha3-384", Hash::Sha3_384),
    ("sha3-512", Hash::Sha3_512),
];

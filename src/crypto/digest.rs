//! Hashes by the names that clients call them: `sys/tools/hash`.

use sha2::{Digest as _, Sha224, Sha256, Sha384, Sha512};
use sha3::{Sha3_224, Sha3_256, Sha3_384, Sha3_512};

/// SHA-2 (FIPS 180-4) and SHA-3 (FIPS 202).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Algorithm {
    Sha2_224,
    Sha2_256,
    Sha2_384,
    Sha2_512,
    Sha3_224,
    Sha3_256,
    Sha3_384,
    Sha3_512,
}

impl Algorithm {
    pub const NAMES: [(&'static str, Self); 8] = [
        ("sha2-224", Self::Sha2_224),
        ("sha2-256", Self::Sha2_256),
        ("sha2-384", Self::Sha2_384),
        ("sha2-512", Self::Sha2_512),
        ("sha3-224", Self::Sha3_224),
        ("sha3-256", Self::Sha3_256),
        ("sha3-384", Self::Sha3_384),
        ("sha3-512", Self::Sha3_512),
    ];

    pub fn of_name(name: &str) -> Option<Self> {
        Self::NAMES.into_iter().find(|(known, _)| *known == name).map(|(_, algorithm)| algorithm)
    }

    pub fn digest(self, input: &[u8]) -> Vec<u8> {
        match self {
            Self::Sha2_224 => Sha224::digest(input).to_vec(),
            Self::Sha2_256 => Sha256::digest(input).to_vec(),
            Self::Sha2_384 => Sha384::digest(input).to_vec(),
            Self::Sha2_512 => Sha512::digest(input).to_vec(),
            Self::Sha3_224 => Sha3_224::digest(input).to_vec(),
            Self::Sha3_256 => Sha3_256::digest(input).to_vec(),
            Self::Sha3_384 => Sha3_384::digest(input).to_vec(),
            Self::Sha3_512 => Sha3_512::digest(input).to_vec(),
        }
    }
}

#[cfg(test)]
mod tests;

//! The types of keys, and what each can do.

use serde::{Deserialize, Serialize};

use crate::request::Error;

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) enum Kind {
    #[serde(rename = "aes128-gcm96")]
    Aes128,
    #[serde(rename = "aes256-gcm96")]
    Aes256,
    #[serde(rename = "chacha20-poly1305")]
    ChaCha20,
    #[serde(rename = "ecdsa-p256")]
    EcdsaP256,
    #[serde(rename = "ecdsa-p384")]
    EcdsaP384,
    #[serde(rename = "ecdsa-p521")]
    EcdsaP521,
    #[serde(rename = "ed25519")]
    Ed25519,
    #[serde(rename = "hmac")]
    Hmac,
    #[serde(rename = "rsa-2048")]
    Rsa2048,
    #[serde(rename = "rsa-3072")]
    Rsa3072,
    #[serde(rename = "rsa-4096")]
    Rsa4096,
}

impl Kind {
    /// # Errors
    /// [`Error::BadRequest`] where there is no such type.
    pub(super) fn parse(name: &str) -> Result<Self, Error> {
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind).ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            Error::BadRequest(format!("unknown key type {name:?}: one of {}", known.join(", ")))
        })
    }

    pub(super) fn name(self) -> &'static str {
        NAMES.iter().find(|(_, kind)| *kind == self).map_or("", |(name, _)| name)
    }

    pub(super) fn is_aead(self) -> bool {
        matches!(self, Self::Aes128 | Self::Aes256 | Self::ChaCha20)
    }

    pub(super) fn is_ecdsa(self) -> bool {
        matches!(self, Self::EcdsaP256 | Self::EcdsaP384 | Self::EcdsaP521)
    }

    pub(super) fn is_rsa(self) -> bool {
        matches!(self, Self::Rsa2048 | Self::Rsa3072 | Self::Rsa4096)
    }

    pub(super) fn is_asymmetric(self) -> bool {
        self.is_ecdsa() || self.is_rsa() || self == Self::Ed25519
    }

    pub(super) fn encrypts(self) -> bool {
        self.is_aead() || self.is_rsa()
    }

    pub(super) fn signs(self) -> bool {
        self.is_asymmetric()
    }

    pub(super) fn derives(self) -> bool {
        self.is_aead() || self == Self::Ed25519
    }

    /// Of a symmetric key, or a seed; of an HMAC key where nothing is said.
    pub(super) fn secret_bytes(self) -> usize {
        match self {
            Self::Aes128 => 16,
            _ => 32,
        }
    }

    /// As a public key is shown beside its version.
    pub(super) fn public_name(self) -> &'static str {
        match self {
            Self::EcdsaP256 => "P-256",
            Self::EcdsaP384 => "P-384",
            Self::EcdsaP521 => "P-521",
            other => other.name(),
        }
    }
}

const NAMES: &[(&str, Kind)] = &[
    ("aes128-gcm96", Kind::Aes128),
    ("aes256-gcm96", Kind::Aes256),
    ("chacha20-poly1305", Kind::ChaCha20),
    ("ecdsa-p256", Kind::EcdsaP256),
    ("ecdsa-p384", Kind::EcdsaP384),
    ("ecdsa-p521", Kind::EcdsaP521),
    ("ed25519", Kind::Ed25519),
    ("hmac", Kind::Hmac),
    ("rsa-2048", Kind::Rsa2048),
    ("rsa-3072", Kind::Rsa3072),
    ("rsa-4096", Kind::Rsa4096),
];

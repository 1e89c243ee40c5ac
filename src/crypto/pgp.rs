//! Encryption for holders of OpenPGP keys (RFC 9580), so that a share or a token reaches nobody
//! else. Only public keys are handled.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgp::composed::{Deserializable as _, MessageBuilder, SignedPublicKey};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{KeyFlags, SignatureType};
use pgp::types::{EncryptionKey, KeyDetails as _};
use rand_core_06::{CryptoRng, RngCore};

use crate::rng::Rng;

/// Someone's public key, which can encrypt.
pub struct PgpKey {
    certificate: SignedPublicKey,
    /// Of the subkeys, the one that is encrypted for; `None`: the primary key.
    subkey: Option<usize>,
    text: String,
}

impl PgpKey {
    /// Reads a certificate in base64, as Vault's clients send it: of the binary form or of PGP's
    /// armour. Armour itself is taken too.
    ///
    /// # Errors
    /// Where it is none, or has no key to encrypt for, such as one that has expired by `now`
    /// (seconds since the Unix epoch).
    pub fn parse(text: &str, now: u64) -> Result<Self, PgpError> {
        let trimmed = text.trim();
        if trimmed.starts_with("keybase:") {
            return Err(PgpError::Keybase);
        }
        if trimmed.len() > KEY_TEXT_MAX {
            return Err(PgpError::TooLong);
        }
        let bytes = if trimmed.starts_with(ARMOUR) {
            trimmed.as_bytes().to_vec()
        } else {
            let compact: String = trimmed.chars().filter(|c| !c.is_ascii_whitespace()).collect();
            STANDARD.decode(compact).map_err(|_| PgpError::Base64)?
        };
        let certificate = if bytes.starts_with(ARMOUR.as_bytes()) {
            let armoured = std::str::from_utf8(&bytes).map_err(|_| PgpError::Certificate)?;
            SignedPublicKey::from_string(armoured).map_err(|_| PgpError::Certificate)?.0
        } else {
            SignedPublicKey::from_bytes(bytes.as_slice()).map_err(|_| PgpError::Certificate)?
        };
        let subkey = encryption_key(&certificate, now)?;
        Ok(Self { certificate, subkey, text: trimmed.to_owned() })
    }

    /// Of the primary key, in lower case.
    pub fn fingerprint(&self) -> String {
        let mut text = String::new();
        for byte in self.certificate.fingerprint().as_bytes() {
            for digit in [byte >> 4, byte & 0xf] {
                text.extend(char::from_digit(digit.into(), 16));
            }
        }
        text
    }

    /// As it was given.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// A binary message, which `gpg --decrypt` reads.
    ///
    /// # Errors
    /// Where the key is of a kind that cannot encrypt.
    pub fn encrypt(&self, rng: &dyn Rng, plaintext: &[u8]) -> Result<Vec<u8>, PgpError> {
        match self.subkey.and_then(|index| self.certificate.public_subkeys.get(index)) {
            Some(subkey) => encrypt(rng, subkey, plaintext),
            None => encrypt(rng, &self.certificate, plaintext),
        }
    }
}

fn encrypt(rng: &dyn Rng, key: &impl EncryptionKey, plaintext: &[u8]) -> Result<Vec<u8>, PgpError> {
    // Version 1: GnuPG does not read version 2 of RFC 9580.
    let message = MessageBuilder::from_bytes("", plaintext.to_vec());
    let mut message = message.seipd_v1(Source(rng), SymmetricKeyAlgorithm::AES256);
    message.encrypt_to_key(Source(rng), key).map_err(|_| PgpError::Encrypt)?;
    message.to_vec(Source(rng)).map_err(|_| PgpError::Encrypt)
}

/// The newest subkey for encryption whose binding holds and has not ended, else the primary key
/// where it may encrypt.
fn encryption_key(certificate: &SignedPublicKey, now: u64) -> Result<Option<usize>, PgpError> {
    let primary = &certificate.primary_key;
    if !certificate.details.revocation_signatures.is_empty() {
        return Err(PgpError::Revoked);
    }
    let is_live = |created: u64, lifetime: Option<u64>| {
        lifetime.is_none_or(|lifetime| lifetime == 0 || created.saturating_add(lifetime) > now)
    };
    let for_encryption = |flags: &KeyFlags| flags.encrypt_comms() || flags.encrypt_storage();
    let mut flags = None;
    for user in &certificate.details.users {
        let newest = user.signatures.iter().max_by_key(|signature| {
            signature.created().map_or(0, |time| u64::from(time.as_secs()))
        });
        if let Some(signature) = newest {
            let lifetime = signature.key_expiration_time().map(|time| u64::from(time.as_secs()));
            if !is_live(u64::from(primary.created_at().as_secs()), lifetime) {
                return Err(PgpError::Expired);
            }
            flags = flags.or_else(|| Some(signature.key_flags()));
        }
    }
    let mut best: Option<(u64, usize)> = None;
    for (index, subkey) in certificate.public_subkeys.iter().enumerate() {
        let created = u64::from(subkey.key.created_at().as_secs());
        let is_bound = subkey.verify_bindings(primary).is_ok();
        let is_revoked = subkey
            .signatures
            .iter()
            .any(|signature| signature.typ() == Some(SignatureType::SubkeyRevocation));
        let newest = subkey.signatures.iter().max_by_key(|signature| {
            signature.created().map_or(0, |time| u64::from(time.as_secs()))
        });
        let fits = newest.is_some_and(|signature| {
            let lifetime = signature.key_expiration_time().map(|time| u64::from(time.as_secs()));
            for_encryption(&signature.key_flags()) && is_live(created, lifetime)
        });
        if fits && is_bound && !is_revoked && subkey.key.algorithm().can_encrypt() {
            let newer = best.is_none_or(|(known, _)| created >= known);
            if newer {
                best = Some((created, index));
            }
        }
    }
    match best {
        Some((_, index)) => Ok(Some(index)),
        None if primary.algorithm().can_encrypt() && flags.as_ref().is_none_or(for_encryption) => {
            Ok(None)
        }
        None => Err(PgpError::NoEncryptionKey),
    }
}

/// Our randomness, as `pgp` wants it.
struct Source<'a>(&'a dyn Rng);

impl RngCore for Source<'_> {
    fn next_u32(&mut self) -> u32 {
        u32::from_le_bytes(self.0.bytes())
    }

    fn next_u64(&mut self) -> u64 {
        u64::from_le_bytes(self.0.bytes())
    }

    fn fill_bytes(&mut self, buffer: &mut [u8]) {
        self.0.fill(buffer);
    }

    fn try_fill_bytes(&mut self, buffer: &mut [u8]) -> Result<(), rand_core_06::Error> {
        self.0.fill(buffer);
        Ok(())
    }
}

impl CryptoRng for Source<'_> {}

/// A PGP key cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PgpError {
    #[error(
        "`keybase:` names are not looked up: export the public key and give it in base64 \
         (gpg --export NAME | base64)"
    )]
    Keybase,
    #[error("error decoding given PGP key: it is not base64")]
    Base64,
    #[error("error parsing given PGP key: it is no OpenPGP public key")]
    Certificate,
    #[error("the PGP key is longer than 256 KiB: leave out signatures (--export-options)")]
    TooLong,
    #[error("the PGP key has expired")]
    Expired,
    #[error("the PGP key was revoked")]
    Revoked,
    #[error("the PGP key has no valid key for encryption")]
    NoEncryptionKey,
    #[error("the PGP key cannot encrypt")]
    Encrypt,
}

const ARMOUR: &str = "-----BEGIN PGP";

const KEY_TEXT_MAX: usize = 256 << 10;

#[cfg(test)]
mod tests;

//! Encryption for holders of OpenPGP keys (RFC 9580), so that a share or a token reaches nobody
//! else. Only public keys are handled.

use std::cmp::Reverse;
use std::io::{self, Read as _};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use pgp::armor::{BlockType, Dearmor};
use pgp::bytes::Bytes;
use pgp::composed::{Deserializable as _, MessageBuilder, SignedPublicKey, SignedPublicSubKey};
use pgp::crypto::sym::SymmetricKeyAlgorithm;
use pgp::packet::{KeyFlags, PacketParser, PublicKey, Signature, SignatureType};
use pgp::types::{EncryptionKey, KeyDetails as _, SignedUser, Tag};
use rand_core_06::{CryptoRng, RngCore};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::rng::Rng;

/// Someone's public key, which can encrypt.
#[derive(Clone)]
pub struct PgpKey {
    certificate: SignedPublicKey,
    /// Of the subkeys, the one that is encrypted for; `None`: the primary key.
    subkey: Option<usize>,
}

impl PgpKey {
    /// Reads a certificate in base64, as Vault's clients send it: of the binary form or of PGP's
    /// armour. Armour itself is taken too. What is checked of it is bounded; it still takes up to
    /// a second: see [`Self::parse_all`].
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
        let bytes = if bytes.starts_with(ARMOUR.as_bytes()) { unarmoured(&bytes)? } else { bytes };
        check_subkeys(&bytes)?;
        let certificate =
            SignedPublicKey::from_bytes(bytes.as_slice()).map_err(|_| PgpError::Certificate)?;
        let subkey = encryption_key(&certificate, now)?;
        Ok(Self { certificate, subkey })
    }

    /// Several, in a thread of their own. One such call is at work at a time: whoever may ask for
    /// it needs no token.
    ///
    /// # Errors
    /// As [`Self::parse`], and which one it is.
    pub async fn parse_all(texts: Vec<String>, now: u64) -> Result<Vec<Self>, (usize, PgpError)> {
        if texts.is_empty() {
            return Ok(Vec::new());
        }
        let permit = AT_ONCE.acquire().await.map_err(|_| (0, PgpError::Unread))?;
        // Goes on where whoever waits has gone, and the permit with it.
        let task = tokio::task::spawn_blocking(move || {
            let parse = |(index, text): (usize, &String)| {
                Self::parse(text, now).map_err(|error| (index, error))
            };
            let parsed = texts.iter().enumerate().map(parse).collect();
            drop(permit);
            parsed
        });
        task.await.unwrap_or(Err((0, PgpError::Unread)))
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
    let plaintext = Bytes::from_owner(Zeroizing::new(plaintext.to_vec()));
    let message = MessageBuilder::from_bytes("", plaintext);
    let mut message = message.seipd_v1(Source(rng), SymmetricKeyAlgorithm::AES256);
    message.encrypt_to_key(Source(rng), key).map_err(|_| PgpError::Encrypt)?;
    message.to_vec(Source(rng)).map_err(|_| PgpError::Encrypt)
}

fn unarmoured(text: &[u8]) -> Result<Vec<u8>, PgpError> {
    let mut reader = Dearmor::new(text);
    reader.read_header().map_err(|_| PgpError::Certificate)?;
    if !matches!(reader.typ, Some(BlockType::PublicKey | BlockType::File)) {
        return Err(PgpError::Certificate);
    }
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).map_err(|_| PgpError::Certificate)?;
    Ok(bytes)
}

/// Before anything is made of them: a point of a curve costs to unpack.
fn check_subkeys(bytes: &[u8]) -> Result<(), PgpError> {
    let mut packets = PacketParser::new(bytes);
    let mut subkeys = 0;
    while let Some(packet) = packets.next_ref() {
        let mut packet = packet.map_err(|_| PgpError::Certificate)?;
        if matches!(packet.packet_header().tag(), Tag::PublicSubkey | Tag::SecretSubkey) {
            subkeys += 1;
        }
        if subkeys > SUBKEYS_MAX {
            return Err(PgpError::TooMany);
        }
        io::copy(&mut packet, &mut io::sink()).map_err(|_| PgpError::Certificate)?;
    }
    Ok(())
}

/// The newest subkey for encryption whose binding holds and has not ended, else the primary key
/// where it may encrypt.
fn encryption_key(certificate: &SignedPublicKey, now: u64) -> Result<Option<usize>, PgpError> {
    let mut check = Check { primary: &certificate.primary_key, now, left: CHECKS_MAX };
    let flags = check.primary(certificate)?;
    let subkeys = certificate.public_subkeys.iter().enumerate();
    let mut subkeys: Vec<_> =
        subkeys.filter(|(_, subkey)| subkey.key.algorithm().can_encrypt()).collect();
    subkeys.sort_by_key(|(index, subkey)| Reverse((subkey.key.created_at().as_secs(), *index)));
    for (index, subkey) in subkeys {
        if check.fits(subkey)? {
            return Ok(Some(index));
        }
    }
    let may = flags.as_ref().is_none_or(for_encryption);
    if may && certificate.primary_key.algorithm().can_encrypt() {
        return Ok(None);
    }
    Err(PgpError::NoEncryptionKey)
}

fn for_encryption(flags: &KeyFlags) -> bool {
    flags.encrypt_comms() || flags.encrypt_storage()
}

/// What the primary key has signed: whatever else a certificate holds, anybody has put there.
struct Check<'a> {
    primary: &'a PublicKey,
    now: u64,
    /// Signatures that may still be verified.
    left: usize,
}

impl Check<'_> {
    /// What the primary key may be used for, where it says so.
    fn primary(&mut self, certificate: &SignedPublicKey) -> Result<Option<KeyFlags>, PgpError> {
        let (primary, details) = (self.primary, &certificate.details);
        let revokes = |signature: &Signature| signature.verify_key(primary).is_ok();
        if self.newest(&details.revocation_signatures, revokes)?.is_some() {
            return Err(PgpError::Revoked);
        }
        let mut flags = None;
        for SignedUser { id, signatures } in &details.users {
            let certifies = |signature: &Signature| {
                signature.typ() != Some(SignatureType::CertRevocation)
                    && signature.verify_certification(primary, Tag::UserId, id).is_ok()
            };
            if let Some(signature) = self.newest(signatures, certifies)? {
                if !self.is_live(primary.created_at().as_secs(), signature) {
                    return Err(PgpError::Expired);
                }
                flags = flags.or_else(|| Some(signature.key_flags()));
            }
        }
        Ok(flags)
    }

    /// Whether it is bound to the primary key for encryption, has not ended and was not revoked.
    fn fits(&mut self, subkey: &SignedPublicSubKey) -> Result<bool, PgpError> {
        let primary = self.primary;
        let binds = |signature: &Signature| {
            signature.typ() == Some(SignatureType::SubkeyBinding)
                && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        };
        let Some(binding) = self.newest(&subkey.signatures, binds)? else {
            return Ok(false);
        };
        let created = subkey.key.created_at().as_secs();
        if !for_encryption(&binding.key_flags()) || !self.is_live(created, binding) {
            return Ok(false);
        }
        let revokes = |signature: &Signature| {
            signature.typ() == Some(SignatureType::SubkeyRevocation)
                && signature.verify_subkey_binding(primary, &subkey.key).is_ok()
        };
        Ok(self.newest(&subkey.signatures, revokes)?.is_none())
    }

    /// The newest that says to be of the primary key, and is.
    fn newest<'s>(
        &mut self,
        signatures: &'s [Signature],
        holds: impl Fn(&Signature) -> bool,
    ) -> Result<Option<&'s Signature>, PgpError> {
        let (fingerprint, id) = (self.primary.fingerprint(), self.primary.legacy_key_id());
        let is_own = |signature: &&Signature| {
            let (prints, ids) = (signature.issuer_fingerprint(), signature.issuer_key_id());
            (prints.is_empty() && ids.is_empty())
                || prints.contains(&&fingerprint)
                || ids.contains(&&id)
        };
        let mut own: Vec<&Signature> = signatures.iter().filter(is_own).collect();
        own.sort_by_key(|signature| Reverse(signature.created().map(|time| time.as_secs())));
        for signature in own {
            self.left = self.left.checked_sub(1).ok_or(PgpError::TooMany)?;
            if holds(signature) {
                return Ok(Some(signature));
            }
        }
        Ok(None)
    }

    fn is_live(&self, created: u32, signature: &Signature) -> bool {
        let lifetime = signature.key_expiration_time().map_or(0, |time| u64::from(time.as_secs()));
        lifetime == 0 || u64::from(created).saturating_add(lifetime) > self.now
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
    #[error(
        "the PGP key has more than 16 subkeys, or signatures of its own: leave out what is old \
         (--export-options export-minimal)"
    )]
    TooMany,
    #[error("the PGP key has expired")]
    Expired,
    #[error("the PGP key was revoked")]
    Revoked,
    #[error("the PGP key has no valid key for encryption")]
    NoEncryptionKey,
    #[error("the PGP key cannot encrypt")]
    Encrypt,
    #[error("the PGP key was not read: try again")]
    Unread,
}

const ARMOUR: &str = "-----BEGIN PGP";

const KEY_TEXT_MAX: usize = 256 << 10;

const SUBKEYS_MAX: usize = 16;

/// Verified for one certificate: each takes up to some ten milliseconds (16384 bits of RSA).
const CHECKS_MAX: usize = 16;

static AT_ONCE: Semaphore = Semaphore::const_new(1);

#[cfg(test)]
mod tests;

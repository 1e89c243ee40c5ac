//! AES-256-GCM (NIST SP 800-38D), with a random nonce for each message.

use aes_gcm::aead::AeadInOut as _;
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce, Tag};

use super::memory::LockedKey;
use crate::rng::Rng;
use crate::secret::Secret;

pub const NONCE_BYTES: usize = 12;
pub const TAG_BYTES: usize = 16;

/// Appends nonce, ciphertext and tag to `header`, in that order. `header` itself is not
/// authenticated: what of it matters belongs into `associated`.
///
/// Nonces are random, so one key is good for 2³² messages (SP 800-38D, section 8.3): whoever
/// holds the key counts.
///
/// # Errors
/// Where the plaintext exceeds the 64 GiB of one GCM message.
pub fn aead_seal(
    key: &LockedKey,
    rng: &dyn Rng,
    associated: &[u8],
    header: &[u8],
    plaintext: &[&[u8]],
) -> Result<Vec<u8>, AeadError> {
    let nonce = rng.bytes::<NONCE_BYTES>();
    seal_with_nonce(key, nonce, associated, header, plaintext)
}

/// Opens what [`aead_seal`] has appended to the header: nonce, ciphertext, tag.
///
/// # Errors
/// Where key, associated data or a byte of the message is not what it was sealed with.
pub fn aead_open(
    key: &LockedKey,
    associated: &[u8],
    sealed: &[u8],
) -> Result<Secret<Vec<u8>>, AeadError> {
    let (nonce, rest) = sealed.split_first_chunk::<NONCE_BYTES>().ok_or(AeadError)?;
    let (ciphertext, tag) = rest.split_last_chunk::<TAG_BYTES>().ok_or(AeadError)?;
    let mut buffer = ciphertext.to_vec();
    // The tag is judged before anything is decrypted, so on failure there is no plaintext.
    cipher(key)
        .decrypt_inout_detached(
            &Nonce::from(*nonce),
            associated,
            buffer.as_mut_slice().into(),
            &Tag::from(*tag),
        )
        .map_err(|_| AeadError)?;
    Ok(Secret::new(buffer))
}

/// It was not sealed with this key and associated data, or is damaged; nothing tells which.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("message authentication failed")]
pub struct AeadError;

fn seal_with_nonce(
    key: &LockedKey,
    nonce: [u8; NONCE_BYTES],
    associated: &[u8],
    header: &[u8],
    plaintext: &[&[u8]],
) -> Result<Vec<u8>, AeadError> {
    let length: usize = plaintext.iter().map(|part| part.len()).sum();
    let start = header.len() + NONCE_BYTES;
    // Of the full size at once: growing would leave copies of plaintext behind.
    let mut buffer = Vec::with_capacity(start + length + TAG_BYTES);
    buffer.extend_from_slice(header);
    buffer.extend_from_slice(&nonce);
    for part in plaintext {
        buffer.extend_from_slice(part);
    }
    let (_, body) = buffer.split_at_mut(start);
    let tag = cipher(key)
        .encrypt_inout_detached(&Nonce::from(nonce), associated, body.into())
        .map_err(|_| AeadError)?;
    buffer.extend_from_slice(&tag);
    Ok(buffer)
}

/// The expanded key lives on the stack and is zeroed when it goes.
fn cipher(key: &LockedKey) -> Aes256Gcm {
    Aes256Gcm::new(key.expose().into())
}

#[cfg(test)]
mod tests;

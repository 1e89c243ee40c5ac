//! What shows an active node that whoever wants to join has a threshold of shares.
//!
//! A challenge is a random key, sealed by the root key: only shares open it. Whoever has opened it
//! authenticates with it. The node that made it keeps nothing: it opens it again when it comes
//! back, so that neither many challenges nor a change of leader do harm.

use bytes::Bytes;

use super::records::{KeyringRecord, UnsealError, open_root_key};
use super::share::Share;
use crate::barrier::Keyring;
use crate::crypto::{AeadError, LockedKey, aead_open, aead_seal};
use crate::rng::Rng;

/// A challenge for one use. `context` says what for and until when: the same must be given to
/// open it.
///
/// # Errors
/// Never in practice: where a key exceeds 64 GiB.
pub fn challenge(rng: &dyn Rng, keyring: &Keyring, context: &[u8]) -> Result<Bytes, AeadError> {
    let key = LockedKey::generate(rng);
    let sealed =
        aead_seal(keyring.root_key(), rng, &associated(context), &[], &[key.expose().as_slice()])?;
    Ok(sealed.into())
}

/// The key in a challenge, for an unsealed node: `None` where the cluster has not made it for this
/// context, or has renewed its root key since.
pub fn recall_challenge(keyring: &Keyring, context: &[u8], sealed: &[u8]) -> Option<LockedKey> {
    open(keyring.root_key(), context, sealed)
}

/// The key in a challenge, for whoever has shares. Of `record` it needs
/// [`KeyringRecord::for_joiner`].
///
/// # Errors
/// Where the shares are wrong, or the challenge is not of this cluster and context.
pub fn open_challenge(
    record: &KeyringRecord,
    shares: &[Share],
    context: &[u8],
    sealed: &[u8],
) -> Result<LockedKey, UnsealError> {
    open_challenge_with(&open_root_key(record, shares)?, context, sealed)
}

/// As [`open_challenge`], where a seal has opened the root key by itself.
///
/// # Errors
/// Where the challenge is not of this cluster and context.
pub fn open_challenge_with(
    root_key: &LockedKey,
    context: &[u8],
    sealed: &[u8],
) -> Result<LockedKey, UnsealError> {
    open(root_key, context, sealed).ok_or(UnsealError::Challenge)
}

fn open(root_key: &LockedKey, context: &[u8], sealed: &[u8]) -> Option<LockedKey> {
    let opened = aead_open(root_key, &associated(context), sealed).ok()?;
    LockedKey::from_slice(opened.expose())
}

fn associated(context: &[u8]) -> Vec<u8> {
    [CHALLENGE_TAG, context].concat()
}

const CHALLENGE_TAG: &[u8] = b"strongroom challenge 1\0";

#[cfg(test)]
mod tests;

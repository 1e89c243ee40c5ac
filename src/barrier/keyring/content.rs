//! How a keyring is written: wrapped by the root key.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::{DataKey, FixedKeys, Keyring, SealError};
use crate::clock::Timestamp;
use crate::crypto::{LockedKey, aead_open, aead_seal, equal};
use crate::proto::seal::{KeyringContent, KeyringTerm};
use crate::record::Ciphertext;
use crate::rng::Rng;
use crate::secret::Secret;

impl Keyring {
    /// Seals the keyring with its root key. What it returns may lie in clear.
    pub fn wrap(&self, rng: &dyn Rng) -> Bytes {
        let content = self.content();
        // Encoded into a buffer of the right size: growing would leave copies behind.
        let mut encoded = Vec::with_capacity(content.encoded_len());
        content.encode_raw(&mut encoded);
        let encoded = Secret::new(encoded);
        #[expect(clippy::expect_used, reason = "GCM takes 64 GiB; a term is some 50 bytes")]
        let wrapped = aead_seal(self.root_key(), rng, WRAP_TAG, &[], &[encoded.expose()])
            .expect("a keyring fits into one message");
        wrapped.into()
    }

    /// Opens what [`Keyring::wrap`] has sealed.
    ///
    /// # Errors
    /// Where the root key is another, or a byte has changed, or a newer version wrote it.
    pub fn unwrap(root_key: &LockedKey, wrapped: &[u8]) -> Result<Self, UnwrapError> {
        let encoded =
            aead_open(root_key, WRAP_TAG, wrapped).map_err(|_| UnwrapError::WrongRootKey)?;
        let content = KeyringContent::decode(encoded.expose().as_slice())
            .map_err(|_| UnwrapError::Malformed)?;
        match content.version {
            CONTENT_VERSION => Self::from_content(&content).ok_or(UnwrapError::Malformed),
            0 => Err(UnwrapError::Malformed),
            version => Err(UnwrapError::Newer { version }),
        }
    }

    /// Carries the root key of `next` to those who hold this keyring.
    ///
    /// # Errors
    /// Never in practice: where the root key exceeds 64 GiB.
    pub fn bridge_to(&self, rng: &dyn Rng, next: &Self) -> Result<Bytes, SealError> {
        let sealed = self.seal_response(rng, BRIDGE_CONTEXT, next.root.expose())?;
        Ok(sealed.as_bytes().clone())
    }

    /// Opens the keyring that comes after this one: with the same root key, or with that which
    /// the bridge carries. Counts of encryptions go on.
    ///
    /// # Errors
    /// Where neither opens it, or where it is older than this one: then the node seals itself.
    pub fn follow(&self, wrapped: &[u8], bridge: Option<&[u8]>) -> Result<Self, UnwrapError> {
        let next = match (Self::unwrap(&self.root, wrapped), bridge) {
            (Err(UnwrapError::WrongRootKey), Some(bridge)) => {
                Self::unwrap(&self.cross(bridge)?, wrapped)?
            }
            (next, _) => next?,
        };
        if next.active_term() < self.active_term() {
            return Err(UnwrapError::Older);
        }
        Ok(self.counted_on(next))
    }

    /// Opens the keyring of a snapshot that took the state's place, which may be older than this
    /// one. Counts of encryptions go on.
    ///
    /// # Errors
    /// Where this one's root key does not open it: then the node seals itself.
    pub fn go_back(&self, wrapped: &[u8]) -> Result<Self, UnwrapError> {
        Ok(self.counted_on(Self::unwrap(&self.root, wrapped)?))
    }

    fn counted_on(&self, mut next: Self) -> Self {
        for (term, key) in &mut next.terms {
            if let Some(known) = self.terms.get(term)
                && equal(known.key.expose(), key.key.expose())
            {
                *key = Arc::clone(known);
            }
        }
        next
    }

    fn cross(&self, bridge: &[u8]) -> Result<LockedKey, UnwrapError> {
        let bridge = Ciphertext::from_sealed(Bytes::copy_from_slice(bridge));
        let root =
            self.open_response(BRIDGE_CONTEXT, &bridge).map_err(|_| UnwrapError::WrongRootKey)?;
        LockedKey::from_slice(root.expose()).ok_or(UnwrapError::Malformed)
    }

    pub(super) fn content(&self) -> KeyringContent {
        let term = |(term, key): (u32, &DataKey)| KeyringTerm {
            term,
            key: key.key.expose().to_vec(),
            installed_milliseconds: key.installed.0,
        };
        KeyringContent {
            version: CONTENT_VERSION,
            created_milliseconds: self.created.0,
            terms: self.terms().map(term).collect(),
            root_key: self.root.expose().to_vec(),
            path_key: self.fixed.path.expose().to_vec(),
            batch_mac_key: self.fixed.batch_mac.expose().to_vec(),
            forward_proof_key: self.fixed.forward_proof.expose().to_vec(),
        }
    }

    fn from_content(content: &KeyringContent) -> Option<Self> {
        let mut terms = BTreeMap::new();
        for term in &content.terms {
            let key = LockedKey::from_slice(&term.key)?;
            let installed = Timestamp(term.installed_milliseconds);
            terms.insert(term.term, Arc::new(DataKey::new(key, installed)));
        }
        let fixed = FixedKeys {
            path: LockedKey::from_slice(&content.path_key)?,
            batch_mac: LockedKey::from_slice(&content.batch_mac_key)?,
            forward_proof: LockedKey::from_slice(&content.forward_proof_key)?,
        };
        let root = Arc::new(LockedKey::from_slice(&content.root_key)?);
        (!terms.is_empty()).then(|| Self {
            created: Timestamp(content.created_milliseconds),
            terms,
            root,
            fixed: Arc::new(fixed),
        })
    }
}

/// A keyring cannot be opened.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnwrapError {
    #[error("the root key does not open the keyring")]
    WrongRootKey,
    #[error("the keyring is malformed")]
    Malformed,
    #[error("the keyring is older than the one in use")]
    Older,
    #[error("the keyring has version {version}, which this version does not know")]
    Newer { version: u32 },
}

const CONTENT_VERSION: u32 = 1;
const BRIDGE_CONTEXT: &[u8] = b"root key";
pub(super) const WRAP_TAG: &[u8] = b"strongroom keyring 1\0";

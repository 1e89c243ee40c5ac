//! How a keyring is written: wrapped by the root key.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;

use super::{DataKey, FixedKeys, Keyring};
use crate::clock::Timestamp;
use crate::crypto::{LockedKey, aead_open, aead_seal};
use crate::proto::seal::{KeyringContent, KeyringTerm};
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
        if content.version > CONTENT_VERSION {
            return Err(UnwrapError::Newer { version: content.version });
        }
        let keyring = Self::from_content(&content).ok_or(UnwrapError::Malformed)?;
        Ok(keyring)
    }

    fn content(&self) -> KeyringContent {
        let term = |(term, key): (u32, &DataKey)| KeyringTerm {
            term,
            key: key.key.expose().to_vec(),
            installed_milliseconds: key.installed.0,
        };
        KeyringContent {
            version: CONTENT_VERSION,
            created_milliseconds: self.created.0,
            terms: self.terms().map(term).collect(),
            root_key: self.fixed.root.expose().to_vec(),
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
            root: LockedKey::from_slice(&content.root_key)?,
            path: LockedKey::from_slice(&content.path_key)?,
            batch_mac: LockedKey::from_slice(&content.batch_mac_key)?,
            forward_proof: LockedKey::from_slice(&content.forward_proof_key)?,
        };
        (!terms.is_empty()).then(|| Self {
            created: Timestamp(content.created_milliseconds),
            terms,
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
    #[error("the keyring has version {version}, which this version does not know")]
    Newer { version: u32 },
}

const CONTENT_VERSION: u32 = 1;
const WRAP_TAG: &[u8] = b"strongroom keyring 1\0";

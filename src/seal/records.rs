//! The records that shares open, and the changes to them.

use bytes::Bytes;
use prost::Message as _;

use super::configuration::SealConfiguration;
use super::shamir::{self, CombineError};
use super::share::{Share, ShareError};
use crate::barrier::{Keyring, SealError, UnwrapError};
use crate::clock::Timestamp;
use crate::crypto::{LockedKey, aead_open, aead_seal};
use crate::proto::seal as wire;
use crate::record::SystemKey;
use crate::rng::Rng;

/// The system record `Keyring`. In clear, for all it holds is sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyringRecord {
    generation: u64,
    keyring: Bytes,
    root_key: Bytes,
    /// Empty but after a rekey.
    bridge: Bytes,
}

impl KeyringRecord {
    /// As [`SealConfiguration::generation`].
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// What an unsealed node that applies this record goes on with.
    ///
    /// # Errors
    /// Where `keyring` does not lead to it: the node seals itself, and awaits shares.
    pub fn follow(&self, keyring: &Keyring) -> Result<Keyring, UnwrapError> {
        keyring.follow(&self.keyring, self.has_bridge().then_some(&self.bridge))
    }

    /// True from a rekey that renewed the root key until [`KeyringRecord::without_bridge`] is
    /// committed.
    pub fn has_bridge(&self) -> bool {
        !self.bridge.is_empty()
    }

    /// For when all unsealed nodes have followed: from then on the keyring of before the rekey
    /// does not lead to this one.
    #[must_use]
    pub fn without_bridge(&self) -> Self {
        Self { bridge: Bytes::new(), ..self.clone() }
    }

    /// What shares need to open a challenge, and no more.
    #[must_use]
    pub fn for_joiner(&self) -> Self {
        Self { keyring: Bytes::new(), bridge: Bytes::new(), ..self.clone() }
    }

    pub fn encode(&self) -> Bytes {
        let message = wire::KeyringRecord {
            version: VERSION,
            generation: self.generation,
            keyring: self.keyring.to_vec(),
            root_key: self.root_key.to_vec(),
            bridge: self.bridge.to_vec(),
        };
        message.encode_to_vec().into()
    }

    /// Reads what [`KeyringRecord::encode`] wrote.
    ///
    /// # Errors
    /// Where a newer version wrote it, or it is damaged.
    pub fn decode(record: &[u8]) -> Result<Self, RecordError> {
        let message = wire::KeyringRecord::decode(record).map_err(|_| RecordError::Malformed)?;
        match message.version {
            VERSION => Ok(Self {
                generation: message.generation,
                keyring: message.keyring.into(),
                root_key: message.root_key.into(),
                bridge: message.bridge.into(),
            }),
            0 => Err(RecordError::Malformed),
            version => Err(RecordError::Newer { version }),
        }
    }
}

/// What a new seal consists of: the records go into one log entry, and the shares to people.
pub struct Initialised {
    pub keyring: Keyring,
    /// `SealConfiguration` and `Keyring`.
    pub records: [(SystemKey, Bytes); 2],
    pub shares: Vec<Share>,
}

/// A keyring for a new cluster, and the shares that open it.
pub fn initialise(rng: &dyn Rng, now: Timestamp, configuration: &SealConfiguration) -> Initialised {
    seal_keyring(rng, configuration, Keyring::generate(rng, now), None)
}

/// Whether a rekey keeps the root key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RootKey {
    /// Whoever had the old shares and the disk of that time can still open the disk of today.
    Keep,
    /// They cannot, from the next rotation on, once the bridge is dropped. Unsealed nodes
    /// [`follow`] over the bridge.
    Renew,
}

/// New shares for `configuration`, which is made by [`SealConfiguration::next`]; the old ones open
/// nothing that is stored from then on. The caller has seen a threshold of the old ones.
///
/// # Errors
/// Never in practice: where a key exceeds 64 GiB.
pub fn rekey(
    rng: &dyn Rng,
    keyring: &Keyring,
    configuration: &SealConfiguration,
    root_key: RootKey,
) -> Result<Initialised, SealError> {
    match root_key {
        RootKey::Keep => Ok(seal_keyring(rng, configuration, keyring.clone(), None)),
        RootKey::Renew => {
            let renewed = keyring.renew_root(rng);
            let bridge = keyring.bridge_to(rng, &renewed)?;
            Ok(seal_keyring(rng, configuration, renewed, Some(bridge)))
        }
    }
}

/// A keyring with one more term, and `record` with that keyring in it; the same shares open it.
///
/// # Errors
/// After 2³² - 1 rotations.
pub fn rotate(
    rng: &dyn Rng,
    now: Timestamp,
    keyring: &Keyring,
    record: &KeyringRecord,
) -> Result<(Keyring, KeyringRecord), SealError> {
    let rotated = keyring.rotate(rng, now)?;
    let record = KeyringRecord { keyring: rotated.wrap(rng), ..record.clone() };
    Ok((rotated, record))
}

/// Opens the keyring with a threshold of shares.
///
/// # Errors
/// See [`UnsealError`].
pub fn try_open(record: &KeyringRecord, shares: &[Share]) -> Result<Keyring, UnsealError> {
    let root_key = open_root_key(record, shares)?;
    Keyring::unwrap(&root_key, &record.keyring).map_err(UnsealError::Keyring)
}

/// Opens the root key with a threshold of shares: who can do that may do anything.
///
/// # Errors
/// See [`UnsealError`].
pub fn open_root_key(record: &KeyringRecord, shares: &[Share]) -> Result<LockedKey, UnsealError> {
    let seal_key = shamir::combine(shares)?;
    let opened = aead_open(&seal_key, &root_key_context(record.generation), &record.root_key)
        .map_err(|_| UnsealError::WrongShares)?;
    LockedKey::from_slice(opened.expose()).ok_or(UnsealError::WrongShares)
}

/// Shares do not unseal. [`UnsealError::Keyring`] is the operator's to mend, the others come of
/// what was typed: their texts begin as Vault's do.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum UnsealError {
    #[error(transparent)]
    Share(#[from] ShareError),
    #[error("invalid key: failed to compute combined key: {0}")]
    Combine(#[from] CombineError),
    #[error("invalid key: the shares do not open the root key: message authentication failed")]
    WrongShares,
    #[error("invalid challenge: it is not of this cluster, or no longer good")]
    Challenge,
    #[error("the root key is open, but: {0}")]
    Keyring(UnwrapError),
}

/// A record of the seal cannot be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum RecordError {
    #[error("the seal's record is malformed")]
    Malformed,
    #[error("the seal's record has version {version}, which this version does not know")]
    Newer { version: u32 },
}

fn seal_keyring(
    rng: &dyn Rng,
    configuration: &SealConfiguration,
    keyring: Keyring,
    bridge: Option<Bytes>,
) -> Initialised {
    let seal_key = LockedKey::generate(rng);
    let generation = configuration.generation();
    #[expect(clippy::expect_used, reason = "GCM takes 64 GiB, and a key is 32 bytes")]
    let root_key = aead_seal(
        &seal_key,
        rng,
        &root_key_context(generation),
        &[],
        &[keyring.root_key().expose()],
    )
    .expect("a key fits into one message");
    let record = KeyringRecord {
        generation,
        keyring: keyring.wrap(rng),
        root_key: root_key.into(),
        bridge: bridge.unwrap_or_default(),
    };
    Initialised {
        records: [
            (SystemKey::SealConfiguration, configuration.encode()),
            (SystemKey::Keyring, record.encode()),
        ],
        shares: shamir::split(rng, &seal_key, configuration),
        keyring,
    }
}

fn root_key_context(generation: u64) -> Vec<u8> {
    [ROOT_KEY_TAG, &generation.to_be_bytes()].concat()
}

const VERSION: u32 = 1;
const ROOT_KEY_TAG: &[u8] = b"strongroom root key 1\0";

#[cfg(test)]
mod tests;

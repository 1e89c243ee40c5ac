//! The records that shares open, and the changes to them.

use bytes::Bytes;
use prost::Message as _;

use super::configuration::{Division, SealConfiguration, SealKind};
use super::quorum::key_check;
use super::shamir::{self, CombineError};
use super::share::{Share, ShareError};
use crate::barrier::{Keyring, SealError, UnwrapError};
use crate::clock::Timestamp;
use crate::crypto::{LockedKey, aead_open, aead_seal};
use crate::proto::seal as wire;
use crate::record::{SealedBatch, SystemKey};
use crate::rng::Rng;

/// The system record `Keyring`. In clear, for all it holds is sealed.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyringRecord {
    generation: u64,
    keyring: Bytes,
    root_key: Bytes,
    /// Empty but after a rekey.
    bridge: Bytes,
    /// What opens by itself: each holds the key that `root_key` is sealed by.
    seals: Vec<WrappedSealKey>,
    /// The shares of before a rekey.
    previous: Option<Previous>,
}

/// A seal key that was wrapped outside, by a key service or a key of the configuration.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct WrappedSealKey {
    /// Which seal of the configuration.
    pub name: String,
    pub kind: SealKind,
    /// Of the key that wrapped it, for whoever unwraps.
    pub key_id: String,
    pub wrapped: Vec<u8>,
}

/// The shares of before a rekey, while nobody is known to have the new ones.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Previous {
    pub(super) generation: u64,
    pub(super) division: Division,
    pub(super) root_key: Bytes,
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

    /// As [`Self::follow`], for the record of a snapshot that is restored: it may be older.
    ///
    /// # Errors
    /// Where the root key of `keyring` does not open it.
    pub fn go_back(&self, keyring: &Keyring) -> Result<Keyring, UnwrapError> {
        keyring.go_back(&self.keyring)
    }

    /// What [`Self::follow`] leads to, of the keyring record that a batch writes; `None` where it
    /// writes none.
    pub fn followed(
        batch: &SealedBatch,
        keyring: &Keyring,
    ) -> Option<Result<Keyring, UnwrapError>> {
        let (_, record) = batch.system_writes.iter().find(|(key, _)| *key == SystemKey::Keyring)?;
        let record = record.as_ref()?;
        let Ok(record) = Self::decode(record) else {
            return Some(Err(UnwrapError::Malformed));
        };
        Some(record.follow(keyring))
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

    /// True from a rekey on whose new shares may have reached nobody, until
    /// [`KeyringRecord::without_previous`] is committed: the old ones open too.
    pub fn has_previous(&self) -> bool {
        self.previous.is_some()
    }

    /// For when someone has the new shares: the old ones open nothing from then on.
    #[must_use]
    pub fn without_previous(&self) -> Self {
        Self { previous: None, ..self.clone() }
    }

    /// How many shares of this generation there are.
    pub fn division_of(&self, generation: u64, configuration: &SealConfiguration) -> Division {
        match &self.previous {
            Some(previous) if previous.generation == generation => previous.division,
            _ => configuration.division(),
        }
    }

    /// What opens by itself; empty where people hold shares.
    pub fn seals(&self) -> &[WrappedSealKey] {
        &self.seals
    }

    /// Opens the keyring with what shares or a seal key have opened.
    ///
    /// # Errors
    /// Where the root key is another, or the keyring is damaged.
    pub fn open_with(&self, root_key: &LockedKey) -> Result<Keyring, UnwrapError> {
        Keyring::unwrap(root_key, &self.keyring)
    }

    /// The root key, by a seal key that one of [`Self::seals`] has unwrapped.
    ///
    /// # Errors
    /// Where it is another one.
    pub fn open_root_key(&self, seal_key: &LockedKey) -> Result<LockedKey, UnsealError> {
        let context = root_key_context(self.generation);
        let opened =
            aead_open(seal_key, &context, &self.root_key).map_err(|_| UnsealError::WrongSealKey)?;
        LockedKey::from_slice(opened.expose()).ok_or(UnsealError::WrongSealKey)
    }

    /// What shares need to open a challenge, and no more.
    #[must_use]
    pub fn for_joiner(&self) -> Self {
        Self { keyring: Bytes::new(), bridge: Bytes::new(), previous: None, ..self.clone() }
    }

    pub(super) fn sealed_root_key(&self) -> &Bytes {
        &self.root_key
    }

    pub(super) fn previous(&self) -> Option<&Previous> {
        self.previous.as_ref()
    }

    pub fn encode(&self) -> Bytes {
        let is_plain = self.seals.is_empty() && self.previous.is_none();
        let seal = |seal: &WrappedSealKey| wire::WrappedSealKey {
            name: seal.name.clone(),
            kind: seal.kind.name().to_owned(),
            key_id: seal.key_id.clone(),
            wrapped: seal.wrapped.clone(),
        };
        let previous = self.previous.as_ref().map(|previous| wire::PreviousShares {
            generation: previous.generation,
            shares: previous.division.shares().into(),
            threshold: previous.division.threshold().into(),
            root_key: previous.root_key.to_vec(),
        });
        let message = wire::KeyringRecord {
            version: if is_plain { VERSION_PLAIN } else { VERSION },
            generation: self.generation,
            keyring: self.keyring.to_vec(),
            root_key: self.root_key.to_vec(),
            bridge: self.bridge.to_vec(),
            seals: self.seals.iter().map(seal).collect(),
            previous,
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
            VERSION_PLAIN | VERSION => {}
            0 => return Err(RecordError::Malformed),
            version => return Err(RecordError::Newer { version }),
        }
        let mut seals = Vec::with_capacity(message.seals.len());
        for seal in message.seals {
            let kind = SealKind::from_name(&seal.kind).ok_or(RecordError::UnknownSeal)?;
            let (name, key_id, wrapped) = (seal.name, seal.key_id, seal.wrapped);
            seals.push(WrappedSealKey { name, kind, key_id, wrapped });
        }
        let previous = message.previous.map(|previous| {
            let division = Division::new(previous.shares.into(), previous.threshold.into())
                .map_err(|_| RecordError::Malformed)?;
            let (generation, root_key) = (previous.generation, previous.root_key.into());
            Ok(Previous { generation, division, root_key })
        });
        Ok(Self {
            generation: message.generation,
            keyring: message.keyring.into(),
            root_key: message.root_key.into(),
            bridge: message.bridge.into(),
            seals,
            previous: previous.transpose()?,
        })
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
    let keyring = Keyring::generate(rng, now);
    let seal_key = LockedKey::generate(rng);
    let records = records(rng, configuration, &keyring, &seal_key, Extra::default());
    let shares = shamir::split(rng, &seal_key, configuration.division());
    Initialised { keyring, records, shares }
}

/// A keyring for a new cluster that opens by itself: `seals` have wrapped `seal_key`. The shares
/// are of a recovery key, and [`key_check`] of it is to be kept.
pub fn initialise_opening_itself(
    rng: &dyn Rng,
    now: Timestamp,
    configuration: &SealConfiguration,
    seal_key: &LockedKey,
    seals: Vec<WrappedSealKey>,
) -> (Initialised, Option<[u8; 32]>) {
    let keyring = Keyring::generate(rng, now);
    let extra = Extra { seals, ..Extra::default() };
    let records = records(rng, configuration, &keyring, seal_key, extra);
    let recovery = configuration.recovery().map(|recovery| {
        let key = LockedKey::generate(rng);
        (shamir::split(rng, &key, recovery.division), key_check(&key))
    });
    let (shares, check) = recovery.map_or((Vec::new(), None), |(a, b)| (a, Some(b)));
    (Initialised { keyring, records, shares }, check)
}

/// A key's shares, for people.
pub fn split(rng: &dyn Rng, key: &LockedKey, division: Division) -> Vec<Share> {
    shamir::split(rng, key, division)
}

/// Whether a rekey keeps the root key.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum RootKey {
    /// Whoever had the old shares and the disk of that time can still open the disk of today.
    Keep,
    /// They cannot, from the next rotation on, once the bridge is dropped. Unsealed nodes
    /// [`follow`] over the bridge.
    ///
    /// [`follow`]: KeyringRecord::follow
    Renew,
}

/// What a rekey changes to.
pub struct Reseal<'a> {
    /// Made by [`SealConfiguration::next`] or [`SealConfiguration::migrated`].
    pub configuration: &'a SealConfiguration,
    pub root_key: RootKey,
    /// What the new shares combine to, or what `seals` have wrapped.
    pub seal_key: &'a LockedKey,
    pub seals: Vec<WrappedSealKey>,
    /// The shares that authorised it, which open on until the new ones are known to have reached
    /// someone: what they combine to, their generation, and how many they are.
    pub previous: Option<(&'a LockedKey, u64, Division)>,
}

/// The records of another seal; what opened the old one opens nothing that is stored from then
/// on, but for `previous`.
///
/// # Errors
/// Never in practice: where a key exceeds 64 GiB.
pub fn reseal(
    rng: &dyn Rng,
    keyring: &Keyring,
    to: Reseal<'_>,
) -> Result<(Keyring, [(SystemKey, Bytes); 2]), SealError> {
    let (keyring, bridge) = match to.root_key {
        RootKey::Keep => (keyring.clone(), Bytes::new()),
        RootKey::Renew => {
            let renewed = keyring.renew_root(rng);
            let bridge = keyring.bridge_to(rng, &renewed)?;
            (renewed, bridge)
        }
    };
    let previous = to.previous.map(|(key, generation, division)| Previous {
        generation,
        division,
        root_key: sealed_root_key(rng, key, generation, &keyring),
    });
    let extra = Extra { bridge, seals: to.seals, previous };
    let records = records(rng, to.configuration, &keyring, to.seal_key, extra);
    Ok((keyring, records))
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
    #[error("invalid key: the shares are those of another key")]
    WrongKey,
    #[error("the seal key does not open the root key")]
    WrongSealKey,
    #[error("enough keys were given already: give one of these again, or cancel")]
    TooMany,
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
    #[error("the seal's record names a kind of seal that this version does not know")]
    UnknownSeal,
}

#[derive(Default)]
struct Extra {
    bridge: Bytes,
    seals: Vec<WrappedSealKey>,
    previous: Option<Previous>,
}

fn records(
    rng: &dyn Rng,
    configuration: &SealConfiguration,
    keyring: &Keyring,
    seal_key: &LockedKey,
    extra: Extra,
) -> [(SystemKey, Bytes); 2] {
    let generation = configuration.generation();
    let root_key = sealed_root_key(rng, seal_key, generation, keyring);
    let Extra { bridge, seals, previous } = extra;
    let keyring = keyring.wrap(rng);
    let record = KeyringRecord { generation, keyring, root_key, bridge, seals, previous };
    [(SystemKey::SealConfiguration, configuration.encode()), (SystemKey::Keyring, record.encode())]
}

fn sealed_root_key(
    rng: &dyn Rng,
    seal_key: &LockedKey,
    generation: u64,
    keyring: &Keyring,
) -> Bytes {
    let context = root_key_context(generation);
    #[expect(clippy::expect_used, reason = "GCM takes 64 GiB, and a key is 32 bytes")]
    let sealed = aead_seal(seal_key, rng, &context, &[], &[keyring.root_key().expose()])
        .expect("a key fits into one message");
    sealed.into()
}

pub(super) fn root_key_context(generation: u64) -> Vec<u8> {
    [ROOT_KEY_TAG, &generation.to_be_bytes()].concat()
}

/// With `seals` or `previous`.
const VERSION: u32 = 2;
const VERSION_PLAIN: u32 = 1;
const ROOT_KEY_TAG: &[u8] = b"strongroom root key 1\0";

#[cfg(test)]
mod tests;

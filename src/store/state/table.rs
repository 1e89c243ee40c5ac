//! How the tables of the state are named and encoded in checkpoints and snapshots. Numbers are
//! little-endian, but for keys, whose order is that of their bytes.

use std::collections::BTreeMap;
use std::ops::Bound;

use bytes::{Buf as _, BufMut as _, Bytes};

use super::checkpoint::RawRange;
use super::overlay::Layer;
use crate::clock::Timestamp;
use crate::record::{
    Ciphertext, Directory, Part, Record, RestoreId, Revision, Staged, StoredDirectory, StoredKey,
    SystemKey,
};
use crate::store::apply::StagedPart;
use crate::store::{Effects, EntryId};

/// One kind of thing that the state holds by key.
pub(super) trait Table {
    type Key: Copy + Ord + 'static;
    type Value: Clone + 'static;
    /// The first byte of its keys. For ever: in snapshots.
    const PREFIX: u8;

    fn key(key: &Self::Key) -> RawKey;
    fn encode(value: &Self::Value) -> Vec<u8>;
    /// `None` where the bytes are not what [`Self::encode`] makes.
    fn decode(bytes: Bytes) -> Option<Self::Value>;
    fn changes(layer: &Layer) -> &Changes<Self>;
}

/// `None`: it goes.
pub(super) type Changes<T> = BTreeMap<<T as Table>::Key, Option<<T as Table>::Value>>;

pub(super) struct Records;
pub(super) struct Directories;
pub(super) struct System;
/// What is staged for a restore. Prefixes 4 and 5 are those of requests.
pub(super) struct Stage;

impl Table for Records {
    type Key = StoredKey;
    type Value = Record;
    const PREFIX: u8 = 1;

    fn key(key: &StoredKey) -> RawKey {
        RawKey::new(Self::PREFIX, &key.0)
    }

    fn encode(record: &Record) -> Vec<u8> {
        with_revision(record.revision, record.value.as_bytes())
    }

    fn decode(mut bytes: Bytes) -> Option<Record> {
        let revision = Revision(bytes.try_get_u64_le().ok()?);
        Some(Record { revision, value: Ciphertext::from_sealed(bytes) })
    }

    fn changes(layer: &Layer) -> &Changes<Self> {
        &layer.records
    }
}

impl Table for Directories {
    type Key = StoredDirectory;
    type Value = Directory;
    const PREFIX: u8 = 2;

    fn key(directory: &StoredDirectory) -> RawKey {
        RawKey::new(Self::PREFIX, &directory.0)
    }

    fn encode(directory: &Directory) -> Vec<u8> {
        with_revision(directory.revision, &directory.records.to_le_bytes())
    }

    fn decode(mut bytes: Bytes) -> Option<Directory> {
        let revision = Revision(bytes.try_get_u64_le().ok()?);
        let records = bytes.try_get_u64_le().ok()?;
        bytes.is_empty().then_some(Directory { revision, records })
    }

    fn changes(layer: &Layer) -> &Changes<Self> {
        &layer.directories
    }
}

impl Table for System {
    type Key = SystemKey;
    type Value = (Revision, Bytes);
    const PREFIX: u8 = 3;

    fn key(key: &SystemKey) -> RawKey {
        RawKey::new(Self::PREFIX, &(*key as u32).to_be_bytes())
    }

    fn encode((revision, value): &(Revision, Bytes)) -> Vec<u8> {
        with_revision(*revision, value)
    }

    fn decode(mut bytes: Bytes) -> Option<(Revision, Bytes)> {
        Some((Revision(bytes.try_get_u64_le().ok()?), bytes))
    }

    fn changes(layer: &Layer) -> &Changes<Self> {
        &layer.system
    }
}

impl Table for Stage {
    type Key = u32;
    type Value = StagedPart;
    const PREFIX: u8 = 6;

    fn key(number: &u32) -> RawKey {
        RawKey::new(Self::PREFIX, &number.to_be_bytes())
    }

    fn encode(part: &StagedPart) -> Vec<u8> {
        let mut bytes = Vec::new();
        match part {
            StagedPart::All(all) => {
                bytes.put_u8(0);
                bytes.put_slice(&all.id.0);
                bytes.put_u32_le(all.pieces);
            }
            StagedPart::Piece(piece) => {
                bytes.reserve_exact(1 + piece.len());
                bytes.put_u8(1);
                bytes.put_slice(piece);
            }
        }
        bytes
    }

    fn decode(mut bytes: Bytes) -> Option<StagedPart> {
        match bytes.try_get_u8().ok()? {
            0 => {
                let mut id = [0; 16];
                bytes.try_copy_to_slice(&mut id).ok()?;
                let pieces = bytes.try_get_u32_le().ok()?;
                let all = Staged { id: RestoreId(id), pieces };
                bytes.is_empty().then_some(StagedPart::All(all))
            }
            1 => Some(StagedPart::Piece(bytes)),
            _ => None,
        }
    }

    fn changes(layer: &Layer) -> &Changes<Self> {
        &layer.staged
    }
}

/// Where the state is in the log, and what is kept once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Mark {
    pub(super) applied: Option<EntryId>,
    pub(super) time: Timestamp,
    /// Of the raft cluster; opaque here.
    pub(super) membership: Option<Bytes>,
}

impl Mark {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u64_le(self.time.0);
        bytes.put_u8(u8::from(self.applied.is_some()));
        if let Some(id) = self.applied {
            bytes.put_u64_le(id.index);
            bytes.put_u64_le(id.term);
            bytes.put_u64_le(id.node);
        }
        bytes.put_u8(u8::from(self.membership.is_some()));
        bytes.put_slice(self.membership.as_deref().unwrap_or_default());
        bytes
    }

    pub(super) fn decode(mut bytes: Bytes) -> Option<Self> {
        let time = Timestamp(bytes.try_get_u64_le().ok()?);
        let applied = match bytes.try_get_u8().ok()? {
            0 => None,
            1 => Some(EntryId {
                index: bytes.try_get_u64_le().ok()?,
                term: bytes.try_get_u64_le().ok()?,
                node: bytes.try_get_u64_le().ok()?,
            }),
            _ => return None,
        };
        let membership = match bytes.try_get_u8().ok()? {
            0 if bytes.is_empty() => None,
            1 => Some(bytes),
            _ => return None,
        };
        Some(Self { applied, time, membership })
    }
}

/// A key of a checkpoint: a table's prefix, then at most 32 bytes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct RawKey {
    bytes: [u8; 33],
    length: u8,
}

impl RawKey {
    pub(super) fn new(prefix: u8, key: &[u8]) -> Self {
        let mut bytes = [0; 33];
        let (first, rest) = bytes.split_at_mut(1);
        first.fill(prefix);
        let length = key.len().min(rest.len());
        rest.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
        Self { bytes, length: length as u8 + 1 }
    }

    /// Where a checkpoint keeps its [`Mark`], before the tables.
    pub(super) fn mark() -> Self {
        Self::new(0, &[])
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.length)).unwrap_or(&self.bytes)
    }
}

/// Between which stored keys the wanted part of a directory is.
pub(in crate::store) fn listed_range(
    directory: &StoredDirectory,
    part: &Part,
) -> (Bound<StoredKey>, Bound<StoredKey>) {
    let [mut first, mut last] = [[0; 32], [u8::MAX; 32]];
    for bound in [&mut first, &mut last] {
        bound.split_at_mut(16).0.copy_from_slice(&directory.0);
    }
    let [first, last] = [StoredKey(first), StoredKey(last)];
    let first = match part.after {
        // One that is beyond the directory leaves nothing; a range may not end before it begins.
        Some(after) if after >= first => Bound::Excluded(after.min(last)),
        _ => Bound::Included(first),
    };
    (first, Bound::Included(last))
}

/// About what the effects keep in memory. What they replace is not taken off: it may share its
/// memory with what stays, since values are slices of their log entry.
pub(super) fn bytes_of(effects: &Effects) -> usize {
    let records = effects.records.values().flatten().map(|record| record.value.as_bytes().len());
    let system = effects.system.values().flatten().map(|(_, value)| value.len());
    let pieces = effects.staged.values().flatten().map(|part| match part {
        StagedPart::Piece(piece) => piece.len(),
        StagedPart::All(_) => 0,
    });
    let things = effects.records.len()
        + effects.directories.len()
        + effects.system.len()
        + effects.staged.len();
    records.chain(system).chain(pieces).sum::<usize>() + (things + 1) * BYTES_EACH
}

fn with_revision(revision: Revision, value: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(8 + value.len());
    bytes.put_u64_le(revision.0);
    bytes.put_slice(value);
    bytes
}

/// All keys but [`RawKey::mark`].
pub(super) const TABLES: RawRange<'static> =
    (Bound::Included(&[Records::PREFIX]), Bound::Included(&[u8::MAX]));
/// Key, place in the map, and the like.
const BYTES_EACH: usize = 128;

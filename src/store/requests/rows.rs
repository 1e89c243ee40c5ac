//! The table as rows of a checkpoint, a snapshot or an image.

use std::collections::{BTreeMap, BTreeSet};

use bytes::{Buf as _, BufMut as _, Bytes};

use super::{Kept, Name, Origin, Requests};
use crate::clock::Timestamp;
use crate::record::{Ciphertext, OriginId, REQUEST_ID_BYTES, RequestId};

/// What has changed since it was last asked.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Journal {
    inserted: BTreeSet<Name>,
    removed: BTreeSet<Name>,
    origins_removed: BTreeSet<OriginId>,
}

impl Journal {
    pub(super) fn inserted(&mut self, name: Name) {
        self.removed.remove(&name);
        self.inserted.insert(name);
    }

    /// What came and went since is nothing.
    pub(super) fn removed(&mut self, name: Name) {
        if !self.inserted.remove(&name) {
            self.removed.insert(name);
        }
    }

    pub(super) fn origin_removed(&mut self, id: OriginId) {
        self.origins_removed.insert(id);
    }
}

/// Its key, which begins with the prefix of its table, and its value; without one it goes.
pub(in crate::store) type Row = (Vec<u8>, Option<Vec<u8>>);

impl Requests {
    /// What has changed since [`Self::settle`], origins in full: they are few.
    pub(in crate::store) fn changes(&self) -> Vec<Row> {
        let Some(journal) = &self.journal else { return Vec::new() };
        let kept = |name: &Name| Some((key(name), Some(self.kept.get(name)?.encode())));
        let inserted = journal.inserted.iter().filter_map(kept);
        let removed = journal.removed.iter().map(|name| (key(name), None));
        let gone = journal.origins_removed.iter().filter(|id| !self.origins.contains_key(id));
        let gone = gone.map(|id| (origin_key(*id), None));
        inserted.chain(removed).chain(gone).chain(self.origin_rows()).collect()
    }

    /// What [`Self::changes`] said is taken care of.
    pub(in crate::store) fn settle(&mut self) {
        if let Some(journal) = &mut self.journal {
            *journal = Journal::default();
        }
    }

    /// All of it, in the order of the keys.
    pub(in crate::store) fn rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        let kept = self.kept.iter().map(|(name, kept)| (key(name), kept.encode()));
        let origins = self.origin_rows().filter_map(|(key, value)| Some((key, value?)));
        kept.chain(origins).collect()
    }

    /// Takes one of [`Self::rows`] back; `None` where it is damaged.
    pub(in crate::store) fn load(&mut self, row: &[u8], value: Bytes) -> Option<()> {
        let (prefix, key) = row.split_first()?;
        match *prefix {
            KEPT => {
                let (id, step) = key.split_at_checked(REQUEST_ID_BYTES)?;
                let step = u32::from_be_bytes(step.try_into().ok()?);
                self.insert((RequestId::decode(id)?, step), Kept::decode(value)?);
            }
            ORIGIN => {
                let id = OriginId(key.try_into().ok()?);
                let mut origin = Origin::decode(value)?;
                let known = self.origins.entry(id).or_default();
                origin.room = known.room;
                *known = origin;
            }
            _ => return None,
        }
        Some(())
    }

    fn origin_rows(&self) -> impl Iterator<Item = Row> {
        self.origins.iter().map(|(id, origin)| (origin_key(*id), Some(origin.encode())))
    }
}

impl Kept {
    fn encode(&self) -> Vec<u8> {
        let response = self.response.as_ref().map(Ciphertext::as_bytes);
        let mut bytes = Vec::with_capacity(9 + response.map_or(0, Bytes::len));
        bytes.put_u64_le(self.until.0);
        bytes.put_u8(u8::from(response.is_some()));
        bytes.put_slice(response.map_or(&[], |response| response));
        bytes
    }

    fn decode(mut bytes: Bytes) -> Option<Self> {
        let until = Timestamp(bytes.try_get_u64_le().ok()?);
        let response = match bytes.try_get_u8().ok()? {
            0 if bytes.is_empty() => None,
            1 => Some(Ciphertext::from_sealed(bytes)),
            _ => return None,
        };
        Some(Self { until, response })
    }
}

impl Origin {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        bytes.put_u64_le(self.highest);
        bytes.put_u64_le(self.touched.0);
        bytes.put_u32_le(self.seen.len() as u32);
        for (time, number) in &self.seen {
            bytes.put_u64_le(time.0);
            bytes.put_u64_le(*number);
        }
        for (first, last) in self.closed.iter() {
            bytes.put_u64_le(first);
            bytes.put_u64_le(last);
        }
        bytes
    }

    fn decode(mut bytes: Bytes) -> Option<Self> {
        let mut origin = Self {
            highest: bytes.try_get_u64_le().ok()?,
            touched: Timestamp(bytes.try_get_u64_le().ok()?),
            ..Self::default()
        };
        for _ in 0..bytes.try_get_u32_le().ok()? {
            let time = Timestamp(bytes.try_get_u64_le().ok()?);
            origin.seen.push_back((time, bytes.try_get_u64_le().ok()?));
        }
        while !bytes.is_empty() {
            let first = bytes.try_get_u64_le().ok()?;
            origin.closed.add((first, bytes.try_get_u64_le().ok()?));
        }
        Some(origin)
    }
}

/// How long keys with this prefix are, without it.
pub(in crate::store) fn key_bytes(prefix: u8) -> Option<usize> {
    match prefix {
        KEPT => Some(REQUEST_ID_BYTES + 4),
        ORIGIN => Some(16),
        _ => None,
    }
}

fn key((id, step): &Name) -> Vec<u8> {
    [&[KEPT], id.encode().as_slice(), &step.to_be_bytes()].concat()
}

fn origin_key(id: OriginId) -> Vec<u8> {
    [&[ORIGIN], id.0.as_slice()].concat()
}

/// The first bytes of their keys. For ever: in snapshots.
const KEPT: u8 = 4;
const ORIGIN: u8 = 5;
pub(in crate::store) const FIRST_PREFIX: u8 = KEPT;
pub(in crate::store) const LAST_PREFIX: u8 = ORIGIN;

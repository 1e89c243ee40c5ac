use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::ops::{Bound, ControlFlow};
use std::sync::Arc;

use bytes::Bytes;

use super::checkpoint::Checkpoint;
use super::table::{Changes, Directories, Mark, RawKey, Records, Stage, System, Table, bytes_of};
use crate::record::{Record, SealedBatch, StoredKey};
use crate::store::requests::{FIRST_PREFIX, LAST_PREFIX, Requests};
use crate::store::{Effects, EntryId, Error};

/// Changes since a checkpoint.
#[derive(Default)]
pub(super) struct Layer {
    pub(super) records: Changes<Records>,
    pub(super) directories: Changes<Directories>,
    pub(super) system: Changes<System>,
    pub(super) staged: Changes<Stage>,
    /// Of what is remembered of requests; filled when the layer is frozen.
    requests: BTreeMap<RawKey, Option<Vec<u8>>>,
    pub(super) bytes: usize,
}

/// A layer that changes no more, and where the state was when it stopped.
#[derive(Clone)]
pub(super) struct Frozen {
    pub(super) layer: Arc<Layer>,
    pub(super) mark: Mark,
}

/// The state: what is in `active` counts, else what is in `frozen`, else the checkpoint.
pub(super) struct Overlay {
    active: Layer,
    frozen: Option<Frozen>,
    pub(super) checkpoint: Arc<dyn Checkpoint>,
    /// Of the newest entry.
    pub(super) mark: Mark,
    /// All of it: it is small, and asked of every entry.
    pub(super) requests: Requests,
    /// How far the checkpoint goes.
    pub(super) committed: Option<EntryId>,
}

impl Overlay {
    /// # Errors
    /// Where the checkpoint cannot be read.
    pub(super) fn open(checkpoint: Arc<dyn Checkpoint>, mark: Mark) -> Result<Self, Error> {
        let committed = mark.applied;
        let requests = requests(&*checkpoint)?.journaled();
        Ok(Self { active: Layer::default(), frozen: None, checkpoint, mark, requests, committed })
    }

    pub(super) fn bytes(&self) -> usize {
        self.active.bytes + self.frozen.as_ref().map_or(0, |frozen| frozen.layer.bytes)
    }

    pub(super) fn active_bytes(&self) -> usize {
        self.active.bytes
    }

    /// `None` where the checkpoint has to be asked.
    pub(super) fn look_up<T: Table>(&self, key: &T::Key) -> Option<Option<T::Value>> {
        let frozen = self.frozen.as_ref().map(|frozen| &*frozen.layer);
        let mut layers = std::iter::once(&self.active).chain(frozen);
        layers.find_map(|layer| T::changes(layer).get(key)).cloned()
    }

    /// What has changed in a range since the checkpoint, as it is now: as far as it takes to find
    /// `records_max` records that are there.
    pub(super) fn records(&self, range: StoredRange, records_max: usize) -> ChangedRecords {
        let mut left = records_max;
        let mut active = Vec::new();
        for (key, record) in self.active.records.range(range) {
            if left == 0 {
                break;
            }
            left -= usize::from(record.is_some());
            active.push((*key, record.clone()));
        }
        // It changes no more, so that it need not be copied.
        let frozen = self.frozen.as_ref().map(|frozen| frozen.layer.clone());
        ChangedRecords { active, frozen, range }
    }

    /// All changes, the newer over the older, as a checkpoint holds them.
    pub(super) fn changes(&self) -> BTreeMap<Bytes, Option<Bytes>> {
        let mut found = BTreeMap::new();
        let frozen = self.frozen.as_ref().map(|frozen| &*frozen.layer);
        for layer in frozen.into_iter().chain([&self.active]) {
            found.extend(layer.encoded().map(|(key, value)| {
                (Bytes::copy_from_slice(key.as_slice()), value.map(Bytes::from))
            }));
        }
        let requests = self.requests.changes().into_iter();
        found.extend(requests.map(|(key, value)| (Bytes::from(key), value.map(Bytes::from))));
        found
    }

    /// Before a batch is applied.
    pub(super) fn advance(&mut self, batch: &SealedBatch) {
        let time = self.mark.time.max(batch.header.time);
        self.requests.advance(time, &batch.header);
    }

    pub(super) fn merge(&mut self, id: EntryId, effects: Effects) {
        self.active.bytes += bytes_of(&effects);
        self.active.records.extend(effects.records);
        self.active.directories.extend(effects.directories);
        self.active.system.extend(effects.system);
        self.active.staged.extend(effects.staged);
        self.mark.time = effects.time;
        if let Some((id, step, response)) = effects.remembered {
            self.requests.remember((id, step), response, effects.time);
        }
        self.mark.applied = Some(id);
    }

    /// What the next checkpoint commits; `None` where it would change nothing.
    pub(super) fn freeze(&mut self) -> Option<Frozen> {
        if self.frozen.is_none() && self.mark.applied != self.committed {
            let mut layer = std::mem::take(&mut self.active);
            let raw = |key: Vec<u8>| {
                let (prefix, rest) = key.split_first().unwrap_or((&0, &[]));
                RawKey::new(*prefix, rest)
            };
            let requests = self.requests.changes().into_iter();
            layer.requests = requests.map(|(key, value)| (raw(key), value)).collect();
            self.requests.settle();
            self.frozen = Some(Frozen { layer: Arc::new(layer), mark: self.mark.clone() });
        }
        self.frozen.clone()
    }

    /// The frozen layer is in the checkpoint.
    pub(super) fn thaw(&mut self) {
        if let Some(frozen) = self.frozen.take() {
            self.committed = frozen.mark.applied;
        }
    }
}

pub(super) type StoredRange = (Bound<StoredKey>, Bound<StoredKey>);

/// Part of an [`Overlay`] at one point.
pub(super) struct ChangedRecords {
    active: Vec<(StoredKey, Option<Record>)>,
    frozen: Option<Arc<Layer>>,
    range: StoredRange,
}

impl ChangedRecords {
    /// In order, the newer before the older.
    pub(super) fn iter(&self) -> impl Iterator<Item = (StoredKey, &Option<Record>)> {
        let mut active = self.active.iter().map(|(key, record)| (*key, record)).peekable();
        let frozen = self.frozen.iter().flat_map(|layer| layer.records.range(self.range));
        let mut frozen = frozen.map(|(key, record)| (*key, record)).peekable();
        std::iter::from_fn(move || {
            let (Some((newer, _)), Some((older, _))) = (active.peek(), frozen.peek()) else {
                return active.next().or_else(|| frozen.next());
            };
            match newer.cmp(older) {
                Ordering::Less => active.next(),
                Ordering::Greater => frozen.next(),
                Ordering::Equal => {
                    frozen.next();
                    active.next()
                }
            }
        })
    }
}

impl Layer {
    /// As a checkpoint holds them.
    pub(super) fn encoded(&self) -> impl Iterator<Item = super::checkpoint::Change> {
        let requests = self.requests.iter().map(|(key, value)| (*key, value.clone()));
        let tables = encoded::<Records>(self).chain(encoded::<Directories>(self));
        tables.chain(encoded::<System>(self)).chain(requests).chain(encoded::<Stage>(self))
    }
}

fn encoded<T: Table>(layer: &Layer) -> impl Iterator<Item = super::checkpoint::Change> {
    let changes = T::changes(layer).iter();
    changes.map(|(key, value)| (T::key(key), value.as_ref().map(T::encode)))
}

/// As a checkpoint holds them.
fn requests(checkpoint: &dyn Checkpoint) -> Result<Requests, Error> {
    let mut requests = Requests::default();
    let [first, last] = [[FIRST_PREFIX], [LAST_PREFIX + 1]];
    let range = (Bound::Included(first.as_slice()), Bound::Excluded(last.as_slice()));
    checkpoint.point()?.scan(range, &mut |key, value| {
        let loaded = requests.load(key, Bytes::copy_from_slice(value));
        let damaged = || Error::Database("what is known of a request is damaged".to_owned());
        loaded.map(ControlFlow::Continue).ok_or_else(damaged)
    })?;
    Ok(requests)
}

/// What a checkpoint says of a key.
pub(super) fn decode<T: Table>(bytes: Option<Bytes>) -> Result<Option<T::Value>, Error> {
    let Some(bytes) = bytes else { return Ok(None) };
    let damaged = || Error::Database(format!("a value of table {} is damaged", T::PREFIX));
    T::decode(bytes).map(Some).ok_or_else(damaged)
}

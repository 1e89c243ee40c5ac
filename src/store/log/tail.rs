use std::collections::VecDeque;
use std::num::NonZeroU64;

use bytes::Bytes;

use crate::store::{Entry, EntryId};

/// Which entries the log holds: where each is on disk, and the newest themselves.
///
/// **Invariant:** slots are consecutive from `base`; the cache is consecutive and ends with them;
/// what has no place on disk yet is in the cache.
pub(super) struct Tail {
    /// The entry before the first slot: everything up to it is gone.
    base: Option<EntryId>,
    /// The index of the first slot.
    first: u64,
    slots: VecDeque<Slot>,
    cache: VecDeque<Bytes>,
    cache_bytes: usize,
    cache_bytes_max: usize,
    /// Given to the next slot, so that an entry that replaces a truncated one is told from it.
    serial: u64,
}

struct Slot {
    term: u64,
    node: u64,
    serial: u64,
    place: Option<Place>,
}

/// Where an entry's record is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Place {
    pub(super) segment: NonZeroU64,
    pub(super) offset: u32,
    pub(super) bytes: u32,
}

/// What a read found: entries from memory, or where to read them.
pub(super) enum Found {
    Cached(Entry),
    Stored(EntryId, Place),
}

impl Tail {
    pub(super) fn new(cache_bytes_max: usize) -> Self {
        Self {
            base: None,
            first: 0,
            slots: VecDeque::new(),
            cache: VecDeque::new(),
            cache_bytes: 0,
            cache_bytes_max,
            serial: 0,
        }
    }

    /// The newest entry that is gone.
    pub(super) fn base(&self) -> Option<EntryId> {
        self.base
    }

    /// The newest entry; the base where there is none.
    pub(super) fn last(&self) -> Option<EntryId> {
        match self.slots.back() {
            Some(slot) => {
                let index = self.end() - 1;
                Some(EntryId { index, term: slot.term, node: slot.node })
            }
            None => self.base,
        }
    }

    /// `None` where there is no entry.
    pub(super) fn first(&self) -> Option<u64> {
        (!self.slots.is_empty()).then_some(self.first)
    }

    /// The index that must come next; `None` where any may.
    pub(super) fn next(&self) -> Option<u64> {
        self.last().map(|last| last.index + 1)
    }

    /// The caller has checked that it is the next. Returns the serial that [`Self::place`] asks.
    pub(super) fn push(&mut self, entry: Entry, place: Option<Place>) -> u64 {
        let Entry { id, payload } = entry;
        if self.slots.is_empty() {
            self.first = id.index;
        }
        let serial = self.serial;
        self.serial += 1;
        self.slots.push_back(Slot { term: id.term, node: id.node, serial, place });
        self.cache_bytes += payload.len();
        self.cache.push_back(payload);
        self.evict();
        serial
    }

    /// Says where the entry is, once it is on disk; `false` where it was truncated or purged.
    pub(super) fn place(&mut self, index: u64, serial: u64, place: Place) -> bool {
        let at = index.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let slot = at.and_then(|at| self.slots.get_mut(at)).filter(|slot| slot.serial == serial);
        let found = slot.is_some();
        if let Some(slot) = slot {
            slot.place = Some(place);
        }
        found
    }

    /// Removes what comes after `index`; everything where it is `None`.
    pub(super) fn truncate_after(&mut self, index: Option<u64>) {
        while !self.slots.is_empty() && Some(self.end() - 1) > index {
            self.slots.pop_back();
            if let Some(payload) = self.cache.pop_back() {
                self.cache_bytes -= payload.len();
            }
        }
    }

    /// Removes what comes up to `upto`, which may lie beyond the end.
    pub(super) fn purge(&mut self, upto: EntryId) {
        if Some(upto.index) < self.base.map(|base| base.index) {
            return;
        }
        while !self.slots.is_empty() && self.first <= upto.index {
            if self.cache.len() == self.slots.len() {
                self.drop_oldest_payload();
            }
            self.slots.pop_front();
            self.first += 1;
        }
        self.base = Some(upto);
    }

    /// From `start`, consecutive, without bound: the caller takes what it wants.
    pub(super) fn from(&self, start: u64) -> impl Iterator<Item = Found> {
        let skipped = start.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        let skipped = skipped.unwrap_or(usize::MAX).min(self.slots.len());
        let uncached = self.slots.len() - self.cache.len();
        self.slots.range(skipped..).zip(start..).enumerate().map_while(
            move |(at, (slot, index))| {
                let id = EntryId { index, term: slot.term, node: slot.node };
                let cached = (skipped + at).checked_sub(uncached).and_then(|at| self.cache.get(at));
                match cached {
                    Some(payload) => Some(Found::Cached(Entry { id, payload: payload.clone() })),
                    None => slot.place.map(|place| Found::Stored(id, place)),
                }
            },
        )
    }

    /// Forgets the oldest payloads beyond the bound, but none that is not on disk.
    pub(super) fn evict(&mut self) {
        while self.cache_bytes > self.cache_bytes_max {
            let oldest = self.slots.len() - self.cache.len();
            if self.slots.get(oldest).is_none_or(|slot| slot.place.is_none()) {
                return;
            }
            self.drop_oldest_payload();
        }
    }

    fn drop_oldest_payload(&mut self) {
        if let Some(payload) = self.cache.pop_front() {
            self.cache_bytes -= payload.len();
        }
    }

    /// The index after the last slot.
    fn end(&self) -> u64 {
        self.first + self.slots.len() as u64
    }
}

#[cfg(test)]
mod tests;

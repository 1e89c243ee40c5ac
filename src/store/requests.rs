//! What the state remembers of requests, so that a repeated one is known and takes effect once.
//!
//! **Invariant:** like `apply`, it depends on the entries alone. None that took effect is
//! forgotten before its time, unless its origin has said that it has the answer; what is
//! forgotten can take no effect.

mod rows;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::RangeInclusive;
use std::time::Duration;

use bytes::Bytes;

use self::rows::Journal;
pub(super) use self::rows::{FIRST_PREFIX, LAST_PREFIX, key_bytes};
use crate::clock::Timestamp;
use crate::record::{Ciphertext, Header, NumberSet, Numbers, OriginId, Remembered, RequestId};

/// The request-id table.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Requests {
    kept: BTreeMap<Name, Kept>,
    /// When what is kept goes.
    due: BTreeSet<(Timestamp, Name)>,
    origins: BTreeMap<OriginId, Origin>,
    proxied: Room,
    journal: Option<Journal>,
}

/// A step of a request.
type Name = (RequestId, u32);

#[derive(Clone, Debug, Eq, PartialEq)]
struct Kept {
    until: Timestamp,
    response: Option<Ciphertext>,
}

/// What is kept of one start of a node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
struct Origin {
    /// Numbers that can take no effect any more.
    closed: NumberSet,
    highest: u64,
    /// The highest number at some times of the last window, oldest first.
    seen: VecDeque<(Timestamp, u64)>,
    /// When an entry of it came last.
    touched: Timestamp,
    room: Room,
}

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Room {
    count: usize,
    bytes: usize,
}

impl Requests {
    /// One that can tell what has changed in it.
    pub(super) fn journaled(mut self) -> Self {
        self.journal = Some(Journal::default());
        self
    }

    /// What is known at `time`, once it has come to [`Self::advance`].
    pub fn recall(&self, id: &RequestId, step: u32, time: Timestamp) -> Remembered {
        if let Some(kept) = self.kept.get(&(*id, step)) {
            return Remembered::Done(kept.response.clone());
        }
        let has_room = match id {
            RequestId::Numbered { origin, number } => {
                let Some(origin) = self.origins.get(origin) else {
                    return Remembered::New;
                };
                if origin.closed.contains(*number) {
                    return Remembered::Forgotten;
                }
                origin.room.is_below(ORIGIN_COUNT_MAX, ORIGIN_BYTES_MAX)
            }
            RequestId::Proxied { made, .. } => {
                if after(*made, PROXIED_WINDOW) < time || *made > after(time, PROXIED_WINDOW) {
                    return Remembered::Forgotten;
                }
                self.proxied.is_below(PROXIED_COUNT_MAX, PROXIED_BYTES_MAX)
            }
        };
        if has_room { Remembered::New } else { Remembered::NoRoom }
    }

    /// Before an entry is applied, whatever comes of it: `time` is the state's from now on, and
    /// the header tells what its origin needs no more.
    pub(super) fn advance(&mut self, time: Timestamp, header: &Header) {
        for _ in 0..FORGOTTEN_AT_ONCE {
            let Some((until, name)) = self.due.first().copied() else { break };
            if until > time {
                break;
            }
            self.forget(&name);
        }
        let Some(RequestId::Numbered { origin: id, number }) = header.request else { return };
        if !self.origins.contains_key(&id) {
            self.make_room_for_origin(time);
        }
        let origin = self.origins.entry(id).or_default();
        origin.see(time, number);
        for numbers in &header.finished {
            origin.closed.add(*numbers);
        }
        for numbers in &header.finished {
            let names: Vec<Name> =
                self.kept.range(names_of(id, *numbers)).map(|(name, _)| *name).collect();
            for name in names {
                self.forget(&name);
            }
        }
    }

    /// A step has taken effect at `time`. [`Self::recall`] must have said that it may.
    pub(super) fn remember(
        &mut self,
        (id, step): Name,
        response: Option<Ciphertext>,
        time: Timestamp,
    ) {
        let until = match id {
            RequestId::Numbered { .. } => after(time, NUMBERED_WINDOW),
            RequestId::Proxied { made, .. } => after(time.max(made), PROXIED_WINDOW),
        };
        // A copy: it would keep the whole entry in memory, which may be much larger.
        let response = response
            .map(|response| Ciphertext::from_sealed(Bytes::copy_from_slice(response.as_bytes())));
        self.insert((id, step), Kept { until, response });
    }

    fn insert(&mut self, name: Name, kept: Kept) {
        self.due.insert((kept.until, name));
        self.room(name.0).add(&kept);
        if let Some(journal) = &mut self.journal {
            journal.inserted(name);
        }
        self.kept.insert(name, kept);
    }

    fn forget(&mut self, name: &Name) {
        let Some(kept) = self.kept.remove(name) else { return };
        self.due.remove(&(kept.until, *name));
        self.room(name.0).take(&kept);
        if let Some(journal) = &mut self.journal {
            journal.removed(*name);
        }
    }

    fn room(&mut self, id: RequestId) -> &mut Room {
        match id {
            RequestId::Numbered { origin, .. } => &mut self.origins.entry(origin).or_default().room,
            RequestId::Proxied { .. } => &mut self.proxied,
        }
    }

    /// Origins whose nodes have ended long ago go. Where there are too many all the same, the one
    /// goes that was silent for longest, of those of which nothing is kept.
    fn make_room_for_origin(&mut self, time: Timestamp) {
        let idle = |origin: &Origin| origin.room.count == 0;
        let ended = |origin: &Origin| idle(origin) && after(origin.touched, ORIGIN_WINDOW) < time;
        let mut gone: Vec<OriginId> =
            self.origins.iter().filter(|(_, one)| ended(one)).map(|(id, _)| *id).collect();
        if self.origins.len() - gone.len() >= ORIGINS_MAX {
            let silent = self.origins.iter().filter(|(_, one)| idle(one) && !ended(one));
            let oldest = silent.min_by_key(|(id, one)| (one.touched, **id));
            gone.extend(oldest.map(|(id, _)| *id));
        }
        for id in gone {
            self.origins.remove(&id);
            if let Some(journal) = &mut self.journal {
                journal.origin_removed(id);
            }
        }
    }
}

impl Origin {
    fn see(&mut self, time: Timestamp, number: u64) {
        // What was the highest a window ago bounds what was given out before.
        while let Some((then, highest)) = self.seen.front().copied() {
            if after(then, NUMBERED_WINDOW) > time {
                break;
            }
            self.closed.add((0, highest));
            self.seen.pop_front();
        }
        self.highest = self.highest.max(number);
        self.touched = time;
        if self.seen.back().is_none_or(|(then, _)| after(*then, SEEN_EVERY) <= time) {
            self.seen.push_back((time, self.highest));
        }
    }
}

impl Room {
    fn is_below(self, count_max: usize, bytes_max: usize) -> bool {
        self.count < count_max && self.bytes < bytes_max
    }

    fn add(&mut self, kept: &Kept) {
        self.count += 1;
        self.bytes += kept.bytes();
    }

    fn take(&mut self, kept: &Kept) {
        self.count = self.count.saturating_sub(1);
        self.bytes = self.bytes.saturating_sub(kept.bytes());
    }
}

impl Kept {
    fn bytes(&self) -> usize {
        KEPT_BYTES + self.response.as_ref().map_or(0, |response| response.as_bytes().len())
    }
}

fn names_of(origin: OriginId, (first, last): Numbers) -> RangeInclusive<Name> {
    let name = |number, step| (RequestId::Numbered { origin, number }, step);
    // An empty range would panic.
    name(first.min(last), 0)..=name(last, u32::MAX)
}

fn after(time: Timestamp, window: Duration) -> Timestamp {
    let milliseconds = u64::try_from(window.as_millis()).unwrap_or(u64::MAX);
    Timestamp(time.0.saturating_add(milliseconds))
}

/// How long a request is known whose origin does not say that it has its answer. By the log's
/// time, as all that follows. Longer than a request may take.
const NUMBERED_WINDOW: Duration = Duration::from_secs(120);

/// How long a proxy may repeat a request after it first made it; and how far its clock may be
/// ahead.
pub const PROXIED_WINDOW: Duration = Duration::from_secs(30);

/// Of one origin.
const ORIGIN_COUNT_MAX: usize = 4096;
const ORIGIN_BYTES_MAX: usize = 16 << 20;

/// Of all proxies together.
const PROXIED_COUNT_MAX: usize = 131_072;
const PROXIED_BYTES_MAX: usize = 128 << 20;

/// Starts of nodes. An origin that was silent for longer is one whose node has ended, or begins
/// anew: nothing of it can be under way.
const ORIGINS_MAX: usize = 4096;
const ORIGIN_WINDOW: Duration = Duration::from_secs(3600);

/// With one entry, so that none is slow to apply.
const FORGOTTEN_AT_ONCE: usize = 256;

/// How finely it is kept how high an origin's numbers were.
const SEEN_EVERY: Duration = Duration::from_secs(10);

/// Beside its response.
const KEPT_BYTES: usize = 128;

#[cfg(test)]
mod tests;

//! The numbers that this start of this node gives to requests.

use std::sync::{Arc, Mutex, PoisonError};

use crate::record::{NumberSet, Numbers, OriginId, RequestId};
use crate::rng::Rng;

/// Numbers requests, and tells which of them are answered, so that the log forgets them.
pub(super) struct Origin {
    pub(super) id: OriginId,
    given: Arc<Mutex<Given>>,
}

struct Given {
    next: u64,
    /// Answered, and not told yet.
    finished: NumberSet,
}

/// Counts as answered when it is dropped.
pub(super) struct Number {
    origin: OriginId,
    number: u64,
    given: Arc<Mutex<Given>>,
}

impl Origin {
    pub(super) fn new(rng: &dyn Rng) -> Self {
        let given = Given { next: 1, finished: NumberSet::default() };
        Self { id: OriginId(rng.bytes()), given: Arc::new(Mutex::new(given)) }
    }

    pub(super) fn number(&self) -> Number {
        let mut given = lock(&self.given);
        let number = given.next;
        given.next += 1;
        drop(given);
        Number { origin: self.id, number, given: self.given.clone() }
    }

    /// What the next message may tell; each is given out once.
    pub(super) fn finished(&self) -> Vec<Numbers> {
        lock(&self.given).finished.take(TOLD_MAX)
    }

    /// They did not arrive, or may not have.
    pub(super) fn put_back(&self, finished: &[Numbers]) {
        let mut given = lock(&self.given);
        finished.iter().for_each(|numbers| given.finished.add(*numbers));
    }
}

impl Number {
    pub(super) fn id(&self) -> RequestId {
        RequestId::Numbered { origin: self.origin, number: self.number }
    }
}

impl Drop for Number {
    fn drop(&mut self) {
        lock(&self.given).finished.add((self.number, self.number));
    }
}

fn lock(given: &Mutex<Given>) -> std::sync::MutexGuard<'_, Given> {
    given.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ranges in one message.
const TOLD_MAX: usize = 128;

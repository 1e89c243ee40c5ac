use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

/// One at a time for each name, in the order they came, so that none starves. In memory, on the
/// active node.
pub(super) struct Locks<K>(Arc<Mutex<Held<K>>>);

type Held<K> = BTreeMap<K, Arc<tokio::sync::Mutex<()>>>;

/// That no other has the name, until dropped.
pub(super) struct Lock<K: Ord> {
    held: Arc<Mutex<Held<K>>>,
    name: K,
    /// Taken out by `drop`, before the others are looked at; `None` while it waits.
    guard: Option<OwnedMutexGuard<()>>,
}

impl<K> Default for Locks<K> {
    fn default() -> Self {
        Self(Arc::default())
    }
}

impl<K: Clone + Ord> Locks<K> {
    /// `None` where the deadline comes first.
    pub(super) async fn lock(&self, name: K, deadline: Instant) -> Option<Lock<K>> {
        // Before the wait: whoever gives up, or is dropped, must leave no name behind.
        let mut lock = Lock { held: self.0.clone(), name, guard: None };
        let one = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            held.entry(lock.name.clone()).or_default().clone()
        };
        lock.guard = Some(tokio::time::timeout_at(deadline, one.lock_owned()).await.ok()?);
        Some(lock)
    }
}

impl<K: Ord> Drop for Lock<K> {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever else waits or has it holds a clone.
        if held.get(&self.name).is_some_and(|one| Arc::strong_count(one) == 1) {
            held.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;

/// One at a time for each name, in memory on the active node: two acts outside on one lease.
#[derive(Default)]
pub(super) struct Locks(Arc<Mutex<Held>>);

type Held = BTreeMap<String, Arc<tokio::sync::Mutex<()>>>;

/// Until it is dropped.
pub(super) struct Lock {
    held: Arc<Mutex<Held>>,
    name: String,
    /// Taken out by `drop`, before the others are looked at.
    guard: Option<OwnedMutexGuard<()>>,
}

impl Locks {
    pub(super) async fn lock(&self, name: &str) -> Lock {
        let one = {
            let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if held.len() >= HELD_SWEPT_AT {
                // Whoever gave up waiting has left its name behind.
                held.retain(|_, one| Arc::strong_count(one) > 1);
            }
            held.entry(name.to_owned()).or_default().clone()
        };
        let guard = one.lock_owned().await;
        Lock { held: self.0.clone(), name: name.to_owned(), guard: Some(guard) }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut held = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever else waits holds a clone.
        if held.get(&self.name).is_some_and(|one| Arc::strong_count(one) == 1) {
            held.remove(&self.name);
        }
    }
}

/// More than are held at once by far.
const HELD_SWEPT_AT: usize = 8192;

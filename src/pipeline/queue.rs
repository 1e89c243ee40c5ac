use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OwnedMutexGuard;
use tokio::time::Instant;

use crate::record::Contested;

/// Where requests wait that lost a record to another: one at a time, in the order they came, so
/// that none starves. In memory, on the active node.
#[derive(Default)]
pub(super) struct Queues(Arc<Mutex<Waiting>>);

type Waiting = BTreeMap<Option<Contested>, Arc<tokio::sync::Mutex<()>>>;

/// The right to try, until dropped.
pub(super) struct Place {
    queues: Arc<Mutex<Waiting>>,
    contested: Option<Contested>,
    /// Taken out by `drop`, before the queue is looked at.
    guard: Option<OwnedMutexGuard<()>>,
}

impl Queues {
    /// `None` where the deadline comes first.
    pub(super) async fn join(
        &self,
        contested: Option<Contested>,
        deadline: Instant,
    ) -> Option<Place> {
        let queue = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .entry(contested)
            .or_default()
            .clone();
        let guard = tokio::time::timeout_at(deadline, queue.lock_owned()).await.ok()?;
        Some(Place { queues: self.0.clone(), contested, guard: Some(guard) })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        drop(self.guard.take());
        let mut queues = self.queues.lock().unwrap_or_else(PoisonError::into_inner);
        // Whoever else waits or tries holds a clone.
        if queues.get(&self.contested).is_some_and(|queue| Arc::strong_count(queue) == 1) {
            queues.remove(&self.contested);
        }
    }
}

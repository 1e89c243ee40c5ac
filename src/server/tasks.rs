use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;

/// What a node runs beside its requests. Dropped, it ends them all.
#[derive(Default)]
pub struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// Must be called within a runtime. A task that panics is logged; the others go on.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a task panicked");
            }
        }
        tasks.spawn(async move {
            task.await;
            tracing::debug!(name, "task ended");
        });
    }

    /// Ends them all, wherever they are.
    pub fn abort(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

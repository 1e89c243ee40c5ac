use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::Instant;

/// What a node runs beside its requests. Dropped, it ends them all.
#[derive(Default)]
pub struct Tasks {
    running: Mutex<JoinSet<()>>,
    pulses: Pulses,
}

impl Tasks {
    /// Must be called within a runtime. A task that panics is logged; the others go on.
    pub fn spawn(&self, name: &'static str, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended
                && error.is_panic()
            {
                tracing::error!(%error, "a task panicked");
            }
        }
        let task = self.pulses.watch(name, task);
        tasks.spawn(async move {
            task.await;
            tracing::debug!(name, "task ended");
        });
    }

    /// Ends them all, wherever they are.
    pub fn abort(&self) {
        self.running.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }

    /// For whoever is to know whether the tasks are alive.
    pub fn pulses(&self) -> Pulses {
        self.pulses.clone()
    }
}

/// Whether tasks are alive: none has panicked, and none keeps a thread to itself. One that waits
/// for something is alive, however long it waits.
#[derive(Clone, Default)]
pub struct Pulses(Arc<Mutex<Vec<Arc<Pulse>>>>);

struct Pulse {
    name: &'static str,
    begun: Instant,
    /// When its thread went into it, in milliseconds after `begun` and one more; 0 while no thread
    /// is in it.
    entered: AtomicU64,
    has_panicked: AtomicBool,
}

impl Pulses {
    fn watch<F: Future<Output = ()>>(&self, name: &'static str, task: F) -> Watched<F> {
        let pulse = Arc::new(Pulse {
            name,
            begun: Instant::now(),
            entered: AtomicU64::new(0),
            has_panicked: AtomicBool::new(false),
        });
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(pulse.clone());
        Watched { task: Box::pin(task), pulse }
    }

    /// What is wrong, in words; `None` where all are alive. A task may keep its thread for `limit`.
    pub fn fault(&self, limit: Duration) -> Option<String> {
        let mut pulses = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that came to their end are forgotten.
        pulses.retain(|pulse| {
            Arc::strong_count(pulse) > 1 || pulse.has_panicked.load(Ordering::Relaxed)
        });
        pulses.iter().find_map(|pulse| pulse.fault(limit))
    }
}

impl Pulse {
    fn fault(&self, limit: Duration) -> Option<String> {
        if self.has_panicked.load(Ordering::Relaxed) {
            return Some(format!("the task `{}` has panicked", self.name));
        }
        let entered = self.entered.load(Ordering::Relaxed).checked_sub(1)?;
        let inside = self.begun.elapsed().saturating_sub(Duration::from_millis(entered));
        (inside > limit).then(|| {
            format!("the task `{}` has kept its thread for {} ms", self.name, inside.as_millis())
        })
    }
}

struct Watched<F> {
    task: Pin<Box<F>>,
    pulse: Arc<Pulse>,
}

impl<F: Future<Output = ()>> Future for Watched<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let Self { task, pulse } = &mut *self;
        let since = u64::try_from(pulse.begun.elapsed().as_millis()).unwrap_or(u64::MAX - 1);
        pulse.entered.store(since.saturating_add(1), Ordering::Relaxed);
        let _inside = Inside(pulse);
        task.as_mut().poll(context)
    }
}

/// A thread in a task.
struct Inside<'a>(&'a Pulse);

impl Drop for Inside<'_> {
    fn drop(&mut self) {
        self.0.entered.store(0, Ordering::Relaxed);
        if std::thread::panicking() {
            self.0.has_panicked.store(true, Ordering::Relaxed);
        }
    }
}

#[cfg(test)]
mod tests;

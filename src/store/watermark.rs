use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// How far the log's entries are on this node's own disk. Goes back when entries are truncated.
#[derive(Default)]
pub struct Watermark {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    index: Option<u64>,
    stopped: bool,
    /// Threads in [`Watermark::wait`].
    waiting: usize,
}

impl Watermark {
    /// For a log that is durable by definition, such as one in memory.
    pub fn unbounded() -> Self {
        let state = State { index: Some(u64::MAX), ..State::default() };
        Self { state: Mutex::new(state), changed: Condvar::new() }
    }

    /// The newest entry on disk.
    pub fn index(&self) -> Option<u64> {
        self.lock().index
    }

    /// Waits until entry `index` is on disk; `false` when the log has stopped instead.
    pub fn wait(&self, index: u64) -> bool {
        let pending = |state: &mut State| !state.stopped && state.index < Some(index);
        let mut state = self.lock();
        state.waiting += 1;
        let state = self.changed.wait_while(state, pending);
        let mut state = state.unwrap_or_else(PoisonError::into_inner);
        state.waiting -= 1;
        state.index >= Some(index)
    }

    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.lock().waiting
    }

    pub(super) fn set(&self, index: Option<u64>) {
        self.lock().index = index;
        self.changed.notify_all();
    }

    pub(super) fn stop(&self) {
        self.lock().stopped = true;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

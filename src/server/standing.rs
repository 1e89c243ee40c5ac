use std::sync::{Arc, Mutex, PoisonError};

use crate::barrier::Barrier;

/// Whether this node may lead, which follows its barrier: a sealed node does not stand.
///
/// Whoever opens or closes the barrier calls [`Self::follow`] after it. The last call sees what
/// the barrier is then, so that whatever meets, the two agree in the end.
pub(super) struct Standing {
    barrier: Arc<Barrier>,
    /// Told whether the barrier is open.
    act: Box<dyn Fn(bool) + Send + Sync>,
    turn: Mutex<()>,
}

impl Standing {
    pub(super) fn new(barrier: Arc<Barrier>, act: impl Fn(bool) + Send + Sync + 'static) -> Self {
        Self { barrier, act: Box::new(act), turn: Mutex::default() }
    }

    pub(super) fn follow(&self) {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        (self.act)(!self.barrier.is_sealed());
    }
}

#[cfg(test)]
mod tests;

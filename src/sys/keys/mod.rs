//! The keys themselves: rotation, rekey, generation of root tokens.
//!
//! What people have given so far for a rekey or a root token is in the active node's memory alone
//! and ends with its leadership. Whether it is done is decided by the log: a rekey raises the
//! generation of the seal, and a root token that was made leaves its nonce.

mod authority;
mod backup;
mod generate_root;
mod rekey;
mod rekey_routes;
mod rotation;

pub use authority::{RecoveryRecord, SealWrapper, SharesOnly};

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Node;
use crate::barrier::Barrier;
use crate::clock::Timestamp;
use crate::framework::Route;
use crate::txn::Scope;
use generate_root::GenerateRoot;
use rekey::Rekey;

pub(super) fn routes() -> Vec<Route<Node>> {
    [rotation::routes(), rekey_routes::routes(), backup::routes(), generate_root::routes()]
        .into_iter()
        .flatten()
        .collect()
}

/// What the active node has of keys in its memory.
pub struct Keys {
    barrier: Arc<Barrier>,
    wrapper: Arc<dyn SealWrapper>,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    rekey: Option<Rekey>,
    recovery: Option<Rekey>,
    root: Option<GenerateRoot>,
    /// The generation of shares that were given out, and from when on the old ones may end.
    given: Option<(u64, Timestamp)>,
    /// The generation of a bridge that was there when last looked.
    bridge: u64,
    /// The term, and how many of this process's encryptions under it are written down.
    counted: (u32, u64),
}

impl Keys {
    pub fn new(barrier: Arc<Barrier>, wrapper: Arc<dyn SealWrapper>) -> Self {
        Self { barrier, wrapper, state: Arc::default() }
    }

    /// Drops what was given: when leadership ends, and on seal.
    pub fn forget(&self) {
        let mut state = self.state();
        let counted = state.counted;
        // That someone has the new shares is true under any leader; that an answer was on its way
        // is known to the one who gave it alone.
        let given = state.given.filter(|(_, since)| *since == Timestamp(0));
        *state = State { counted, given, ..State::default() };
    }

    /// Whoever unseals with shares of this generation has them: the ones before may end.
    pub fn note_used(&self, generation: u64) {
        self.state().given = Some((generation, Timestamp(0)));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        locked(&self.state)
    }

    /// Changes the state once it is known whether the request stands, see [`Scope::afterwards`].
    fn afterwards(
        &self,
        storage: &mut Scope<'_>,
        told: impl FnOnce(&mut State, Option<Timestamp>) + Send + Sync + 'static,
    ) {
        let state = self.state.clone();
        storage.afterwards(move |stands| told(&mut locked(&state), stands));
    }
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

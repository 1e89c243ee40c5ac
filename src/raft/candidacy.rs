//! When a node votes, and when it stands for election.
//!
//! A node that has just started cannot know what lease it gave a leader before: until the longest
//! election timeout is over it grants no vote and does not stand. A sealed node stands only when
//! there has been no leader for long, as a caretaker: it replicates until an unsealed node can
//! lead.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::config::Timing;

pub(super) struct Candidacy {
    /// Until then votes are refused.
    guarded_until: Instant,
    caretaker_after: Duration,
    heard: Mutex<Instant>,
    candidate: watch::Sender<bool>,
}

impl Candidacy {
    /// `has_voted`: this node took part in a cluster before it started.
    pub(super) fn new(timing: &Timing, has_voted: bool) -> Self {
        let now = Instant::now();
        let guard = if has_voted { timing.election_max } else { Duration::ZERO };
        Self {
            guarded_until: now + guard,
            caretaker_after: timing.caretaker_after(),
            heard: Mutex::new(now),
            candidate: watch::Sender::new(false),
        }
    }

    pub(super) fn set_candidate(&self, candidate: bool) {
        self.candidate.send_replace(candidate);
    }

    pub(super) fn changes(&self) -> watch::Receiver<bool> {
        self.candidate.subscribe()
    }

    /// A leader has made itself heard, or this node is one.
    pub(super) fn hear(&self) {
        *self.heard.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    pub(super) fn since_leader(&self) -> Duration {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Whether it may answer a candidate: one whom the leader itself has asked to stand, always.
    pub(super) fn may_vote(&self, leadership_transfer: bool) -> bool {
        leadership_transfer || Instant::now() >= self.guarded_until
    }

    pub(super) fn accepts_transfer(&self) -> bool {
        *self.candidate.borrow()
    }

    /// Whether it may stand of its own accord.
    pub(super) fn may_stand(&self) -> bool {
        Instant::now() >= self.guarded_until
            && (*self.candidate.borrow() || self.since_leader() >= self.caretaker_after)
    }
}

#[cfg(test)]
mod tests;

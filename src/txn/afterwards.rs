//! What is kept in memory and hangs on whether a transaction stands.

use crate::clock::Timestamp;

/// Told once: when the transaction stands and its answer was audited, with that time; or `None`,
/// where either did not come about.
pub struct Afterwards(Option<Told>);

type Told = Box<dyn FnOnce(Option<Timestamp>) + Send + Sync>;

impl Afterwards {
    pub(super) fn new(told: impl FnOnce(Option<Timestamp>) + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(told)))
    }

    pub fn stands(mut self, now: Timestamp) {
        if let Some(told) = self.0.take() {
            told(Some(now));
        }
    }
}

impl Drop for Afterwards {
    fn drop(&mut self) {
        if let Some(told) = self.0.take() {
            told(None);
        }
    }
}

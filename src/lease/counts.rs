use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::{LeaseStore, State};
use crate::request::Error;
use crate::txn::Scope;

/// How many leases there are, tokens among them, by their mount's accessor: for quotas and
/// gauges. In memory on the active node, and nowhere else. A walk after a takeover fills it, and
/// repeats itself, so that what is between two walks cannot add up: the store knows of each
/// directory how many records it has, so a walk costs a look-up for each mount, however many
/// leases there are.
#[derive(Default)]
pub struct Counts(Mutex<Option<BTreeMap<String, Count>>>);

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Count {
    leases: u64,
    irrevocable: u64,
}

impl Counts {
    /// Of a mount; `None` until the first walk is done.
    pub fn of(&self, mount: &str) -> Option<u64> {
        let counts = self.lock();
        let count = counts.as_ref()?.get(mount).copied().unwrap_or_default();
        Some(count.leases)
    }

    pub fn total(&self) -> Option<u64> {
        self.lock().as_ref().map(|counts| counts.values().map(|count| count.leases).sum())
    }

    pub fn irrevocable(&self) -> Option<u64> {
        self.lock().as_ref().map(|counts| counts.values().map(|count| count.irrevocable).sum())
    }

    /// By accessor, without mounts that have none.
    pub fn all(&self) -> Option<BTreeMap<String, u64>> {
        let counts = self.lock();
        let counts = counts.as_ref()?.iter().filter(|(_, count)| count.leases > 0);
        Some(counts.map(|(mount, count)| (mount.clone(), count.leases)).collect())
    }

    /// One more, as of the entry that was just committed.
    pub fn issued(&self, mount: &str) {
        if let Some(counts) = self.lock().as_mut() {
            let count = counts.entry(mount.to_owned()).or_default();
            count.leases = count.leases.saturating_add(1);
        }
    }

    /// One less.
    pub fn ended(&self, mount: &str) {
        if let Some(count) = self.lock().as_mut().and_then(|counts| counts.get_mut(mount)) {
            count.leases = count.leases.saturating_sub(1);
        }
    }

    /// When leadership ends, and on seal.
    pub fn forget(&self) {
        *self.lock() = None;
    }

    /// Counts anew.
    pub fn set(&self, walked: Walked) {
        *self.lock() = Some(walked.0);
    }

    fn lock(&self) -> MutexGuard<'_, Option<BTreeMap<String, Count>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a walk over namespaces has counted.
#[derive(Clone, Debug, Default)]
pub struct Walked(BTreeMap<String, Count>);

impl Walked {
    /// Adds a namespace, over its `core/` scope.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn add(&mut self, core: &mut Scope<'_>) -> Result<(), Error> {
        let counts = &mut self.0;
        for state in State::ALL {
            if core.directory_records(state.directory())? == 0 {
                continue;
            }
            let mut leases = LeaseStore::new(core);
            for mount in leases.mounts(state)? {
                let records = leases.count(state, &mount)?;
                let count = counts.entry(mount).or_default();
                count.leases += records;
                if state == State::Irrevocable {
                    count.irrevocable += records;
                }
            }
        }
        Ok(())
    }
}

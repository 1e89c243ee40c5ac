//! Failed logins, counted in memory on the active node; a lock is written, and outlives it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::CORE;
use crate::auth::lockout::{LockoutSettings, LockoutTerms, Locks};
use crate::clock::Timestamp;
use crate::request::{Error, Reply, Request};
use crate::router::Target;
use crate::txn::Txn;

#[derive(Default)]
pub(super) struct Lockouts {
    pub(super) settings: LockoutSettings,
    failures: Mutex<Failures>,
}

/// A login under way.
pub(super) struct Attempted {
    user: User,
    terms: LockoutTerms,
    /// A lock that is over.
    was_locked: bool,
}

/// A mount's accessor, and the name that the method knows the user by.
type User = (String, String);

#[derive(Default)]
struct Failures {
    by_user: BTreeMap<User, Failed>,
    /// The same, by when they failed last.
    by_time: BTreeSet<(Timestamp, User)>,
}

#[derive(Clone, Copy)]
struct Failed {
    count: u64,
    last: Timestamp,
}

impl Lockouts {
    /// Before a login's handler runs. `None` where nobody is locked out there.
    ///
    /// # Errors
    /// [`Error::Denied`] where the user is, whatever they show.
    pub(super) fn begin(
        &self,
        txn: &mut Txn,
        request: &Request,
        target: &Target,
    ) -> Result<Option<Attempted>, Error> {
        let Some(terms) = self.settings.of(&target.entry) else {
            return Ok(None);
        };
        let Some(name) = target.mount.lock_name(&target.path, &request.params) else {
            return Ok(None);
        };
        let now = txn.now();
        let accessor = target.entry.accessor.clone();
        let lock = Locks::new(&mut txn.scope(CORE)).get(&accessor, &name)?;
        if lock.is_some_and(|until| now < until) {
            return Err(Error::Denied);
        }
        Ok(Some(Attempted { user: (accessor, name), terms, was_locked: lock.is_some() }))
    }

    /// After it: a failure is counted, a success forgets them. The lock stays in the transaction
    /// although the login failed.
    pub(super) fn end(
        &self,
        txn: &mut Txn,
        attempted: Option<Attempted>,
        outcome: Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        let text = match (outcome, &attempted) {
            (Err(Error::InvalidCredentials(text)), Some(_)) => text,
            (Err(Error::InvalidCredentials(text)), None) => return Err(Error::BadRequest(text)),
            (Ok(reply), Some(attempted)) => {
                self.lock().forget(&attempted.user);
                if attempted.was_locked {
                    let (accessor, name) = &attempted.user;
                    Locks::new(&mut txn.scope(CORE)).unlock(accessor, name)?;
                }
                return Ok(reply);
            }
            (other, _) => return other,
        };
        if let Some(Attempted { user, terms, .. }) = attempted {
            let now = txn.now();
            let count = self.lock().add(&user, now, terms.counter_reset);
            if count >= terms.threshold {
                let until = now.plus(Duration::from_secs(terms.duration));
                txn.roll_back();
                Locks::new(&mut txn.scope(CORE)).lock(&user.0, &user.1, until)?;
                txn.keep();
                self.lock().forget(&user);
                tracing::warn!(mount = user.0, "a user is locked out after failed logins");
            }
        }
        Err(Error::BadRequest(text))
    }

    /// When leadership ends.
    pub(super) fn clear(&self) {
        *self.lock() = Failures::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Failures> {
        self.failures.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Failures {
    /// How many failures there are now.
    fn add(&mut self, user: &User, now: Timestamp, reset_seconds: u64) -> u64 {
        let before = self.forget(user);
        let counts = |failed: &Failed| now.since(failed.last) < Duration::from_secs(reset_seconds);
        let count = before.filter(counts).map_or(1, |failed| failed.count + 1);
        if self.by_user.len() >= USERS_MAX
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.by_user.remove(&oldest);
        }
        self.by_user.insert(user.clone(), Failed { count, last: now });
        self.by_time.insert((now, user.clone()));
        count
    }

    fn forget(&mut self, user: &User) -> Option<Failed> {
        let failed = self.by_user.remove(user)?;
        self.by_time.remove(&(failed.last, user.clone()));
        Some(failed)
    }
}

/// Of whom failures are counted at one time: those that failed longest ago are forgotten.
const USERS_MAX: usize = 65_536;

#[cfg(test)]
mod tests;

//! Failed logins, counted in memory on the active node; a lock is written, and outlives it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{CORE, Known};
use crate::auth::lockout::{LockoutSettings, LockoutTerms, Locks};
use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::mount::Table;
use crate::request::{Error, Operation, Reply, Request};
use crate::router::Target;
use crate::text::hex;
use crate::txn::Txn;

#[derive(Default)]
pub(super) struct Lockouts {
    pub(super) settings: LockoutSettings,
    counted: Mutex<Counted>,
}

/// A login under way.
pub(super) struct Attempted {
    user: User,
    terms: LockoutTerms,
    /// A lock that is over.
    was_locked: bool,
}

/// What a request's tries have counted: one request counts once, however often it is tried.
#[derive(Default)]
pub(super) struct Progress(Mutex<Option<Noted>>);

struct Noted {
    user: User,
    known: bool,
    /// Failures, with this request's own; 0: it has succeeded.
    count: u64,
    /// Once this try stands, the user's failures are forgotten.
    settles: bool,
}

/// A mount's accessor, and the name that the method knows the user by.
type User = (String, String);

#[derive(Default)]
struct Counted {
    known: Failures,
    /// Of users who do not exist. They are locked out like others, so that nobody learns who
    /// exists, but in memory alone, so that nobody fills the store with names.
    unknown: Failures,
}

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
    /// Of one who is unknown; it may be over.
    locked_until: Option<Timestamp>,
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
        progress: &Progress,
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
        let user = (accessor, name);
        // The try that locked them out is still to be told why it failed.
        let is_locked = progress.lock().is_none() && self.lock().unknown.is_locked(&user, now);
        if is_locked || lock.is_some_and(|until| now < until) {
            return Err(Error::Denied);
        }
        Ok(Some(Attempted { user, terms, was_locked: lock.is_some() }))
    }

    /// After it: a failure is counted, a success is noted. The lock stays in the transaction
    /// although the login failed.
    pub(super) fn end(
        &self,
        txn: &mut Txn,
        attempted: Option<Attempted>,
        progress: &Progress,
        outcome: Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        let (text, known) = match outcome {
            Err(Error::InvalidCredentials(text)) => (text, true),
            Err(Error::UnknownUser(text)) => (text, false),
            Ok(reply) => {
                if let Some(Attempted { user, was_locked, .. }) = attempted {
                    if was_locked {
                        Locks::new(&mut txn.scope(CORE)).unlock(&user.0, &user.1)?;
                    }
                    let noted = Noted { user, known: true, count: 0, settles: true };
                    *progress.lock() = Some(noted);
                }
                return Ok(reply);
            }
            other => return other,
        };
        let Some(Attempted { user, terms, .. }) = attempted else {
            return Err(Error::BadRequest(text));
        };
        let now = txn.now();
        let mut noted = progress.lock();
        let before = noted.as_ref().filter(|noted| noted.known == known && noted.count > 0);
        let count = match before {
            Some(before) => before.count,
            None => self.lock().of(known).add(&user, now, terms.counter_reset),
        };
        let locks = count >= terms.threshold;
        if locks && known {
            txn.roll_back();
            let until = now.plus(Duration::from_secs(terms.duration));
            Locks::new(&mut txn.scope(CORE)).lock(&user.0, &user.1, until)?;
            txn.keep();
        } else if locks {
            // Others may have come while this one was looked up, as at a lock that is written.
            if before.is_none() && self.lock().unknown.is_locked(&user, now) {
                return Err(Error::Denied);
            }
            let until = now.plus(Duration::from_secs(terms.duration));
            self.lock().unknown.lock_out(&user, until);
            // It takes as long as to write a lock down.
            txn.demand_entry();
        }
        *noted = Some(Noted { user, known, count, settles: locks && known });
        Err(Error::BadRequest(text))
    }

    /// Once a request has taken effect: what its login has counted is over with its success, or
    /// with the lock that is written.
    pub(super) fn settle(&self, known: &Known, outcome: &Result<Reply, Error>) {
        let noted = known.logs_in.lock().take();
        if let Some(Noted { user, count, .. }) = noted.filter(|noted| noted.settles) {
            self.lock().known.forget(&user);
            if count > 0 {
                tracing::warn!(mount = user.0, "a user is locked out after failed logins");
            }
        }
        let Some(mount) = known.mount.as_ref().filter(|_| outcome.is_ok()) else {
            return;
        };
        if known.operation == Operation::Create && mount.table == Table::Auth {
            // Whoever was tried too early may log in now.
            self.lock().unknown.forget_mount(&mount.accessor);
        }
    }

    /// An operator lets someone in.
    pub(super) fn unlock(&self, request: &Request, outcome: &Result<Reply, Error>) {
        if outcome.is_ok()
            && request.operation == Operation::Update
            && request.path.starts_with("sys/locked-users/")
        {
            self.lock().unknown = Failures::default();
        }
    }

    /// When leadership ends.
    pub(super) fn clear(&self) {
        *self.lock() = Counted::default();
    }

    fn lock(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Progress {
    fn lock(&self) -> MutexGuard<'_, Option<Noted>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Counted {
    fn of(&mut self, known: bool) -> &mut Failures {
        if known { &mut self.known } else { &mut self.unknown }
    }
}

impl Failures {
    /// How many failures there are now.
    fn add(&mut self, user: &User, now: Timestamp, reset_seconds: u64) -> u64 {
        let before = self.forget(user);
        let counts = |failed: &Failed| {
            now.since(failed.last) < Duration::from_secs(reset_seconds)
                && failed.locked_until.is_none_or(|until| now < until)
        };
        let before = before.filter(counts);
        let count = before.map_or(1, |failed| failed.count + 1);
        let locked_until = before.and_then(|failed| failed.locked_until);
        if self.by_user.len() >= USERS_MAX
            && let Some((_, oldest)) = self.by_time.pop_first()
        {
            self.by_user.remove(&oldest);
        }
        let user = bounded(user);
        self.by_user.insert(user.clone(), Failed { count, last: now, locked_until });
        self.by_time.insert((now, user));
        count
    }

    fn forget(&mut self, user: &User) -> Option<Failed> {
        let user = bounded(user);
        let failed = self.by_user.remove(&user)?;
        self.by_time.remove(&(failed.last, user));
        Some(failed)
    }

    fn is_locked(&self, user: &User, now: Timestamp) -> bool {
        let failed = self.by_user.get(&bounded(user));
        failed.and_then(|failed| failed.locked_until).is_some_and(|until| now < until)
    }

    fn lock_out(&mut self, user: &User, until: Timestamp) {
        if let Some(failed) = self.by_user.get_mut(&bounded(user)) {
            failed.locked_until = Some(until);
        }
    }

    fn forget_mount(&mut self, accessor: &str) {
        let first = (accessor.to_owned(), String::new());
        let users = self.by_user.range(first..).map(|(user, _)| user);
        let users: Vec<User> = users.take_while(|user| user.0 == accessor).cloned().collect();
        for user in users {
            self.forget(&user);
        }
    }
}

/// Whoever sends long names does not fill the memory with them.
fn bounded(user: &User) -> User {
    let (accessor, name) = user;
    if name.len() <= NAME_BYTES_MAX {
        return user.clone();
    }
    (accessor.clone(), hex(&sha256(&[name.as_bytes()])))
}

/// Of whom failures are counted at one time: those that failed longest ago are forgotten.
const USERS_MAX: usize = 65_536;

/// Of a longer name its digest is kept.
const NAME_BYTES_MAX: usize = 256;

#[cfg(test)]
mod tests;

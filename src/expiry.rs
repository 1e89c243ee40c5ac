//! What ends by itself, found by when: a directory for each minute, and a watermark.
//!
//! **Invariant:** nothing is filed at or below the watermark. Whoever files notes it, and whoever
//! moves it notes that every minute up to it is empty; so a new leader has nothing to load, and
//! no clock that goes back can lose a lease.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::request::Error;
use crate::txn::Scope;

/// What is kept of something that ends. Whatever it names knows better: one that was renewed
/// meanwhile is filed again when its turn comes.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Filing {
    /// Failed tries to end it.
    #[serde(default)]
    pub attempts: u32,
    /// The moment itself, of what is not to wait for its minute to be over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<Timestamp>,
}

/// What a worker made of a filing that is due.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It ended, or is gone.
    Ended,
    /// It was renewed.
    Until(Timestamp),
}

/// The expiries of one namespace, over its `core/` scope.
pub struct Expiry<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> Expiry<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// Files `id` (a kind, a dot, a name, such as `token.h00`), to be ended soon after `when`.
    /// Returns the minute, for [`Self::unfile`].
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn file(&mut self, id: &str, when: Timestamp, filing: Filing) -> Result<u64, Error> {
        let minute = minute_after(when).max(self.watermark()? + 1);
        self.scope.put(&key(minute, id), &filing)?;
        Ok(minute)
    }

    /// What is not there is no error.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn unfile(&mut self, id: &str, minute: u64) -> Result<(), Error> {
        self.scope.delete(&key(minute, id))
    }

    /// Every minute up to this one is done with.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn watermark(&mut self) -> Result<u64, Error> {
        Ok(self.scope.get_shared::<u64>(WATERMARK)?.map_or(0, |minute| *minute))
    }

    /// Whether anything is filed; not noted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn has_filings(&mut self) -> Result<bool, Error> {
        Ok(self.scope.directory_records(DIRECTORY)? > 0)
    }

    /// The earliest filings that are due, up to `limit`, all of one minute. None: the watermark
    /// is moved to the last minute that is over, where it is not there yet. In namespaces other
    /// than the root, of which there may be thousands, it is moved now and then.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn due(&mut self, now: Timestamp, limit: usize) -> Result<Vec<Due>, Error> {
        let (done, over) = (self.watermark()?, now.0 / MINUTE_MILLISECONDS);
        if over <= done {
            return Ok(Vec::new());
        }
        for minute in self.minutes(done + 1, over)? {
            let page = self.scope.page(&directory(minute), None, limit)?;
            if !page.names.is_empty() {
                return Ok(page.names.into_iter().map(|id| Due { id, minute }).collect());
            }
        }
        if self.scope.home() == ROOT || over - done >= MOVED_AFTER_MINUTES {
            self.scope.put(WATERMARK, &over)?;
        }
        Ok(Vec::new())
    }

    /// Filings with a moment of their own that has come, though their minute is not over. A
    /// minute that is too full is left until it is.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn early(&mut self, now: Timestamp) -> Result<Vec<Due>, Error> {
        let minute = now.0 / MINUTE_MILLISECONDS + 1;
        let records = self.scope.directory_records(&directory(minute))?;
        if records == 0 || records > EARLY_RECORDS_MAX {
            return Ok(Vec::new());
        }
        let mut due = Vec::new();
        for id in self.scope.peek_names(&directory(minute))? {
            let filing = self.scope.get_shared::<Filing>(&key(minute, &id))?;
            let at = filing.and_then(|filing| filing.at);
            if at.is_some_and(|at| at <= now) {
                due.push(Due { id, minute });
            }
        }
        Ok(due)
    }

    /// Takes a filing away, or files it again.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn settle(&mut self, due: &Due, outcome: Outcome) -> Result<Option<u64>, Error> {
        self.unfile(&due.id, due.minute)?;
        match outcome {
            Outcome::Ended => Ok(None),
            Outcome::Until(when) => self.file(&due.id, when, Filing::default()).map(Some),
        }
    }

    /// Files what could not be ended at its next try: later each time, never given up.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn postpone(&mut self, due: &Due, now: Timestamp) -> Result<u64, Error> {
        let filing: Filing = self.scope.get(&key(due.minute, &due.id))?.unwrap_or_default();
        let attempts = filing.attempts.saturating_add(1);
        let minutes = 1_u64 << attempts.min(RETRY_DOUBLINGS_MAX);
        self.unfile(&due.id, due.minute)?;
        let next = Timestamp(now.0.saturating_add((minutes - 1) * MINUTE_MILLISECONDS));
        self.file(&due.id, next, Filing { attempts, at: None })
    }

    /// Those from `first` to `last` that may hold something. Few are looked up one by one; of
    /// many, as after a long time without a leader, only those that exist.
    fn minutes(&mut self, first: u64, last: u64) -> Result<Vec<u64>, Error> {
        if last - first < MINUTES_PROBED_MAX {
            return Ok((first..=last).collect());
        }
        let names = self.scope.list(DIRECTORY)?;
        let minutes = names.iter().filter_map(|name| name.trim_end_matches('/').parse().ok());
        Ok(minutes.filter(|minute| (first..=last).contains(minute)).collect())
    }
}

/// A filing whose minute is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Due {
    pub id: String,
    pub minute: u64,
}

/// The first minute at whose end `when` has passed.
pub fn minute_after(when: Timestamp) -> u64 {
    when.0.div_ceil(MINUTE_MILLISECONDS)
}

/// Ten digits, so that names sort by time.
fn directory(minute: u64) -> String {
    format!("{DIRECTORY}/{minute:010}")
}

fn key(minute: u64, id: &str) -> String {
    format!("{}/{id}", directory(minute))
}

const DIRECTORY: &str = "expiry";

const WATERMARK: &str = "expiry-watermark";

/// As the root namespace is named, see [`Scope::home`].
const ROOT: &str = "root";

/// Each of these minutes is looked at once more at each turn.
const MOVED_AFTER_MINUTES: u64 = 10;

const MINUTE_MILLISECONDS: u64 = 60_000;

/// About an hour between tries at most.
const RETRY_DOUBLINGS_MAX: u32 = 6;

/// Looked at again and again while their minute lasts.
const EARLY_RECORDS_MAX: u64 = 4096;

/// Beyond it one listing of all minutes is cheaper.
const MINUTES_PROBED_MAX: u64 = 120;

//! Leases: what is kept of a secret that expires, and by what it is found.
//!
//! **Invariant:** a lease is one record, in the directory of its mount and its state, named by its
//! id. Whoever registers one files its expiry and notes it with its token in the same entry, so
//! none is forgotten; whoever wants it ended moves it to `ending` in the entry that says so, from
//! where workers take it up, at once or under the next leader.
//!
//! A token is a lease too, to its clients: it has an entry here, so that a mount's leases are
//! listed, counted and revoked alike, but its record is its own.

mod counts;
mod intent;
mod place;
mod prefix;

pub use counts::{Counts, Walked};
pub use intent::{IntentStore, StoredIntent};
pub use place::{MountPlaces, path_and_name};
pub use prefix::{PrefixMark, PrefixMarks};

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::expiry::{Expiry, Filing, minute_after};
use crate::request::{Error, Params};
use crate::text::{as_name, of_name};
use crate::txn::{Page, Scope};

/// What is kept of a leased secret. The secret itself is not.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct LeaseEntry {
    /// Of secret, as the engine declares it.
    pub kind: String,
    /// The engine's own.
    pub internal: Params,
    pub issued: Timestamp,
    pub expires: Timestamp,
    /// Seconds, as granted last.
    pub ttl: u64,
    /// Seconds from issue, where its engine says nothing else at a renewal; 0: the mount's.
    pub max_ttl: u64,
    pub last_renewal: Option<Timestamp>,
    pub renewable: bool,
    /// Its engine has something to do when it ends.
    pub acts: bool,
    /// The minute under which its expiry, or the next try to end it, is filed; 0: it is not.
    pub filed: u64,
    /// The storage name of the token whose end ends it, with `@` and its home where it is of a
    /// namespace above; empty for a batch token without parent.
    pub token: String,
    /// No renewal goes beyond it: the end of the batch token that it was issued to.
    pub expires_at_most: Option<Timestamp>,
    /// Failed tries to end it.
    pub attempts: u32,
    /// Of the last try; told to operators.
    pub error: String,
    /// Ended even where its engine fails.
    pub force: bool,
    /// Which lease-count quota of a path or a role counts it; empty: none.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub quota: String,
}

/// Where a lease is on its way.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    Live,
    /// To be ended now.
    Ending,
    /// Could not be ended, and is tried again.
    Waiting,
    /// Could not be ended so often that only an operator's word brings another try: Vault's
    /// "irrevocable".
    Irrevocable,
}

impl State {
    pub const ALL: [Self; 4] = [Self::Live, Self::Ending, Self::Waiting, Self::Irrevocable];

    pub fn directory(self) -> &'static str {
        match self {
            Self::Live => "lease/live",
            Self::Ending => "lease/ending",
            Self::Waiting => "lease/waiting",
            Self::Irrevocable => "lease/irrevocable",
        }
    }
}

/// The leases of one namespace, over its `core/` scope. A lease is named by its mount's accessor
/// and its id.
pub struct LeaseStore<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> LeaseStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn register(
        &mut self,
        mount: &str,
        id: &str,
        mut entry: LeaseEntry,
    ) -> Result<LeaseEntry, Error> {
        entry.filed = self.file(mount, id, &entry, entry.expires)?;
        if !entry.token.is_empty() {
            let mount = self.seen_by(&entry.token, mount);
            self.of_token(&entry.token, |core, token| core.put(&token_key(token, id), &mount))?;
        }
        if !entry.quota.is_empty() {
            self.mark(&entry.quota, mount, id)?;
        }
        self.scope.put(&key(State::Live, mount, id), &entry)?;
        Ok(entry)
    }

    /// Where a lease is, among those mounts whose path its id may begin with.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn find(&mut self, id: &str) -> Result<Option<(String, State, LeaseEntry)>, Error> {
        if path_and_name(id).is_none() {
            return Ok(None);
        }
        for mount in MountPlaces::new(self.scope).of_id(id)? {
            if let Some((state, entry)) = self.get(&mount, id)? {
                return Ok(Some((mount, state, entry)));
            }
        }
        Ok(None)
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn get(&mut self, mount: &str, id: &str) -> Result<Option<(State, LeaseEntry)>, Error> {
        for state in State::ALL {
            if let Some(entry) = self.scope.get(&key(state, mount, id))? {
                return Ok(Some((state, entry)));
            }
        }
        Ok(None)
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn get_in(
        &mut self,
        state: State,
        mount: &str,
        id: &str,
    ) -> Result<Option<LeaseEntry>, Error> {
        self.scope.get(&key(state, mount, id))
    }

    /// Lets a live lease go on until `ttl` seconds from now. Its filing stays where it is unless
    /// that would be too late: it is filed again when its turn comes.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn extend(
        &mut self,
        mount: &str,
        id: &str,
        mut entry: LeaseEntry,
        ttl: u64,
        now: Timestamp,
    ) -> Result<LeaseEntry, Error> {
        entry.ttl = ttl;
        entry.expires = now.plus(std::time::Duration::from_secs(ttl));
        entry.last_renewal = Some(now);
        if minute_after(entry.expires) < entry.filed {
            Expiry::new(self.scope).unfile(&filing_id(mount, id), entry.filed)?;
            entry.filed = self.file(mount, id, &entry, entry.expires)?;
        }
        self.scope.put(&key(State::Live, mount, id), &entry)?;
        Ok(entry)
    }

    /// From this entry on it is good for nothing. One that needs no act is gone; another is left
    /// to the workers, whatever kept it waiting before. What is not there is no error.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn end(
        &mut self,
        mount: &str,
        id: &str,
        now: Timestamp,
        force: Force,
    ) -> Result<(), Error> {
        let Some((state, entry)) = self.get(mount, id)? else {
            return Ok(());
        };
        let force = entry.force || force == Force::Yes;
        if state == State::Ending && force == entry.force {
            return Ok(());
        }
        self.take_away(state, mount, id, &entry)?;
        if !entry.acts {
            return self.unmark(&entry.quota, mount, id);
        }
        let expires = entry.expires.min(now);
        let ending = LeaseEntry { filed: 0, attempts: 0, force, expires, ..entry };
        self.scope.put(&key(State::Ending, mount, id), &ending)
    }

    /// Ends up to `leases_max` leases of a token. How many there were, and whether none is left.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn end_of_token(
        &mut self,
        token: &str,
        now: Timestamp,
        leases_max: usize,
    ) -> Result<(usize, bool), Error> {
        let page = self.scope.page(&token_directory(token), None, leases_max)?;
        for file in &page.names {
            let key = format!("{}/{file}", token_directory(token));
            let mount: Option<String> = self.scope.get(&key)?;
            match mount.as_deref().map(|mount| mount.split_once(SEPARATOR).ok_or(mount)) {
                None => {}
                Some(Err(mount)) => self.end(mount, &of_name(file), now, Force::No)?,
                Some(Ok((mount, home))) => self.scope.core_of(home, |core| {
                    LeaseStore::new(core).end(mount, &of_name(file), now, Force::No)
                })?,
            }
            self.scope.delete(&key)?;
        }
        Ok((page.names.len(), page.is_last))
    }

    /// Ends what is due: a live lease unless it was renewed meanwhile, which is filed again, and
    /// another whose next try has come.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn expire(&mut self, filed: &str, minute: u64, now: Timestamp) -> Result<(), Error> {
        let Some((mount, id)) = of_filing(filed) else {
            return Ok(());
        };
        match self.get(&mount, &id)? {
            Some((State::Live, mut entry)) if entry.filed == minute => {
                if now < entry.expires {
                    entry.filed = self.file(&mount, &id, &entry, entry.expires)?;
                    return self.scope.put(&key(State::Live, &mount, &id), &entry);
                }
                self.end(&mount, &id, now, Force::No)?;
            }
            Some((State::Waiting, entry)) if entry.filed == minute => {
                self.scope.delete(&key(State::Waiting, &mount, &id))?;
                let ending = LeaseEntry { filed: 0, ..entry };
                self.scope.put(&key(State::Ending, &mount, &id), &ending)?;
            }
            Some(_) | None => {}
        }
        Ok(())
    }

    /// Where what could not be ended was filed again.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn note_filed(&mut self, filed: &str, minute: u64) -> Result<(), Error> {
        let Some((mount, id)) = of_filing(filed) else {
            return Ok(());
        };
        for state in [State::Live, State::Waiting] {
            if let Some(entry) = self.get_in(state, &mount, &id)? {
                let entry = LeaseEntry { filed: minute, ..entry };
                return self.scope.put(&key(state, &mount, &id), &entry);
            }
        }
        Ok(())
    }

    /// The engine has ended it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn ended(&mut self, mount: &str, id: &str) -> Result<(), Error> {
        if let Some(entry) = self.get_in(State::Ending, mount, id)? {
            self.unmark(&entry.quota, mount, id)?;
        }
        self.scope.delete(&key(State::Ending, mount, id))
    }

    /// The engine could not end it: it is tried again, later each time, until it is given up.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn failed(
        &mut self,
        mount: &str,
        id: &str,
        entry: LeaseEntry,
        error: &str,
        now: Timestamp,
    ) -> Result<State, Error> {
        let attempts = entry.attempts.saturating_add(1);
        let error = error.chars().take(ERROR_CHARACTERS_MAX).collect();
        let mut entry = LeaseEntry { attempts, error, ..entry };
        self.scope.delete(&key(State::Ending, mount, id))?;
        let state = if attempts >= ATTEMPTS_MAX { State::Irrevocable } else { State::Waiting };
        if state == State::Waiting {
            let next = now.plus(FIRST_PAUSE * (1 << attempts.saturating_sub(1).min(16)));
            entry.filed = self.file(mount, id, &entry, next)?;
        }
        self.scope.put(&key(state, mount, id), &entry)?;
        Ok(state)
    }

    /// The mounts that have leases in a state, by accessor.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn mounts(&mut self, state: State) -> Result<Vec<String>, Error> {
        let names = self.scope.list(state.directory())?;
        Ok(names.into_iter().map(|name| name.trim_end_matches('/').to_owned()).collect())
    }

    /// Some of a mount's leases in a state, by file name, see [`of_name`]: those after one, in
    /// the store's own order. Tokens are among those that live.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn page(
        &mut self,
        state: State,
        mount: &str,
        after: Option<&str>,
        leases_max: usize,
    ) -> Result<Page, Error> {
        self.scope.page(&directory(state, mount), after, leases_max)
    }

    /// How many a mount has in a state.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn count(&mut self, state: State, mount: &str) -> Result<u64, Error> {
        self.scope.directory_records(&directory(state, mount))
    }

    /// How many a mount has, in whatever state; not noted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn count_all(&mut self, mount: &str) -> Result<u64, Error> {
        State::ALL.iter().try_fold(0, |sum, state| Ok(sum + self.count(*state, mount)?))
    }

    /// How many all mounts but some have, in whatever state; not noted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn count_others(&mut self, mounts: &BTreeSet<String>) -> Result<u64, Error> {
        let mut sum = 0;
        for state in State::ALL {
            for name in self.scope.peek_names(state.directory())? {
                let mount = name.trim_end_matches('/');
                if !mounts.contains(mount) {
                    sum += self.count(state, mount)?;
                }
            }
        }
        Ok(sum)
    }

    /// Some of the tokens that have leases, as directories, by storage name.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn tokens(&mut self, after: Option<&str>, tokens_max: usize) -> Result<Page, Error> {
        self.scope.page("lease/token", after, tokens_max)
    }

    /// Notes a token among its mount's leases.
    ///
    /// # Errors
    /// Where the entry cannot be written.
    pub fn note_token(&mut self, mount: &str, path: &str, name: &str) -> Result<(), Error> {
        self.scope.put(&key(State::Live, mount, &format!("{path}/{name}")), &())
    }

    /// # Errors
    /// Where the entry cannot be written.
    pub fn forget_token(&mut self, mount: &str, path: &str, name: &str) -> Result<(), Error> {
        self.scope.delete(&key(State::Live, mount, &format!("{path}/{name}")))
    }

    /// A quota counts a lease from now on, a token's too.
    ///
    /// # Errors
    /// Where the entry cannot be written.
    pub fn mark(&mut self, quota: &str, mount: &str, id: &str) -> Result<(), Error> {
        self.scope.put(&quota_key(quota, mount, id), &())
    }

    /// It counts it no more; `quota` may be empty.
    ///
    /// # Errors
    /// Where the entry cannot be written.
    pub fn unmark(&mut self, quota: &str, mount: &str, id: &str) -> Result<(), Error> {
        if quota.is_empty() {
            return Ok(());
        }
        self.scope.delete(&quota_key(quota, mount, id))
    }

    /// How many a quota counts; not noted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn count_marked(&mut self, quota: &str) -> Result<u64, Error> {
        self.scope.directory_records(&quota_directory(quota))
    }

    /// Goes to where a token's leases are noted: its namespace, which may be one above.
    fn of_token<R>(
        &mut self,
        token: &str,
        then: impl FnOnce(&mut Scope<'_>, &str) -> Result<R, Error>,
    ) -> Result<R, Error> {
        match token.split_once(SEPARATOR) {
            None => then(self.scope, token),
            Some((bare, home)) => self.scope.core_of(home, |core| then(core, bare)),
        }
    }

    /// How a token's namespace names a mount of this one.
    fn seen_by(&self, token: &str, mount: &str) -> String {
        match token.split_once(SEPARATOR) {
            None => mount.to_owned(),
            Some(_) => format!("{mount}{SEPARATOR}{}", self.scope.home()),
        }
    }

    fn take_away(
        &mut self,
        state: State,
        mount: &str,
        id: &str,
        entry: &LeaseEntry,
    ) -> Result<(), Error> {
        self.scope.delete(&key(state, mount, id))?;
        if !entry.token.is_empty() {
            self.of_token(&entry.token, |core, token| core.delete(&token_key(token, id)))?;
        }
        if entry.filed > 0 {
            Expiry::new(self.scope).unfile(&filing_id(mount, id), entry.filed)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        mount: &str,
        id: &str,
        entry: &LeaseEntry,
        when: Timestamp,
    ) -> Result<u64, Error> {
        // Where nothing is to be done outside, a minute more or less is nobody's loss.
        let at = entry.acts.then_some(when);
        Expiry::new(self.scope).file(&filing_id(mount, id), when, Filing { attempts: 0, at })
    }
}

impl LeaseEntry {
    /// Seconds left, rounded down as in Vault.
    pub fn ttl_left(&self, now: Timestamp) -> u64 {
        self.expires.since(now).as_secs()
    }
}

/// Whether a lease goes even where its engine fails.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Force {
    No,
    Yes,
}

/// A token's own name among leases: `h`, and 64 hexadecimal digits.
pub fn is_token_name(name: &str) -> bool {
    name.len() == 65
        && name.strip_prefix('h').is_some_and(|digits| {
            digits.bytes().all(|digit| digit.is_ascii_digit() || (b'a'..=b'f').contains(&digit))
        })
}

fn directory(state: State, mount: &str) -> String {
    format!("{}/{mount}", state.directory())
}

fn key(state: State, mount: &str, id: &str) -> String {
    format!("{}/{}", directory(state, mount), as_name(id))
}

fn token_directory(token: &str) -> String {
    format!("lease/token/{token}")
}

fn token_key(token: &str, id: &str) -> String {
    format!("{}/{}", token_directory(token), as_name(id))
}

fn quota_directory(quota: &str) -> String {
    format!("lease/quota/{quota}")
}

fn quota_key(quota: &str, mount: &str, id: &str) -> String {
    format!("{}/{}", quota_directory(quota), as_name(&format!("{mount}/{id}")))
}

fn filing_id(mount: &str, id: &str) -> String {
    format!("{EXPIRY_KIND}{}", as_name(&format!("{mount}/{id}")))
}

/// Mount and id of what [`filing_id`] named, without its kind.
fn of_filing(filed: &str) -> Option<(String, String)> {
    let name = of_name(filed);
    let (mount, id) = name.split_once('/')?;
    Some((mount.to_owned(), id.to_owned()))
}

/// Between the name of what is of another namespace, and that namespace's home.
const SEPARATOR: char = '@';

/// What the filings of leases begin with.
pub const EXPIRY_KIND: &str = "lease.";

/// As in Vault.
pub const ATTEMPTS_MAX: u32 = 6;

/// After the first failed try; each doubles it.
const FIRST_PAUSE: std::time::Duration = std::time::Duration::from_secs(10);

/// Of what a backend said.
const ERROR_CHARACTERS_MAX: usize = 500;

#[cfg(test)]
mod tests;

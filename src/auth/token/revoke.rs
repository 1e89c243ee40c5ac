//! The end of tokens: of one, of all that hang on it, of all that a mount made.
//!
//! **Invariant:** a token that is revoked is good for nothing from that log entry on, and so is
//! all that hangs on it, see [`TokenStore::is_live`]. What does not fit into one transaction is a
//! job's to take away; until then the marked record keeps its name from being used again.

use std::sync::Arc;

use super::home;
use super::store::{
    Revoked, TokenEntry, TokenStore, accessor_key, child_key, children_directory, expiry_id, id_key,
};
use crate::clock::Timestamp;
use crate::expiry::{Expiry, Outcome};
use crate::job::{Job, JobKind, delete_tree};
use crate::lease::{ATTEMPTS_MAX, Force, LeaseStore, State, is_token_name, path_and_name};
use crate::request::Error;
use crate::text::of_name;

impl TokenStore<'_, '_> {
    /// Children first. What is not there is no error.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn revoke(&mut self, name: &str) -> Result<(), Error> {
        self.at(name, |store, name| store.revoke_own(name))
    }

    fn revoke_own(&mut self, name: &str) -> Result<(), Error> {
        if !self.remove_tree(name, &mut Budget(INLINE_RECORDS_MAX))? {
            self.mark(name, Revoked::WithChildren)?;
        }
        Ok(())
    }

    /// The children stay and become orphans.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn revoke_alone(&mut self, name: &str) -> Result<(), Error> {
        self.at(name, |store, name| {
            if !store.remove_alone(name, &mut Budget(INLINE_RECORDS_MAX))? {
                store.mark(name, Revoked::Alone)?;
            }
            Ok(())
        })
    }

    /// One bounded step of what [`Self::revoke`] left to a job; true where none is left.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn work_off(&mut self, name: &str) -> Result<bool, Error> {
        let mut budget = Budget(STEP_RECORDS_MAX);
        match self.get(name)?.and_then(|entry| entry.revoked) {
            None => Ok(true),
            Some(Revoked::WithChildren) => self.remove_tree(name, &mut budget),
            Some(Revoked::Alone) => self.remove_alone(name, &mut budget),
        }
    }

    /// One bounded step of ending what lives among a mount's leases, tokens and others; true
    /// where none does any more.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn revoke_of_mount(&mut self, mount_accessor: &str) -> Result<bool, Error> {
        let now = self.scope.now();
        let mut budget = Budget(STEP_RECORDS_MAX);
        let mut leases = LeaseStore::new(self.scope);
        let page = leases.page(State::Live, mount_accessor, None, STEP_LEASES_MAX)?;
        for file in page.names {
            let id = of_name(&file);
            match path_and_name(&id) {
                Some((path, name)) if is_token_name(name) => {
                    if !self.remove_tree(name, &mut budget)? {
                        return Ok(false);
                    }
                    // Of a token whose record says otherwise, or that is gone.
                    LeaseStore::new(self.scope).forget_token(mount_accessor, path, name)?;
                }
                _ => {
                    LeaseStore::new(self.scope).end(mount_accessor, &id, now, Force::No)?;
                    budget.spend(RECORDS_OF_LEASE);
                }
            }
            if budget.is_spent() {
                return Ok(false);
            }
        }
        Ok(page.is_last)
    }

    /// Ends a token whose filing is due, unless it was renewed meanwhile.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn expire(&mut self, name: &str, minute: u64, now: Timestamp) -> Result<Outcome, Error> {
        let Some(entry) = self.get(name)? else {
            return Ok(Outcome::Ended);
        };
        if entry.revoked.is_some() || entry.filed != minute {
            return Ok(Outcome::Ended);
        }
        match entry.expires {
            Some(expires) if now >= expires => {
                self.revoke(name)?;
                Ok(Outcome::Ended)
            }
            Some(expires) => Ok(Outcome::Until(expires)),
            None => Ok(Outcome::Ended),
        }
    }

    /// Where a token's expiry was filed again.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn note_filed(&mut self, name: &str, minute: u64) -> Result<(), Error> {
        match self.get(name)? {
            Some(entry) => self.update(name, &TokenEntry { filed: minute, ..(*entry).clone() }),
            None => Ok(()),
        }
    }

    /// What is left of the token is a job's; it shows nowhere any more.
    fn mark(&mut self, name: &str, revoked: Revoked) -> Result<(), Error> {
        let Some(entry) = self.get(name)? else {
            return Ok(());
        };
        self.remove_indices(name, &entry)?;
        let marked = TokenEntry { revoked: Some(revoked), filed: 0, ..(*entry).clone() };
        self.update(name, &marked)?;
        let job = Job { kind: JobKind::RevokeToken { name: name.to_owned() } };
        job.file(&format!("revoke-{name}"), self.scope)
    }

    /// Depth first, up to the budget; true where nothing is left of it. What was taken away
    /// before the budget was used up stays away, leaves first.
    pub(super) fn remove_tree(&mut self, name: &str, budget: &mut Budget) -> Result<bool, Error> {
        let mut path = vec![self.frame(name, budget)?];
        while let Some(top) = path.last_mut() {
            if let Some(listed) = top.children.pop() {
                // As its parent lists it, which may be of another namespace than this one.
                let name = home::below(&top.name, &listed);
                let frame = Frame { listed, ..self.frame(&name, budget)? };
                path.push(frame);
                continue;
            }
            if budget.is_spent() || !top.complete {
                return Ok(false);
            }
            let (name, listed) = (std::mem::take(&mut top.name), std::mem::take(&mut top.listed));
            path.pop();
            if !self.at(&name, |store, name| store.remove(name, budget))? {
                return Ok(false);
            }
            if let Some(above) = path.last() {
                self.at(&above.name, |store, above| {
                    store.scope.delete(&child_key(above, &listed))
                })?;
            }
        }
        Ok(true)
    }

    fn remove_alone(&mut self, name: &str, budget: &mut Budget) -> Result<bool, Error> {
        let Frame { children, complete, .. } = self.frame(name, budget)?;
        for child in children {
            self.scope.delete(&child_key(name, &child))?;
            if let Some(entry) = self.get(&child)? {
                let orphan = TokenEntry { parent: String::new(), depth: 0, ..(*entry).clone() };
                self.update(&child, &orphan)?;
            }
            budget.spend(2);
        }
        Ok(complete && !budget.is_spent() && self.remove(name, budget)?)
    }

    /// A token without children, its leases first; false where they or its cubbyhole exceed the
    /// budget.
    fn remove(&mut self, name: &str, budget: &mut Budget) -> Result<bool, Error> {
        let (now, leases_max) = (self.scope.now(), budget.0.div_ceil(RECORDS_OF_LEASE));
        let (ended, is_all) = LeaseStore::new(self.scope).end_of_token(name, now, leases_max)?;
        budget.spend(ended * RECORDS_OF_LEASE);
        if !is_all || budget.is_spent() {
            return Ok(false);
        }
        for cubbyholes in ["cubbyhole", CUBBYHOLES_BELOW] {
            let deleted = delete_tree(self.scope, &format!("{cubbyholes}/{name}"), budget.0)?;
            budget.spend(deleted.records);
            if !deleted.is_all || budget.is_spent() {
                return Ok(false);
            }
        }
        if let Some(entry) = self.get(name)? {
            self.remove_indices(name, &entry)?;
            self.scope.delete(&id_key(name))?;
        }
        budget.spend(RECORDS_OF_TOKEN);
        Ok(true)
    }

    fn remove_indices(&mut self, name: &str, entry: &Arc<TokenEntry>) -> Result<(), Error> {
        self.scope.delete(&accessor_key(&entry.accessor))?;
        if !entry.parent.is_empty() {
            let child = self.as_child_of(&entry.parent, name);
            self.at(&entry.parent, |store, parent| store.scope.delete(&child_key(parent, &child)))?;
        }
        if let Some(mount) = entry.leased_by() {
            let mut leases = LeaseStore::new(self.scope);
            leases.forget_token(mount, &entry.path, name)?;
            leases.unmark(&entry.quota, mount, &format!("{}/{name}", entry.path))?;
        }
        if entry.filed > 0 {
            Expiry::new(self.scope).unfile(&expiry_id(name), entry.filed)?;
        }
        Ok(())
    }

    fn frame(&mut self, name: &str, budget: &Budget) -> Result<Frame, Error> {
        let (children, complete) =
            self.at(name, |store, name| store.bucketed(&children_directory(name), budget.0))?;
        Ok(Frame { name: name.to_owned(), listed: String::new(), children, complete })
    }

    /// Up to `limit` names from the directories below one, and whether those are all.
    fn bucketed(&mut self, directory: &str, limit: usize) -> Result<(Vec<String>, bool), Error> {
        let mut names = Vec::new();
        for bucket in self.scope.list(directory)? {
            let left = limit.saturating_sub(names.len());
            let mut page = self.scope.page(&format!("{directory}/{bucket}"), None, left)?;
            names.append(&mut page.names);
            if !page.is_last {
                return Ok((names, false));
            }
        }
        Ok((names, true))
    }
}

/// A token on the way down, with those of its children that are still to be looked at.
struct Frame {
    name: String,
    /// Its name among its parent's children.
    listed: String,
    children: Vec<String>,
    /// Whether `children` was all of them.
    complete: bool,
}

/// Records that a transaction may still write.
pub(super) struct Budget(pub(super) usize);

impl Budget {
    pub(super) fn spend(&mut self, records: usize) {
        self.0 = self.0.saturating_sub(records);
    }

    pub(super) fn is_spent(&self) -> bool {
        self.0 == 0
    }
}

impl TokenStore<'_, '_> {
    /// One bounded step of ending all that a namespace has that nothing leads to any more: what
    /// lives among its mounts' leases, and tokens that are no lease.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn end_all(&mut self) -> Result<Ending, Error> {
        let now = self.scope.now();
        // A step that ended something is not the one that finds nothing left: directories that it
        // has filled are listed once it is committed.
        let mounts = LeaseStore::new(self.scope).mounts(State::Live)?;
        for mount in &mounts {
            if !self.revoke_of_mount(mount)? {
                return Ok(Ending::More);
            }
        }
        if !mounts.is_empty() {
            return Ok(Ending::More);
        }
        // Nobody can ask for another try of what was given up: one more is made, and ends it
        // whatever comes of it.
        for mount in LeaseStore::new(self.scope).mounts(State::Irrevocable)? {
            let mut leases = LeaseStore::new(self.scope);
            let page = leases.page(State::Irrevocable, &mount, None, STEP_LEASES_MAX)?;
            for file in &page.names {
                leases.end(&mount, &of_name(file), now, Force::Yes)?;
            }
            if !page.names.is_empty() {
                return Ok(Ending::More);
            }
        }
        // Nor is there anyone who would wait for what was tried so often and is not reached.
        for mount in LeaseStore::new(self.scope).mounts(State::Waiting)? {
            let mut leases = LeaseStore::new(self.scope);
            let page = leases.page(State::Waiting, &mount, None, STEP_LEASES_MAX)?;
            let mut ended = false;
            for file in &page.names {
                let id = of_name(file);
                let entry = leases.get_in(State::Waiting, &mount, &id)?;
                if entry.is_some_and(|entry| entry.attempts >= ATTEMPTS_MAX - 1) {
                    leases.end(&mount, &id, now, Force::Yes)?;
                    ended = true;
                }
            }
            if ended {
                return Ok(Ending::More);
            }
        }
        let mut budget = Budget(STEP_RECORDS_MAX);
        let page = self.accessors_after(None, STEP_LEASES_MAX)?;
        let has_tokens = !page.names.is_empty();
        for accessor in page.names {
            if let Some(name) = self.scope.get::<String>(&accessor_key(&accessor))?
                && !self.remove_tree(&name, &mut budget)?
            {
                return Ok(Ending::More);
            }
            self.scope.delete(&accessor_key(&accessor))?;
            if budget.is_spent() {
                return Ok(Ending::More);
            }
        }
        if has_tokens {
            return Ok(Ending::More);
        }
        for state in [State::Ending, State::Waiting] {
            if !LeaseStore::new(self.scope).mounts(state)?.is_empty() {
                return Ok(Ending::Waits);
            }
        }
        Ok(Ending::Done)
    }
}

/// What a step of [`TokenStore::end_all`] has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ending {
    Done,
    More,
    /// Leases are being ended.
    Waits,
}

/// Where tokens keep what they have in the cubbyholes of namespaces below theirs: with them, so
/// that it goes with them.
pub const CUBBYHOLES_BELOW: &str = "cubbyhole-below";

/// What a request revokes itself: far below what an entry may hold, and quickly done.
const INLINE_RECORDS_MAX: usize = 512;

/// Of a job's transaction.
pub(super) const STEP_RECORDS_MAX: usize = 2048;

/// Looked at in one step.
pub(super) const STEP_LEASES_MAX: usize = 512;

/// Its record, and where it is found by: accessor, parent, lease, expiry.
const RECORDS_OF_TOKEN: usize = 5;

/// Taken from one place and put into another: its record, its token's, its expiry.
pub(super) const RECORDS_OF_LEASE: usize = 4;

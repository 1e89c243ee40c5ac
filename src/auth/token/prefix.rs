//! The end of all leases below a path, tokens among them: marked in one entry, from which on the
//! tokens are good for nothing, and worked off in bounded steps.

use super::revoke::{Budget, RECORDS_OF_LEASE, STEP_LEASES_MAX, STEP_RECORDS_MAX};
use super::store::TokenStore;
use crate::job::{JOBS, Job, JobKind};
use crate::lease::{
    Force, LeaseStore, MountPlaces, PrefixMark, PrefixMarks, State, is_token_name, path_and_name,
};
use crate::request::Error;
use crate::text::of_name;
use crate::txn::Scope;

/// Marks all leases below a prefix, over the namespace's `core/` scope, and files their job under
/// this name.
///
/// # Errors
/// [`Error::Unavailable`] where too many are being worked off.
pub fn mark_prefix(
    core: &mut Scope<'_>,
    job: &str,
    prefix: &str,
    force: Force,
) -> Result<(), Error> {
    let issued_until = core.now();
    let mut left = Vec::new();
    for mount in MountPlaces::new(core).under(prefix)? {
        // Taken from the end: what moves on while it is worked off is met again.
        left.push((State::Irrevocable, mount.clone()));
        left.push((State::Waiting, mount.clone()));
        if force == Force::Yes {
            left.push((State::Ending, mount.clone()));
        }
        left.push((State::Live, mount));
    }
    let mark = PrefixMark { prefix: prefix.to_owned(), issued_until };
    PrefixMarks::new(core).set(job, &mark)?;
    let (prefix, force) = (prefix.to_owned(), force == Force::Yes);
    let kind = JobKind::RevokePrefix { prefix, issued_until, force, left, after: None };
    Job { kind }.file(job, core)
}

impl TokenStore<'_, '_> {
    /// One bounded step of what [`mark_prefix`] left to a job; true where more are needed. The
    /// last takes the mark and the job away too.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn work_off_prefix(&mut self, job: &str) -> Result<bool, Error> {
        let key = format!("{JOBS}/{job}");
        let Some(Job {
            kind: JobKind::RevokePrefix { prefix, issued_until, force, mut left, mut after },
        }) = self.scope.get(&key)?
        else {
            return Ok(false);
        };
        let mark = PrefixMark { prefix, issued_until };
        let how = if force { Force::Yes } else { Force::No };
        let mut budget = Budget(STEP_RECORDS_MAX);
        while !budget.is_spent() {
            let Some((state, mount)) = left.last() else {
                PrefixMarks::new(self.scope).clear(job)?;
                self.scope.delete(&key)?;
                return Ok(false);
            };
            let page = LeaseStore::new(self.scope).page(
                *state,
                mount,
                after.as_deref(),
                STEP_LEASES_MAX,
            )?;
            budget.spend(1);
            let mut is_done = page.is_last;
            for file in page.names {
                if !self.end_covered(&mark, *state, mount, &file, how, &mut budget)? {
                    is_done = false;
                    break;
                }
                after = Some(file);
            }
            if is_done {
                left.pop();
                after = None;
            }
        }
        let PrefixMark { prefix, issued_until } = mark;
        let kind = JobKind::RevokePrefix { prefix, issued_until, force, left, after };
        Job { kind }.file(job, self.scope)?;
        Ok(true)
    }

    /// False where the budget was used up before all of it was done.
    fn end_covered(
        &mut self,
        mark: &PrefixMark,
        state: State,
        mount: &str,
        file: &str,
        force: Force,
        budget: &mut Budget,
    ) -> Result<bool, Error> {
        let id = of_name(file);
        let Some((path, name)) = path_and_name(&id) else {
            return Ok(true);
        };
        if is_token_name(name) {
            let issued = self.get(name)?.map(|entry| entry.created);
            return match issued {
                Some(issued) if mark.covers(path, issued) => self.remove_tree(name, budget),
                Some(_) | None => Ok(true),
            };
        }
        let now = self.scope.now();
        let mut leases = LeaseStore::new(self.scope);
        // By the path first: most that are looked at may be others.
        if mark.covers(path, mark.issued_until)
            && let Some(entry) = leases.get_in(state, mount, &id)?
            && mark.covers(path, entry.issued)
        {
            leases.end(mount, &id, now, force)?;
            budget.spend(RECORDS_OF_LEASE);
        }
        Ok(!budget.is_spent())
    }
}

//! Works jobs off, one bounded step at a time.

use crate::auth::token::TokenStore;
use crate::auth::{approle, lockout};
use crate::identity::IdentityStore;
use crate::job::{JOBS, Job, JobKind, delete_tree};
use crate::lease::{IntentStore, LeaseStore, MountPlaces, State};
use crate::mount::{MountEntry, ROOT_NAMESPACE};
use crate::request::Error;
use crate::txn::{Scope, Txn};

/// The names of the jobs that are left.
///
/// # Errors
/// Where the store cannot be read.
pub fn jobs(txn: &mut Txn) -> Result<Vec<String>, Error> {
    txn.scope(CORE).list(JOBS)
}

/// One step of a job; true where more are needed. The last takes the job away too. The caller
/// commits.
///
/// # Errors
/// Where the store cannot be read.
pub fn step(txn: &mut Txn, name: &str) -> Result<bool, Error> {
    let key = format!("{JOBS}/{name}");
    let Some(job) = txn.scope(CORE).get::<Job>(&key)? else {
        return Ok(false);
    };
    let done = match job.kind {
        JobKind::RevokeToken { name } => TokenStore::new(&mut txn.scope(CORE)).work_off(&name)?,
        JobKind::TidyTokens { after } => {
            let mut core = txn.scope(CORE);
            match TokenStore::new(&mut core).tidy(&after)? {
                Some(after) => {
                    Job { kind: JobKind::TidyTokens { after } }.file(name, &mut core)?;
                    false
                }
                None => true,
            }
        }
        JobKind::ClearGroup { group, after } => {
            let mut core = txn.scope(CORE);
            match IdentityStore::new(&mut core).clear_group(&group, &after)? {
                Some(after) => {
                    Job { kind: JobKind::ClearGroup { group, after } }.file(name, &mut core)?;
                    false
                }
                None => true,
            }
        }
        JobKind::RevokePrefix { .. } => {
            return TokenStore::new(&mut txn.scope(CORE)).work_off_prefix(name);
        }
        JobKind::TidyLeases { after } => {
            let mut core = txn.scope(CORE);
            match TokenStore::new(&mut core).tidy_leases(after.as_deref())? {
                Some(after) => {
                    Job { kind: JobKind::TidyLeases { after } }.file(name, &mut core)?;
                    false
                }
                None => true,
            }
        }
        JobKind::DeleteTree { directory } => {
            let mut namespace = txn.scope(ROOT_NAMESPACE);
            delete_tree(&mut namespace, &directory, STEP_RECORDS_MAX)?.is_all
        }
        JobKind::TidySecretIds { mount, after } => {
            let now = txn.now();
            let after = approle::tidy_step(&mut txn.scope(ROOT_NAMESPACE), &mount, &after, now)?;
            if let Some(after) = after {
                let job = Job { kind: JobKind::TidySecretIds { mount, after } };
                job.file(name, &mut txn.scope(CORE))?;
                return Ok(true);
            }
            true
        }
        JobKind::Unmount { entry } => match unmount(txn, &entry)? {
            Unmounting::Done => true,
            Unmounting::More => false,
            // The job stays, and is looked at again.
            Unmounting::Waits => return Ok(false),
        },
    };
    if done {
        txn.scope(CORE).delete(&key)?;
    }
    Ok(!done)
}

enum Unmounting {
    Done,
    More,
    Waits,
}

/// First its leases, tokens among them, then what the mount stored: its engine needs that to end
/// them.
fn unmount(txn: &mut Txn, entry: &MountEntry) -> Result<Unmounting, Error> {
    let mut core = txn.scope(CORE);
    if !TokenStore::new(&mut core).revoke_of_mount(&entry.accessor)? {
        return Ok(Unmounting::More);
    }
    let mut leases = LeaseStore::new(&mut core);
    for state in State::ALL {
        // A look that is noted, unlike a count: none comes before this commits.
        if !leases.page(state, &entry.accessor, None, 1)?.names.is_empty() {
            return Ok(Unmounting::Waits);
        }
    }
    if !IntentStore::new(&mut core).of_mount(&entry.accessor, 1)?.is_empty() {
        return Ok(Unmounting::Waits);
    }
    MountPlaces::new(&mut core).forget(&entry.accessor)?;
    let now = txn.now();
    if !IdentityStore::new(&mut txn.scope(CORE)).remove_aliases_of(&entry.accessor, now)? {
        return Ok(Unmounting::More);
    }
    let locks = lockout::directory(&entry.accessor);
    if !delete_tree(&mut txn.scope(CORE), &locks, STEP_RECORDS_MAX)?.is_all {
        return Ok(Unmounting::More);
    }
    let prefix = entry.storage_prefix();
    // What several mounts share is no mount's to delete.
    if !prefix.starts_with("logical/") {
        return Ok(Unmounting::Done);
    }
    let mut namespace: Scope<'_> = txn.scope(ROOT_NAMESPACE);
    let directory = prefix.trim_end_matches('/');
    let is_all = delete_tree(&mut namespace, directory, STEP_RECORDS_MAX)?.is_all;
    Ok(if is_all { Unmounting::Done } else { Unmounting::More })
}

/// Where the root namespace keeps what belongs to no mount.
const CORE: &str = "root/core/";

/// Of one transaction: far below what an entry may hold.
const STEP_RECORDS_MAX: usize = 1000;

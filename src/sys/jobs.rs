//! Works jobs off, one bounded step at a time.

use crate::auth::token::TokenStore;
use crate::auth::{approle, lockout};
use crate::identity::IdentityStore;
use crate::job::{JOBS, Job, JobKind, delete_tree};
use crate::mount::{MountEntry, ROOT_NAMESPACE, Table};
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
        JobKind::Unmount { entry } => unmount(txn, &entry)?,
    };
    if done {
        txn.scope(CORE).delete(&key)?;
    }
    Ok(!done)
}

/// First the tokens, then the names by which it knew entities and groups, then what the mount stored.
fn unmount(txn: &mut Txn, entry: &MountEntry) -> Result<bool, Error> {
    if entry.table == Table::Auth
        && !TokenStore::new(&mut txn.scope(CORE)).revoke_of_mount(&entry.accessor)?
    {
        return Ok(false);
    }
    let now = txn.now();
    if !IdentityStore::new(&mut txn.scope(CORE)).remove_aliases_of(&entry.accessor, now)? {
        return Ok(false);
    }
    let locks = lockout::directory(&entry.accessor);
    if !delete_tree(&mut txn.scope(CORE), &locks, STEP_RECORDS_MAX)?.is_all {
        return Ok(false);
    }
    let prefix = entry.storage_prefix();
    // What several mounts share is no mount's to delete.
    if !prefix.starts_with("logical/") {
        return Ok(true);
    }
    let mut namespace: Scope<'_> = txn.scope(ROOT_NAMESPACE);
    let directory = prefix.trim_end_matches('/');
    Ok(delete_tree(&mut namespace, directory, STEP_RECORDS_MAX)?.is_all)
}

/// Where the root namespace keeps what belongs to no mount.
const CORE: &str = "root/core/";

/// Of one transaction: far below what an entry may hold.
const STEP_RECORDS_MAX: usize = 1000;

//! What exceeds one transaction: it takes visible effect in one entry, and is worked off in
//! bounded steps, which the next leader continues.

use serde::{Deserialize, Serialize};

use crate::mount::{MountEntry, ROOT_NAMESPACE};
use crate::request::Error;
use crate::rng::Rng;
use crate::txn::{Scope, Txn};

/// One piece of work that is left to do.
#[derive(Debug, Deserialize, Serialize)]
pub struct Job {
    pub kind: JobKind,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum JobKind {
    /// What a mount stored, once its record is gone.
    Unmount { entry: MountEntry },
}

impl Job {
    /// Over the namespace's `core/` scope.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn file(&self, rng: &dyn Rng, core: &mut Scope<'_>) -> Result<(), Error> {
        core.put(&format!("jobs/{}", rng.uuid()), self)
    }
}

/// The names of the jobs that are left.
///
/// # Errors
/// Where the store cannot be read.
pub fn jobs(txn: &mut Txn) -> Result<Vec<String>, Error> {
    txn.scope(ROOT_NAMESPACE).list("core/jobs")
}

/// One step of a job; true where more are needed. The last takes the job away too. The caller
/// commits.
///
/// # Errors
/// Where the store cannot be read.
pub fn step(txn: &mut Txn, name: &str) -> Result<bool, Error> {
    let mut namespace = txn.scope(ROOT_NAMESPACE);
    let key = format!("core/jobs/{name}");
    let Some(job) = namespace.get::<Job>(&key)? else {
        return Ok(false);
    };
    let JobKind::Unmount { entry } = job.kind;
    let prefix = entry.storage_prefix();
    // What several mounts share is no mount's to delete.
    let done = !prefix.starts_with("logical/")
        || delete_tree(&mut namespace, prefix.trim_end_matches('/'), STEP_RECORDS_MAX)?;
    if done {
        namespace.delete(&key)?;
    }
    Ok(!done)
}

/// Deletes up to `limit` records below a directory; true where none is left.
///
/// # Errors
/// Where the store cannot be read.
pub fn delete_tree(scope: &mut Scope<'_>, directory: &str, limit: usize) -> Result<bool, Error> {
    let mut open = vec![directory.to_owned()];
    let mut deleted = 0;
    while let Some(directory) = open.pop() {
        for name in scope.list(&directory)? {
            let path = format!("{directory}/{name}");
            if let Some(below) = path.strip_suffix('/') {
                open.push(below.to_owned());
            } else if deleted == limit {
                return Ok(false);
            } else {
                scope.delete(&path)?;
                deleted += 1;
            }
        }
    }
    Ok(true)
}

/// Of one transaction: far below what an entry may hold.
const STEP_RECORDS_MAX: usize = 1000;

//! What exceeds one transaction: it takes visible effect in one entry, and is worked off in
//! bounded steps, which the next leader continues. `sys/jobs.rs` works them off.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::lease::State;
use crate::mount::MountEntry;
use crate::request::Error;
use crate::txn::Scope;

/// One piece of work that is left to do.
#[derive(Debug, Deserialize, Serialize)]
pub struct Job {
    pub kind: JobKind,
}

#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case", tag = "type")]
pub enum JobKind {
    /// What lies below a directory of the namespace that nothing leads to any more.
    DeleteTree { directory: String },
    /// What is left of a token that is marked as revoked: its children, or their bond to it.
    RevokeToken { name: String },
    /// A look at every secret id of an AppRole mount for those that have expired. `after` is where
    /// the last step has come to.
    TidySecretIds { mount: Box<MountEntry>, after: String },
    /// A look at every index of tokens for what points to none. `after` is the last accessor
    /// that was looked at.
    TidyTokens { after: String },
    /// Whoever is in a group by what no longer holds. `after` is the last entity that was looked
    /// at.
    ClearGroup { group: String, after: String },
    /// What is left of a prefix of leases that is marked as revoked. `left` are the directories
    /// still to be looked at, the last first; `after` is the last name that was in that one.
    RevokePrefix {
        prefix: String,
        issued_until: Timestamp,
        force: bool,
        left: Vec<(State, String)>,
        after: Option<String>,
    },
    /// A look at what leases are found by, for what leads to none.
    TidyLeases { after: Option<String> },
    /// What a mount stored, and the tokens it made, once its record is gone.
    Unmount { entry: Box<MountEntry> },
}

impl Job {
    /// Over the namespace's `core/` scope. Two of one name are one job.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub fn file(&self, name: &str, core: &mut Scope<'_>) -> Result<(), Error> {
        core.put(&format!("{JOBS}/{name}"), self)
    }
}

/// What [`delete_tree`] has done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Deleted {
    pub records: usize,
    /// Whether none is left.
    pub is_all: bool,
}

/// Deletes up to `records_max` records below a directory. Reads little more than it deletes,
/// however many there are.
///
/// # Errors
/// Where the store cannot be read.
pub fn delete_tree(
    scope: &mut Scope<'_>,
    directory: &str,
    records_max: usize,
) -> Result<Deleted, Error> {
    let mut open = vec![directory.to_owned()];
    let mut deleted = Deleted { records: 0, is_all: true };
    while let Some(directory) = open.pop() {
        let left = records_max.saturating_sub(deleted.records);
        if left == 0 {
            // Whether it still holds anything is for the next step to see.
            deleted.is_all = false;
            break;
        }
        let page = scope.page(&directory, None, left)?;
        deleted.is_all &= page.is_last;
        for name in page.names {
            let path = format!("{directory}/{name}");
            if let Some(below) = path.strip_suffix('/') {
                open.push(below.to_owned());
            } else {
                scope.delete(&path)?;
                deleted.records += 1;
            }
        }
    }
    Ok(deleted)
}

/// Where jobs are, below `core/`.
pub const JOBS: &str = "jobs";

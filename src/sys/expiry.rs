//! Ends what is due, one bounded step at a time.

use crate::auth::token::{EXPIRY_KIND, TokenStore};
use crate::clock::Timestamp;
use crate::expiry::{Due, Expiry, Outcome};
use crate::request::Error;
use crate::txn::{Scope, Txn};

/// How many a step may end: what hangs on each comes on top, bounded too.
pub const BATCH_MAX: usize = 32;

/// Ends up to `limit` of what is due; true where more may be. Where none is, the watermark moves.
/// The caller commits.
///
/// # Errors
/// Where the store cannot be read, or one of them cannot be ended: nothing of this step is to be
/// committed then, see [`postpone`].
pub fn step(txn: &mut Txn, limit: usize) -> Result<bool, Error> {
    let now = txn.now();
    let mut core = txn.scope(CORE);
    let due = Expiry::new(&mut core).due(now, limit)?;
    for due in &due {
        end(&mut core, due, now)?;
    }
    Ok(!due.is_empty())
}

/// Files the first of what is due, which could not be ended, at its next try, so that the
/// watermark does not wait for it.
///
/// # Errors
/// Where the store cannot be read.
pub fn postpone(txn: &mut Txn) -> Result<(), Error> {
    let now = txn.now();
    let mut core = txn.scope(CORE);
    let Some(due) = Expiry::new(&mut core).due(now, 1)?.into_iter().next() else {
        return Ok(());
    };
    let minute = Expiry::new(&mut core).postpone(&due, now)?;
    match due.id.strip_prefix(EXPIRY_KIND) {
        Some(name) => TokenStore::new(&mut core).note_filed(name, minute),
        None => Ok(()),
    }
}

fn end(core: &mut Scope<'_>, due: &Due, now: Timestamp) -> Result<(), Error> {
    let Some(name) = due.id.strip_prefix(EXPIRY_KIND) else {
        return Err(Error::internal("what is due is of a kind that only a newer program ends"));
    };
    let outcome = TokenStore::new(core).expire(name, due.minute, now)?;
    let minute = Expiry::new(core).settle(due, outcome)?;
    match (outcome, minute) {
        (Outcome::Until(_), Some(minute)) => TokenStore::new(core).note_filed(name, minute),
        _ => Ok(()),
    }
}

/// Where the root namespace keeps what belongs to no mount.
const CORE: &str = "root/core/";

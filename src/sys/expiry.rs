//! Ends what is due, one bounded step at a time.

use crate::auth::approle;
use crate::auth::token::{EXPIRY_KIND, TokenStore};
use crate::clock::Timestamp;
use crate::engines::database;
use crate::expiry::{Due, Expiry, Outcome};
use crate::lease::{self, LeaseStore};
use crate::request::Error;
use crate::txn::{Scope, Txn};

/// How many are ended in one transaction: what hangs on each comes on top, bounded too.
pub const BATCH_MAX: usize = 32;

/// What is due in the namespace that the transaction is in, earliest first, as far as it is listed
/// at once. Where nothing is, the watermark moves. The caller commits.
///
/// # Errors
/// Where the store cannot be read.
pub fn due(txn: &mut Txn) -> Result<Vec<Due>, Error> {
    let now = txn.now();
    let mut core = txn.core();
    let mut expiry = Expiry::new(&mut core);
    let due = expiry.due(now, LISTED_MAX)?;
    if due.is_empty() { expiry.early(now) } else { Ok(due) }
}

/// Ends them. Any of them may be gone, or renewed, since it was listed. The caller commits.
///
/// # Errors
/// Where the store cannot be read, or one of them cannot be ended.
pub fn end(txn: &mut Txn, due: &[Due]) -> Result<(), Error> {
    let now = txn.now();
    due.iter().try_for_each(|due| {
        let outcome = if let Some(id) = due.id.strip_prefix(approle::EXPIRY_KIND) {
            approle::expire(&mut txn.namespace(), id, now)?
        } else if let Some(id) = due.id.strip_prefix(database::EXPIRY_KIND) {
            database::fall_due(&mut txn.namespace(), id, now)?
        } else {
            return end_one(&mut txn.core(), due, now);
        };
        Expiry::new(&mut txn.core()).settle(due, outcome).map(drop)
    })
}

/// Files what could not be ended at its next try, so that the watermark does not wait for it.
/// The caller commits.
///
/// # Errors
/// Where the store cannot be read.
pub fn postpone(txn: &mut Txn, due: &Due) -> Result<(), Error> {
    let now = txn.now();
    let mut core = txn.core();
    let minute = Expiry::new(&mut core).postpone(due, now)?;
    if let Some(filed) = due.id.strip_prefix(lease::EXPIRY_KIND) {
        return LeaseStore::new(&mut core).note_filed(filed, minute);
    }
    match due.id.strip_prefix(EXPIRY_KIND) {
        Some(name) => TokenStore::new(&mut core).note_filed(name, minute),
        None => Ok(()),
    }
}

fn end_one(core: &mut Scope<'_>, due: &Due, now: Timestamp) -> Result<(), Error> {
    if let Some(filed) = due.id.strip_prefix(lease::EXPIRY_KIND) {
        Expiry::new(core).unfile(&due.id, due.minute)?;
        return LeaseStore::new(core).expire(filed, due.minute, now);
    }
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

/// One listing serves many transactions: a minute may hold a hundred thousand.
const LISTED_MAX: usize = 10_000;

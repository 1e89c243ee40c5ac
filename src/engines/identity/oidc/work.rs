//! What the active node does unasked: it rotates keys whose time has come, and sweeps away codes
//! that nobody came for.

use super::KEYS;
use super::code::{CODES, minute};
use super::config::API_ADDRESS;
use super::named_key::{NamedKey, key};
use crate::job::delete_tree;
use crate::request::Error;
use crate::rng::Rng;
use crate::txn::Txn;

/// Keeps the active node's API address, under which tokens are issued where nothing else is set.
///
/// # Errors
/// Where the store cannot be read.
pub fn note_api_address(txn: &mut Txn, address: &str) -> Result<(), Error> {
    let mut core = txn.scope(CORE);
    let known = core.get_shared::<String>(API_ADDRESS)?;
    if known.is_none_or(|known| *known != address) {
        core.put(API_ADDRESS, &address)?;
    }
    Ok(())
}

/// The names of the keys that are to be rotated now. One whose record cannot be read is among
/// them: [`rotate_due`] says of it alone why.
///
/// # Errors
/// Where the store cannot be read.
pub fn due_keys(txn: &mut Txn) -> Result<Vec<String>, Error> {
    let now = txn.now();
    let mut core = txn.scope(CORE);
    let mut due = Vec::new();
    for name in core.list(KEYS)? {
        let is_due = match core.get_shared::<NamedKey>(&key(&name)) {
            Ok(found) => found.is_some_and(|found| found.is_due(now)),
            Err(Error::Internal(_)) => true,
            Err(error) => return Err(error),
        };
        if is_due {
            due.push(name);
        }
    }
    Ok(due)
}

/// Rotates a key if it is still due, and forgets those that verify no more. The caller commits.
///
/// # Errors
/// Where no key can be made.
pub fn rotate_due(txn: &mut Txn, rng: &dyn Rng, name: &str) -> Result<(), Error> {
    let now = txn.now();
    let mut core = txn.scope(CORE);
    let Some(key) = NamedKey::get(&mut core, name)? else {
        return Ok(());
    };
    let mut changed = NamedKey::clone(&key);
    changed.prune(now);
    if changed.current.is_some() && changed.next_rotation <= now {
        let ttl = changed.verification_ttl;
        changed.rotate(rng, now, ttl)?;
    } else if changed.retired.len() == key.retired.len() {
        return Ok(());
    }
    changed.put(&mut core, name)
}

/// Deletes a bounded number of codes whose time is over; true where there may be more. The caller
/// commits.
///
/// # Errors
/// Where the store cannot be read.
pub fn sweep_codes(txn: &mut Txn) -> Result<bool, Error> {
    let over = minute(txn.now());
    let mut core = txn.scope(CORE);
    for name in core.peek_names(CODES)? {
        let is_over = name.trim_end_matches('/').parse().is_ok_and(|minute: u64| minute < over);
        if is_over {
            let directory = format!("{CODES}/{}", name.trim_end_matches('/'));
            delete_tree(&mut core, &directory, STEP_CODES_MAX)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the root namespace keeps what belongs to no mount.
const CORE: &str = "root/core/";

/// Of one transaction.
const STEP_CODES_MAX: usize = 1000;

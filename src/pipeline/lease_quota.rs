//! Lease-count quotas: asked of whatever is about to make a lease, on the active node.
//!
//! **Invariant:** no request takes a mount over its quota. Each has a place from before it looks
//! at the count until it is answered, so that those under way count each other; what is stored is
//! looked up in one step with that, as it is now. Nothing is counted but in the store.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{CORE, Known, Pipeline};
use crate::lease::LeaseStore;
use crate::mount::Table;
use crate::quota::{LeaseLimit, Quotas};
use crate::request::{Error, Reply, Request};
use crate::router::Target;
use crate::txn::Txn;

/// Of leases that are about to be made, by the quota's name.
#[derive(Default)]
pub(super) struct Places(Arc<Mutex<Taken>>);

type Taken = BTreeMap<String, u64>;

/// What one request has of it, over all its tries.
#[derive(Default)]
pub(super) struct OwnPlace(Mutex<Option<Place>>);

/// Until it is dropped.
struct Place {
    taken: Arc<Mutex<Taken>>,
    name: String,
}

impl Pipeline {
    /// Takes a place for one lease more of the target's mount, where a quota is for it.
    ///
    /// # Errors
    /// [`Error::TooMany`] where the quota is used up.
    pub(super) fn take_place(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &Known,
        target: &Target,
    ) -> Result<(), Error> {
        let mut own = lock(&known.place.0);
        if own.is_some() {
            return Ok(());
        }
        let Some(quotas) = self.limiter.quotas(txn)? else {
            return Ok(());
        };
        let Some(limit) = quotas.lease_limit_of(&target.entry.api_path()) else {
            return Ok(());
        };
        let limited = if limit.path.is_empty() { self.limited(txn, &quotas)? } else { None };
        let mut taken = lock(&self.places.0);
        let mut core = txn.scope(CORE);
        let mut leases = LeaseStore::new(&mut core);
        let count = match limited {
            None => leases.count_all(&target.entry.accessor)?,
            Some(limited) => leases.count_others(&limited)?,
        };
        let LeaseLimit { name, max_leases, .. } = limit;
        let under_way = taken.get(name).copied().unwrap_or_default();
        if count.saturating_add(under_way) >= *max_leases {
            self.measured.lease_refused();
            // As in Vault, through its formatter of many errors: scripts look for it.
            return Err(Error::TooMany(format!(
                "1 error occurred:\n\t* request path {:?}: lease count quota exceeded\n\n",
                request.path
            )));
        }
        taken.insert(name.clone(), under_way.saturating_add(1));
        *own = Some(Place { taken: self.places.0.clone(), name: name.clone() });
        Ok(())
    }

    /// The accessors of the mounts that have a quota of their own.
    fn limited(&self, txn: &mut Txn, quotas: &Quotas) -> Result<Option<BTreeSet<String>>, Error> {
        let mut accessors = BTreeSet::new();
        for path in quotas.lease_limited() {
            let (table, local) = match path.strip_prefix("auth/") {
                Some(local) => (Table::Auth, local),
                None => (Table::Secret, path),
            };
            if let Some(entry) = self.router.entry(txn, table, local)? {
                accessors.insert(entry.accessor.clone());
            }
        }
        Ok(Some(accessors))
    }
}

/// Whether what a handler answered makes a lease. Renewals make none, and neither do root tokens:
/// as in Vault, an operator can come in whatever is used up. Batch tokens are no leases, but are
/// refused with the others.
pub(super) fn makes_lease(target: &Target, reply: &Reply) -> bool {
    if reply.lease.as_ref().is_some_and(|lease| !lease.kind.is_empty()) {
        return true;
    }
    let Some(auth) = &reply.auth else {
        return false;
    };
    let is_login = target.found.is_some_and(|found| found.login);
    let is_new = target.entry.kind == "token" && target.path.starts_with("create");
    (is_login || is_new) && !auth.token_policies.iter().any(|policy| policy == "root")
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = lock(&self.taken);
        if let Some(count) = taken.get_mut(&self.name) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                taken.remove(&self.name);
            }
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

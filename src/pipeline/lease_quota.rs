//! Lease-count quotas: asked of whatever is about to make a lease, on the active node.
//!
//! **Invariant:** no request takes a mount over its quota. Each has a place from before it looks
//! at the count until it is answered, so that those under way count each other; what is stored is
//! looked up in one step with that, as it is now. Nothing is counted but in the store: by what a
//! mount's directory holds, or by the marks of a quota that is for less than a mount.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{Known, Pipeline, ROOT_CORE};
use crate::auth::token::TokenStore;
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
    /// What the lease is to be marked with; empty: nothing.
    mark: String,
}

impl OwnPlace {
    /// What the lease is to be marked with; empty: nothing.
    pub(super) fn mark(&self) -> String {
        lock(&self.0).as_ref().map(|place| place.mark.clone()).unwrap_or_default()
    }
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
        let namespace = request.namespace.as_str();
        let mount = format!("{namespace}{}", target.entry.api_path());
        let path = format!("{namespace}{}", request.path);
        let logs_in = target.found.is_some_and(|found| found.login);
        let role = request.params.get("role").and_then(|role| role.as_str());
        let role = role.filter(|_| logs_in);
        let Some(limit) = quotas.lease_limit_of(namespace, &mount, &path, role) else {
            return Ok(());
        };
        let mut taken = lock(&self.places.0);
        let count = if limit.is_of_mount() || !limit.inheritable {
            quotas.leases_in(&mut txn.core(), namespace, limit)?
        } else {
            quotas.leases(&mut txn.scope(ROOT_CORE), limit)?
        };
        let under_way = taken.get(&limit.name).copied().unwrap_or_default();
        if count.saturating_add(under_way) >= limit.max_leases {
            self.measured.lease_refused();
            // As in Vault, through its formatter of many errors: scripts look for it.
            return Err(Error::TooMany(format!(
                "1 error occurred:\n\t* request path {path:?}: lease count quota exceeded\n\n"
            )));
        }
        taken.insert(limit.name.clone(), under_way.saturating_add(1));
        let (name, mark) = (limit.name.clone(), limit.mark.clone());
        *own = Some(Place { taken: self.places.0.clone(), name, mark });
        Ok(())
    }

    /// Lets a quota of a role or a path count the token that was made, if there is one.
    pub(super) fn mark_token(
        &self,
        txn: &mut Txn,
        known: &Known,
        reply: &Reply,
    ) -> Result<(), Error> {
        let Some(auth) = reply.auth.as_ref().filter(|auth| !auth.accessor.is_empty()) else {
            return Ok(());
        };
        let mark = known.place.mark();
        if mark.is_empty() {
            return Ok(());
        }
        let now = txn.now();
        TokenStore::new(&mut txn.core()).count_for(&auth.accessor, &mark, now)
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

//! Lease-count quotas as they are stored: one for a mount, one for all that have none.

use serde::{Deserialize, Serialize};

use super::{QuotaStore, Quotas};
use crate::request::Error;

/// So many leases at one time, tokens among them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LeaseLimit {
    pub name: String,
    /// Empty: all mounts that have no quota of their own, taken together. Else a mount's path, as
    /// `sys/mounts` and `sys/auth` have it together.
    pub path: String,
    /// More than 0.
    pub max_leases: u64,
    /// Holds in namespaces below, too.
    pub inheritable: bool,
}

impl QuotaStore<'_, '_> {
    /// # Errors
    /// As [`Self::names`].
    pub fn lease_limits(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list(LEASE_LIMITS)
    }

    /// # Errors
    /// As [`Self::names`].
    pub fn lease_limit(&mut self, name: &str) -> Result<Option<LeaseLimit>, Error> {
        self.scope.get(&key(name))
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn put_lease_limit(&mut self, limit: &LeaseLimit) -> Result<(), Error> {
        self.scope.put(&key(&limit.name), limit)?;
        self.touch()
    }

    /// What is not there is no error.
    ///
    /// # Errors
    /// Where the record cannot be written.
    pub fn delete_lease_limit(&mut self, name: &str) -> Result<(), Error> {
        if self.lease_limit(name)?.is_none() {
            return Ok(());
        }
        self.scope.delete(&key(name))?;
        self.touch()
    }

    /// Not noted, see [`Self::compile`].
    pub(super) fn compile_lease_limits(&mut self, quotas: &mut Quotas) -> Result<(), Error> {
        for name in self.scope.peek_names(LEASE_LIMITS)? {
            if let Some(limit) = self.scope.peek_shared::<LeaseLimit>(&key(&name))? {
                quotas.leases.insert(limit.path.clone(), LeaseLimit::clone(&limit));
            }
        }
        Ok(())
    }
}

impl Quotas {
    /// The one that counts for a mount: its own, or that for all.
    pub fn lease_limit_of(&self, mount_path: &str) -> Option<&LeaseLimit> {
        self.leases.get(mount_path).or_else(|| self.leases.get(""))
    }

    /// The paths of mounts that have one of their own.
    pub fn lease_limited(&self) -> impl Iterator<Item = &str> {
        self.leases.keys().map(String::as_str).filter(|path| !path.is_empty())
    }
}

fn key(name: &str) -> String {
    format!("{LEASE_LIMITS}/{name}")
}

const LEASE_LIMITS: &str = "quota/lease-count";

//! Lease-count quotas as they are stored: one for a role of logins, one for a path, one for a
//! mount, one for all of a namespace that have none.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{QuotaStore, Quotas, above};
use crate::lease::{LeaseStore, MountPlaces};
use crate::namespace;
use crate::request::Error;
use crate::txn::Scope;

/// So many leases at one time, tokens among them.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct LeaseLimit {
    pub name: String,
    /// A namespace's (empty: the root's): all its mounts that have no quota of their own, taken
    /// together. Else a mount's, with its namespace, as `sys/mounts` and `sys/auth` have it
    /// together.
    pub path: String,
    /// Of the namespace that the path is in, with a trailing slash; empty: the root namespace.
    #[serde(default)]
    pub namespace: String,
    /// Counts logins with this role alone; its path is a mount's then.
    #[serde(default)]
    pub role: String,
    /// Of one of a role or a path: what its leases are marked with, since the mount's directory
    /// tells nothing of them. Those made before it are not counted. Else empty.
    #[serde(default)]
    pub mark: String,
    /// More than 0.
    pub max_leases: u64,
    /// Of a namespace's: counts those below, too, that have none of their own.
    pub inheritable: bool,
}

impl LeaseLimit {
    pub fn is_of_mount(&self) -> bool {
        self.path != self.namespace
    }
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
                quotas.add_lease_limit(LeaseLimit::clone(&limit));
            }
        }
        quotas.lease_globs.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        Ok(())
    }
}

impl Quotas {
    fn add_lease_limit(&mut self, limit: LeaseLimit) {
        if !limit.role.is_empty() {
            self.lease_roles.insert((limit.path.clone(), limit.role.clone()), limit);
        } else if limit.mark.is_empty() {
            self.leases.insert(limit.path.clone(), limit);
        } else if let Some(prefix) = limit.path.strip_suffix('*') {
            self.lease_globs.push((prefix.to_owned(), limit));
        } else {
            self.lease_paths.insert(limit.path.trim_end_matches('/').to_owned(), limit);
        }
    }

    /// The one that counts for a lease of a mount of a namespace: of the login's role, else of the
    /// path, the longest beginning of it, the mount, or the namespace. Paths begin with the
    /// namespace's.
    pub fn lease_limit_of(
        &self,
        namespace: &str,
        mount_path: &str,
        path: &str,
        role: Option<&str>,
    ) -> Option<&LeaseLimit> {
        let of_role = role
            .filter(|_| !self.lease_roles.is_empty())
            .and_then(|role| self.lease_roles.get(&(mount_path.to_owned(), role.to_owned())));
        let of_mount = || self.leases.get(mount_path).filter(|limit| limit.is_of_mount());
        of_role
            .or_else(|| self.lease_paths.get(path.trim_end_matches('/')))
            .or_else(|| {
                let found = self.lease_globs.iter().find(|(prefix, _)| path.starts_with(prefix));
                found.map(|(_, limit)| limit)
            })
            .or_else(of_mount)
            .or_else(|| self.lease_limit_of_namespace(namespace))
    }

    /// The one for all mounts of a namespace that have none: its own, or the next above that is
    /// inherited.
    fn lease_limit_of_namespace(&self, namespace: &str) -> Option<&LeaseLimit> {
        let of = |path| self.leases.get(path).filter(|limit| !limit.is_of_mount());
        of(namespace).or_else(|| above(namespace).filter_map(of).find(|limit| limit.inheritable))
    }

    /// How many leases there are of those that a quota counts, over the root namespace's `core/`
    /// scope; not noted. Where others inherit it, that is a few look-ups for each.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn leases(&self, root: &mut Scope<'_>, limit: &LeaseLimit) -> Result<u64, Error> {
        let mut sum = 0;
        for (home, path) in namespace::homes(root)? {
            let counts = if limit.is_of_mount() {
                limit.namespace == path
            } else {
                let of = self.lease_limit_of_namespace(&path);
                of.is_some_and(|of| of.name == limit.name)
            };
            if counts {
                sum += root.core_of(&home, |core| self.leases_in(core, &path, limit))?;
            }
        }
        Ok(sum)
    }

    /// As [`Self::leases`], of one namespace that it is for, over that one's `core/` scope.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn leases_in(
        &self,
        core: &mut Scope<'_>,
        namespace: &str,
        limit: &LeaseLimit,
    ) -> Result<u64, Error> {
        if !limit.mark.is_empty() {
            return LeaseStore::new(core).count_marked(&limit.mark);
        }
        let mut accessor = |limit: &LeaseLimit| {
            let path = limit.path.strip_prefix(namespace).unwrap_or_default();
            let mount = MountPlaces::new(core).at(path)?;
            Ok::<_, Error>(mount.map(|mount| mount.accessor.clone()))
        };
        if limit.is_of_mount() {
            let accessor = accessor(limit)?;
            return accessor.map_or(Ok(0), |mount| LeaseStore::new(core).count_all(&mount));
        }
        let mut limited = BTreeSet::new();
        for own in self.leases.values() {
            if own.is_of_mount() && own.namespace == namespace {
                limited.extend(accessor(own)?);
            }
        }
        LeaseStore::new(core).count_others(&limited)
    }
}

fn key(name: &str) -> String {
    format!("{LEASE_LIMITS}/{name}")
}

const LEASE_LIMITS: &str = "quota/lease-count";

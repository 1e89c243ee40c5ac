//! Quotas as they are stored, one record each, and which of them is a request's.

mod leases;

pub use leases::LeaseLimit;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::record::Revision;
use crate::request::Error;
use crate::txn::Scope;

/// So many requests of one client address in a time.
#[derive(Clone, Debug, Default, Deserialize, PartialEq, Serialize)]
pub struct RateLimit {
    pub name: String,
    /// Empty: all requests. Else a mount's path, or one in it, maybe with `*` at its end.
    pub path: String,
    /// Of the namespace that the path is in, with a trailing slash; empty: the root namespace.
    #[serde(default)]
    pub namespace: String,
    /// Of the mount that the path is in, with its namespace, as `sys/mounts` and `sys/auth` have
    /// it together.
    pub mount_path: String,
    /// Counts logins with this role alone.
    pub role: String,
    /// Requests in one interval; more than 0.
    pub rate: f64,
    /// Seconds; more than 0.
    pub interval: u64,
    /// Seconds that a client is refused for once it was over the rate; 0: to the interval's end.
    pub block_interval: u64,
    /// Holds in namespaces below, too.
    pub inheritable: bool,
}

/// What holds for all of them.
#[derive(Clone, Debug, Deserialize, PartialEq, Serialize)]
pub struct QuotaConfig {
    pub enable_rate_limit_audit_logging: bool,
    pub enable_rate_limit_response_headers: bool,
    pub rate_limit_exempt_paths: Vec<String>,
}

impl Default for QuotaConfig {
    fn default() -> Self {
        Self {
            enable_rate_limit_audit_logging: false,
            enable_rate_limit_response_headers: false,
            rate_limit_exempt_paths: EXEMPT_PATHS.iter().map(|path| (*path).to_owned()).collect(),
        }
    }
}

impl QuotaConfig {
    /// Exempt is the path itself, what is below it where it ends in a slash, and what begins so
    /// where it ends in `*`.
    pub fn exempts(&self, path: &str) -> bool {
        self.rate_limit_exempt_paths.iter().any(|exempt| {
            let exempt = exempt.trim_start_matches('/');
            match exempt.strip_suffix('*') {
                Some(prefix) => path.starts_with(prefix),
                None if exempt.ends_with('/') => path.starts_with(exempt),
                None => path.trim_end_matches('/') == exempt,
            }
        })
    }
}

/// The quotas of a namespace, over its `core/` scope.
pub struct QuotaStore<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> QuotaStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// # Errors
    /// Where the store cannot be read, as for all that follows.
    pub fn names(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list(RATE_LIMITS)
    }

    /// # Errors
    /// As [`Self::names`].
    pub fn get(&mut self, name: &str) -> Result<Option<RateLimit>, Error> {
        self.scope.get(&format!("{RATE_LIMITS}/{name}"))
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn put(&mut self, limit: &RateLimit) -> Result<(), Error> {
        self.scope.put(&format!("{RATE_LIMITS}/{}", limit.name), limit)?;
        self.touch()
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn delete(&mut self, name: &str) -> Result<(), Error> {
        if self.get(name)?.is_none() {
            return Ok(());
        }
        self.scope.delete(&format!("{RATE_LIMITS}/{name}"))?;
        self.touch()
    }

    /// # Errors
    /// As [`Self::names`].
    pub fn config(&mut self) -> Result<QuotaConfig, Error> {
        Ok(self.scope.get(CONFIG)?.unwrap_or_default())
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn put_config(&mut self, config: &QuotaConfig) -> Result<(), Error> {
        self.scope.put(CONFIG, config)?;
        self.touch()
    }

    /// Changes with every quota: what was compiled of them is good while it stands. Not noted.
    ///
    /// # Errors
    /// As [`Self::names`].
    pub fn revision(&mut self) -> Result<Revision, Error> {
        self.scope.peek_revision(TOUCHED)
    }

    /// All of them, not noted: a request need not run again because a quota has changed.
    ///
    /// # Errors
    /// As [`Self::names`].
    pub fn compile(&mut self) -> Result<Quotas, Error> {
        let mut quotas = Quotas::default();
        if let Some(config) = self.scope.peek_shared::<QuotaConfig>(CONFIG)? {
            quotas.config = QuotaConfig::clone(&config);
        }
        for name in self.scope.peek_names(RATE_LIMITS)? {
            let limit = self.scope.peek_shared::<RateLimit>(&format!("{RATE_LIMITS}/{name}"))?;
            if let Some(limit) = limit {
                quotas.add(RateLimit::clone(&limit));
            }
        }
        quotas.globs.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.len()));
        self.compile_lease_limits(&mut quotas)?;
        Ok(quotas)
    }

    fn touch(&mut self) -> Result<(), Error> {
        self.scope.put(TOUCHED, &())
    }
}

/// All quotas, so that a request finds its own without looking at each.
#[derive(Debug, Default)]
pub struct Quotas {
    pub config: QuotaConfig,
    roles: BTreeMap<(String, String), RateLimit>,
    exact: BTreeMap<String, RateLimit>,
    /// The longest first.
    globs: Vec<(String, RateLimit)>,
    mounts: BTreeMap<String, RateLimit>,
    /// By a namespace's path.
    namespaces: BTreeMap<String, RateLimit>,
    all: Option<RateLimit>,
    /// Of mounts and namespaces, by path.
    leases: BTreeMap<String, LeaseLimit>,
    lease_roles: BTreeMap<(String, String), LeaseLimit>,
    lease_paths: BTreeMap<String, LeaseLimit>,
    /// The longest first.
    lease_globs: Vec<(String, LeaseLimit)>,
}

impl Quotas {
    fn add(&mut self, limit: RateLimit) {
        if !limit.role.is_empty() {
            self.roles.insert((limit.mount_path.clone(), limit.role.clone()), limit);
        } else if limit.path.is_empty() {
            self.all = Some(limit);
        } else if limit.path == limit.namespace {
            self.namespaces.insert(limit.path.clone(), limit);
        } else if limit.path == limit.mount_path {
            self.mounts.insert(limit.path.clone(), limit);
        } else if let Some(prefix) = limit.path.strip_suffix('*') {
            self.globs.push((prefix.to_owned(), limit));
        } else {
            self.exact.insert(limit.path.trim_end_matches('/').to_owned(), limit);
        }
    }

    pub fn is_empty(&self) -> bool {
        self.roles.is_empty()
            && self.exact.is_empty()
            && self.globs.is_empty()
            && self.mounts.is_empty()
            && self.namespaces.is_empty()
            && self.all.is_none()
            && self.leases.is_empty()
            && self.lease_roles.is_empty()
            && self.lease_paths.is_empty()
            && self.lease_globs.is_empty()
    }

    /// The one that counts: of the login's role, else of the path, the longest beginning of it,
    /// the mount, the namespace, one above that is inherited, or all. Paths begin with the
    /// namespace's.
    pub fn of(
        &self,
        path: &str,
        mount_path: &str,
        namespace: &str,
        role: Option<&str>,
    ) -> Option<&RateLimit> {
        let of_role = role
            .filter(|_| !self.roles.is_empty())
            .and_then(|role| self.roles.get(&(mount_path.to_owned(), role.to_owned())));
        of_role
            .or_else(|| self.exact.get(path.trim_end_matches('/')))
            .or_else(|| {
                let found = self.globs.iter().find(|(prefix, _)| path.starts_with(prefix));
                found.map(|(_, limit)| limit)
            })
            .or_else(|| self.mounts.get(mount_path))
            .or_else(|| self.of_namespace(namespace))
            .or(self.all.as_ref().filter(|all| namespace.is_empty() || all.inheritable))
    }

    fn of_namespace(&self, namespace: &str) -> Option<&RateLimit> {
        if self.namespaces.is_empty() {
            return None;
        }
        if let Some(own) = self.namespaces.get(namespace) {
            return Some(own);
        }
        above(namespace)
            .filter_map(|above| self.namespaces.get(above))
            .find(|limit| limit.inheritable)
    }
}

/// The paths of the namespaces above one, the nearest first; the root's, which is empty, last.
fn above(namespace: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(namespace), |path| {
        let path = path.strip_suffix('/')?;
        Some(path.rfind('/').and_then(|at| path.get(..=at)).unwrap_or_default())
    })
    .skip(1)
}

const RATE_LIMITS: &str = "quota/rate-limit";
const CONFIG: &str = "quota/config";
const TOUCHED: &str = "quota/touched";

/// Of a namespace. Each costs memory on the active node.
pub const QUOTAS_MAX: usize = 1000;

/// What must answer however many ask: as in Vault.
const EXEMPT_PATHS: &[&str] = &[
    "sys/generate-recovery-token/attempt",
    "sys/generate-recovery-token/update",
    "sys/generate-root/attempt",
    "sys/generate-root/update",
    "sys/health",
    "sys/seal-status",
    "sys/unseal",
];

#[cfg(test)]
mod tests;

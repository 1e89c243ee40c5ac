//! The policies of a namespace as they are stored, one record each, and what a set of them grants.

use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Deserializer, Serialize};

use crate::clock::Timestamp;
use crate::policy::{Acl, Identity, Policy, ROOT, TemplateLimits, is_hidden};
use crate::request::Error;
use crate::text::{as_name, of_name};
use crate::txn::Scope;

/// As stored. The text is what was written; rules are read off it again.
#[derive(Debug, Deserialize, Serialize)]
pub struct StoredPolicy {
    pub text: String,
    pub modified: Timestamp,
    #[serde(default)]
    pub allow_wildcards_in_identity_templates: bool,
    #[serde(default)]
    pub allow_slashes_in_identity_templates: bool,
}

/// A stored policy, parsed: what the cache keeps.
struct Parsed(StoredPolicy, Policy);

impl<'de> Deserialize<'de> for Parsed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let stored = StoredPolicy::deserialize(deserializer)?;
        // The store knows the name; it is filled in where an ACL is made.
        let policy = Policy::parse("", &stored.text).map_err(serde::de::Error::custom)?;
        Ok(Self(stored, policy))
    }
}

/// The policies of one namespace, over its `core/` scope.
pub struct PolicyStore<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> PolicyStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// Names of what is stored, sorted, without those that are hidden.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn names(&mut self) -> Result<Vec<String>, Error> {
        let names = self.scope.list(DIRECTORY)?;
        let names = names.into_iter().map(|name| of_name(&name));
        Ok(names.filter(|name| !is_hidden(name)).collect())
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn get(&mut self, name: &str) -> Result<Option<StoredPolicy>, Error> {
        self.scope.get(&key(name))
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn exists(&mut self, name: &str) -> Result<bool, Error> {
        Ok(name == ROOT || self.parsed(name)?.is_some())
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn put(&mut self, name: &str, policy: &StoredPolicy) -> Result<(), Error> {
        self.scope.put(&key(name), policy)
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn delete(&mut self, name: &str) -> Result<(), Error> {
        self.scope.delete(&key(name))
    }

    /// What these policies grant together. A name without a policy grants nothing.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn acl(
        &mut self,
        names: &[String],
        identity: Option<&Arc<Identity>>,
        now: Timestamp,
        cache: Option<&AclCache>,
    ) -> Result<Arc<Acl>, Error> {
        if names.iter().any(|name| name == ROOT) {
            return Ok(Arc::new(Acl::root()));
        }
        let mut found = Vec::with_capacity(names.len());
        for name in names {
            if let Some(parsed) = self.parsed(name)? {
                found.push((name.as_str(), parsed));
            }
        }
        let depends = found.iter().any(|(_, parsed)| parsed.1.templated);
        let identity = identity.filter(|_| depends);
        if let Some(acl) = cache.and_then(|cache| cache.get(&found, identity, now)) {
            return Ok(acl);
        }
        let named: Vec<Policy> = found.iter().map(|(name, parsed)| parsed.named(name)).collect();
        let acl = Arc::new(Acl::compile(&named, identity.map(Arc::as_ref), now));
        if let Some(cache) = cache {
            cache.insert(found, identity, acl.clone());
        }
        Ok(acl)
    }

    fn parsed(&mut self, name: &str) -> Result<Option<Arc<Parsed>>, Error> {
        self.scope.get_shared(&key(name))
    }
}

impl Parsed {
    fn named(&self, name: &str) -> Policy {
        let Self(stored, policy) = self;
        let template_limits = TemplateLimits {
            allow_wildcards: stored.allow_wildcards_in_identity_templates,
            allow_slashes: stored.allow_slashes_in_identity_templates,
        };
        Policy { name: name.to_owned(), template_limits, ..policy.clone() }
    }
}

/// Compiled sets of policies. One is good while each of its policies is the very record it was
/// made of, and so is the identity that its templates were filled in with.
#[derive(Default)]
pub struct AclCache(Mutex<Sets>);

#[derive(Default)]
struct Sets {
    compiled: BTreeMap<SetKey, Compiled>,
    /// Where the last victim was. Going round, every set comes up once.
    last_victim: Option<SetKey>,
}

/// The names, and the id of the identity: empty where no template asks for one, or there is none.
type SetKey = (Vec<String>, String);

struct Compiled {
    of: Vec<Arc<Parsed>>,
    identity: Option<Arc<Identity>>,
    acl: Arc<Acl>,
}

impl AclCache {
    fn get(
        &self,
        found: &[(&str, Arc<Parsed>)],
        identity: Option<&Arc<Identity>>,
        now: Timestamp,
    ) -> Option<Arc<Acl>> {
        let sets = self.lock();
        let compiled = sets.compiled.get(&set_key(found, identity))?;
        let same = compiled.of.len() == found.len()
            && compiled.of.iter().zip(found).all(|(of, (_, now))| Arc::ptr_eq(of, now));
        let same_identity = match (&compiled.identity, identity) {
            (Some(of), Some(now)) => Arc::ptr_eq(of, now),
            (None, None) => true,
            _ => false,
        };
        let current = compiled.acl.valid_until().is_none_or(|until| now < until);
        (same && same_identity && current).then(|| compiled.acl.clone())
    }

    fn insert(
        &self,
        found: Vec<(&str, Arc<Parsed>)>,
        identity: Option<&Arc<Identity>>,
        acl: Arc<Acl>,
    ) {
        let mut sets = self.lock();
        let key = set_key(&found, identity);
        if sets.compiled.len() >= SETS_MAX && !sets.compiled.contains_key(&key) {
            sets.drop_one();
        }
        let of = found.into_iter().map(|(_, parsed)| parsed).collect();
        sets.compiled.insert(key, Compiled { of, identity: identity.cloned(), acl });
    }

    /// On seal: rules name paths.
    pub fn clear(&self) {
        *self.lock() = Sets::default();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Sets> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sets {
    fn drop_one(&mut self) {
        let after = self.last_victim.take().map_or(Bound::Unbounded, Bound::Excluded);
        let next = self.compiled.range((after, Bound::Unbounded)).next();
        let victim = next.or_else(|| self.compiled.first_key_value()).map(|(key, _)| key.clone());
        if let Some(victim) = victim {
            self.compiled.remove(&victim);
            self.last_victim = Some(victim);
        }
    }
}

fn set_key(found: &[(&str, Arc<Parsed>)], identity: Option<&Arc<Identity>>) -> SetKey {
    let names = found.iter().map(|(name, _)| (*name).to_owned()).collect();
    (names, identity.map(|identity| identity.id.clone()).unwrap_or_default())
}

/// A policy's name may hold slashes; a record's may not.
fn key(name: &str) -> String {
    format!("{DIRECTORY}/{}", as_name(name))
}

const DIRECTORY: &str = "policy/acl";

/// Different sets of policies that are kept compiled: one for each entity where templates ask.
const SETS_MAX: usize = 8192;

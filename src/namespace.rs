//! Namespaces: each with mounts, policies, tokens, identities and leases of its own, named by a
//! path, and nested.
//!
//! What a namespace has is stored below its place: `root/`, or `ns/UUID/`, whatever its path. Its
//! record lies in the `core/` of the namespace above, so a path is resolved segment by segment,
//! each noted with the request: one that is created, locked or deleted meanwhile makes it run
//! again.

mod rules;
mod store;

pub use rules::{check_name, refusal, refusal_in_header};
pub use store::{Known, NamespaceStore, Own, id_in_token, known, note_known, number};

use std::collections::BTreeMap;
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

use crate::record::Revision;
use crate::request::Error;
use crate::txn::{Scope, Txn, place_of};

/// One namespace, as stored.
#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
pub struct Namespace {
    /// Six characters, with which its tokens end; `root` for the root namespace.
    pub id: String,
    /// Names its storage: a later namespace at the same path has another.
    pub uuid: String,
    /// From the root namespace, with a trailing slash; empty for that itself.
    pub path: String,
    pub custom_metadata: BTreeMap<String, String>,
    /// Being deleted: nothing leads to it any more.
    #[serde(default)]
    pub tainted: bool,
    /// SHA-256 of the key that unlocks it, in hexadecimal, where it is locked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lock: Option<String>,
}

impl Namespace {
    pub fn root() -> Arc<Self> {
        static ROOT: LazyLock<Arc<Namespace>> = LazyLock::new(|| {
            let (id, uuid) = (ROOT_HOME.to_owned(), ROOT_HOME.to_owned());
            Arc::new(Namespace { id, uuid, ..Namespace::default() })
        });
        ROOT.clone()
    }

    pub fn is_root(&self) -> bool {
        self.uuid == ROOT_HOME
    }

    /// The part of every key that is its own, with a trailing slash.
    pub fn place(&self) -> String {
        place_of(&self.uuid)
    }

    /// Its last segment.
    pub fn name(&self) -> &str {
        let path = self.path.trim_end_matches('/');
        path.rsplit_once('/').map_or(path, |(_, name)| name)
    }
}

/// Where a request goes.
#[derive(Clone, Debug)]
pub struct Resolved {
    pub namespace: Arc<Namespace>,
    /// What is left of its path, within the namespace.
    pub path: String,
    /// The path of the outermost namespace on the way that is locked.
    pub locked: Option<String>,
}

/// The innermost namespace that a header (empty, or with a trailing slash) and a path lead to. The
/// transaction enters it.
///
/// # Errors
/// [`Error::Missing`] where there is no namespace that the header names.
pub fn resolve(txn: &mut Txn, header: &str, path: &str) -> Result<Resolved, Error> {
    let mut at = Namespace::root();
    let mut locked = None;
    txn.enter(&at.place());
    let mut header = header;
    let mut left = path;
    loop {
        let in_header = !header.is_empty();
        let rest = if in_header { header } else { left };
        let segment = rest.split_once('/').map_or((rest, ""), |(name, below)| (name, below));
        let next = match segment.0 {
            "" => None,
            // Only what ends in a slash leads into a namespace: `GET a` asks for a mount.
            _ if !in_header && !rest.contains('/') => None,
            name => NamespaceStore::new(&mut txn.core()).seen(name)?,
        };
        let Some(next) = next.filter(|next| !next.tainted) else {
            if in_header {
                return Err(Error::Missing(NOT_FOUND.into()));
            }
            return Ok(Resolved { namespace: at, path: left.to_owned(), locked });
        };
        if next.lock.is_some() && locked.is_none() {
            locked = Some(next.path.clone());
        }
        if in_header {
            header = segment.1;
        } else {
            left = segment.1;
        }
        at = next;
        txn.enter(&at.place());
    }
}

/// The innermost namespace that a path leads to, and what is left of it, over the `core/` scope of
/// any; noted.
///
/// # Errors
/// Where the store cannot be read.
pub fn find(core: &mut Scope<'_>, path: &str) -> Result<(Arc<Namespace>, String), Error> {
    let (mut at, mut left) = (Namespace::root(), path);
    while let Some((name, below)) = left.split_once('/').filter(|(name, _)| !name.is_empty()) {
        let next = core.core_of(&at.uuid, |core| NamespaceStore::new(core).get(name))?;
        let Some(next) = next.filter(|next| !next.tainted) else { break };
        (at, left) = (next, below);
    }
    Ok((at, left.to_owned()))
}

/// The place of every namespace, those that are being deleted among them; the root namespace's
/// first.
///
/// # Errors
/// Where the store cannot be read.
pub fn places(txn: &mut Txn) -> Result<Vec<String>, Error> {
    txn.enter(ROOT_PLACE);
    let mut core = txn.core();
    let mut places = vec![ROOT_PLACE.to_owned()];
    for known in store::all(&mut core)? {
        places.push(place_of(&known.uuid));
    }
    Ok(places)
}

/// What [`places`] has found, kept while no namespace is made or goes: who looks after all of them
/// all the time need not list them each time.
#[derive(Default)]
pub struct Places(Mutex<Option<(Revision, Arc<Vec<String>>)>>);

impl Places {
    /// # Errors
    /// Where the store cannot be read.
    pub fn all(&self, txn: &mut Txn) -> Result<Arc<Vec<String>>, Error> {
        txn.enter(ROOT_PLACE);
        let revision = store::revision(&mut txn.core())?;
        if let Some((at, places)) = &*self.lock()
            && *at == revision
        {
            return Ok(places.clone());
        }
        let places = Arc::new(places(txn)?);
        *self.lock() = Some((revision, places.clone()));
        Ok(places)
    }

    /// When leadership ends, and on seal.
    pub fn clear(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<(Revision, Arc<Vec<String>>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Home and path of each namespace that is not being deleted, the root's first; over the root
/// namespace's `core/` scope, not noted.
///
/// # Errors
/// Where the store cannot be read.
pub fn homes(root: &mut Scope<'_>) -> Result<Vec<(String, String)>, Error> {
    let mut homes = vec![(ROOT_HOME.to_owned(), String::new())];
    let others = store::all(root)?.into_iter().filter(|known| !known.tainted);
    homes.extend(others.map(|known| (known.uuid.clone(), known.path.clone())));
    Ok(homes)
}

/// As storage names the root namespace.
pub const ROOT_HOME: &str = "root";

pub const ROOT_PLACE: &str = "root/";

pub const NOT_FOUND: &str = "namespace not found";

#[cfg(test)]
mod tests;

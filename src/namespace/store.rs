//! Where namespaces are stored.

use std::sync::{Arc, LazyLock};

use serde::{Deserialize, Serialize};

use super::{Namespace, ROOT_HOME};
use crate::record::Revision;
use crate::request::Error;
use crate::txn::Scope;

/// The namespaces right below one, over its `core/` scope.
pub struct NamespaceStore<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> NamespaceStore<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// For a request that is on its way: where there are none, that costs one look-up, and that
    /// there is none of this name is not noted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn seen(&mut self, name: &str) -> Result<Option<Arc<Namespace>>, Error> {
        if matches!(name, "." | "..") || self.scope.directory_records(DIRECTORY)? == 0 {
            return Ok(None);
        }
        match self.scope.peek_shared::<Namespace>(&key(name))? {
            Some(_) => self.scope.get_shared(&key(name)),
            None => Ok(None),
        }
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn get(&mut self, name: &str) -> Result<Option<Arc<Namespace>>, Error> {
        self.scope.get_shared(&key(name))
    }

    /// Their names, sorted; noted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn names(&mut self) -> Result<Vec<String>, Error> {
        self.scope.list(DIRECTORY)
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn put(&mut self, namespace: &Namespace) -> Result<(), Error> {
        self.scope.put(&key(namespace.name()), namespace)
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn delete(&mut self, name: &str) -> Result<(), Error> {
        self.scope.delete(&key(name))
    }
}

/// What a namespace knows of itself: it stays as it is.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Own {
    pub id: String,
    pub path: String,
}

impl Own {
    /// Over the namespace's `core/` scope.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn of(core: &mut Scope<'_>) -> Result<Arc<Self>, Error> {
        if core.home() == ROOT_HOME {
            static ROOT: LazyLock<Arc<Own>> =
                LazyLock::new(|| Arc::new(Own { id: ROOT_HOME.to_owned(), path: String::new() }));
            return Ok(ROOT.clone());
        }
        core.get_shared(OWN)?.ok_or_else(|| Error::internal("a namespace does not know itself"))
    }

    /// Whether the namespace is there, until the last of it is deleted; noted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn is_known(core: &mut Scope<'_>) -> Result<bool, Error> {
        Ok(core.home() == ROOT_HOME || core.get_shared::<Self>(OWN)?.is_some())
    }

    /// # Errors
    /// Where the record cannot be written.
    pub fn note(&self, core: &mut Scope<'_>) -> Result<(), Error> {
        core.put(OWN, self)
    }
}

/// Where a namespace is, by its id: in the root namespace's `core/`, so that its tokens and its
/// work are found.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Known {
    pub uuid: String,
    pub path: String,
    /// Being deleted: its tokens are good for nothing any more.
    #[serde(default)]
    pub tainted: bool,
}

/// Over the root namespace's `core/` scope.
///
/// # Errors
/// Where the store cannot be read.
pub fn known(root: &mut Scope<'_>, id: &str) -> Result<Option<Arc<Known>>, Error> {
    root.get_shared(&known_key(id))
}

/// Over the root namespace's `core/` scope; `None` forgets it.
///
/// # Errors
/// Where the record cannot be written.
pub fn note_known(root: &mut Scope<'_>, id: &str, known: Option<&Known>) -> Result<(), Error> {
    match known {
        Some(known) => root.put(&known_key(id), known),
        None => root.delete(&known_key(id)),
    }
}

/// How many namespaces there are beside the root, over the root namespace's `core/` scope.
///
/// # Errors
/// Where the store cannot be read.
pub fn number(root: &mut Scope<'_>) -> Result<u64, Error> {
    root.directory_records(KNOWN)
}

/// Changes with each namespace that is made or goes, over the root namespace's `core/` scope.
pub(super) fn revision(root: &mut Scope<'_>) -> Result<Revision, Error> {
    root.directory_revision(KNOWN)
}

/// Every namespace but the root, over the root namespace's `core/` scope; not noted.
pub(super) fn all(root: &mut Scope<'_>) -> Result<Vec<Arc<Known>>, Error> {
    if root.directory_records(KNOWN)? == 0 {
        return Ok(Vec::new());
    }
    let mut all = Vec::new();
    for id in root.peek_names(KNOWN)? {
        all.extend(root.peek_shared::<Known>(&known_key(&id))?);
    }
    Ok(all)
}

/// The id of its namespace that a token ends with; `None` for one of the root namespace.
pub fn id_in_token(token: &str) -> Option<&str> {
    let (before, id) = token.rsplit_once('.')?;
    let is_id = id.len() == ID_LENGTH && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
    (is_id && before.contains('.')).then_some(id)
}

fn key(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

fn known_key(id: &str) -> String {
    format!("{KNOWN}/{id}")
}

/// Characters of an id.
pub(super) const ID_LENGTH: usize = 6;

const DIRECTORY: &str = "namespaces";

const KNOWN: &str = "namespace-id";

const OWN: &str = "namespace";

use std::sync::Arc;

use crate::mount::{MountEntry, Table};
use crate::request::Error;
use crate::txn::Scope;

/// Which mounts a lease's id, or a prefix of ids, may belong to. A lease keeps its id when its
/// mount is moved or goes, so former paths count too, as long as the mount has leases.
pub struct MountPlaces<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> MountPlaces<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// The accessors of mounts whose path an id begins with.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn of_id(&mut self, id: &str) -> Result<Vec<String>, Error> {
        self.matching(|path| id.starts_with(path))
    }

    /// The accessors of mounts at or below a prefix, or above it.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn under(&mut self, prefix: &str) -> Result<Vec<String>, Error> {
        self.matching(|path| path.starts_with(prefix) || prefix.starts_with(path))
    }

    /// A mount by its accessor, also one that is gone while it has leases.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn by_accessor(&mut self, accessor: &str) -> Result<Option<Arc<MountEntry>>, Error> {
        if let Some(gone) = self.scope.get_shared(&gone_key(accessor))? {
            return Ok(Some(gone));
        }
        for table in [Table::Secret, Table::Auth] {
            for name in self.scope.list(directory(table))? {
                let key = format!("{}{name}", directory(table));
                let entry = self.scope.get_shared::<MountEntry>(&key)?;
                if let Some(entry) = entry.filter(|entry| entry.accessor == accessor) {
                    return Ok(Some(entry));
                }
            }
        }
        Ok(None)
    }

    /// Keeps the path that a mount is about to leave.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn moved(&mut self, entry: &MountEntry) -> Result<(), Error> {
        let key = former_key(&entry.accessor);
        let mut paths = self.scope.get::<Vec<String>>(&key)?.unwrap_or_default();
        let path = entry.api_path();
        paths.retain(|former| *former != path);
        paths.insert(0, path);
        paths.truncate(FORMER_PATHS_MAX);
        self.scope.put(&key, &paths)
    }

    /// Keeps a mount that is about to go, so that its leases can still be ended.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn gone(&mut self, entry: &MountEntry) -> Result<(), Error> {
        self.moved(entry)?;
        self.scope.put(&gone_key(&entry.accessor), entry)
    }

    /// The mount has no leases any more, and gets no more.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn forget(&mut self, accessor: &str) -> Result<(), Error> {
        self.scope.delete(&gone_key(accessor))?;
        self.scope.delete(&former_key(accessor))
    }

    fn matching(&mut self, fits: impl Fn(&str) -> bool) -> Result<Vec<String>, Error> {
        let mut accessors = Vec::new();
        for table in [Table::Secret, Table::Auth] {
            for name in self.scope.list(directory(table))? {
                let path = Table::path_of(&name);
                let path = if table == Table::Auth { format!("auth/{path}") } else { path };
                if !fits(&path) {
                    continue;
                }
                let key = format!("{}{name}", directory(table));
                if let Some(entry) = self.scope.get_shared::<MountEntry>(&key)? {
                    accessors.push(entry.accessor.clone());
                }
            }
        }
        for accessor in self.scope.list(FORMER)? {
            let paths = self.scope.get_shared::<Vec<String>>(&former_key(&accessor))?;
            let fits = paths.is_some_and(|paths| paths.iter().any(|path| fits(path)));
            if fits && !accessors.contains(&accessor) {
                accessors.push(accessor);
            }
        }
        Ok(accessors)
    }
}

/// The id's last segment, and what stands before it; `None` where it is no lease's.
pub fn path_and_name(id: &str) -> Option<(&str, &str)> {
    id.rsplit_once('/').filter(|(path, name)| !path.is_empty() && !name.is_empty())
}

fn directory(table: Table) -> &'static str {
    let directory = table.directory();
    directory.strip_prefix("core/").unwrap_or(directory)
}

fn former_key(accessor: &str) -> String {
    format!("{FORMER}/{accessor}")
}

fn gone_key(accessor: &str) -> String {
    format!("lease/gone/{accessor}")
}

const FORMER: &str = "lease/former";

/// Of a mount: older ones are forgotten, and ids with them.
const FORMER_PATHS_MAX: usize = 16;

//! Which mount answers a path: the longest prefix wins, and mounts do not nest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::framework::{Found, Mount};
use crate::mount::{MountEntry, ROOT_NAMESPACE, Table};
use crate::record::Revision;
use crate::request::Error;
use crate::txn::Txn;

/// Opens a mount of a kind; `None` where there is no such kind.
pub type Open = dyn Fn(&MountEntry) -> Option<Arc<dyn Mount>> + Send + Sync;

pub struct Router {
    open: Box<Open>,
    /// `sys/`, which must answer before anything can be read.
    system: (Arc<MountEntry>, Arc<dyn Mount>),
    /// The mounts' paths as of a revision of each table's directory.
    paths: Mutex<Paths>,
    /// What is open, by where it is mounted.
    opened: Mutex<BTreeMap<(Table, String), Opened>>,
}

/// A mount, and what chose it: another uuid or version needs another.
struct Opened {
    uuid: String,
    version: String,
    mount: Arc<dyn Mount>,
}

type Paths = BTreeMap<Table, (Revision, Arc<Vec<String>>)>;

/// A mount, and the path within it.
#[derive(Clone)]
pub struct Target {
    pub entry: Arc<MountEntry>,
    pub mount: Arc<dyn Mount>,
    pub path: String,
    pub found: Option<Found>,
}

impl Router {
    pub fn new(system_entry: MountEntry, system: Arc<dyn Mount>, open: Box<Open>) -> Self {
        Self {
            open,
            system: (Arc::new(system_entry), system),
            paths: Mutex::default(),
            opened: Mutex::default(),
        }
    }

    /// What `sys/` answers without storage, as far as the path is its own.
    pub fn system(&self, path: &str) -> Option<Target> {
        let path = path.strip_prefix("sys/")?;
        let (entry, mount) = self.system.clone();
        let found = mount.find(path);
        Some(Target { entry, mount, path: path.to_owned(), found })
    }

    /// Forgets what mounts keep in memory: on seal, and when leadership ends.
    pub fn close_all(&self) {
        self.lock_opened().clear();
        self.paths.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Who answers a path; the mount's record is noted in the transaction.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn resolve(&self, txn: &mut Txn, path: &str) -> Result<Option<Target>, Error> {
        let (table, local) = match path.strip_prefix("auth/") {
            Some(local) => (Table::Auth, local),
            None => (Table::Secret, path),
        };
        let Some(entry) = self.entry(txn, table, local)? else {
            return Ok(None);
        };
        if entry.tainted {
            return Ok(None);
        }
        // `GET kv` asks the mount `kv/` for its top.
        let path = local.strip_prefix(entry.path.as_str()).unwrap_or_default().to_owned();
        let mount = self.mount(&entry)?;
        let found = mount.find(&path);
        Ok(Some(Target { entry, mount, path, found }))
    }

    /// The mount at or above a path, in one table.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn entry(
        &self,
        txn: &mut Txn,
        table: Table,
        path: &str,
    ) -> Result<Option<Arc<MountEntry>>, Error> {
        let paths = self.paths(txn, table)?;
        let slashed = format!("{path}/");
        let found =
            paths.iter().find(|mount| path.starts_with(mount.as_str()) || slashed == **mount);
        match found {
            Some(mount) => txn.scope(ROOT_NAMESPACE).get_shared(&table.key(mount)),
            None => Ok(None),
        }
    }

    fn paths(&self, txn: &mut Txn, table: Table) -> Result<Arc<Vec<String>>, Error> {
        let mut scope = txn.scope(ROOT_NAMESPACE);
        let revision = scope.directory_revision(table.directory())?;
        let cached = self.lock_paths().get(&table).cloned();
        if let Some((at, paths)) = cached
            && at == revision
        {
            return Ok(paths);
        }
        let names = scope.peek_names(table.directory())?;
        let mut paths: Vec<String> = names.iter().map(|name| Table::path_of(name)).collect();
        // Longest first: the first that fits is the one.
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        let paths = Arc::new(paths);
        // What is mounted no more would be kept for ever.
        self.lock_opened().retain(|(of, path), _| *of != table || paths.contains(path));
        self.lock_paths().insert(table, (revision, paths.clone()));
        Ok(paths)
    }

    /// A mount by its entry, also one that is mounted no more.
    ///
    /// # Errors
    /// Where no engine of this program has its type.
    pub fn mount(&self, entry: &MountEntry) -> Result<Arc<dyn Mount>, Error> {
        let version = entry.options.get("version").cloned().unwrap_or_default();
        let key = (entry.table, entry.path.clone());
        let fits = |opened: &&Opened| opened.uuid == entry.uuid && opened.version == version;
        if let Some(opened) = self.lock_opened().get(&key).filter(fits) {
            return Ok(opened.mount.clone());
        }
        let mount = (self.open)(entry).ok_or_else(|| {
            Error::internal(format!("no engine for the type {:?} of a mount", entry.kind))
        })?;
        let mut opened = self.lock_opened();
        // Two may have opened it at once: one of them is kept.
        if let Some(opened) = opened.get(&key).filter(fits) {
            return Ok(opened.mount.clone());
        }
        let uuid = entry.uuid.clone();
        opened.insert(key, Opened { uuid, version: version.clone(), mount: mount.clone() });
        Ok(mount)
    }

    fn lock_opened(&self) -> std::sync::MutexGuard<'_, BTreeMap<(Table, String), Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_paths(&self) -> std::sync::MutexGuard<'_, Paths> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

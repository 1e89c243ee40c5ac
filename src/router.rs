//! Which mount answers a path: the longest prefix wins, and mounts do not nest.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use crate::framework::{Found, Mount};
use crate::mount::{MountEntry, Table};
use crate::namespace::{Namespace, ROOT_HOME, ROOT_PLACE};
use crate::record::Revision;
use crate::request::{Caller, Error};
use crate::txn::{Txn, place_of};

/// Opens a mount of a kind; `None` where there is no such kind.
pub type Open = dyn Fn(&MountEntry) -> Option<Arc<dyn Mount>> + Send + Sync;

pub struct Router {
    open: Box<Open>,
    /// `sys/`, which must answer before anything can be read.
    system: (Arc<MountEntry>, Arc<dyn Mount>),
    /// The mounts' paths as of a revision of each table's directory.
    paths: Mutex<Paths>,
    /// What is open, by where it is mounted.
    opened: Mutex<BTreeMap<Place, Opened>>,
}

/// A namespace's home, a table, and a path in it.
type Place = (String, Table, String);

/// A mount, and what chose it: another uuid or version needs another.
struct Opened {
    uuid: String,
    version: String,
    mount: Arc<dyn Mount>,
}

/// By a namespace's home.
type Paths = BTreeMap<(String, Table), (Revision, Arc<Vec<String>>)>;

/// A mount, and the path within it.
#[derive(Clone)]
pub struct Target {
    pub entry: Arc<MountEntry>,
    pub mount: Arc<dyn Mount>,
    pub path: String,
    pub found: Option<Found>,
    /// Its namespace's part of every key.
    pub place: String,
}

impl Target {
    /// The mount's part of the storage, for this caller. What a token of a namespace above keeps
    /// in a cubbyhole lies with the token, so that it goes with it.
    pub fn prefix_for(&self, caller: Option<&Caller>) -> String {
        let foreign = caller.and_then(|caller| caller.token.split_once('@'));
        if let Some((name, home)) = foreign.filter(|_| self.entry.kind == "cubbyhole") {
            let below = self.place.trim_end_matches('/').replace('/', "-");
            return format!("{}core/{CUBBYHOLES_BELOW}/{name}/{below}/", place_of(home));
        }
        format!("{}{}", self.place, self.entry.storage_prefix())
    }
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
        let place = ROOT_PLACE.to_owned();
        Some(Target { entry, mount, path: path.to_owned(), found, place })
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
    pub fn resolve(
        &self,
        txn: &mut Txn,
        namespace: &Namespace,
        path: &str,
    ) -> Result<Option<Target>, Error> {
        let home = namespace.uuid.as_str();
        let (table, local) = match path.strip_prefix("auth/") {
            Some(local) => (Table::Auth, local),
            None => (Table::Secret, path),
        };
        let Some(entry) = self.entry(txn, home, table, local)? else {
            return Ok(None);
        };
        if entry.tainted {
            return Ok(None);
        }
        // `GET kv` asks the mount `kv/` for its top.
        let path = local.strip_prefix(entry.path.as_str()).unwrap_or_default().to_owned();
        let mount = self.mount(home, &entry)?;
        let found = mount.find(&path);
        Ok(Some(Target { entry, mount, path, found, place: namespace.place() }))
    }

    /// The mount at or above a path, in one table.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn entry(
        &self,
        txn: &mut Txn,
        home: &str,
        table: Table,
        path: &str,
    ) -> Result<Option<Arc<MountEntry>>, Error> {
        let paths = self.paths(txn, home, table)?;
        let slashed = format!("{path}/");
        let found =
            paths.iter().find(|mount| path.starts_with(mount.as_str()) || slashed == **mount);
        match found {
            Some(mount) => txn.scope(&place_of(home)).get_shared(&table.key(mount)),
            None => Ok(None),
        }
    }

    fn paths(&self, txn: &mut Txn, home: &str, table: Table) -> Result<Arc<Vec<String>>, Error> {
        let place = place_of(home);
        let mut scope = txn.scope(&place);
        let revision = scope.directory_revision(table.directory())?;
        let key = (home.to_owned(), table);
        let cached = self.lock_paths().get(&key).cloned();
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
        self.lock_opened()
            .retain(|(of, other, path), _| of != home || *other != table || paths.contains(path));
        let mut all = self.lock_paths();
        if all.len() >= TABLES_MAX && !all.contains_key(&key) {
            self.make_room(&mut all);
        }
        all.insert(key, (revision, paths.clone()));
        Ok(paths)
    }

    /// Forgets a namespace's tables and mounts: they are read and opened again when asked for. The
    /// root namespace's are kept.
    fn make_room(&self, all: &mut Paths) {
        let victim = all.keys().map(|(home, _)| home).find(|home| *home != ROOT_HOME).cloned();
        let Some(victim) = victim else { return };
        all.retain(|(home, _), _| *home != victim);
        self.lock_opened().retain(|(home, _, _), _| *home != victim);
    }

    /// A mount by its entry, also one that is mounted no more.
    ///
    /// # Errors
    /// Where no engine of this program has its type.
    pub fn mount(&self, home: &str, entry: &MountEntry) -> Result<Arc<dyn Mount>, Error> {
        let version = entry.options.get("version").cloned().unwrap_or_default();
        let key = (home.to_owned(), entry.table, entry.path.clone());
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

    fn lock_opened(&self) -> std::sync::MutexGuard<'_, BTreeMap<Place, Opened>> {
        self.opened.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock_paths(&self) -> std::sync::MutexGuard<'_, Paths> {
        self.paths.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Of namespaces that are kept at one time: two each.
const TABLES_MAX: usize = 8192;

/// As `auth/token` keeps what a token has in cubbyholes of namespaces below its own.
const CUBBYHOLES_BELOW: &str = "cubbyhole-below";

//! One request's reads and writes.
//!
//! **Invariant:** a request commits at most one [`Batch`], which becomes one log entry. Leases,
//! token uses and identity changes go in the same batch as what the engine wrote.

mod afterwards;
mod cache;
mod finish;
mod scope;

pub use afterwards::Afterwards;
pub use cache::RecordCache;
pub use finish::Batch;
pub use scope::{Page, Scope, check_path};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use serde::de::DeserializeOwned;

use crate::clock::Timestamp;
use crate::key::Key;
use crate::record::{Directory, Leadership, Revision, SystemKey};
use crate::request::Error;
use crate::rng::Rng;
use crate::secret::Secret;

/// The replicated state, decrypted as it is read. The barrier implements it.
pub trait Snapshot: Send + Sync {
    /// # Errors
    /// Where the store cannot be read or the record was tampered with.
    fn get(&self, key: &Key) -> Result<Stored, Error>;

    /// As [`Self::get`], without decrypting.
    ///
    /// # Errors
    /// Where the store cannot be read.
    fn revision(&self, key: &Key) -> Result<Revision, Error>;

    /// The first names in a directory (with its trailing slash; empty: the top), in an order
    /// that only the store knows; those after a name, where one is given.
    ///
    /// # Errors
    /// Where the store cannot be read or a record was tampered with.
    fn names(
        &self,
        directory: &str,
        after: Option<&str>,
        names_max: usize,
    ) -> Result<(Directory, Vec<String>), Error>;

    /// # Errors
    /// Where the store cannot be read.
    fn directory(&self, directory: &str) -> Result<Directory, Error>;

    /// # Errors
    /// Where the store cannot be read.
    fn system(&self, key: SystemKey) -> Result<Option<(Revision, Bytes)>, Error>;

    /// Seals what is given out instead of stored, such as a batch token. It opens with the same
    /// context alone, and never as a record.
    ///
    /// # Errors
    /// Where it is too long, or there is no key.
    fn seal(&self, rng: &dyn Rng, context: &[u8], plaintext: &[u8]) -> Result<Vec<u8>, Error>;

    /// What [`Self::seal`] sealed; `None` where this cluster did not, in this context.
    fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Secret<Vec<u8>>>;
}

pub struct Stored {
    pub revision: Revision,
    /// `None` where nothing is stored.
    pub value: Option<Secret<Vec<u8>>>,
}

pub struct Txn {
    snapshot: Box<dyn Snapshot>,
    cache: Arc<RecordCache>,
    /// Of the cache, when this began.
    generation: u64,
    leadership: Leadership,
    time: Timestamp,
    /// Revisions seen: what must still hold when the batch is applied.
    reads: BTreeMap<Key, Revision>,
    directories: BTreeMap<String, Revision>,
    system_reads: BTreeMap<SystemKey, Revision>,
    /// What stays when a handler fails: the token's use.
    kept: BTreeMap<Key, Write>,
    writes: BTreeMap<Key, Write>,
    system_writes: BTreeMap<SystemKey, Option<Bytes>>,
    /// It becomes an entry also where it writes nothing.
    demanded: bool,
    afterwards: Vec<Afterwards>,
}

pub enum Write {
    Delete,
    Put(Secret<Vec<u8>>),
}

impl Txn {
    pub fn new(
        snapshot: Box<dyn Snapshot>,
        cache: Arc<RecordCache>,
        leadership: Leadership,
        time: Timestamp,
    ) -> Self {
        Self {
            snapshot,
            generation: cache.generation(),
            cache,
            leadership,
            time,
            reads: BTreeMap::new(),
            directories: BTreeMap::new(),
            system_reads: BTreeMap::new(),
            kept: BTreeMap::new(),
            writes: BTreeMap::new(),
            system_writes: BTreeMap::new(),
            demanded: false,
            afterwards: Vec::new(),
        }
    }

    /// For what a node answers of itself: every access to storage fails.
    pub fn without_storage(now: Timestamp) -> Self {
        let nobody = Leadership { term: 0, node: 0 };
        Self::new(Box::new(NoStorage), Arc::default(), nobody, now)
    }

    /// The request's time: the same wherever it is asked for, and never earlier than the newest
    /// entry's.
    pub fn now(&self) -> Timestamp {
        self.time
    }

    /// Narrows to the keys below a prefix that ends in a slash.
    pub fn scope<'t>(&'t mut self, prefix: &'t str) -> Scope<'t> {
        Scope::new(self, prefix)
    }

    /// What was written so far stays even if [`Self::roll_back`] is called.
    pub fn keep(&mut self) {
        self.kept.append(&mut self.writes);
    }

    /// Forgets what was written since [`Self::keep`]. What was read is still checked.
    pub fn roll_back(&mut self) {
        self.writes.clear();
        self.system_writes.clear();
        self.afterwards.clear();
    }

    /// For whoever sees the request through: dropped, it says that nothing stands.
    pub fn take_afterwards(&mut self) -> Vec<Afterwards> {
        std::mem::take(&mut self.afterwards)
    }

    /// True where a record that was read has changed since: a reply made of several would show
    /// no state that ever was. A transaction that writes need not ask: `apply` checks the same.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn is_torn(&self) -> Result<bool, Error> {
        if self.reads.len() + self.directories.len() + self.system_reads.len() < 2 {
            return Ok(false);
        }
        for (key, seen) in &self.reads {
            if self.snapshot.revision(key)? != *seen {
                return Ok(true);
            }
        }
        for (directory, seen) in &self.directories {
            if self.snapshot.directory(directory)?.revision != *seen {
                return Ok(true);
            }
        }
        for (key, seen) in &self.system_reads {
            let now = self.snapshot.system(*key)?.map_or(Revision::ABSENT, |(now, _)| now);
            if now != *seen {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// An entry is made of it also where it writes nothing: that it was committed is remembered.
    pub fn demand_entry(&mut self) {
        self.demanded = true;
    }

    /// True where there is nothing to commit.
    pub fn wrote_nothing(&self) -> bool {
        !self.demanded
            && self.kept.is_empty()
            && self.writes.is_empty()
            && self.system_writes.is_empty()
    }

    /// Of the records that were written, not yet sealed; 0 where none was.
    pub fn largest_value_bytes(&self) -> usize {
        let writes = self.kept.values().chain(self.writes.values());
        let sizes = writes.map(|write| match write {
            Write::Delete => 0,
            Write::Put(value) => value.expose().len(),
        });
        sizes.max().unwrap_or_default()
    }

    fn written_bytes(&self) -> usize {
        let writes = self.kept.iter().chain(&self.writes);
        let sizes = writes.map(|(key, write)| match write {
            Write::Delete => key.path().len(),
            Write::Put(value) => key.path().len() + value.expose().len(),
        });
        sizes.sum()
    }

    /// A record in clear, its revision noted.
    ///
    /// # Errors
    /// Where the store cannot be read.
    pub fn system(&mut self, key: SystemKey) -> Result<Option<Bytes>, Error> {
        if let Some(written) = self.system_writes.get(&key) {
            return Ok(written.clone());
        }
        let stored = self.snapshot.system(key)?;
        let revision = stored.as_ref().map_or(Revision::ABSENT, |(revision, _)| *revision);
        self.system_reads.entry(key).or_insert(revision);
        Ok(stored.map(|(_, value)| value))
    }

    /// Never a secret: it is stored in clear.
    pub fn put_system(&mut self, key: SystemKey, value: Bytes) {
        self.system_writes.insert(key, Some(value));
    }

    fn get(&mut self, key: Key) -> Result<Option<Secret<Vec<u8>>>, Error> {
        match self.written(&key) {
            Some(Write::Put(bytes)) => return Ok(Some(Secret::new(bytes.expose().clone()))),
            Some(Write::Delete) => return Ok(None),
            None => {}
        }
        let stored = self.snapshot.get(&key)?;
        self.note(key, stored.revision);
        Ok(stored.value)
    }

    /// As `get`, but decrypted and parsed only where the record has changed since it was last.
    fn get_shared<T>(&mut self, key: Key) -> Result<Option<Arc<T>>, Error>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        if self.written(&key).is_some() {
            return self
                .get(key)?
                .as_ref()
                .map(decode)
                .transpose()
                .map(|value| value.map(Arc::new));
        }
        let revision = self.snapshot.revision(&key)?;
        if revision == Revision::ABSENT {
            self.note(key, revision);
            return Ok(None);
        }
        if let Some(cached) = self.cache.get::<T>(&key, revision) {
            self.note(key, revision);
            return Ok(Some(cached));
        }
        let stored = self.snapshot.get(&key)?;
        self.note(key.clone(), stored.revision);
        let Some(bytes) = stored.value else {
            return Ok(None);
        };
        let value = Arc::new(decode::<T>(&bytes)?);
        self.cache.insert(self.generation, key, stored.revision, value.clone());
        Ok(Some(value))
    }

    fn peek_shared<T>(&mut self, key: &Key) -> Result<Option<Arc<T>>, Error>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let was_noted = self.reads.contains_key(key);
        let value = self.get_shared(key.clone())?;
        if !was_noted {
            self.reads.remove(key);
        }
        Ok(value)
    }

    fn peek_revision(&self, key: &Key) -> Result<Revision, Error> {
        self.snapshot.revision(key)
    }

    fn names(&mut self, directory: &str) -> Result<Vec<String>, Error> {
        let (state, mut names) = self.snapshot.names(directory, None, usize::MAX)?;
        self.directories.entry(directory.to_owned()).or_insert(state.revision);
        let own = self.written_in(directory);
        if !own.is_empty() {
            names.retain(|name| !own.contains_key(name.as_str()));
            names.extend(own.iter().filter(|(_, put)| **put).map(|(name, _)| (*name).to_owned()));
        }
        names.sort_unstable();
        Ok(names)
    }

    fn page(
        &mut self,
        directory: &str,
        after: Option<&str>,
        names_max: usize,
    ) -> Result<Page, Error> {
        let own = self.written_in(directory);
        let deleted = own.values().filter(|put| !**put).count();
        // One more than can be wanted shows whether it is the last page.
        let asked = names_max.saturating_add(deleted).saturating_add(1);
        let (state, mut names) = self.snapshot.names(directory, after, asked)?;
        let is_all = names.len() < asked;
        names.retain(|name| own.get(name.as_str()).is_none_or(|put| *put));
        if is_all {
            let listed: BTreeSet<&str> = names.iter().map(String::as_str).collect();
            let put = own.iter().filter(|(name, put)| **put && !listed.contains(*name));
            let put: Vec<String> = put.map(|(name, _)| (*name).to_owned()).collect();
            names.extend(put);
        }
        let is_last = is_all && names.len() <= names_max;
        names.truncate(names_max);
        if is_last {
            self.directories.entry(directory.to_owned()).or_insert(state.revision);
        }
        Ok(Page { names, is_last })
    }

    /// The names in a directory that this transaction has written: true for a put.
    fn written_in(&self, directory: &str) -> BTreeMap<&str, bool> {
        let writes = self.kept.iter().chain(&self.writes);
        let writes = writes.filter(|(key, _)| key.directory() == directory);
        writes.map(|(key, write)| (key.name(), matches!(write, Write::Put(_)))).collect()
    }

    fn peek_names(&mut self, directory: &str) -> Result<Vec<String>, Error> {
        let was_noted = self.directories.contains_key(directory);
        let names = self.names(directory)?;
        if !was_noted {
            self.directories.remove(directory);
        }
        Ok(names)
    }

    fn directory_revision(&mut self, directory: &str) -> Result<Revision, Error> {
        Ok(self.snapshot.directory(directory)?.revision)
    }

    /// The first revision seen counts: what was decided by it must not pass for decided by a
    /// later one, because the record was read again.
    fn note(&mut self, key: Key, revision: Revision) {
        self.reads.entry(key).or_insert(revision);
    }

    fn write(&mut self, key: Key, write: Write) {
        self.writes.insert(key, write);
    }

    fn written(&self, key: &Key) -> Option<&Write> {
        self.writes.get(key).or_else(|| self.kept.get(key))
    }
}

struct NoStorage;

impl Snapshot for NoStorage {
    fn get(&self, _: &Key) -> Result<Stored, Error> {
        Err(Error::Sealed)
    }

    fn revision(&self, _: &Key) -> Result<Revision, Error> {
        Err(Error::Sealed)
    }

    fn names(&self, _: &str, _: Option<&str>, _: usize) -> Result<(Directory, Vec<String>), Error> {
        Err(Error::Sealed)
    }

    fn directory(&self, _: &str) -> Result<Directory, Error> {
        Err(Error::Sealed)
    }

    fn system(&self, _: SystemKey) -> Result<Option<(Revision, Bytes)>, Error> {
        Err(Error::Sealed)
    }

    fn seal(&self, _: &dyn Rng, _: &[u8], _: &[u8]) -> Result<Vec<u8>, Error> {
        Err(Error::Sealed)
    }

    fn open(&self, _: &[u8], _: &[u8]) -> Option<Secret<Vec<u8>>> {
        None
    }
}

fn decode<T: DeserializeOwned>(bytes: &Secret<Vec<u8>>) -> Result<T, Error> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes.expose());
    // What was stored was accepted: the listener bounds how deep a body may be.
    deserializer.disable_recursion_limit();
    T::deserialize(&mut deserializer).map_err(|error| Error::damaged(&error))
}

use std::sync::Arc;

use bytes::Bytes;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Afterwards, Txn, Write, decode};
use crate::clock::Timestamp;
use crate::key::Key;
use crate::record::{Leadership, Revision, SystemKey};
use crate::request::Error;
use crate::rng::Rng;
use crate::secret::Secret;

/// The part of a [`Txn`] that one mount may touch: a mount cannot name another's keys.
pub struct Scope<'t> {
    txn: &'t mut Txn,
    prefix: &'t str,
    /// What [`Self::beside`] may reach; `None`: nothing.
    namespace: Option<&'t str>,
}

impl<'t> Scope<'t> {
    pub(super) fn new(txn: &'t mut Txn, prefix: &'t str) -> Self {
        Self { txn, prefix, namespace: None }
    }

    /// Lets [`Self::beside`] reach all of a namespace: for what administers its mounts. The
    /// namespace ends in a slash.
    #[must_use]
    pub fn within(mut self, namespace: &'t str) -> Self {
        self.namespace = Some(namespace);
        self
    }

    /// The transaction's time, see [`Txn::now`].
    pub fn now(&self) -> Timestamp {
        self.txn.now()
    }

    /// Another part of the namespace, in the same transaction. `below` ends in a slash.
    ///
    /// # Errors
    /// Where this scope was not given the namespace.
    pub fn beside<R>(
        &mut self,
        below: &str,
        then: impl FnOnce(&mut Scope<'_>) -> Result<R, Error>,
    ) -> Result<R, Error> {
        let namespace = self.namespace.ok_or_else(|| {
            Error::internal("a mount's scope does not reach other parts of its namespace")
        })?;
        let prefix = format!("{namespace}{below}");
        then(&mut Scope::new(self.txn, &prefix))
    }

    /// A record in clear, for what administers the namespace.
    ///
    /// # Errors
    /// Where this scope was not given the namespace, or the store cannot be read.
    pub fn system(&mut self, key: SystemKey) -> Result<Option<Bytes>, Error> {
        self.administers()?;
        self.txn.system(key)
    }

    /// Never a secret: it is stored in clear.
    ///
    /// # Errors
    /// Where this scope was not given the namespace.
    pub fn put_system(&mut self, key: SystemKey, value: Bytes) -> Result<(), Error> {
        self.administers()?;
        self.txn.put_system(key, value);
        Ok(())
    }

    /// Runs once it is known whether the request stands: with the time, when it is committed and
    /// its answer was audited, else with `None`. For what is in memory alone.
    pub fn afterwards(&mut self, told: impl FnOnce(Option<Timestamp>) + Send + Sync + 'static) {
        self.txn.afterwards.push(Afterwards::new(told));
    }

    /// Under which this transaction runs: what is kept in memory from one request to the next
    /// ends with it.
    pub fn leadership(&self) -> Leadership {
        self.txn.leadership
    }

    fn administers(&self) -> Result<(), Error> {
        match self.namespace {
            Some(_) => Ok(()),
            None => Err(Error::internal("a mount's scope does not reach the cluster's records")),
        }
    }

    /// # Errors
    /// Where the path leaves the mount or ends in a slash, or the value cannot be serialized.
    pub fn put<T: Serialize>(&mut self, path: &str, value: &T) -> Result<(), Error> {
        let bytes = serde_json::to_vec(value).map_err(Error::internal)?;
        self.put_bytes(path, Secret::new(bytes))
    }

    /// # Errors
    /// As [`Self::put`].
    pub fn put_bytes(&mut self, path: &str, value: Secret<Vec<u8>>) -> Result<(), Error> {
        let key = self.key(path)?;
        self.txn.write(key, Write::Put(value));
        Ok(())
    }

    /// What is not there is no error.
    ///
    /// # Errors
    /// As [`Self::put`].
    pub fn delete(&mut self, path: &str) -> Result<(), Error> {
        let key = self.key(path)?;
        self.txn.write(key, Write::Delete);
        Ok(())
    }

    /// Sees this transaction's own writes, and notes the revision that it saw.
    ///
    /// # Errors
    /// As [`Self::put`], or where the store cannot be read.
    pub fn get<T: DeserializeOwned>(&mut self, path: &str) -> Result<Option<T>, Error> {
        let key = self.key(path)?;
        self.txn.get(key)?.as_ref().map(decode).transpose()
    }

    /// # Errors
    /// As [`Self::get`].
    pub fn get_bytes(&mut self, path: &str) -> Result<Option<Secret<Vec<u8>>>, Error> {
        let key = self.key(path)?;
        self.txn.get(key)
    }

    /// As [`Self::get`], for what is read often and seldom written: the parsed value is kept
    /// while its revision stands.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn get_shared<T>(&mut self, path: &str) -> Result<Option<Arc<T>>, Error>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let key = self.key(path)?;
        self.txn.get_shared(key)
    }

    /// The names in a directory, sorted: those of directories below it end in a slash.
    ///
    /// `directory` may have a trailing slash or none; empty is the scope's top.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn list(&mut self, directory: &str) -> Result<Vec<String>, Error> {
        let directory = self.directory(directory)?;
        self.txn.names(&directory)
    }

    /// Up to `names_max` names of a directory, in an order of the store's own: those after a
    /// name in that order, where one is given, be it there or not. Costs what it returns, however
    /// many there are.
    ///
    /// Only the last page is noted, so that "no more" holds when the transaction commits. What
    /// the transaction has put itself comes on the last page, maybe for a second time.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn page(
        &mut self,
        directory: &str,
        after: Option<&str>,
        names_max: usize,
    ) -> Result<Page, Error> {
        let directory = self.directory(directory)?;
        self.txn.page(&directory, after, names_max)
    }

    /// How many records a directory holds, those of directories below it not counted, as they are
    /// stored; not noted. Costs one look-up.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn directory_records(&mut self, directory: &str) -> Result<u64, Error> {
        let directory = self.directory(directory)?;
        Ok(self.txn.snapshot.directory(&directory)?.records)
    }

    /// The revision of a directory, not noted: for caches that are checked by it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn directory_revision(&mut self, directory: &str) -> Result<Revision, Error> {
        let directory = self.directory(directory)?;
        self.txn.directory_revision(&directory)
    }

    /// As [`Self::list`], not noted: for caches that are checked by the directory's revision.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn peek_names(&mut self, directory: &str) -> Result<Vec<String>, Error> {
        let directory = self.directory(directory)?;
        self.txn.peek_names(&directory)
    }

    /// The revision of a record, not noted: for caches that are checked by it.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn peek_revision(&mut self, path: &str) -> Result<Revision, Error> {
        let key = self.key(path)?;
        self.txn.peek_revision(&key)
    }

    /// As [`Self::get_shared`], not noted: for what a request need not run again for.
    ///
    /// # Errors
    /// As [`Self::get`].
    pub fn peek_shared<T>(&mut self, path: &str) -> Result<Option<Arc<T>>, Error>
    where
        T: DeserializeOwned + Send + Sync + 'static,
    {
        let key = self.key(path)?;
        self.txn.peek_shared(&key)
    }

    /// Seals what is given out instead of stored; see [`super::Snapshot::seal`].
    ///
    /// # Errors
    /// Where it is too long, or the node is sealed.
    pub fn seal(
        &self,
        rng: &dyn Rng,
        context: &[u8],
        plaintext: &Secret<Vec<u8>>,
    ) -> Result<Vec<u8>, Error> {
        self.txn.snapshot.seal(rng, context, plaintext.expose())
    }

    /// What [`Self::seal`] sealed; `None` where this cluster did not, in this context.
    pub fn open(&self, context: &[u8], sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        self.txn.snapshot.open(context, sealed)
    }

    /// Of all that the transaction writes, names included, not yet sealed: for steps of jobs, which
    /// end before their entry is long.
    pub fn written_bytes(&self) -> usize {
        self.txn.written_bytes()
    }

    /// A narrower scope. `below` ends in a slash.
    pub fn narrow<R>(&mut self, below: &str, then: impl FnOnce(&mut Scope<'_>) -> R) -> R {
        let prefix = format!("{}{below}", self.prefix);
        then(&mut Scope::new(self.txn, &prefix))
    }

    fn directory(&self, directory: &str) -> Result<String, Error> {
        let directory = directory.trim_end_matches('/');
        check_path(directory)?;
        let slash = if directory.is_empty() { "" } else { "/" };
        Ok(format!("{}{directory}{slash}", self.prefix))
    }

    fn key(&self, path: &str) -> Result<Key, Error> {
        check_path(path)?;
        if path.is_empty() || path.ends_with('/') {
            return Err(Error::bad_request("cannot write to a path ending in '/'"));
        }
        Ok(Key::new(format!("{}{path}", self.prefix)))
    }
}

/// Some of the names in a directory.
#[derive(Debug, Eq, PartialEq)]
pub struct Page {
    pub names: Vec<String>,
    /// Whether no names come after them.
    pub is_last: bool,
}

/// Refuses what would name something else than it seems to.
///
/// # Errors
/// [`Error::BadRequest`], with the path.
pub fn check_path(path: &str) -> Result<(), Error> {
    let strange = |segment: &str| matches!(segment, "." | "..");
    if path.split('/').any(strange) || path.starts_with('/') || path.contains("//") {
        return Err(Error::BadRequest(format!("path leaves its mount: {path:?}")));
    }
    Ok(())
}

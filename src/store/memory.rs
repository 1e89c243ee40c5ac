use std::collections::BTreeMap;
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use bytes::Bytes;

use super::apply::{Effects, apply};
use super::requests::Requests;
use super::state::listed_range;
use crate::clock::Timestamp;
use crate::record::{
    Applied, Directory, Leadership, Part, Record, Remembered, RequestId, Revision, SealedBatch,
    Staged, StoredDirectory, StoredKey, SystemKey, View, ViewError, VisitRecord,
};

/// The whole state in memory, gone with the process: `storage "inmem"`, `-dev`, and tests.
#[derive(Default)]
pub struct MemoryState(RwLock<Tables>);

/// All of it, as one value: a snapshot.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Tables {
    pub directories: BTreeMap<StoredDirectory, Directory>,
    pub records: BTreeMap<StoredKey, Record>,
    pub system: BTreeMap<SystemKey, (Revision, Bytes)>,
    pub requests: Requests,
    pub time: Timestamp,
}

impl MemoryState {
    /// Entries must come one after the other.
    ///
    /// # Errors
    /// None: memory can always be read. The signature is the store's.
    pub fn apply(
        &self,
        index: u64,
        leadership: Leadership,
        batch: &SealedBatch,
    ) -> Result<Applied, ViewError> {
        {
            let mut tables = self.write();
            let time = tables.time.max(batch.header.time);
            tables.requests.advance(time, &batch.header);
        }
        let (applied, effects) = apply(self, index, leadership, batch)?;
        self.write().merge(effects);
        Ok(applied)
    }

    /// The state at one point.
    pub fn tables(&self) -> Tables {
        self.read().clone()
    }

    /// Takes over what [`Self::tables`] gave elsewhere.
    pub fn replace(&self, tables: Tables) {
        *self.write() = tables;
    }

    fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.0.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Tables {
    fn merge(&mut self, effects: Effects) {
        merge(&mut self.records, effects.records);
        merge(&mut self.directories, effects.directories);
        merge(&mut self.system, effects.system);
        self.time = effects.time;
        if let Some((id, step, response)) = effects.remembered {
            self.requests.remember((id, step), response, effects.time);
        }
    }
}

impl View for MemoryState {
    fn get(&self, key: &StoredKey) -> Result<Option<Record>, ViewError> {
        Ok(self.read().records.get(key).cloned())
    }

    fn list(
        &self,
        directory: &StoredDirectory,
        part: Part,
        visit: &mut VisitRecord<'_>,
    ) -> Result<Directory, ViewError> {
        let tables = self.read();
        let state = tables.directories.get(directory).copied().unwrap_or(Directory::ABSENT);
        let range = tables.records.range(listed_range(directory, &part)).take(part.records_max);
        // Values are shared, and nobody waits for the visitor.
        let records: Vec<_> = range.map(|(key, record)| (*key, record.clone())).collect();
        drop(tables);
        let _ = records.into_iter().try_for_each(|(key, record)| visit(key, record));
        Ok(state)
    }

    fn directory(&self, directory: &StoredDirectory) -> Result<Directory, ViewError> {
        Ok(self.read().directories.get(directory).copied().unwrap_or(Directory::ABSENT))
    }

    fn system(&self, key: SystemKey) -> Result<Option<(Revision, Bytes)>, ViewError> {
        Ok(self.read().system.get(&key).cloned())
    }

    fn recall(&self, id: &RequestId, step: u32, time: Timestamp) -> Result<Remembered, ViewError> {
        Ok(self.read().requests.recall(id, step, time))
    }

    /// Nothing ever: what is kept in memory alone has no snapshot that could be restored.
    fn staged(&self) -> Result<Option<Staged>, ViewError> {
        Ok(None)
    }

    fn time(&self) -> Result<Timestamp, ViewError> {
        Ok(self.read().time)
    }
}

impl Tables {
    /// What is remembered of requests, as rows.
    pub fn request_rows(&self) -> BTreeMap<Vec<u8>, Vec<u8>> {
        self.requests.rows()
    }

    /// Takes one of [`Self::request_rows`] back; `None` where it is damaged.
    pub fn load_request_row(&mut self, key: &[u8], value: Bytes) -> Option<()> {
        self.requests.load(key, value)
    }
}

fn merge<K: Ord, V>(table: &mut BTreeMap<K, V>, changes: BTreeMap<K, Option<V>>) {
    for (key, value) in changes {
        match value {
            Some(value) => table.insert(key, value),
            None => table.remove(&key),
        };
    }
}

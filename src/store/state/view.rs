//! How the state is read: the layers in memory first, then the checkpoint.

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::overlay::decode;
use super::table::{
    Directories, RawKey, Records, System, TABLES_FIRST, TABLES_LAST, Table, directory_range,
};
use super::{Shared, State, unreadable};
use crate::clock::Timestamp;
use crate::record::{
    Directory, Record, Remembered, RequestId, Revision, StoredDirectory, StoredKey, SystemKey,
    View, ViewError,
};
use crate::store::Error;

impl View for State {
    fn get(&self, key: &StoredKey) -> Result<Option<Record>, ViewError> {
        self.0.shared.get(key)
    }

    fn list(
        &self,
        directory: &StoredDirectory,
    ) -> Result<(Directory, Vec<(StoredKey, Record)>), ViewError> {
        self.0.shared.list(directory)
    }

    fn directory(&self, directory: &StoredDirectory) -> Result<Directory, ViewError> {
        self.0.shared.directory(directory)
    }

    fn system(&self, key: SystemKey) -> Result<Option<(Revision, Bytes)>, ViewError> {
        self.0.shared.system(key)
    }

    fn recall(&self, id: &RequestId, step: u32, time: Timestamp) -> Result<Remembered, ViewError> {
        self.0.shared.recall(id, step, time)
    }

    fn time(&self) -> Result<Timestamp, ViewError> {
        self.0.shared.time()
    }
}

impl View for Shared {
    fn get(&self, key: &StoredKey) -> Result<Option<Record>, ViewError> {
        self.look_up::<Records>(key)
    }

    fn list(
        &self,
        directory: &StoredDirectory,
    ) -> Result<(Directory, Vec<(StoredKey, Record)>), ViewError> {
        let (first, last) = directory_range(directory);
        // While the lock is held the layers stand still, and a layer is dropped only under it,
        // after its commit: layers and point together are one point.
        let overlay = self.read();
        let checkpoint = overlay.checkpoint.clone();
        let point = checkpoint.point().map_err(unreadable)?;
        let mut changed = overlay.records((first, last));
        let state = overlay.look_up::<Directories>(directory);
        drop(overlay);
        let state = match state {
            Some(found) => found,
            None => {
                let value = point.get(Directories::key(directory).as_slice());
                value.and_then(decode::<Directories>).map_err(unreadable)?
            }
        };
        let mut found = Vec::new();
        let [first, last] = [first, last].map(|bound| Records::key(&bound));
        let scanned = point.scan(first.as_slice(), last.as_slice(), &mut |key, value| {
            let key = key.get(1..).and_then(|key| key.try_into().ok()).map(StoredKey);
            let key = key.ok_or_else(|| Error::Database("a stored key is damaged".to_owned()))?;
            while let Some(change) = changed.first_entry()
                && *change.key() < key
            {
                let (key, record) = change.remove_entry();
                found.extend(record.map(|record| (key, record)));
            }
            let record = match changed.remove(&key) {
                Some(record) => record,
                None => decode::<Records>(Some(Bytes::copy_from_slice(value)))?,
            };
            found.extend(record.map(|record| (key, record)));
            Ok(())
        });
        scanned.map_err(unreadable)?;
        let rest = changed.into_iter().filter_map(|(key, record)| Some((key, record?)));
        found.extend(rest);
        Ok((state.unwrap_or(Directory::ABSENT), found))
    }

    fn directory(&self, directory: &StoredDirectory) -> Result<Directory, ViewError> {
        let found = self.look_up::<Directories>(directory)?;
        Ok(found.unwrap_or(Directory::ABSENT))
    }

    fn system(&self, key: SystemKey) -> Result<Option<(Revision, Bytes)>, ViewError> {
        self.look_up::<System>(&key)
    }

    fn recall(&self, id: &RequestId, step: u32, time: Timestamp) -> Result<Remembered, ViewError> {
        Ok(self.read().requests.recall(id, step, time))
    }

    fn time(&self) -> Result<Timestamp, ViewError> {
        Ok(self.read().mark.time)
    }
}

impl Shared {
    pub(super) fn hash(&self) -> Result<[u8; 32], Error> {
        let overlay = self.read();
        let checkpoint = overlay.checkpoint.clone();
        let point = checkpoint.point()?;
        let mut changes = overlay.changes();
        let mark = overlay.mark.clone();
        drop(overlay);
        let mut hash = Sha256::new();
        let mut add = |key: &[u8], value: &[u8]| {
            hash.update((key.len() as u64).to_le_bytes());
            hash.update(key);
            hash.update((value.len() as u64).to_le_bytes());
            hash.update(value);
        };
        add(RawKey::mark().as_slice(), &mark.encode());
        point.scan(&TABLES_FIRST, &TABLES_LAST, &mut |key, value| {
            while let Some(change) = changes.first_entry()
                && change.key() < key
            {
                let (key, value) = change.remove_entry();
                value.iter().for_each(|value| add(&key, value));
            }
            match changes.remove(key) {
                Some(changed) => changed.iter().for_each(|value| add(key, value)),
                None => add(key, value),
            }
            Ok(())
        })?;
        for (key, value) in changes {
            value.iter().for_each(|value| add(&key, value));
        }
        Ok(hash.finalize().into())
    }

    fn look_up<T: Table>(&self, key: &T::Key) -> Result<Option<T::Value>, ViewError> {
        let checkpoint = {
            let overlay = self.read();
            if let Some(found) = overlay.look_up::<T>(key) {
                return Ok(found);
            }
            overlay.checkpoint.clone()
        };
        let value = checkpoint.get(T::key(key).as_slice()).map_err(unreadable)?;
        decode::<T>(value).map_err(unreadable)
    }
}

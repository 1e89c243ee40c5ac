//! How the state is read: the layers in memory first, then the checkpoint.

use std::ops::ControlFlow;

use bytes::Bytes;
use sha2::{Digest as _, Sha256};

use super::checkpoint::Point;
use super::overlay::{ChangedRecords, StoredRange, decode};
use super::table::{Directories, RawKey, Records, Stage, System, TABLES, Table, listed_range};
use super::{Shared, State, unreadable};
use crate::clock::Timestamp;
use crate::record::{
    Directory, Part, Record, Remembered, RequestId, Revision, Staged, StoredDirectory, StoredKey,
    SystemKey, View, ViewError, VisitRecord,
};
use crate::store::Error;
use crate::store::apply::StagedPart;

impl View for State {
    fn get(&self, key: &StoredKey) -> Result<Option<Record>, ViewError> {
        self.0.shared.get(key)
    }

    fn list(
        &self,
        directory: &StoredDirectory,
        part: Part,
        visit: &mut VisitRecord<'_>,
    ) -> Result<Directory, ViewError> {
        self.0.shared.list(directory, part, visit)
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

    fn staged(&self) -> Result<Option<Staged>, ViewError> {
        self.0.shared.staged()
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
        part: Part,
        visit: &mut VisitRecord<'_>,
    ) -> Result<Directory, ViewError> {
        let range = listed_range(directory, &part);
        // While the lock is held the layers stand still, and a layer is dropped only under it,
        // after its commit: layers and point together are one point.
        let overlay = self.read();
        let checkpoint = overlay.checkpoint.clone();
        let point = checkpoint.point().map_err(unreadable)?;
        let changed = overlay.records(range, part.records_max);
        let state = overlay.look_up::<Directories>(directory);
        drop(overlay);
        let state = match state {
            Some(found) => found,
            None => {
                let value = point.get(Directories::key(directory).as_slice());
                value.and_then(decode::<Directories>).map_err(unreadable)?
            }
        };
        let mut left = part.records_max;
        let mut show = |key: StoredKey, record: Option<Record>| {
            let Some(record) = record else { return ControlFlow::Continue(()) };
            left -= 1;
            let flow = visit(key, record);
            if left == 0 { ControlFlow::Break(()) } else { flow }
        };
        if part.records_max > 0 {
            merge(&*point, range, &changed, &mut show).map_err(unreadable)?;
        }
        Ok(state.unwrap_or(Directory::ABSENT))
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

    fn staged(&self) -> Result<Option<Staged>, ViewError> {
        Ok(match self.look_up::<Stage>(&0)? {
            Some(StagedPart::All(staged)) => Some(staged),
            _ => None,
        })
    }

    fn time(&self) -> Result<Timestamp, ViewError> {
        Ok(self.read().mark.time)
    }
}

/// The records of a range, those of the checkpoint under what has changed since.
fn merge(
    point: &dyn Point,
    range: StoredRange,
    changed: &ChangedRecords,
    show: &mut dyn FnMut(StoredKey, Option<Record>) -> ControlFlow<()>,
) -> Result<(), Error> {
    let mut changed = changed.iter().peekable();
    let [first, last] = [range.0, range.1].map(|bound| bound.map(|key| Records::key(&key)));
    let range = (first.as_ref().map(RawKey::as_slice), last.as_ref().map(RawKey::as_slice));
    let mut flow = ControlFlow::Continue(());
    point.scan(range, &mut |key, value| {
        let key = key.get(1..).and_then(|key| key.try_into().ok()).map(StoredKey);
        let key = key.ok_or_else(|| Error::Database("a stored key is damaged".to_owned()))?;
        while flow.is_continue()
            && let Some((key, record)) = changed.next_if(|(change, _)| *change < key)
        {
            flow = show(key, record.clone());
        }
        if flow.is_continue() {
            let record = match changed.next_if(|(change, _)| *change == key) {
                Some((_, record)) => record.clone(),
                None => decode::<Records>(Some(Bytes::copy_from_slice(value)))?,
            };
            flow = show(key, record);
        }
        Ok(flow)
    })?;
    while flow.is_continue()
        && let Some((key, record)) = changed.next()
    {
        flow = show(key, record.clone());
    }
    Ok(())
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
        point.scan(TABLES, &mut |key, value| {
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
            Ok(ControlFlow::Continue(()))
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

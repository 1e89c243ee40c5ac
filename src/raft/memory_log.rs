//! A log in memory: `storage "inmem"` and tests.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::io;
use std::ops::RangeBounds;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};

use super::types::{Entry, LogId, TypeConfig, Vote, entry_bytes};

/// Clones share the log, so that a node may stop and start again with what it had.
#[derive(Clone, Default)]
pub struct MemoryLogStore(Arc<Mutex<Log>>);

#[derive(Default)]
struct Log {
    vote: Option<Vote>,
    committed: Option<LogId>,
    purged: Option<LogId>,
    entries: BTreeMap<u64, Entry>,
}

impl MemoryLogStore {
    fn lock(&self) -> MutexGuard<'_, Log> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftLogReader<TypeConfig> for MemoryLogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        Ok(self.lock().entries.range(range).map(|(_, entry)| entry.clone()).collect())
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        Ok(self.lock().vote)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        let log = self.lock();
        Ok(limit(log.entries.range(start..end).map(|(_, entry)| entry.clone())))
    }
}

impl RaftLogStorage<TypeConfig> for MemoryLogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let log = self.lock();
        let last = log.entries.last_key_value().map(|(_, entry)| entry.log_id).or(log.purged);
        Ok(LogState { last_purged_log_id: log.purged, last_log_id: last })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        self.lock().vote = Some(*vote);
        Ok(())
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        self.lock().committed = committed;
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.lock().committed)
    }

    async fn append<I>(
        &mut self,
        entries: I,
        callback: IOFlushed<TypeConfig>,
    ) -> Result<(), io::Error>
    where
        I: IntoIterator<Item = Entry> + OptionalSend,
        I::IntoIter: OptionalSend,
    {
        let entries = entries.into_iter().map(|entry| (entry.log_id.index, entry));
        self.lock().entries.extend(entries);
        callback.io_completed(Ok(()));
        Ok(())
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        let from = last.map_or(0, |last| last.index.saturating_add(1));
        self.lock().entries.split_off(&from);
        Ok(())
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        let mut log = self.lock();
        log.purged = log.purged.max(Some(upto));
        log.entries = log.entries.split_off(&upto.index.saturating_add(1));
        Ok(())
    }
}

/// As many entries as one message may hold, but at least one: raft takes none for an error.
pub(super) fn limit(entries: impl Iterator<Item = Entry>) -> Vec<Entry> {
    let mut taken = Vec::new();
    let mut bytes = 0_usize;
    for entry in entries {
        bytes = bytes.saturating_add(entry_bytes(&entry));
        if bytes > CHUNK_BYTES_MAX && !taken.is_empty() {
            break;
        }
        taken.push(entry);
    }
    taken
}

/// Of entries in one message. A single larger entry goes alone.
pub(super) const CHUNK_BYTES_MAX: usize = 2 * 1024 * 1024;

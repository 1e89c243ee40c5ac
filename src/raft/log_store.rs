//! The log on disk, as raft wants it.

use std::fmt::Debug;
use std::io;
use std::ops::{Bound, RangeBounds};

use bytes::Bytes;
use futures_util::Stream;
use openraft::OptionalSend;
use openraft::storage::{IOFlushed, LogState, RaftLogReader, RaftLogStorage};
use prost::Message as _;
use tokio::sync::oneshot;

use super::memory_log::CHUNK_BYTES_MAX;
use super::types::{
    Entry, LogId, TypeConfig, Vote, decode_payload, decode_vote, encode_payload, encode_vote,
    from_entry_id, to_entry_id,
};
use crate::proto::raft as proto;
use crate::store::{Entry as StoredEntry, SegmentLog};

/// Clones share the log.
#[derive(Clone)]
pub struct DiskLogStore(SegmentLog);

impl DiskLogStore {
    pub fn new(log: SegmentLog) -> Self {
        Self(log)
    }

    /// As many entries from the start of the range as one message may hold, but at least one.
    pub(super) fn read(&self, start: u64, end: u64) -> io::Result<Vec<Entry>> {
        if start >= end {
            return Ok(Vec::new());
        }
        let stored = self.0.read(start..end, CHUNK_BYTES_MAX).map_err(io::Error::other)?;
        stored.into_iter().map(decode).collect()
    }

    /// A range as openraft gives it, from its first index to the one after its last.
    fn bounds(&self, range: &impl RangeBounds<u64>) -> (u64, u64) {
        let after = |index: &u64| index.saturating_add(1);
        let state = self.0.state();
        let first = state.last_purged.map_or(0, |id| id.index.saturating_add(1));
        let last = state.last.map_or(0, |id| id.index.saturating_add(1));
        let start = match range.start_bound() {
            Bound::Included(start) => *start,
            Bound::Excluded(start) => after(start),
            Bound::Unbounded => first,
        };
        let end = match range.end_bound() {
            Bound::Included(end) => after(end),
            Bound::Excluded(end) => *end,
            Bound::Unbounded => last,
        };
        (start.max(first), end.min(last))
    }
}

impl RaftLogReader<TypeConfig> for DiskLogStore {
    async fn try_get_log_entries<RB: RangeBounds<u64> + Clone + Debug + OptionalSend>(
        &mut self,
        range: RB,
    ) -> Result<Vec<Entry>, io::Error> {
        let (mut start, end) = self.bounds(&range);
        let mut entries = Vec::new();
        while start < end {
            let chunk = self.read(start, end)?;
            let Some(last) = chunk.last() else { break };
            start = last.log_id.index.saturating_add(1);
            entries.extend(chunk);
        }
        Ok(entries)
    }

    /// In chunks: what is applied at start may be far larger than memory.
    async fn entries_stream<RB>(
        &mut self,
        range: RB,
    ) -> impl Stream<Item = Result<Entry, io::Error>> + OptionalSend
    where
        RB: RangeBounds<u64> + Clone + Debug + OptionalSend,
    {
        let (start, end) = self.bounds(&range);
        let reading = Reading { log: self.clone(), start, end, chunk: Vec::new().into_iter() };
        futures_util::stream::unfold(Some(reading), |reading| async move {
            let mut reading = reading?;
            match reading.next().transpose()? {
                Ok(entry) => Some((Ok(entry), Some(reading))),
                Err(error) => Some((Err(error), None)),
            }
        })
    }

    async fn read_vote(&mut self) -> Result<Option<Vote>, io::Error> {
        let Some(bytes) = self.0.read_vote() else { return Ok(None) };
        let vote = proto::Vote::decode(bytes).map_err(io::Error::other)?;
        decode_vote(Some(&vote)).map(Some).map_err(io::Error::other)
    }

    async fn limited_get_log_entries(
        &mut self,
        start: u64,
        end: u64,
    ) -> Result<Vec<Entry>, io::Error> {
        self.read(start, end)
    }
}

/// Entries that are read as they are wanted.
struct Reading {
    log: DiskLogStore,
    start: u64,
    end: u64,
    chunk: std::vec::IntoIter<Entry>,
}

impl Reading {
    fn next(&mut self) -> io::Result<Option<Entry>> {
        if self.chunk.len() == 0 {
            self.chunk = self.log.read(self.start, self.end)?.into_iter();
        }
        let entry = self.chunk.next();
        if let Some(entry) = &entry {
            self.start = entry.log_id.index.saturating_add(1);
        }
        Ok(entry)
    }
}

impl RaftLogStorage<TypeConfig> for DiskLogStore {
    type LogReader = Self;

    async fn get_log_state(&mut self) -> Result<LogState<TypeConfig>, io::Error> {
        let state = self.0.state();
        Ok(LogState {
            last_purged_log_id: state.last_purged.map(from_entry_id),
            last_log_id: state.last.map(from_entry_id),
        })
    }

    async fn get_log_reader(&mut self) -> Self {
        self.clone()
    }

    async fn save_vote(&mut self, vote: &Vote) -> Result<(), io::Error> {
        let (sender, flushed) = oneshot::channel();
        let vote = encode_vote(vote).encode_to_vec().into();
        let notify = Box::new(move |result| drop(sender.send(result)));
        self.0.save_vote(vote, notify).map_err(io::Error::other)?;
        flushed.await.map_err(io::Error::other)?.map_err(io::Error::other)
    }

    async fn save_committed(&mut self, committed: Option<LogId>) -> Result<(), io::Error> {
        if let Some(committed) = committed {
            self.0.save_committed(to_entry_id(&committed));
        }
        Ok(())
    }

    async fn read_committed(&mut self) -> Result<Option<LogId>, io::Error> {
        Ok(self.0.read_committed().map(from_entry_id))
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
        let entries = entries.into_iter().map(|entry| encode(&entry)).collect();
        let flushed = Box::new(move |result: Result<(), crate::store::Error>| {
            callback.io_completed(result.map_err(io::Error::other));
        });
        self.0.append(entries, flushed).map_err(io::Error::other)
    }

    async fn truncate_after(&mut self, last: Option<LogId>) -> Result<(), io::Error> {
        self.0.truncate_after(last.map(|last| last.index)).map_err(io::Error::other)
    }

    async fn purge(&mut self, upto: LogId) -> Result<(), io::Error> {
        self.0.purge(to_entry_id(&upto)).map_err(io::Error::other)
    }
}

fn encode(entry: &Entry) -> StoredEntry {
    StoredEntry { id: to_entry_id(&entry.log_id), payload: encode_payload(&entry.payload) }
}

fn decode(stored: StoredEntry) -> io::Result<Entry> {
    let payload: Bytes = stored.payload;
    let payload = decode_payload(payload).map_err(io::Error::other)?;
    Ok(Entry { log_id: from_entry_id(stored.id), payload })
}

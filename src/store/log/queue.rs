use std::collections::VecDeque;

use bytes::Bytes;

use super::Flushed;
use super::format::{BATCH_HEADER_BYTES, BATCHES_AT, Record};
use super::recovery::Recovered;
use super::tail::Tail;
use super::writer::Command;
use crate::store::{Entry, EntryId, Error};

/// The log as its callers see it, and what of it still has to be written.
///
/// **Invariant:** both change together, under one lock: the stream has the order of the calls.
pub(super) struct Queue {
    pub(super) tail: Tail,
    pub(super) vote: Option<Bytes>,
    pub(super) committed: Option<EntryId>,
    /// `committed` is newer than the stream.
    committed_waits: bool,
    /// How far checkpoints go.
    covered: Option<EntryId>,
    /// The newest purge in the stream.
    purged: Option<EntryId>,
    /// The last index in the stream, queued commands included.
    last: Option<u64>,
    pub(super) commands: VecDeque<Command>,
    pub(super) bytes: usize,
    pub(super) closing: bool,
    pub(super) failure: Option<Error>,
}

impl Queue {
    pub(super) fn new(cache_bytes_max: usize, recovered: Option<Recovered>) -> Self {
        let mut queue = Self {
            tail: Tail::new(cache_bytes_max),
            vote: None,
            committed: None,
            committed_waits: false,
            covered: None,
            purged: None,
            last: None,
            commands: VecDeque::new(),
            bytes: 0,
            closing: false,
            failure: None,
        };
        if let Some(recovered) = recovered {
            queue.tail = recovered.tail;
            queue.vote = recovered.vote;
            queue.committed = recovered.committed;
            queue.purged = recovered.purged;
            queue.covered = recovered.purged;
            queue.last = recovered.last.map(|last| last.index);
        }
        queue
    }

    pub(super) fn append(
        &mut self,
        entries: Vec<Entry>,
        flushed: Flushed,
        segment_bytes: u32,
    ) -> Result<(), Error> {
        let mut next = self.tail.next();
        let mut bytes = 0;
        let bytes_max = payload_bytes_max(segment_bytes);
        for entry in &entries {
            let found = entry.id.index;
            match next {
                Some(expected) if expected != found => return Err(Error::Gap { found, expected }),
                _ => next = Some(found.saturating_add(1)),
            }
            if entry.payload.len() > bytes_max {
                return Err(Error::TooLarge { bytes: entry.payload.len(), bytes_max });
            }
            bytes += entry.payload.len();
        }
        // Readable or not: where a purge made a hole, it must be in the stream first.
        if let (Some(last), Some(first)) = (self.last, entries.first())
            && first.id.index != last.saturating_add(1)
        {
            return Err(Error::Gap { found: first.id.index, expected: last.saturating_add(1) });
        }
        self.last = entries.last().map(|entry| entry.id.index).or(self.last);
        let mut serial = None;
        for entry in &entries {
            let pushed = self.tail.push(entry.clone(), None);
            serial.get_or_insert(pushed);
        }
        // Without entries the callback still waits for its turn.
        self.put(bytes, Command::Append { entries, serial: serial.unwrap_or_default(), flushed });
        Ok(())
    }

    pub(super) fn save_vote(&mut self, vote: Bytes, flushed: Flushed) -> Result<(), Error> {
        if vote.len() > VOTE_BYTES_MAX {
            return Err(Error::TooLarge { bytes: vote.len(), bytes_max: VOTE_BYTES_MAX });
        }
        self.vote = Some(vote.clone());
        self.put(vote.len(), Command::Vote(vote, flushed));
        Ok(())
    }

    pub(super) fn truncate_after(&mut self, index: Option<u64>) -> Result<(), Error> {
        let base = self.tail.base().map(|base| base.index);
        if index.is_some() && index < base {
            return Err(Error::Purged { index: index.unwrap_or_default() });
        }
        let index = index.or(base);
        self.tail.truncate_after(index);
        // It may truncate nothing; the stream must not be told of entries that never were.
        if self.last > index {
            self.last = index;
            self.put(0, Command::Truncate(index));
        }
        Ok(())
    }

    pub(super) fn purge(&mut self, upto: EntryId) {
        self.tail.purge(upto);
        self.put_purge();
    }

    pub(super) fn checkpointed(&mut self, upto: EntryId) {
        self.covered = self.covered.max(Some(upto));
        self.put_purge();
    }

    pub(super) fn save_committed(&mut self, committed: EntryId) {
        if self.committed < Some(committed) {
            self.committed = Some(committed);
            self.committed_waits = true;
        }
    }

    pub(super) fn has_work(&self) -> bool {
        !self.commands.is_empty()
    }

    /// What the writer is to write next; empty where there is nothing.
    pub(super) fn take(&mut self) -> VecDeque<Command> {
        let mut taken = std::mem::take(&mut self.commands);
        self.bytes = 0;
        if !taken.is_empty() {
            taken.append(&mut self.take_mark());
        }
        taken
    }

    /// How far entries are committed, where that is not in the stream; after all that was taken.
    pub(super) fn take_mark(&mut self) -> VecDeque<Command> {
        // What is queued has to come first: it goes with that.
        let ready = self.commands.is_empty() && std::mem::take(&mut self.committed_waits);
        self.committed.filter(|_| ready).map(Command::Committed).into_iter().collect()
    }

    /// As far as both the caller has purged and a checkpoint goes.
    fn put_purge(&mut self) {
        let upto = self.tail.base().min(self.covered);
        if let Some(upto) = upto.filter(|upto| Some(*upto) > self.purged) {
            self.purged = Some(upto);
            self.last = self.last.max(Some(upto.index));
            self.put(0, Command::Purge(upto));
        }
    }

    fn put(&mut self, bytes: usize, command: Command) {
        // What a command takes besides its payloads, about.
        self.bytes = self.bytes.saturating_add(bytes).saturating_add(64);
        self.commands.push_back(command);
    }
}

/// An entry must fit into a segment that holds nothing else.
fn payload_bytes_max(segment_bytes: u32) -> usize {
    let empty =
        Record::Entry(Entry { id: EntryId { index: 0, term: 0, node: 0 }, payload: Bytes::new() });
    let taken = BATCHES_AT as usize + CARRIED_BYTES_MAX + BATCH_HEADER_BYTES + empty.bytes();
    (segment_bytes as usize).saturating_sub(taken)
}

const VOTE_BYTES_MAX: usize = 512;
/// What a segment begins with.
const CARRIED_BYTES_MAX: usize = BATCH_HEADER_BYTES + VOTE_BYTES_MAX + 4 * 40;

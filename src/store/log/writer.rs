use std::collections::{BTreeMap, VecDeque};
use std::num::NonZeroU64;
use std::sync::Arc;

use bytes::Bytes;

use super::Flushed;
use super::files::Files;
use super::format::{BATCHES_AT, BatchBuilder, Position, Record, encode_segment_header};
use super::recovery::Recovered;
use super::tail::Place;
use crate::store::{Entry, EntryId, Error, File};

/// What callers hand to the writer, in the order of their calls.
pub(super) enum Command {
    Append {
        entries: Vec<Entry>,
        /// The first entry's; the others' follow.
        serial: u64,
        flushed: Flushed,
    },
    Vote(Bytes, Flushed),
    Truncate(Option<u64>),
    Purge(EntryId),
    /// The newest mark when the commands were taken: after them all.
    Committed(EntryId),
}

/// An entry that has reached the disk.
pub(super) struct Placement {
    pub(super) index: u64,
    pub(super) serial: u64,
    pub(super) place: Place,
}

/// Puts commands into the stream: one write and one sync a batch.
///
/// **Invariant:** a batch is synced before the next is written, so that at most one can be torn.
/// After an error nothing is written any more.
pub(super) struct Writer {
    files: Arc<Files>,
    segment_bytes: u32,
    file: Arc<dyn File>,
    /// Where the next batch goes; everything before it is synced.
    end: Position,
    /// The next batch's.
    number: u64,
    batch: BatchBuilder,
    placements: Vec<Placement>,
    callbacks: Vec<Flushed>,
    carried: Carried,
    /// The highest index that each segment has held.
    highest: BTreeMap<u64, Option<u64>>,
    /// The last batch is a mark.
    marked: bool,
}

/// What each segment repeats at its beginning, as of the stream.
#[derive(Default)]
struct Carried {
    last: Option<EntryId>,
    vote: Option<Bytes>,
    purged: Option<EntryId>,
    committed: Option<EntryId>,
}

impl Writer {
    /// Goes on where the log ended; begins the first segment of a new one.
    pub(super) fn new(
        files: Arc<Files>,
        segment_bytes: u32,
        recovered: Option<&Recovered>,
    ) -> Result<Self, Error> {
        let Some(recovered) = recovered else { return Self::begin(files, segment_bytes) };
        let segment = recovered.end.segment;
        let file = files.segment(segment).ok_or_else(|| missing(segment))?;
        Ok(Self {
            files,
            segment_bytes,
            file,
            end: recovered.end,
            number: recovered.batch,
            batch: BatchBuilder::new(),
            placements: Vec::new(),
            callbacks: Vec::new(),
            carried: Carried {
                last: recovered.last,
                vote: recovered.vote.clone(),
                purged: recovered.purged,
                committed: recovered.committed,
            },
            highest: recovered.highest.clone(),
            marked: false,
        })
    }

    fn begin(files: Arc<Files>, segment_bytes: u32) -> Result<Self, Error> {
        let mut batch = BatchBuilder::new();
        let end = Position::default();
        let carried = Carried::default();
        let (file, end) = start_segment(&files, &mut batch, 1, 1, end, &carried)?;
        Ok(Self {
            files,
            segment_bytes,
            file,
            end,
            number: 2,
            batch,
            placements: Vec::new(),
            callbacks: Vec::new(),
            carried,
            highest: BTreeMap::from([(1, None)]),
            marked: false,
        })
    }

    /// Writes all of the commands. `on_flushed` is told of each batch before its callbacks run.
    ///
    /// On an error the callbacks of what was not written have been called with it.
    pub(super) fn write(
        &mut self,
        commands: &mut VecDeque<Command>,
        on_flushed: &dyn Fn(&[Placement]),
    ) -> Result<(), Error> {
        let result = self.write_all(commands, on_flushed);
        if let Err(error) = &result {
            self.callbacks.drain(..).for_each(|flushed| flushed(Err(error.clone())));
            for command in commands.drain(..) {
                match command {
                    Command::Append { flushed, .. } | Command::Vote(_, flushed) => {
                        flushed(Err(error.clone()));
                    }
                    Command::Truncate(_) | Command::Purge(_) | Command::Committed(_) => {}
                }
            }
        }
        result
    }

    /// Writes a batch without records where the last one has any: it says that all before it is
    /// synced.
    pub(super) fn mark(&mut self) -> Result<(), Error> {
        if self.marked || !self.fits(0) {
            return Ok(());
        }
        self.write_batch()?;
        self.marked = true;
        Ok(())
    }

    fn write_all(
        &mut self,
        commands: &mut VecDeque<Command>,
        on_flushed: &dyn Fn(&[Placement]),
    ) -> Result<(), Error> {
        let mut purged = false;
        while let Some(command) = commands.pop_front() {
            purged |= matches!(command, Command::Purge(_));
            match command {
                Command::Append { entries, serial, flushed } => {
                    let result = self.append(entries, serial, on_flushed);
                    self.callbacks.push(flushed);
                    result?;
                }
                Command::Vote(vote, flushed) => {
                    // Not before: making room for the record may flush what came earlier.
                    let result = self.push(&Record::Vote(vote.clone()), on_flushed);
                    self.callbacks.push(flushed);
                    result?;
                    self.carried.vote = Some(vote);
                }
                Command::Truncate(index) => {
                    self.push(&Record::Truncate(index), on_flushed)?;
                    // Only the index of it is ever compared: the entry itself stands before.
                    self.carried.last = index.map(|index| EntryId { index, term: 0, node: 0 });
                }
                Command::Purge(upto) => {
                    self.push(&Record::Purge(upto), on_flushed)?;
                    self.carried.purged = self.carried.purged.max(Some(upto));
                    self.carried.last = self.carried.last.max(Some(upto));
                }
                Command::Committed(id) => {
                    self.push(&Record::Committed(id), on_flushed)?;
                    self.carried.committed = Some(id);
                }
            }
        }
        self.flush(on_flushed)?;
        if purged {
            self.condemn();
        }
        Ok(())
    }

    fn append(
        &mut self,
        entries: Vec<Entry>,
        serial: u64,
        on_flushed: &dyn Fn(&[Placement]),
    ) -> Result<(), Error> {
        for (entry, serial) in entries.into_iter().zip(serial..) {
            let id = entry.id;
            let (within, bytes) = self.push(&Record::Entry(entry), on_flushed)?;
            self.carried.last = Some(id);
            let highest = self.highest.entry(self.end.segment).or_default();
            *highest = (*highest).max(Some(id.index));
            if let Some(segment) = NonZeroU64::new(self.end.segment) {
                let offset = self.end.offset + within;
                let place = Place { segment, offset, bytes };
                self.placements.push(Placement { index: id.index, serial, place });
            }
        }
        Ok(())
    }

    /// Adds the record to the batch; writes the batch first where the record is too much for it,
    /// and begins a segment where it is too much for what is left.
    fn push(
        &mut self,
        record: &Record,
        on_flushed: &dyn Fn(&[Placement]),
    ) -> Result<(u32, u32), Error> {
        let bytes = record.bytes();
        if !self.fits(bytes) || self.batch.bytes() + bytes > BATCH_BYTES_MAX {
            self.flush(on_flushed)?;
        }
        if !self.fits(bytes) {
            self.rotate()?;
        }
        Ok(self.batch.push(record))
    }

    fn fits(&self, bytes: usize) -> bool {
        let batch = (self.batch.bytes() + bytes).next_multiple_of(super::format::ALIGNMENT);
        self.end.offset as usize + batch <= self.segment_bytes as usize
    }

    fn flush(&mut self, on_flushed: &dyn Fn(&[Placement])) -> Result<(), Error> {
        if !self.batch.is_empty() {
            self.write_batch()?;
            on_flushed(&self.placements);
            self.placements.clear();
        }
        self.callbacks.drain(..).for_each(|flushed| flushed(Ok(())));
        Ok(())
    }

    fn write_batch(&mut self) -> Result<(), Error> {
        let path = self.files.path(self.end.segment);
        let bytes = self.batch.finish(self.end.segment, self.number, self.end);
        let offset = u64::from(self.end.offset);
        self.file.pwrite(bytes, offset).map_err(Error::io("write", &path))?;
        self.file.fdatasync().map_err(Error::io("sync", &path))?;
        self.end.offset += bytes.len() as u32;
        self.number += 1;
        self.marked = false;
        self.batch.clear();
        Ok(())
    }

    fn rotate(&mut self) -> Result<(), Error> {
        let next = self.end.segment + 1;
        let (file, end) = start_segment(
            &self.files,
            &mut self.batch,
            next,
            self.number,
            self.end,
            &self.carried,
        )?;
        self.file = file;
        self.end = end;
        self.number += 1;
        self.highest.insert(next, None);
        Ok(())
    }

    /// Oldest first, so that what remains has no hole.
    fn condemn(&mut self) {
        let purged = self.carried.purged.map(|purged| purged.index);
        let mut condemned = Vec::new();
        while let Some((number, highest)) = self.highest.first_key_value()
            && *number < self.end.segment
            && *highest <= purged
        {
            condemned.push(*number);
            self.highest.pop_first();
        }
        self.files.condemn(&condemned);
    }
}

/// Writes header and first batch into a spare file, and makes it the segment.
fn start_segment(
    files: &Files,
    batch: &mut BatchBuilder,
    number: u64,
    batch_number: u64,
    synced: Position,
    carried: &Carried,
) -> Result<(Arc<dyn File>, Position), Error> {
    batch.push(&Record::Start(carried.last));
    let vote = carried.vote.clone().map(Record::Vote);
    let purged = carried.purged.map(Record::Purge);
    let committed = carried.committed.map(Record::Committed);
    for record in [vote, purged, committed].into_iter().flatten() {
        batch.push(&record);
    }
    let mut bytes = encode_segment_header(number);
    bytes.extend_from_slice(batch.finish(number, batch_number, synced));
    batch.clear();
    let path = files.path(number);
    let spare = files.take_spare()?;
    spare.file.pwrite(&bytes, 0).map_err(Error::io("write", &path))?;
    spare.file.fdatasync().map_err(Error::io("sync", &path))?;
    let file = files.enlist(spare, number)?;
    debug_assert!(bytes.len() > BATCHES_AT as usize);
    Ok((file, Position { segment: number, offset: bytes.len() as u32 }))
}

fn missing(segment: u64) -> Error {
    Error::Stopped(format!("segment {segment} is not open"))
}

/// A batch is written once it has so much: syncing more at once only delays the first of it.
const BATCH_BYTES_MAX: usize = 4 << 20;

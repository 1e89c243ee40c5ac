//! Reads the segments back after a start.
//!
//! **Invariant:** the only thing that is cut is one unfinished batch at the very end, which nobody
//! was told of. Whatever else does not read as it was written refuses to open.

use std::collections::BTreeMap;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;

use super::files::{number_of, segment_path};
use super::format::{
    ALIGNMENT, BATCH_HEADER_BYTES, BATCHES_AT, BatchHeader, HeaderError, Placed, Position, Record,
    VERSION, decode_batch, decode_segment_header,
};
use super::tail::{Place, Tail};
use crate::store::{EntryId, Error, File, Vfs};

/// What the segments say.
pub(super) struct Recovered {
    pub(super) tail: Tail,
    /// Of the last record in the log, purged or not.
    pub(super) last: Option<EntryId>,
    pub(super) vote: Option<Bytes>,
    pub(super) purged: Option<EntryId>,
    pub(super) committed: Option<EntryId>,
    pub(super) segments: BTreeMap<u64, Arc<dyn File>>,
    /// The highest index that each segment has held.
    pub(super) highest: BTreeMap<u64, Option<u64>>,
    /// Where the next batch goes, and its number.
    pub(super) end: Position,
    pub(super) batch: u64,
}

/// `None` where the folder holds no segment.
pub(super) fn recover(
    vfs: &dyn Vfs,
    folder: &Path,
    cache_bytes_max: usize,
) -> Result<Option<Recovered>, Error> {
    let names = vfs.list(folder).map_err(Error::io("list", folder))?;
    let mut numbers: Vec<u64> = names.iter().filter_map(|name| number_of(name)).collect();
    numbers.sort_unstable();
    let Some(newest) = numbers.last().copied() else { return Ok(None) };
    // Purged segments may be deleted in any order: the ones before a hole are left-overs. That
    // none of them is needed is checked at the end.
    let mut oldest = newest;
    while oldest.checked_sub(1).is_some_and(|n| numbers.binary_search(&n).is_ok()) {
        oldest -= 1;
    }
    let mut replay = Replay::new(cache_bytes_max);
    for number in oldest..=newest {
        let path = segment_path(folder, number);
        let file = vfs.open(&path).map_err(Error::io("open", &path))?;
        let bytes = read_segment(&path, &*file, number)?;
        replay.segment(&path, number, &bytes, number == newest)?;
        if number == newest {
            // What was written but not synced before a kill is there to be read: from here on it
            // counts, so it must be durable.
            file.fdatasync().map_err(Error::io("sync", &path))?;
        }
        replay.segments.insert(number, file);
    }
    vfs.sync_folder(folder).map_err(Error::io("sync", folder))?;
    replay.finish(&segment_path(folder, oldest)).map(Some)
}

/// What the newest segment tells of a log, which may be in use: nothing is locked or written.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Glance {
    pub last: Option<EntryId>,
    /// As far as is noted in that segment.
    pub committed: Option<EntryId>,
    /// Of all segments together.
    pub bytes: u64,
}

/// `None` where the folder holds no segment.
///
/// # Errors
/// Where it cannot be read, or is damaged. What a writer is about to write counts as not there.
pub fn glance(folder: &Path) -> Result<Option<Glance>, Error> {
    let (mut newest, mut bytes) = (None, 0_u64);
    for entry in std::fs::read_dir(folder).map_err(Error::io("list", folder))? {
        let entry = entry.map_err(Error::io("list", folder))?;
        if let Some(number) = entry.file_name().to_str().and_then(number_of) {
            newest = newest.max(Some(number));
            let metadata = entry.metadata().map_err(Error::io("measure", folder))?;
            bytes = bytes.saturating_add(metadata.len());
        }
    }
    let Some(number) = newest else { return Ok(None) };
    let path = segment_path(folder, number);
    let file = std::fs::File::open(&path).map_err(Error::io("open", &path))?;
    let read = read_segment(&path, &file, number)?;
    let mut replay = Replay::new(0);
    // Not as the newest: its end may be growing.
    replay.segment(&path, number, &read, false)?;
    Ok(Some(Glance { last: replay.last, committed: replay.committed, bytes }))
}

fn read_segment(path: &Path, file: &dyn File, number: u64) -> Result<Vec<u8>, Error> {
    let length = file.bytes().map_err(Error::io("measure", path))?;
    let length = u32::try_from(length)
        .map_err(|_| Error::corrupt(path, u64::from(u32::MAX), "longer than a segment can be"))?;
    let mut bytes = vec![0; length as usize];
    file.pread(&mut bytes, 0).map_err(Error::io("read", path))?;
    match decode_segment_header(&bytes) {
        Ok(found) if found == number => Ok(bytes),
        Ok(found) => Err(Error::corrupt(path, 0, format!("its header says it is segment {found}"))),
        Err(HeaderError::Damaged(what)) => Err(Error::corrupt(path, 0, what)),
        Err(HeaderError::Newer(found)) => {
            Err(Error::Newer { path: path.to_owned(), found, supported: VERSION })
        }
    }
}

struct Replay {
    tail: Tail,
    last: Option<EntryId>,
    vote: Option<Bytes>,
    purged: Option<EntryId>,
    committed: Option<EntryId>,
    segments: BTreeMap<u64, Arc<dyn File>>,
    highest: BTreeMap<u64, Option<u64>>,
    /// Where the batches read so far end, and the number of the last; `None` at the beginning.
    read: Option<(Position, u64)>,
}

impl Replay {
    fn new(cache_bytes_max: usize) -> Self {
        Self {
            tail: Tail::new(cache_bytes_max),
            last: None,
            vote: None,
            purged: None,
            committed: None,
            segments: BTreeMap::new(),
            highest: BTreeMap::new(),
            read: None,
        }
    }

    fn segment(
        &mut self,
        path: &Path,
        number: u64,
        bytes: &[u8],
        newest: bool,
    ) -> Result<(), Error> {
        self.highest.insert(number, None);
        let previous = self.read;
        let mut offset = BATCHES_AT;
        while let Some((header, records)) =
            rest(bytes, offset).and_then(|r| decode_batch(r, number))
        {
            let damaged = |what: &str| Error::corrupt(path, u64::from(offset), what);
            match self.read {
                Some((_, before)) if header.number != before + 1 => {
                    return Err(damaged("a batch is missing before it"));
                }
                // Before a segment is begun all of the one before it is synced.
                Some((end, _)) if offset == BATCHES_AT && header.synced != end => {
                    return Err(damaged("the segment before it has lost its end"));
                }
                None if offset != BATCHES_AT => return Err(damaged("batches without a first")),
                _ => {}
            }
            if offset == BATCHES_AT && !matches!(records.first(), Some((Record::Start(_), ..))) {
                return Err(damaged("the segment has no beginning"));
            }
            for placed in records {
                self.record(path, Position { segment: number, offset }, placed)?;
            }
            offset = offset.saturating_add(header.bytes_aligned() as u32);
            self.read = Some((Position { segment: number, offset }, header.number));
        }
        if offset == BATCHES_AT || self.read == previous {
            return Err(Error::corrupt(path, u64::from(BATCHES_AT), "its first batch is damaged"));
        }
        // Older segments are checked by the next one's first batch.
        if newest { check_end(path, number, bytes, offset) } else { Ok(()) }
    }

    fn record(&mut self, path: &Path, at: Position, placed: Placed) -> Result<(), Error> {
        let (record, within, length) = placed;
        let offset = at.offset.saturating_add(within);
        let damaged = |what: String| Error::corrupt(path, u64::from(offset), what);
        match record {
            Record::Start(last) if self.read.is_none() => {
                self.last = last;
                last.iter().for_each(|last| self.tail.purge(*last));
            }
            // Of a truncated log's last entry only the index is known at both ends.
            Record::Start(last) if last.map(|id| id.index) == self.last.map(|id| id.index) => {}
            Record::Start(_) => {
                return Err(damaged("does not follow the segment before it".to_owned()));
            }
            Record::Vote(vote) => self.vote = Some(vote),
            Record::Committed(id) => self.committed = Some(id),
            Record::Purge(id) => {
                self.purged = self.purged.max(Some(id));
                self.last = self.last.max(Some(id));
                self.tail.purge(id);
            }
            Record::Truncate(index) => {
                self.tail.truncate_after(index);
                // Below the base nothing is known but the index; `finish` checks the base.
                self.last = match index {
                    Some(index) => match self.tail.last() {
                        Some(last) if last.index == index => Some(last),
                        _ => Some(EntryId { index, term: 0, node: 0 }),
                    },
                    None => None,
                };
            }
            Record::Entry(entry) => {
                let id = entry.id;
                if self.last.is_some_and(|last| last.index.checked_add(1) != Some(id.index)) {
                    let last = self.last.map_or(0, |last| last.index);
                    return Err(damaged(format!("entry {} follows {last}", id.index)));
                }
                self.last = Some(id);
                let highest = self.highest.entry(at.segment).or_default();
                *highest = (*highest).max(Some(id.index));
                if self.tail.base().is_none_or(|base| id.index > base.index) {
                    let segment = NonZeroU64::new(at.segment);
                    let place = segment.map(|segment| Place { segment, offset, bytes: length });
                    self.tail.push(entry, place);
                }
            }
        }
        Ok(())
    }

    fn finish(self, oldest: &Path) -> Result<Recovered, Error> {
        let base = self.tail.base().map(|base| base.index);
        if base > self.purged.map(|purged| purged.index) {
            let what = format!(
                "entries before it, up to {}, were not purged but their segments are missing",
                base.unwrap_or_default()
            );
            return Err(Error::corrupt(oldest, 0, what));
        }
        let (end, batch) = self.read.unwrap_or_default();
        // A mark is written after its entry, so it can only be ahead of what a purge took.
        let committed = self.committed.min(self.tail.last());
        Ok(Recovered {
            last: self.last,
            vote: self.vote,
            purged: self.purged,
            committed,
            segments: self.segments,
            highest: self.highest,
            end,
            batch: batch + 1,
            tail: self.tail,
        })
    }
}

/// One batch may be torn: the one that was being written. Where a later batch of this segment
/// says that what stands here was synced, this is damage.
fn check_end(path: &Path, number: u64, bytes: &[u8], end: u32) -> Result<(), Error> {
    let mut offset = end as usize + ALIGNMENT;
    while offset + BATCH_HEADER_BYTES <= bytes.len() {
        let later = bytes.get(offset..).and_then(|rest| BatchHeader::decode(rest, number));
        let synced = later.map(|later| later.synced);
        if synced.is_some_and(|synced| synced > Position { segment: number, offset: end }) {
            let what = format!(
                "no batch can be read here, but the one at byte {offset} was written after this \
                 was on disk"
            );
            return Err(Error::corrupt(path, u64::from(end), what));
        }
        offset += ALIGNMENT;
    }
    Ok(())
}

fn rest(bytes: &[u8], offset: u32) -> Option<&[u8]> {
    bytes.get(offset as usize..)
}

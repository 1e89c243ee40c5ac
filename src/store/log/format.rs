//! The bytes of a segment: a header, then batches. Numbers are little-endian.
//!
//! ```text
//! segment  magic[8] version:u32 number:u64 crc:u32, zeros up to byte 4096, then batches
//! batch    magic:u32 body:u32 body_crc:u32 records:u32 segment:u64 number:u64
//!          synced_segment:u64 synced_offset:u32 crc:u32, then the body, zeros up to 8 bytes
//! body     records of: payload:u32 crc:u32 type:u8 payload
//! ```
//! Every crc is CRC-32C of what stands before it (a record's: of type and payload). What a reused
//! file held before is told apart by the number of the segment in each batch.

use bytes::{BufMut as _, Bytes};

use crate::store::{Entry, EntryId};

/// Where something begins: a segment's number and a byte in it.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Position {
    pub(super) segment: u64,
    pub(super) offset: u32,
}

/// What a batch says about itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct BatchHeader {
    pub(super) body_bytes: u32,
    pub(super) body_crc: u32,
    pub(super) records: u32,
    pub(super) segment: u64,
    /// One more than the batch before it.
    pub(super) number: u64,
    /// Everything before this was on disk when the batch was written.
    pub(super) synced: Position,
}

/// One step of the log.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Record {
    /// First in each segment: the entry before it. Makes the segment readable by itself, with the
    /// vote, purge and committed records that follow.
    Start(Option<EntryId>),
    Vote(Bytes),
    Entry(Entry),
    /// The entries after this index go; all where it is `None`.
    Truncate(Option<u64>),
    Purge(EntryId),
    Committed(EntryId),
}

impl Record {
    /// What it takes in a batch.
    pub(super) fn bytes(&self) -> usize {
        let payload = match self {
            Self::Start(id) => 1 + id.map_or(0, |_| ID_BYTES),
            Self::Vote(vote) => vote.len(),
            Self::Entry(entry) => ID_BYTES + entry.payload.len(),
            Self::Truncate(index) => 1 + index.map_or(0, |_| 8),
            Self::Purge(_) | Self::Committed(_) => ID_BYTES,
        };
        RECORD_HEADER_BYTES + payload
    }
}

/// Why a segment's header is not one that can be read.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum HeaderError {
    Damaged(&'static str),
    Newer(u32),
}

pub(super) fn encode_segment_header(number: u64) -> Vec<u8> {
    let mut header = Vec::with_capacity(BATCHES_AT as usize);
    header.put_slice(&SEGMENT_MAGIC);
    header.put_u32_le(VERSION);
    header.put_u64_le(number);
    header.put_u32_le(crc32c::crc32c(&header));
    header.resize(BATCHES_AT as usize, 0);
    header
}

/// The segment's number.
pub(super) fn decode_segment_header(bytes: &[u8]) -> Result<u64, HeaderError> {
    let mut reader = Reader(bytes);
    let magic = reader.take(SEGMENT_MAGIC.len());
    if magic != Some(SEGMENT_MAGIC.as_slice()) {
        return Err(HeaderError::Damaged("not a segment of a log"));
    }
    let short = HeaderError::Damaged("segment header is cut");
    let (Some(version), Some(number)) = (reader.u32(), reader.u64()) else { return Err(short) };
    if version > VERSION {
        return Err(HeaderError::Newer(version));
    }
    let Some(crc) = reader.u32() else { return Err(short) };
    let checked = bytes.get(..SEGMENT_MAGIC.len() + 12).unwrap_or_default();
    if crc != crc32c::crc32c(checked) {
        return Err(HeaderError::Damaged("segment header fails its checksum"));
    }
    Ok(number)
}

/// Encodes records into one run of bytes that is written at once.
pub(super) struct BatchBuilder {
    buffer: Vec<u8>,
    records: u32,
}

impl BatchBuilder {
    pub(super) fn new() -> Self {
        Self { buffer: vec![0; BATCH_HEADER_BYTES], records: 0 }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.records == 0
    }

    /// With its header, without what aligns it.
    pub(super) fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Where the record stands, counted from the batch's first byte, and its length.
    pub(super) fn push(&mut self, record: &Record) -> (u32, u32) {
        let at = self.buffer.len();
        self.buffer.resize(at + RECORD_HEADER_BYTES, 0);
        let kind = put_payload(&mut self.buffer, record);
        self.records += 1;
        let (_, record) = self.buffer.split_at_mut(at);
        let (header, payload) = record.split_at_mut(RECORD_HEADER_BYTES);
        let crc = crc32c::crc32c_append(crc32c::crc32c(&[kind]), payload);
        let mut header = header;
        header.put_u32_le(payload.len() as u32);
        header.put_u32_le(crc);
        header.put_u8(kind);
        (at as u32, (RECORD_HEADER_BYTES + payload.len()) as u32)
    }

    /// The bytes to write, a multiple of [`ALIGNMENT`].
    pub(super) fn finish(&mut self, segment: u64, number: u64, synced: Position) -> &[u8] {
        let body = self.buffer.get(BATCH_HEADER_BYTES..).unwrap_or_default();
        let header = BatchHeader {
            body_bytes: body.len() as u32,
            body_crc: crc32c::crc32c(body),
            records: self.records,
            segment,
            number,
            synced,
        };
        let encoded = header.encode();
        if let Some(place) = self.buffer.get_mut(..BATCH_HEADER_BYTES) {
            place.copy_from_slice(&encoded);
        }
        self.buffer.resize(align(self.buffer.len()), 0);
        &self.buffer
    }

    pub(super) fn clear(&mut self) {
        self.buffer.truncate(BATCH_HEADER_BYTES);
        // One huge entry must not hold its memory for ever.
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        self.records = 0;
    }
}

impl BatchHeader {
    fn encode(&self) -> [u8; BATCH_HEADER_BYTES] {
        let mut header = Vec::with_capacity(BATCH_HEADER_BYTES);
        header.put_u32_le(BATCH_MAGIC);
        header.put_u32_le(self.body_bytes);
        header.put_u32_le(self.body_crc);
        header.put_u32_le(self.records);
        header.put_u64_le(self.segment);
        header.put_u64_le(self.number);
        header.put_u64_le(self.synced.segment);
        header.put_u32_le(self.synced.offset);
        header.put_u32_le(crc32c::crc32c(&header));
        let mut array = [0; BATCH_HEADER_BYTES];
        array.copy_from_slice(&header);
        array
    }

    /// `None` where no header of this segment stands.
    pub(super) fn decode(bytes: &[u8], segment: u64) -> Option<Self> {
        let mut reader = Reader(bytes);
        if reader.u32()? != BATCH_MAGIC {
            return None;
        }
        let header = Self {
            body_bytes: reader.u32()?,
            body_crc: reader.u32()?,
            records: reader.u32()?,
            segment: reader.u64()?,
            number: reader.u64()?,
            synced: Position { segment: reader.u64()?, offset: reader.u32()? },
        };
        let checked = bytes.get(..BATCH_HEADER_BYTES - 4)?;
        (reader.u32()? == crc32c::crc32c(checked) && header.segment == segment).then_some(header)
    }

    /// What it takes in the file.
    pub(super) fn bytes_aligned(&self) -> usize {
        align(BATCH_HEADER_BYTES + self.body_bytes as usize)
    }
}

/// A record and where it stands, counted from the batch's first byte, and its length.
pub(super) type Placed = (Record, u32, u32);

/// The batch at the start of `bytes`; `None` where there is no whole one.
pub(super) fn decode_batch(bytes: &[u8], segment: u64) -> Option<(BatchHeader, Vec<Placed>)> {
    let header = BatchHeader::decode(bytes, segment)?;
    let end = BATCH_HEADER_BYTES.checked_add(header.body_bytes as usize)?;
    let body = bytes.get(BATCH_HEADER_BYTES..end)?;
    if crc32c::crc32c(body) != header.body_crc {
        return None;
    }
    let mut records = Vec::new();
    let mut at = 0;
    while at < body.len() {
        let rest = body.get(at..)?;
        let (record, length) = decode_record(rest)?;
        records.push((record, (BATCH_HEADER_BYTES + at) as u32, length as u32));
        at += length;
    }
    (records.len() == header.records as usize).then_some((header, records))
}

/// The record at the start of `bytes`, and its length; `None` where it is damaged.
pub(super) fn decode_record(bytes: &[u8]) -> Option<(Record, usize)> {
    let mut reader = Reader(bytes);
    let length = reader.u32()? as usize;
    let crc = reader.u32()?;
    let kind = reader.take(1)?;
    let payload = reader.take(length)?;
    if crc != crc32c::crc32c_append(crc32c::crc32c(kind), payload) {
        return None;
    }
    let mut payload = Reader(payload);
    let record = match *kind.first()? {
        START => Record::Start(payload.option(Reader::id)?),
        VOTE => Record::Vote(payload.rest()),
        ENTRY => Record::Entry(Entry { id: payload.id()?, payload: payload.rest() }),
        TRUNCATE => Record::Truncate(payload.option(Reader::u64)?),
        PURGE => Record::Purge(payload.id()?),
        COMMITTED => Record::Committed(payload.id()?),
        _ => return None,
    };
    payload.0.is_empty().then_some((record, RECORD_HEADER_BYTES + length))
}

/// The record's type, and its payload into `buffer`.
fn put_payload(buffer: &mut Vec<u8>, record: &Record) -> u8 {
    match record {
        Record::Start(id) => {
            buffer.put_u8(u8::from(id.is_some()));
            id.iter().for_each(|id| put_id(buffer, *id));
            START
        }
        Record::Vote(vote) => {
            buffer.put_slice(vote);
            VOTE
        }
        Record::Entry(entry) => {
            put_id(buffer, entry.id);
            buffer.put_slice(&entry.payload);
            ENTRY
        }
        Record::Truncate(index) => {
            buffer.put_u8(u8::from(index.is_some()));
            index.iter().for_each(|index| buffer.put_u64_le(*index));
            TRUNCATE
        }
        Record::Purge(id) => {
            put_id(buffer, *id);
            PURGE
        }
        Record::Committed(id) => {
            put_id(buffer, *id);
            COMMITTED
        }
    }
}

fn put_id(buffer: &mut Vec<u8>, id: EntryId) {
    buffer.put_u64_le(id.index);
    buffer.put_u64_le(id.term);
    buffer.put_u64_le(id.node);
}

fn align(bytes: usize) -> usize {
    bytes.next_multiple_of(ALIGNMENT)
}

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, bytes: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(bytes)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        self.take(4)?.try_into().ok().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn id(&mut self) -> Option<EntryId> {
        Some(EntryId { index: self.u64()?, term: self.u64()?, node: self.u64()? })
    }

    fn option<T>(&mut self, read: impl Fn(&mut Self) -> Option<T>) -> Option<Option<T>> {
        match self.take(1)? {
            [0] => Some(None),
            [1] => read(self).map(Some),
            _ => None,
        }
    }

    fn rest(&mut self) -> Bytes {
        Bytes::copy_from_slice(std::mem::take(&mut self.0))
    }
}

/// Batches begin here: their writes never touch the page of the segment's header.
pub(super) const BATCHES_AT: u32 = 4096;
pub(super) const BATCH_HEADER_BYTES: usize = 48;
const RECORD_HEADER_BYTES: usize = 9;
const ID_BYTES: usize = 24;
pub(super) const ALIGNMENT: usize = 8;
/// Of segments, batches and records alike.
pub(super) const VERSION: u32 = 1;
const SEGMENT_MAGIC: [u8; 8] = *b"STRGRLOG";
const BATCH_MAGIC: u32 = u32::from_le_bytes(*b"BTCH");
const BUFFER_BYTES_KEPT: usize = 4 << 20;

const START: u8 = 1;
const VOTE: u8 = 2;
const ENTRY: u8 = 3;
const TRUNCATE: u8 = 4;
const PURGE: u8 = 5;
const COMMITTED: u8 = 6;

#[cfg(test)]
mod tests;

use bytes::Bytes;
use prost::Message as _;

use super::{
    Ciphertext, Leadership, Numbers, RequestId, Restore, RestoreId, RestoreStep, Revision,
    StoredDirectory, StoredKey, SystemKey,
};
use crate::clock::Timestamp;
use crate::proto::log as proto;

/// One log entry: all that raft and the store can name of a request.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Batch {
    pub header: Header,
    /// Records that were read, with the revision that was seen ([`Revision::ABSENT`] for none).
    pub reads: Vec<(StoredKey, Revision)>,
    /// Directories that were listed, or that the batch empties.
    pub directories: Vec<(StoredDirectory, Revision)>,
    /// Directories that must hold a record after this batch.
    pub occupied: Vec<StoredDirectory>,
    pub writes: Vec<Write>,
    pub system_reads: Vec<(SystemKey, Revision)>,
    /// In clear. `None` deletes.
    pub system_writes: Vec<(SystemKey, Option<Bytes>)>,
    /// The sealed response, for whoever repeats the request.
    pub response: Option<Ciphertext>,
    /// A batch with it writes nothing else.
    pub restore: Option<Restore>,
}

/// What an entry says of itself.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Header {
    pub leadership: Leadership,
    /// By the proposer's clock.
    pub time: Timestamp,
    /// `None`: nothing is remembered of it, and it is not repeated.
    pub request: Option<RequestId>,
    pub step: u32,
    /// Requests of the same origin whose answers have arrived. Also where this entry itself takes
    /// no effect.
    pub finished: Vec<Numbers>,
}

/// `None` deletes.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Write {
    pub key: StoredKey,
    pub value: Option<Ciphertext>,
}

#[derive(Debug, Eq, PartialEq, thiserror::Error)]
pub enum DecodeError {
    #[error("a log entry cannot be read: {0}")]
    Malformed(&'static str),
    #[error(
        "a log entry has format version {found}, newer than the {supported} this program reads: \
         upgrade this node"
    )]
    Newer { found: u32, supported: u32 },
}

impl Batch {
    /// The bytes that the barrier authenticates, and that [`Self::entry`] carries.
    pub fn encode(&self) -> Bytes {
        let reads = self.reads.iter().map(|(key, revision)| proto::ReadRecord {
            key: Bytes::copy_from_slice(&key.0),
            revision: revision.0,
        });
        let directories = self.directories.iter().map(|(directory, revision)| {
            let directory = Bytes::copy_from_slice(&directory.0);
            proto::ReadDirectory { directory, revision: revision.0 }
        });
        let writes = self.writes.iter().map(|write| proto::Write {
            key: Bytes::copy_from_slice(&write.key.0),
            value: write.value.as_ref().map(|value| value.as_bytes().clone()),
        });
        let system_reads = self
            .system_reads
            .iter()
            .map(|(key, revision)| proto::SystemRead { key: *key as u32, revision: revision.0 });
        let system_writes = self
            .system_writes
            .iter()
            .map(|(key, value)| proto::SystemWrite { key: *key as u32, value: value.clone() });
        let message = proto::Batch {
            leader_term: self.header.leadership.term,
            leader_node: self.header.leadership.node,
            time_milliseconds: self.header.time.0,
            request_id: self
                .header
                .request
                .map_or_else(Bytes::new, |id| Bytes::copy_from_slice(&id.encode())),
            step: self.header.step,
            reads: reads.collect(),
            directories: directories.collect(),
            occupied: self.occupied.iter().map(|d| Bytes::copy_from_slice(&d.0)).collect(),
            writes: writes.collect(),
            system_reads: system_reads.collect(),
            system_writes: system_writes.collect(),
            response: self.response.as_ref().map(|r| r.as_bytes().clone()).unwrap_or_default(),
            finished: self.header.finished.iter().flat_map(|(a, b)| [*a, *b]).collect(),
            restore: self.restore.as_ref().map(encode_restore),
        };
        message.encode_to_vec().into()
    }

    /// Of the entry that carries it: the oldest that says all of it, so that nodes of an older
    /// program read what they can.
    pub fn version(&self) -> u32 {
        if self.restore.is_some() { VERSION } else { VERSION_WITHOUT_RESTORE }
    }

    /// A log entry's payload. `mac` is empty only in the first entry of a cluster, which is
    /// written before there is a key.
    pub fn entry(version: u32, encoded: Bytes, mac: Bytes) -> Bytes {
        proto::Entry { version, batch: encoded, mac }.encode_to_vec().into()
    }

    /// Reads what [`Self::entry`] made: the batch, its encoded bytes and their MAC.
    ///
    /// # Errors
    /// Where the bytes are not an entry, or are one of a newer program.
    pub fn decode_entry(payload: Bytes) -> Result<(Self, Bytes, Bytes), DecodeError> {
        let entry = proto::Entry::decode(payload).map_err(|_| DecodeError::Malformed("entry"))?;
        if entry.version > VERSION {
            return Err(DecodeError::Newer { found: entry.version, supported: VERSION });
        }
        Ok((Self::decode(entry.version, entry.batch.clone())?, entry.batch, entry.mac))
    }

    fn decode(version: u32, encoded: Bytes) -> Result<Self, DecodeError> {
        let batch = proto::Batch::decode(encoded).map_err(|_| DecodeError::Malformed("batch"))?;
        let reads = batch.reads.iter().map(|read| Ok((key(&read.key)?, Revision(read.revision))));
        let directories = batch
            .directories
            .iter()
            .map(|read| Ok((directory(&read.directory)?, Revision(read.revision))));
        let system_reads =
            batch.system_reads.iter().map(|read| Ok((system(read.key)?, Revision(read.revision))));
        let writes = batch.writes.into_iter().map(|write| {
            let value = write.value.map(Ciphertext::from_sealed);
            Ok(Write { key: key(&write.key)?, value })
        });
        Ok(Self {
            header: Header {
                leadership: Leadership { term: batch.leader_term, node: batch.leader_node },
                time: Timestamp(batch.time_milliseconds),
                request: request(version, &batch.request_id)?,
                step: batch.step,
                finished: finished(&batch.finished)?,
            },
            reads: reads.collect::<Result<_, _>>()?,
            directories: directories.collect::<Result<_, _>>()?,
            occupied: batch.occupied.iter().map(directory).collect::<Result<_, _>>()?,
            writes: writes.collect::<Result<_, _>>()?,
            system_reads: system_reads.collect::<Result<_, _>>()?,
            system_writes: batch
                .system_writes
                .into_iter()
                .map(|write| Ok((system(write.key)?, write.value)))
                .collect::<Result<_, _>>()?,
            response: (!batch.response.is_empty()).then(|| Ciphertext::from_sealed(batch.response)),
            restore: batch.restore.map(decode_restore).transpose()?,
        })
    }
}

fn encode_restore(restore: &Restore) -> proto::Restore {
    use proto::restore::Step;
    let step = match &restore.step {
        RestoreStep::Begin => Step::Begin(proto::RestoreBegin {}),
        RestoreStep::Piece { number, bytes } => {
            Step::Piece(proto::RestorePiece { number: *number, bytes: bytes.clone() })
        }
        RestoreStep::Replace { pieces, sha256 } => Step::Replace(proto::RestoreReplace {
            pieces: *pieces,
            sha256: Bytes::copy_from_slice(sha256),
        }),
        RestoreStep::GiveUp => Step::GiveUp(proto::RestoreGiveUp {}),
    };
    proto::Restore { id: Bytes::copy_from_slice(&restore.id.0), step: Some(step) }
}

fn decode_restore(restore: proto::Restore) -> Result<Restore, DecodeError> {
    use proto::restore::Step;
    let malformed = || DecodeError::Malformed("restore");
    let id = restore.id.as_ref().try_into().map_err(|_| malformed())?;
    let step = match restore.step.ok_or_else(malformed)? {
        Step::Begin(_) => RestoreStep::Begin,
        Step::Piece(piece) => RestoreStep::Piece { number: piece.number, bytes: piece.bytes },
        Step::Replace(replace) => RestoreStep::Replace {
            pieces: replace.pieces,
            sha256: replace.sha256.as_ref().try_into().map_err(|_| malformed())?,
        },
        Step::GiveUp(_) => RestoreStep::GiveUp,
    };
    Ok(Restore { id: RestoreId(id), step })
}

/// Before version 2 it was a text that nothing was remembered by.
fn request(version: u32, bytes: &Bytes) -> Result<Option<RequestId>, DecodeError> {
    if bytes.is_empty() || version < 2 {
        return Ok(None);
    }
    RequestId::decode(bytes).map(Some).ok_or(DecodeError::Malformed("request id"))
}

fn finished(numbers: &[u64]) -> Result<Vec<Numbers>, DecodeError> {
    let (pairs, rest) = numbers.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(DecodeError::Malformed("finished requests"));
    }
    Ok(pairs.iter().map(|[first, last]| (*first, *last)).collect())
}

fn key(bytes: &Bytes) -> Result<StoredKey, DecodeError> {
    bytes.as_ref().try_into().map(StoredKey).map_err(|_| DecodeError::Malformed("stored key"))
}

fn directory(bytes: &Bytes) -> Result<StoredDirectory, DecodeError> {
    let array = bytes.as_ref().try_into().map(StoredDirectory);
    array.map_err(|_| DecodeError::Malformed("stored directory"))
}

fn system(number: u32) -> Result<SystemKey, DecodeError> {
    SystemKey::from_number(number).ok_or(DecodeError::Malformed("system key"))
}

/// Of [`proto::Entry`]: the newest, and the one that all entries had before there were restores.
const VERSION: u32 = 3;
const VERSION_WITHOUT_RESTORE: u32 = 2;

#[cfg(test)]
mod tests;

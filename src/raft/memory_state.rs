//! A state in memory under raft: `storage "inmem"` with several nodes, and tests.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use prost::Message as _;

use super::snapshot::Image;
use super::state::StateStore;
use super::types::{LogId, Malformed, Position, decode_position, encode_position, leadership};
use crate::clock::Timestamp;
use crate::proto::raft as proto;
use crate::record::{
    Applied, Ciphertext, Directory, Record, Revision, SealedBatch, StoredDirectory, StoredKey,
    SystemKey, View, ViewError,
};
use crate::store::{MemoryState, Tables};

#[derive(Default)]
pub struct MemoryStateStore {
    state: Arc<MemoryState>,
    position: Mutex<Position>,
}

impl MemoryStateStore {
    fn position(&self) -> MutexGuard<'_, Position> {
        self.position.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl StateStore for MemoryStateStore {
    fn view(&self) -> Arc<dyn View> {
        self.state.clone()
    }

    fn position(&self) -> io::Result<Position> {
        Ok(self.position().clone())
    }

    fn apply(&self, id: &LogId, batch: &SealedBatch) -> Result<Applied, ViewError> {
        let mut position = self.position();
        position.last_applied = Some(*id);
        self.state.apply(id.index, leadership(&id.leader_id), batch)
    }

    fn apply_blank(&self, id: &LogId) -> Result<(), ViewError> {
        self.position().last_applied = Some(*id);
        Ok(())
    }

    fn apply_membership(&self, _id: &LogId, position: &Position) -> Result<(), ViewError> {
        *self.position() = position.clone();
        Ok(())
    }

    fn checkpoint(&self) -> io::Result<()> {
        Ok(())
    }

    fn export(&self) -> io::Result<Image> {
        // Held, so that nothing is applied in between.
        let position = self.position();
        Ok(Image::Memory(encode(&position, self.state.tables()).encode_to_vec()))
    }

    fn inspect(&self, image: &Image) -> io::Result<Position> {
        Ok(decode(image)?.0)
    }

    fn receive(&self) -> io::Result<Image> {
        Ok(Image::Memory(Vec::new()))
    }

    fn install(&self, image: Image) -> io::Result<()> {
        let (to, tables) = decode(&image)?;
        let mut position = self.position();
        self.state.replace(tables);
        *position = to;
        Ok(())
    }

    fn is_pressed(&self) -> bool {
        false
    }
}

fn encode(position: &Position, tables: Tables) -> proto::StateImage {
    let requests = tables.request_rows().into_iter();
    let requests =
        requests.map(|(key, value)| proto::ImageRow { key: key.into(), value: value.into() });
    let requests = requests.collect();
    let records = tables.records.into_iter().map(|(key, record)| proto::ImageRecord {
        key: Bytes::copy_from_slice(&key.0),
        revision: record.revision.0,
        value: record.value.as_bytes().clone(),
    });
    let directories =
        tables.directories.into_iter().map(|(directory, state)| proto::ImageDirectory {
            directory: Bytes::copy_from_slice(&directory.0),
            revision: state.revision.0,
            records: state.records,
        });
    let system = tables.system.into_iter().map(|(key, (revision, value))| proto::ImageSystem {
        key: key as u32,
        revision: revision.0,
        value,
    });
    proto::StateImage {
        requests,
        position: Some(encode_position(position)),
        time_milliseconds: tables.time.0,
        records: records.collect(),
        directories: directories.collect(),
        system: system.collect(),
    }
}

fn decode(image: &Image) -> io::Result<(Position, Tables)> {
    let Image::Memory(bytes) = image else { return Err(malformed(Malformed("kind of snapshot"))) };
    let image = proto::StateImage::decode(bytes.as_slice()).map_err(io::Error::other)?;
    let position = image.position.as_ref().ok_or(Malformed("position")).map_err(malformed)?;
    let position = decode_position(position).map_err(malformed)?;
    Ok((position, decode_tables(image).map_err(malformed)?))
}

fn decode_tables(image: proto::StateImage) -> Result<Tables, Malformed> {
    let mut tables = Tables { time: Timestamp(image.time_milliseconds), ..Tables::default() };
    for record in image.records {
        let key = record.key.as_ref().try_into().map_err(|_| Malformed("stored key"))?;
        let revision = Revision(record.revision);
        let value = Ciphertext::from_sealed(record.value);
        tables.records.insert(StoredKey(key), Record { revision, value });
    }
    for state in image.directories {
        let directory = state.directory.as_ref().try_into();
        let directory = directory.map_err(|_| Malformed("stored directory"))?;
        let state = Directory { revision: Revision(state.revision), records: state.records };
        tables.directories.insert(StoredDirectory(directory), state);
    }
    for item in image.system {
        let key = SystemKey::from_number(item.key).ok_or(Malformed("system key"))?;
        tables.system.insert(key, (Revision(item.revision), item.value));
    }
    for row in image.requests {
        tables.load_request_row(&row.key, row.value).ok_or(Malformed("request"))?;
    }
    Ok(tables)
}

fn malformed(error: Malformed) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

//! Snapshots on their way between nodes.
//!
//! The state store is a checkpoint by itself, so that none is written before a node needs it: it
//! is exported when it is sent, and may then hold more than raft had asked for.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::Stream;
use sha2::{Digest as _, Sha256};
use tokio::fs::{File, OpenOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

use super::state::StateStore;
use crate::proto::cluster as proto;
use crate::proto::cluster::snapshot_chunk::Part;

/// What raft passes around as a snapshot.
pub(super) enum SnapshotData {
    /// The state of this node, whatever it is when it is sent.
    Live(Arc<dyn StateStore>),
    /// As it came from the leader.
    Received(Image),
}

/// A whole snapshot, outside the state store.
pub enum Image {
    Memory(Vec<u8>),
    /// Goes when it is dropped, unless the store has moved it away.
    File(SnapshotFile),
}

/// A file that is removed when it is dropped.
pub struct SnapshotFile(PathBuf);

impl SnapshotFile {
    pub fn new(path: PathBuf) -> Self {
        Self(path)
    }

    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for SnapshotFile {
    fn drop(&mut self) {
        match std::fs::remove_file(&self.0) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(%error, "a snapshot file stays behind"),
        }
    }
}

/// The messages that carry a snapshot. Where it cannot be read they end early, and the receiver
/// refuses what lacks its end.
pub(super) fn chunks(
    header: proto::SnapshotHeader,
    data: SnapshotData,
) -> impl Stream<Item = proto::SnapshotChunk> + Send + 'static {
    let sending = Sending::Start(Box::new(header), data);
    futures_util::stream::unfold(sending, |sending| async move {
        match sending.next().await {
            Ok(next) => next,
            Err(error) => {
                tracing::error!(%error, "a snapshot cannot be sent");
                None
            }
        }
    })
}

enum Sending {
    Start(Box<proto::SnapshotHeader>, SnapshotData),
    Data(Box<Data>),
    Ended,
}

struct Data {
    source: Source,
    hash: Sha256,
    bytes: u64,
    /// Its file goes when all is sent.
    _image: Image,
}

enum Source {
    Memory(Bytes),
    File(File),
}

impl Sending {
    async fn next(self) -> io::Result<Option<(proto::SnapshotChunk, Self)>> {
        match self {
            Self::Start(header, data) => Self::start(*header, data).await.map(Some),
            Self::Data(mut sending) => {
                let data = sending.source.chunk().await?;
                if data.is_empty() {
                    let digest = sending.hash.finalize().to_vec().into();
                    let end = Part::End(proto::SnapshotEnd { bytes: sending.bytes, digest });
                    return Ok(Some((proto::SnapshotChunk { part: Some(end) }, Self::Ended)));
                }
                sending.hash.update(&data);
                sending.bytes = sending.bytes.saturating_add(data.len() as u64);
                let chunk = proto::SnapshotChunk { part: Some(Part::Data(data)) };
                Ok(Some((chunk, Self::Data(sending))))
            }
            Self::Ended => Ok(None),
        }
    }

    async fn start(
        header: proto::SnapshotHeader,
        data: SnapshotData,
    ) -> io::Result<(proto::SnapshotChunk, Self)> {
        let mut image = match data {
            SnapshotData::Received(image) => image,
            SnapshotData::Live(state) => {
                let export = tokio::task::spawn_blocking(move || state.export());
                export.await.map_err(io::Error::other)??
            }
        };
        let source = match &mut image {
            Image::Memory(bytes) => Source::Memory(std::mem::take(bytes).into()),
            Image::File(file) => Source::File(File::open(file.path()).await?),
        };
        let chunk = proto::SnapshotChunk { part: Some(Part::Header(header)) };
        let data = Data { source, hash: Sha256::new(), bytes: 0, _image: image };
        Ok((chunk, Self::Data(Box::new(data))))
    }
}

impl Source {
    /// Empty at the end.
    async fn chunk(&mut self) -> io::Result<Bytes> {
        match self {
            Self::Memory(bytes) => Ok(bytes.split_to(bytes.len().min(CHUNK_BYTES))),
            Self::File(file) => {
                let mut buffer = Vec::with_capacity(CHUNK_BYTES);
                file.take(CHUNK_BYTES as u64).read_to_end(&mut buffer).await?;
                Ok(buffer.into())
            }
        }
    }
}

/// A snapshot that is arriving.
pub(super) struct Receiving {
    sink: Sink,
    hash: Sha256,
    bytes: u64,
}

enum Sink {
    Memory(Vec<u8>),
    File(SnapshotFile, File),
}

impl Receiving {
    pub(super) async fn start(state: &dyn StateStore) -> io::Result<Self> {
        let sink = match state.receive()? {
            Image::Memory(bytes) => Sink::Memory(bytes),
            Image::File(file) => {
                let mut options = OpenOptions::new();
                let options = options.write(true).create(true).truncate(true).mode(0o600);
                let opened = options.open(file.path()).await?;
                Sink::File(file, opened)
            }
        };
        Ok(Self { sink, hash: Sha256::new(), bytes: 0 })
    }

    pub(super) async fn write(&mut self, data: &[u8]) -> io::Result<()> {
        self.hash.update(data);
        self.bytes = self.bytes.saturating_add(data.len() as u64);
        match &mut self.sink {
            Sink::Memory(bytes) => bytes.extend_from_slice(data),
            Sink::File(_, file) => file.write_all(data).await?,
        }
        Ok(())
    }

    /// # Errors
    /// Where bytes are missing or changed.
    pub(super) async fn finish(self, end: &proto::SnapshotEnd) -> io::Result<Image> {
        if end.bytes != self.bytes || *end.digest != *self.hash.finalize() {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "the snapshot is damaged"));
        }
        match self.sink {
            Sink::Memory(bytes) => Ok(Image::Memory(bytes)),
            Sink::File(path, mut file) => {
                file.flush().await?;
                file.sync_all().await?;
                Ok(Image::File(path))
            }
        }
    }
}

/// Of a snapshot, in one message.
const CHUNK_BYTES: usize = 1024 * 1024;

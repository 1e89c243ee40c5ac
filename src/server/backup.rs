//! Backups as they are made: an export of this node's state, sent as an archive.
//!
//! A standby makes its own once the active node has allowed the request, and waits until it has
//! applied what that one had: nothing is sent twice, and the active node has no work with it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{Semaphore, mpsc};

use super::control::Control;
use super::replicated::Replicated;
use crate::backup;
use crate::http::Download;
use crate::raft::{Image, SnapshotFile};
use crate::request::Error;

/// What a node knows for its backups.
pub(super) struct Backups {
    /// One for each that may be made at one time.
    turns: Arc<Semaphore>,
    /// The newest entry that another node is known to have applied when it answered.
    seen: AtomicU64,
}

impl Default for Backups {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(BACKUPS_MAX)), seen: AtomicU64::default() }
    }
}

impl Backups {
    /// Another node, which has applied so far, has answered a request.
    pub(super) fn note_applied(&self, index: u64) {
        self.seen.fetch_max(index, Ordering::Relaxed);
    }
}

impl Control {
    /// Whether this node can make one.
    pub(super) fn check_backup(&self) -> Result<(), Error> {
        self.replicated().map(drop)
    }

    /// The state as of now, everything that was acknowledged before included. Writes go on.
    ///
    /// # Errors
    /// Where too many are made at once, this node lags behind, or its disk is full.
    pub(super) async fn backup(&self) -> Result<Download, Error> {
        let node = self.replicated()?;
        let keyring = self.barrier.keyring()?;
        let turn = Arc::clone(&node.backups.turns).try_acquire_owned().map_err(|_| {
            Error::TooMany("too many snapshots are being taken from this node: try again".into())
        })?;
        let file = node.export().await?;
        let rng = Arc::clone(&node.rng);
        let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
        drop(tokio::task::spawn_blocking(move || {
            let mut output = Chunks { sender, chunk: BytesMut::new() };
            let seal =
                |sums: &[u8]| keyring.seal_checksums(rng.as_ref(), sums).map_err(io::Error::other);
            if let Err(error) = backup::write(&mut output, file.path(), seal) {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    tracing::warn!(%error, "a snapshot was not sent to its end");
                }
                // Whoever reads it must not take it for a whole one.
                drop(output.sender.blocking_send(Err(error)));
            }
            drop(turn);
        }));
        let chunks = stream::unfold(receiver, |mut receiver| async move {
            let chunk = receiver.recv().await?;
            Some((chunk, receiver))
        });
        Ok(Download { content_type: "application/gzip".into(), chunks: chunks.boxed() })
    }
}

impl Replicated {
    async fn export(&self) -> Result<SnapshotFile, Error> {
        let seen = self.backups.seen.load(Ordering::Relaxed);
        let mut applied = self.raft.applied();
        let caught_up = applied.wait_for(|applied| *applied >= seen);
        if !matches!(tokio::time::timeout(CATCH_UP, caught_up).await, Ok(Ok(_))) {
            let text = "this node is behind the active one: ask another, or try again";
            return Err(Error::Unavailable(text.into()));
        }
        let state = Arc::clone(&self.state);
        let exported = tokio::task::spawn_blocking(move || state.export()).await;
        match exported.map_err(Error::internal)? {
            Ok(Image::File(file)) => Ok(file),
            Ok(Image::Memory(_)) => Err(Error::internal("the state is not on disk")),
            Err(error) => Err(Error::internal(error)),
        }
    }
}

/// Hands over what is written, piece by piece, to whoever sends it.
struct Chunks {
    sender: mpsc::Sender<io::Result<Bytes>>,
    chunk: BytesMut,
}

impl Chunks {
    fn send(&mut self) -> io::Result<()> {
        let chunk = self.chunk.split().freeze();
        let sent = self.sender.blocking_send(Ok(chunk));
        sent.map_err(|_| io::Error::new(io::ErrorKind::BrokenPipe, "the client has left"))
    }
}

impl io::Write for Chunks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.chunk.extend_from_slice(bytes);
        if self.chunk.len() >= CHUNK_BYTES {
            self.send()?;
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        if self.chunk.is_empty() { Ok(()) } else { self.send() }
    }
}

/// From one node at one time: each takes as much disk as the state.
const BACKUPS_MAX: usize = 2;

const CATCH_UP: Duration = Duration::from_secs(10);

const CHUNK_BYTES: usize = 64 << 10;

/// Made before they are sent.
const CHUNKS_AHEAD: usize = 4;

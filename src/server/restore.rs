//! Restores on the active node: a snapshot is received, checked, staged in the log piece by piece,
//! and then put in the state's place by one entry. Until that entry nothing changes, whatever
//! happens to whom.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::StreamExt as _;
use sha2::{Digest as _, Sha256};
use tokio::io::AsyncReadExt as _;
use tokio::sync::{mpsc, watch};

use super::control::Control;
use super::observer::Restored;
use super::replicated::Replicated;
use crate::backup::{self, Checked, Unpacked};
use crate::cluster::BodyChunks;
use crate::crypto::sha256;
use crate::log::{LogError, Point};
use crate::pipeline::Pipeline;
use crate::raft::{Image, SnapshotFile};
use crate::record::{Applied, Restore, RestoreId, RestoreStep};
use crate::request::{Error, Request};
use crate::secret::Secret;

/// The name of a restore, by the id of the request for it: whichever node is asked can tell whether
/// it is done.
pub(super) fn restore_id(request: &Request) -> RestoreId {
    let mut id = [0; 16];
    id.copy_from_slice(sha256(&[b"restore", request.id.as_bytes()]).split_at(16).0);
    RestoreId(id)
}

/// Whether this restore is done on this node, a moment later at the latest. The node that does it
/// may seal itself, and its answer be lost.
pub(super) async fn is_done(mut begun: watch::Receiver<Option<Restored>>, id: RestoreId) -> bool {
    let done = async {
        while begun.changed().await.is_ok() {
            if begun.borrow_and_update().is_some_and(|restored| restored.id == id) {
                return true;
            }
        }
        false
    };
    tokio::time::timeout(DONE_WAIT, done).await.unwrap_or_default()
}

/// What a node knows of restores.
pub(super) struct Restores {
    /// Held while this node restores a snapshot, or gives up what another has staged.
    turn: tokio::sync::Mutex<()>,
    /// Changes whenever a snapshot has taken the state's place.
    restored: watch::Receiver<Option<Restored>>,
    /// The authority's key as it was before.
    kept_authority: Mutex<Option<Secret<String>>>,
}

impl Restores {
    pub(super) fn new(restored: watch::Receiver<Option<Restored>>) -> Self {
        Self { turn: tokio::sync::Mutex::default(), restored, kept_authority: Mutex::default() }
    }

    pub(super) fn kept_authority(&self) -> MutexGuard<'_, Option<Secret<String>>> {
        self.kept_authority.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The entry by which a snapshot has taken the state's place last, since this node started; 0
    /// where none has.
    pub(super) fn last(&self) -> u64 {
        self.restored.borrow().map_or(0, |restored| restored.index)
    }

    /// For [`is_done`], whether a restore that begins now has ended.
    pub(super) fn begun(&self) -> watch::Receiver<Option<Restored>> {
        let mut restored = self.restored.clone();
        restored.mark_unchanged();
        restored
    }
}

/// A snapshot that is whole, on this node's disk.
struct Received {
    file: SnapshotFile,
    unpacked: Unpacked,
    checked: Checked,
}

impl Control {
    /// Puts a snapshot in place of all data, on every node. `forced`: whatever its keys are. Where
    /// these are others, every node is sealed afterwards.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it is no whole snapshot, or is of other keys; and where another
    /// restore is under way, a node cannot take part, or leadership is lost. Nothing was restored
    /// then, but for [`Error::LeadershipLost`].
    pub(super) async fn restore(
        &self,
        request: &Request,
        body: BodyChunks,
        forced: bool,
        pipeline: &Pipeline,
    ) -> Result<(), Error> {
        let node = self.replicated()?;
        let _turn = node.restores.turn.try_lock().map_err(|_| {
            Error::Unavailable("another snapshot is being restored: wait until that is done".into())
        })?;
        check_programs(node)?;
        let received = Box::pin(receive(node, body)).await?;
        self.check_keys(&received, forced)?;
        // Whoever has led the cluster since then has begun anew.
        let point = self.log().begin().await.map_err(lost)?;
        let attempt = Attempt { control: self, point, id: restore_id(request) };
        let meta = &received.unpacked.meta;
        tracing::info!(
            index = meta.index,
            bytes = meta.size,
            forced,
            "a snapshot is being restored"
        );
        let replaced = match attempt.stage(received.file.path()).await {
            Ok(replace) => match self.keep_authority(pipeline).await {
                Ok(()) => attempt.step(replace).await,
                Err(error) => Err(error),
            },
            Err(error) => Err(error),
        };
        if let Err(error) = replaced {
            if !matches!(error, Error::LeadershipLost) {
                // Otherwise whoever leads then does it.
                drop(attempt.step(RestoreStep::GiveUp).await);
            }
            return Err(error);
        }
        self.forget_replaced(pipeline);
        Ok(())
    }

    fn check_keys(&self, received: &Received, forced: bool) -> Result<(), Error> {
        let Received { unpacked, checked, .. } = received;
        if let Some(problem) = checked.problems.first() {
            return Err(Error::BadRequest(format!("the snapshot cannot be restored: {problem}")));
        }
        let keyring = self.barrier.keyring()?;
        let is_sealed = keyring
            .open_checksums(&unpacked.sealed_checksums)
            .is_ok_and(|sums| *sums.expose() == unpacked.checksums);
        let opens = checked.keyring.as_ref();
        let opens = opens.is_some_and(|record| record.open_with(keyring.root_key()).is_ok());
        if forced || is_sealed && opens {
            return Ok(());
        }
        // As in Vault: clients look for it.
        Err(Error::bad_request(
            "could not verify hash file, possibly the snapshot is using a different set of unseal \
             keys; use the snapshot-force API to bypass this check",
        ))
    }

    /// Drops what this node keeps in memory of a state that is no more.
    fn forget_replaced(&self, pipeline: &Pipeline) {
        pipeline.forget();
        self.keys.forget();
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).reset();
        *self.migration.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// What restores leave to the active node. `mended`: after which one its authority was seen to.
    pub(super) async fn see_to_restores(&self, pipeline: &Pipeline, mended: &mut Option<u64>) {
        if let Err(error) = self.give_up_staged().await {
            tracing::warn!(error = error.case(), "what a restore has staged stays for now");
        }
        let restored = self.consensus.replicated().map_or(0, |node| node.restores.last());
        if *mended == Some(restored) {
            return;
        }
        match self.mend_authority(pipeline).await {
            Ok(()) => *mended = Some(restored),
            Err(error) => tracing::warn!(error = error.case(), "the authority is not seen to yet"),
        }
    }

    /// Gives up what a restore has staged that was broken off.
    ///
    /// # Errors
    /// Where this node does not lead.
    async fn give_up_staged(&self) -> Result<(), Error> {
        let Some(node) = self.consensus.replicated() else {
            return Ok(());
        };
        if self.consensus.view().staged().map_err(Error::internal)?.is_none() {
            return Ok(());
        }
        let Ok(_turn) = node.restores.turn.try_lock() else {
            return Ok(());
        };
        let staged = self.consensus.view().staged().map_err(Error::internal)?;
        let Some(staged) = staged else { return Ok(()) };
        tracing::warn!("a restore was broken off: what it has staged is dropped");
        let point = self.log().begin().await.map_err(lost)?;
        let attempt = Attempt { control: self, point, id: staged.id };
        attempt.step(RestoreStep::GiveUp).await
    }
}

/// Forgets, on each node, what was of a state that a snapshot has replaced. Runs until dropped.
pub async fn watch_restores(control: Arc<Control>, pipeline: Arc<Pipeline>) {
    let Some(node) = control.consensus.replicated() else {
        return;
    };
    let mut restored = node.restores.restored.clone();
    while restored.changed().await.is_ok() {
        control.forget_replaced(&pipeline);
        *control.recovery_guard.lock().await = None;
    }
}

/// One restore, in one term.
struct Attempt<'a> {
    control: &'a Control,
    point: Point,
    id: RestoreId,
}

impl Attempt<'_> {
    /// The step that is left when all bytes of the file are in the log.
    async fn stage(&self, file: &Path) -> Result<RestoreStep, Error> {
        self.step(RestoreStep::Begin).await?;
        let mut file = tokio::fs::File::open(file).await.map_err(Error::internal)?;
        let mut hash = Sha256::new();
        let mut pieces = 0;
        loop {
            let mut bytes = Vec::new();
            let read = (&mut file).take(PIECE_BYTES).read_to_end(&mut bytes).await;
            if read.map_err(Error::internal)? == 0 {
                break;
            }
            hash.update(&bytes);
            pieces += 1;
            self.step(RestoreStep::Piece { number: pieces, bytes: bytes.into() }).await?;
        }
        Ok(RestoreStep::Replace { pieces, sha256: hash.finalize().into() })
    }

    async fn step(&self, step: RestoreStep) -> Result<(), Error> {
        let control = self.control;
        let restore = Restore { id: self.id, step };
        let entry = control.barrier.seal_restore(&self.point, control.now(), restore)?;
        match control.log().propose(entry).await.map_err(lost)? {
            Applied::Committed => Ok(()),
            Applied::Damaged => Err(Error::internal("the snapshot was staged otherwise")),
            Applied::Fenced
            | Applied::Conflict(_)
            | Applied::Repeated
            | Applied::Forgotten
            | Applied::NoRoom => Err(Error::Unavailable(REPLACED.into())),
        }
    }
}

/// Every node must be able to read the entries.
fn check_programs(node: &Replicated) -> Result<(), Error> {
    let own = env!("CARGO_PKG_VERSION");
    for member in node.raft().configuration() {
        if let Some(status) = member.status
            && status.program != own
        {
            return Err(Error::Unavailable(format!(
                "node {:?} runs version {}, and the active node {own}: bring all nodes to one \
                 version, then restore",
                member.info.name, status.program
            )));
        }
    }
    Ok(())
}

/// Takes the archive as it arrives, and checks all of it.
async fn receive(node: &Replicated, mut body: BodyChunks) -> Result<Received, Error> {
    let Image::File(file) = node.state.receive().map_err(Error::internal)? else {
        return Err(Error::internal("the state is not on disk"));
    };
    let (sender, receiver) = mpsc::channel(CHUNKS_AHEAD);
    let unpacking = tokio::task::spawn_blocking(move || {
        let input = BufReader::new(Chunks { receiver, chunk: Bytes::new() });
        let output = Bounded::create(file.path()).map_err(backup::Error::Write)?;
        let unpacked = backup::unpack(input, output)?;
        let checked = backup::walk(file.path())?;
        Ok(Received { file, unpacked, checked })
    });
    while let Some(chunk) = body.next().await {
        let ends = chunk.is_err();
        if sender.send(chunk).await.is_err() || ends {
            break;
        }
    }
    drop(sender);
    unpacking.await.map_err(Error::internal)?.map_err(refused)
}

fn refused(error: backup::Error) -> Error {
    match error {
        backup::Error::Write(error) if error.kind() == io::ErrorKind::StorageFull => {
            Error::DiskFull
        }
        backup::Error::Write(error) => Error::internal(error),
        error => Error::BadRequest(format!("the snapshot cannot be restored: {error}")),
    }
}

fn lost(error: LogError) -> Error {
    match error {
        LogError::DiskFull => Error::DiskFull,
        LogError::Unknown => Error::LeadershipLost,
        LogError::NotLeader => Error::Unavailable(REPLACED.into()),
        LogError::TooLarge { size, limit } => Error::BadRequest(format!(
            "a piece of a snapshot takes {size} bytes, and max_transaction_size allows {limit}: \
             raise it"
        )),
        other => Error::internal(other),
    }
}

/// The body, for who reads it on a thread of its own.
struct Chunks {
    receiver: mpsc::Receiver<io::Result<Bytes>>,
    chunk: Bytes,
}

impl Read for Chunks {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.chunk.is_empty() {
            match self.receiver.blocking_recv() {
                Some(chunk) => self.chunk = chunk?,
                None => return Ok(0),
            }
        }
        let length = buffer.len().min(self.chunk.len());
        self.chunk.split_to(length).copy_to_slice(buffer.split_at_mut(length).0);
        Ok(length)
    }
}

/// A file that is given up before the disk is full: what is in it is yet to be staged and loaded.
struct Bounded {
    file: File,
    path: PathBuf,
    written: u64,
    /// The room was looked at for so many bytes.
    allowed: u64,
}

impl Bounded {
    fn create(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        let file = options.write(true).create(true).truncate(true).mode(0o600).open(path)?;
        Ok(Self { file, path: path.into(), written: 0, allowed: 0 })
    }
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.written >= self.allowed {
            let next = self.written.saturating_add(LOOK_BYTES);
            let space = rustix::fs::statvfs(&self.path)?;
            let free = space.f_bavail.saturating_mul(space.f_frsize);
            if free < next.saturating_mul(COPIES) {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.allowed = next;
        }
        let written = self.file.write(bytes)?;
        self.written = self.written.saturating_add(written as u64);
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

const REPLACED: &str =
    "this node has ceased to lead while it restored a snapshot, nothing was restored: try again";

/// Longer than the nodes are apart in what they have applied.
const DONE_WAIT: Duration = Duration::from_secs(3);

/// In one entry: far below `max_transaction_size`, and large enough that there are few.
const PIECE_BYTES: u64 = 2 << 20;

/// Of the body, received and not unpacked yet.
const CHUNKS_AHEAD: usize = 16;

/// The disk is looked at whenever so many more are unpacked.
const LOOK_BYTES: u64 = 16 << 20;

/// Of the snapshot, that each node makes besides the one that is received: in the log, staged, put
/// together, and loaded, which takes somewhat more.
const COPIES: u64 = 5;

//! The replicated state on disk: changes in memory over a checkpoint that is made of them in the
//! background.
//!
//! **Invariant:** the checkpoint holds exactly the entries up to its mark, and none that this
//! node's own log has not flushed; the memory over it holds the rest. A restart replays from the
//! mark.

mod checkpoint;
mod lmdb;
mod overlay;
mod place;
mod restore;
#[cfg(feature = "sled")]
mod sled;
mod snapshot;
mod table;
mod view;
mod walk;

pub use place::Kind;
pub use snapshot::{SnapshotInfo, inspect, verify};
pub(super) use table::listed_range;
pub use walk::{SnapshotItem, walk};

use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard};
use std::sync::{RwLockWriteGuard, atomic::AtomicBool, atomic::Ordering};
use std::thread::JoinHandle;

use bytes::Bytes;

use self::overlay::Overlay;
use self::place::Place;
use self::table::{Mark, RawKey};
use super::apply::{Effects, apply};
use super::{EntryId, Error, Watermark};
use crate::clock::Timestamp;
use crate::record::{Applied, Leadership, RestoreStep, SealedBatch, ViewError};

/// Told of each entry up to which the state would survive a power cut without the log: the log
/// may be purged so far. Called on any of the state's threads; may not call the state.
pub type OnDurable = Box<dyn Fn(EntryId) + Send + Sync>;

/// Sizes and bounds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub kind: Kind,
    /// What memory may hold that is in no checkpoint: at the bound `apply` waits for the disk.
    pub overlay_bytes_max: usize,
    /// A checkpoint begins at so many.
    pub checkpoint_bytes: usize,
    /// Of LMDB's map: address space, not memory. More than the state will take on disk.
    pub map_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            kind: Kind::Lmdb,
            overlay_bytes_max: 128 << 20,
            checkpoint_bytes: 32 << 20,
            map_bytes: 256 << 30,
        }
    }
}

/// How full the memory over the checkpoint is.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Pressure {
    Free,
    /// Three quarters: the leader holds new proposals.
    Hold,
    /// `apply` waits.
    Full,
}

/// A handle; clones share the state, the last one closes it.
#[derive(Clone)]
pub struct State(Arc<Worker>);

impl State {
    /// Opens the state in `folder`, or begins an empty one. `flushed` is the log's.
    ///
    /// # Errors
    /// Where it cannot be read, or was written by a newer program.
    pub fn open(
        folder: &Path,
        options: Options,
        flushed: Arc<Watermark>,
        on_durable: OnDurable,
    ) -> Result<Self, Error> {
        let place = Place::open(folder, options)?;
        let (checkpoint, mark) = place.current()?;
        if let Some(durable) = place.durable(&mark)? {
            on_durable(durable);
        }
        let shared = Arc::new(Shared {
            options,
            place,
            flushed,
            on_durable,
            overlay: RwLock::new(Overlay::open(checkpoint, mark)?),
            applier: Mutex::new(()),
            committer: Mutex::new(()),
            control: Mutex::new(Control::default()),
            changed: Condvar::new(),
            failed: AtomicBool::new(false),
        });
        Worker::start(shared, folder).map(Arc::new).map(Self)
    }

    /// Applies an entry that is committed. Entries come one after the other; an index already
    /// applied is refused. Waits for the disk only at the bound of the memory.
    ///
    /// # Errors
    /// Where the state cannot be read, or its checkpoints have failed.
    pub fn apply(
        &self,
        index: u64,
        leadership: Leadership,
        batch: &SealedBatch,
    ) -> Result<Applied, ViewError> {
        let shared = &self.0.shared;
        shared.in_turn(EntryId::new(index, leadership), |id| {
            shared.write().advance(batch);
            let (applied, effects) = apply(&**shared, index, leadership, batch)?;
            if effects.replaces
                && let Some(RestoreStep::Replace { sha256, .. }) =
                    batch.restore.as_ref().map(|restore| &restore.step)
            {
                return shared.replace(id, effects.time, sha256).map_err(unreadable);
            }
            shared.write().merge(id, effects);
            Ok(applied)
        })
    }

    /// An entry without content, such as a new leader's first.
    ///
    /// # Errors
    /// As for [`Self::apply`].
    pub fn apply_blank(&self, id: EntryId) -> Result<(), ViewError> {
        let shared = &self.0.shared;
        shared.in_turn(id, |id| {
            let mut overlay = shared.write();
            let time = overlay.mark.time;
            overlay.merge(id, Effects { time, ..Effects::default() });
            Ok(())
        })
    }

    /// `membership` is opaque here; the caller puts into it what it has to know again.
    ///
    /// # Errors
    /// As for [`Self::apply`].
    pub fn apply_membership(&self, id: EntryId, membership: Bytes) -> Result<(), ViewError> {
        let shared = &self.0.shared;
        shared.in_turn(id, |id| {
            let mut overlay = shared.write();
            let time = overlay.mark.time;
            overlay.merge(id, Effects { time, ..Effects::default() });
            overlay.mark.membership = Some(membership);
            Ok(())
        })
    }

    /// The newest entry that was applied.
    pub fn applied(&self) -> Option<EntryId> {
        self.0.shared.read().mark.applied
    }

    /// The newest that was applied.
    pub fn membership(&self) -> Option<Bytes> {
        self.0.shared.read().mark.membership.clone()
    }

    pub fn pressure(&self) -> Pressure {
        let bytes = self.0.shared.read().bytes();
        let bytes_max = self.0.shared.options.overlay_bytes_max;
        if bytes >= bytes_max {
            Pressure::Full
        } else if bytes >= bytes_max / 4 * 3 {
            Pressure::Hold
        } else {
            Pressure::Free
        }
    }

    /// Room on disk that the next checkpoint may need, for the disk's reserve.
    ///
    /// # Errors
    /// Where the store does not tell its size.
    pub fn checkpoint_bytes(&self) -> Result<u64, Error> {
        let shared = &self.0.shared;
        let checkpoint = shared.read().checkpoint.clone();
        let overlay = shared.options.overlay_bytes_max as u64;
        // Pages are copied before they are changed: at worst one for each small record, but never
        // more than there are.
        Ok(checkpoint.bytes()?.min(overlay.saturating_mul(20)).saturating_add(overlay * 2))
    }

    /// Waits until all that was applied before the call is in the checkpoint; returns its mark.
    ///
    /// # Errors
    /// Where a checkpoint fails, or the log has stopped before it flushed so far.
    pub fn checkpoint(&self) -> Result<Option<EntryId>, Error> {
        self.0.shared.checkpoint()
    }

    /// Makes a checkpoint, then a file of it: written beside, synced, renamed. Blocks neither
    /// `apply` nor reads.
    ///
    /// # Errors
    /// Where nothing was applied yet; where the file cannot be written.
    pub fn export(&self, file: &Path) -> Result<SnapshotInfo, Error> {
        let shared = &self.0.shared;
        shared.checkpoint()?;
        let checkpoint = shared.read().checkpoint.clone();
        // Where a point is not kept apart from what is committed meanwhile.
        let _committer = (!checkpoint.is_durable()).then(|| shared.committer());
        snapshot::write(&*checkpoint, file)
    }

    /// Replaces the state by the snapshot's, once all of the file has been verified. The old one
    /// stands until the new one is durable.
    ///
    /// # Errors
    /// Where the file is not a whole snapshot; where the state cannot be written.
    pub fn install(&self, file: &Path) -> Result<SnapshotInfo, Error> {
        self.0.shared.install(file)
    }

    /// SHA-256 of everything that is replicated: equal on nodes that have applied the same
    /// entries. Reads all of it.
    ///
    /// # Errors
    /// Where the state cannot be read.
    pub fn hash(&self) -> Result<[u8; 32], Error> {
        self.0.shared.hash()
    }

    /// Why checkpoints have stopped, if they have.
    pub fn failure(&self) -> Option<Error> {
        self.0.shared.control().failure.clone()
    }

    /// Makes a last checkpoint and ends the thread. Close the log after it.
    ///
    /// # Errors
    /// Where that checkpoint fails.
    pub fn close(&self) -> Result<(), Error> {
        self.0.close()
    }
}

/// The state without its thread.
///
/// Locks are taken in the order of the fields: `applier`, `committer`, `control`, `overlay`.
struct Shared {
    options: Options,
    place: Place,
    flushed: Arc<Watermark>,
    on_durable: OnDurable,
    /// One entry at a time.
    applier: Mutex<()>,
    /// One checkpoint or installation at a time.
    committer: Mutex<()>,
    control: Mutex<Control>,
    changed: Condvar,
    overlay: RwLock<Overlay>,
    /// As `control.failure`, for those who do not want to wait for its lock.
    failed: AtomicBool,
}

#[derive(Default)]
struct Control {
    /// Somebody waits for a checkpoint of what is applied.
    wanted: bool,
    closing: bool,
    failure: Option<Error>,
}

impl Shared {
    fn in_turn<T>(
        &self,
        id: EntryId,
        run: impl FnOnce(EntryId) -> Result<T, ViewError>,
    ) -> Result<T, ViewError> {
        let _applier = self.applier.lock().unwrap_or_else(PoisonError::into_inner);
        self.wait_for_room().map_err(unreadable)?;
        let next = self.read().mark.applied.map(|applied| applied.index.saturating_add(1));
        if let Some(expected) = next
            && id.index != expected
        {
            return Err(unreadable(Error::Gap { found: id.index, expected }));
        }
        let result = run(id)?;
        if self.read().active_bytes() >= self.options.checkpoint_bytes {
            drop(self.control());
            self.changed.notify_all();
        }
        Ok(result)
    }

    fn wait_for_room(&self) -> Result<(), Error> {
        let full = || self.read().bytes() >= self.options.overlay_bytes_max;
        if !full() && !self.failed.load(Ordering::Acquire) {
            return Ok(());
        }
        let waiting = |control: &mut Control| control.failure.is_none() && full();
        let control = self.changed.wait_while(self.control(), waiting);
        let control = control.unwrap_or_else(PoisonError::into_inner);
        control.failure.as_ref().map_or(Ok(()), |error| Err(Error::Stopped(error.to_string())))
    }

    fn checkpoint(&self) -> Result<Option<EntryId>, Error> {
        let Some(applied) = self.read().mark.applied else { return Ok(None) };
        // An installed snapshot may take the state back: then nothing is left to wait for.
        let pending = || {
            let overlay = self.read();
            overlay.committed < Some(applied) && overlay.committed != overlay.mark.applied
        };
        let mut control = self.control();
        control.wanted |= pending();
        self.changed.notify_all();
        let waiting =
            |control: &mut Control| control.failure.is_none() && !control.closing && pending();
        let control = self.changed.wait_while(control, waiting);
        let control = control.unwrap_or_else(PoisonError::into_inner);
        match &control.failure {
            Some(error) => Err(Error::Stopped(error.to_string())),
            None if pending() => Err(Error::Stopped("it was closed".to_owned())),
            None => Ok(self.read().committed),
        }
    }

    /// The thread: waits until a checkpoint is due and makes it; `false` when it is to end.
    fn step(&self) -> bool {
        let idle = |control: &mut Control| {
            let due = self.read().active_bytes() >= self.options.checkpoint_bytes;
            !due && !control.wanted && !control.closing && control.failure.is_none()
        };
        let control = self.changed.wait_while(self.control(), idle);
        let mut control = control.unwrap_or_else(PoisonError::into_inner);
        if control.closing || control.failure.is_some() {
            return false;
        }
        control.wanted = false;
        drop(control);
        let result = self.commit();
        if let Err(error) = &result {
            self.fail(error);
        }
        drop(self.control());
        self.changed.notify_all();
        result.is_ok()
    }

    /// Makes a checkpoint of what is applied; nothing where there is nothing new.
    fn commit(&self) -> Result<(), Error> {
        let _committer = self.committer();
        let Some(frozen) = self.write().freeze() else { return Ok(()) };
        let Some(applied) = frozen.mark.applied else { return Ok(()) };
        if !self.flushed.wait(applied.index) {
            return Err(Error::Stopped("the log has stopped".to_owned()));
        }
        let checkpoint = self.read().checkpoint.clone();
        let mark = (RawKey::mark(), Some(frozen.mark.encode()));
        checkpoint.commit(&mut frozen.layer.encoded().chain([mark]))?;
        self.write().thaw();
        if let Some(durable) = self.place.committed(&*checkpoint, applied, frozen.layer.bytes)? {
            (self.on_durable)(durable);
        }
        Ok(())
    }

    fn install(&self, file: &Path) -> Result<SnapshotInfo, Error> {
        let info = verify(file)?;
        let _applier = self.applier.lock().unwrap_or_else(PoisonError::into_inner);
        let _committer = self.committer();
        self.go_on_with(self.place.install(file)?, info.applied)?;
        Ok(info)
    }

    /// Puts what is staged in the state's place, as the entry `id` says. The old state stands
    /// until the new one is durable, and then `id` is applied: a node that stops before applies
    /// it again.
    fn replace(&self, id: EntryId, time: Timestamp, sha256: &[u8; 32]) -> Result<Applied, Error> {
        self.checkpoint()?;
        if !self.flushed.wait(id.index) {
            return Err(Error::Stopped("the log has stopped".to_owned()));
        }
        let _committer = self.committer();
        let (old, membership) = {
            let overlay = self.read();
            (overlay.checkpoint.clone(), overlay.mark.membership.clone())
        };
        let file = self.place.staged();
        let Some(info) = restore::collect(&*old, &file, sha256)? else {
            self.write().merge(id, Effects { time, ..Effects::default() });
            return Ok(Applied::Damaged);
        };
        let mark = Mark { applied: Some(id), time: time.max(info.time), membership };
        let new = self.place.replace(|new| restore::load(&file, &*old, new, &mark))?;
        self.go_on_with(new, id)?;
        Ok(Applied::Committed)
    }

    /// With another store, in which `applied` is durable. Applier and committer are held.
    fn go_on_with(
        &self,
        (checkpoint, mark): (Arc<dyn checkpoint::Checkpoint>, Mark),
        applied: EntryId,
    ) -> Result<(), Error> {
        let overlay = Overlay::open(checkpoint, mark)?;
        let old = std::mem::replace(&mut *self.write(), overlay);
        drop(old);
        drop(self.control());
        self.changed.notify_all();
        self.place.clean();
        (self.on_durable)(applied);
        Ok(())
    }

    fn fail(&self, error: &Error) {
        tracing::error!(%error, "the state can make no checkpoint");
        self.control().failure.get_or_insert(error.clone());
        self.failed.store(true, Ordering::Release);
        self.changed.notify_all();
    }

    fn committer(&self) -> MutexGuard<'_, ()> {
        self.committer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn control(&self) -> MutexGuard<'_, Control> {
        self.control.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Overlay> {
        self.overlay.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Overlay> {
        self.overlay.write().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The thread that makes checkpoints.
struct Worker {
    shared: Arc<Shared>,
    running: Mutex<Option<JoinHandle<()>>>,
}

impl Worker {
    fn start(shared: Arc<Shared>, folder: &Path) -> Result<Self, Error> {
        let committer = shared.clone();
        let thread = std::thread::Builder::new()
            .name("state-checkpoint".to_owned())
            .spawn(move || while committer.step() {})
            .map_err(Error::io("start a thread for", folder))?;
        Ok(Self { shared, running: Mutex::new(Some(thread)) })
    }

    fn close(&self) -> Result<(), Error> {
        let thread = self.running.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(thread) = thread else { return Ok(()) };
        let result = self.shared.checkpoint();
        self.shared.control().closing = true;
        self.shared.changed.notify_all();
        if thread.join().is_err() {
            return Err(Error::Stopped("the checkpoint thread has panicked".to_owned()));
        }
        result?;
        let checkpoint = self.shared.read().checkpoint.clone();
        self.shared.place.close(&*checkpoint)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the state did not close cleanly");
        }
    }
}

fn unreadable(error: Error) -> ViewError {
    ViewError(Box::new(error))
}

#[cfg(test)]
mod tests;

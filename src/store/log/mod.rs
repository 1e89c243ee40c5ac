//! The raft log on disk: one stream of records in pre-zeroed segment files, one thread that
//! writes it.
//!
//! **Invariant:** what a callback has reported is on disk, and so is everything handed in before
//! it. A batch is there whole or not at all; damage to what was synced refuses to open. The first
//! write that fails stops the log for good.

mod files;
mod format;
mod queue;
mod recovery;
mod tail;
mod writer;

use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use bytes::Bytes;

pub use self::recovery::{Glance, glance};

use self::files::Files;
use self::format::{Record, decode_record};
use self::queue::Queue;
use self::tail::{Found, Place};
use self::writer::{Command, Placement, Writer};
use super::{Entry, EntryId, Error, Free, Lock, Vfs, Watermark};

/// Called once, on the writer's thread, in the order of the calls: it must not block.
pub type Flushed = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// Which entries the log holds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct LogState {
    /// The newest that was purged.
    pub last_purged: Option<EntryId>,
    /// The newest there is; `last_purged` where there is none.
    pub last: Option<EntryId>,
}

/// Sizes and bounds.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    pub segment_bytes: u32,
    /// Entries kept in memory for followers and `apply`; those not yet flushed come on top.
    pub cache_bytes_max: usize,
    /// Bytes that may wait for the writer before callers are made to wait.
    pub queue_bytes_max: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self { segment_bytes: 64 << 20, cache_bytes_max: 64 << 20, queue_bytes_max: 128 << 20 }
    }
}

/// Free space against what must stay free.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct DiskSpace {
    pub free: Free,
    /// One spare segment and room for a checkpoint.
    pub reserve_bytes: u64,
    /// Segments, snapshots and what is written beside them before it is renamed.
    pub reserve_files: u64,
}

impl DiskSpace {
    /// The leader refuses writes while a quorum says so.
    pub fn is_low(&self) -> bool {
        self.free.bytes < self.reserve_bytes
            || self.free.files.is_some_and(|files| files < self.reserve_files)
    }
}

/// A handle; clones share the log, the last one closes it. Calls may come from any thread. None
/// waits for the disk, except while `queue_bytes_max` wait for it, and reads of entries that the
/// cache has lost.
#[derive(Clone)]
pub struct SegmentLog(Arc<Threads>);

impl SegmentLog {
    /// Opens the log in `folder`, or begins one; locks the folder.
    ///
    /// # Errors
    /// [`Error::Corrupt`] where damage is more than a torn tail, [`Error::Newer`] where a newer
    /// program wrote it, [`Error::Locked`], [`Error::Io`].
    pub fn open(vfs: Arc<dyn Vfs>, folder: &Path, options: Options) -> Result<Self, Error> {
        let core = Arc::new(Core::open(vfs, folder, options)?);
        Threads::start(core, folder).map(Arc::new).map(Self)
    }

    /// The entries can be read at once; `flushed` is called when they are on disk. They follow
    /// the last one without a hole (after a purge beyond the end: its index).
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::Gap`], [`Error::TooLarge`]: nothing was appended, and
    /// `flushed` is dropped uncalled.
    pub fn append(&self, entries: Vec<Entry>, flushed: Flushed) -> Result<(), Error> {
        let core = &self.0.core;
        core.push(|queue| queue.append(entries, flushed, core.options.segment_bytes))
    }

    /// `vote` is opaque, at most 512 bytes; durable when `flushed` is called.
    ///
    /// # Errors
    /// [`Error::Stopped`], [`Error::TooLarge`].
    pub fn save_vote(&self, vote: Bytes, flushed: Flushed) -> Result<(), Error> {
        self.0.core.push(|queue| queue.save_vote(vote, flushed))
    }

    /// The newest that was handed to [`Self::save_vote`].
    pub fn read_vote(&self) -> Option<Bytes> {
        self.0.core.queue().vote.clone()
    }

    /// Removes the entries after `index`, all of them where it is `None`. Later appends are not
    /// durable without it.
    ///
    /// # Errors
    /// [`Error::Stopped`]; [`Error::Purged`] below what was purged.
    pub fn truncate_after(&self, index: Option<u64>) -> Result<(), Error> {
        let core = &self.0.core;
        core.push(|queue| {
            queue.truncate_after(index)?;
            let last = queue.tail.last().map(|last| last.index);
            core.flushed.set(core.flushed.index().min(last));
            Ok(())
        })
    }

    /// Forgets the entries up to `upto`, which may lie beyond the end (a snapshot was installed).
    /// Reaches the disk only as far as [`Self::checkpointed`] has said.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn purge(&self, upto: EntryId) -> Result<(), Error> {
        self.0.core.push(|queue| {
            queue.purge(upto);
            Ok(())
        })
    }

    /// The state up to `upto` is durable in a checkpoint. An installed snapshot is reported here
    /// before entries that follow it are appended.
    ///
    /// # Errors
    /// [`Error::Stopped`].
    pub fn checkpointed(&self, upto: EntryId) -> Result<(), Error> {
        self.0.core.push(|queue| {
            queue.checkpointed(upto);
            Ok(())
        })
    }

    /// Goes to disk with the next batch: never waits. After a restart reads are not older than
    /// what it said, if that batch was written.
    pub fn save_committed(&self, committed: EntryId) {
        self.0.core.queue().save_committed(committed);
    }

    pub fn read_committed(&self) -> Option<EntryId> {
        self.0.core.queue().committed
    }

    pub fn state(&self) -> LogState {
        let queue = self.0.core.queue();
        LogState { last_purged: queue.tail.base(), last: queue.tail.last() }
    }

    /// The entries of `range` from its start, up to `bytes_max` of payload but at least one, and
    /// no further than the log goes.
    ///
    /// # Errors
    /// [`Error::Purged`] where the start was purged; [`Error::Corrupt`] and [`Error::Io`] where
    /// an older entry cannot be read from its segment.
    pub fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        self.0.core.read(range, bytes_max)
    }

    /// How far the entries are on this node's disk.
    pub fn flushed(&self) -> Arc<Watermark> {
        self.0.core.flushed.clone()
    }

    /// `checkpoint_bytes` is the room that the next checkpoint may need.
    ///
    /// # Errors
    /// Where the file system does not tell.
    pub fn disk(&self, checkpoint_bytes: u64) -> Result<DiskSpace, Error> {
        let core = &self.0.core;
        let reserve_bytes = u64::from(core.options.segment_bytes).saturating_add(checkpoint_bytes);
        let free = core.files.free()?;
        Ok(DiskSpace { free, reserve_bytes, reserve_files: RESERVE_FILES })
    }

    /// Why the log has stopped, if it has.
    pub fn failure(&self) -> Option<Error> {
        self.0.core.queue().failure.clone()
    }

    /// Writes what waits, marks the end, ends the threads. Later calls say [`Error::Stopped`].
    ///
    /// # Errors
    /// Why the log had stopped, or stopped now.
    pub fn close(&self) -> Result<(), Error> {
        self.0.close()
    }
}

/// The log without its threads.
struct Core {
    options: Options,
    files: Arc<Files>,
    flushed: Arc<Watermark>,
    queue: Mutex<Queue>,
    /// The writer has something to do.
    work: Condvar,
    /// The queue has room.
    room: Condvar,
    /// The files need care.
    care: Condvar,
    writer: Mutex<Writer>,
    _lock: Lock,
}

impl Core {
    fn open(vfs: Arc<dyn Vfs>, folder: &Path, options: Options) -> Result<Self, Error> {
        vfs.create_folder(folder).map_err(Error::io("create", folder))?;
        let lock = vfs.lock(&folder.join("lock")).map_err(|error| match error.kind() {
            std::io::ErrorKind::WouldBlock => Error::Locked(folder.to_owned()),
            _ => Error::io("lock", folder)(error),
        })?;
        let mut recovered = recovery::recover(&*vfs, folder, options.cache_bytes_max)?;
        let segments =
            recovered.as_mut().map(|found| std::mem::take(&mut found.segments)).unwrap_or_default();
        let files = Arc::new(Files::new(vfs, folder, options.segment_bytes, segments)?);
        let writer = Writer::new(files.clone(), options.segment_bytes, recovered.as_ref())?;
        let queue = Queue::new(options.cache_bytes_max, recovered);
        let flushed = Arc::new(Watermark::default());
        flushed.set(queue.tail.last().map(|last| last.index));
        Ok(Self {
            options,
            files,
            flushed,
            queue: Mutex::new(queue),
            work: Condvar::new(),
            room: Condvar::new(),
            care: Condvar::new(),
            writer: Mutex::new(writer),
            _lock: lock,
        })
    }

    /// Lets `change` put something into the queue, once there is room.
    fn push(&self, change: impl FnOnce(&mut Queue) -> Result<(), Error>) -> Result<(), Error> {
        let full = |queue: &mut Queue| {
            queue.bytes >= self.options.queue_bytes_max && queue.failure.is_none()
        };
        let queue = self.room.wait_while(self.queue(), full);
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        if let Some(error) = &queue.failure {
            return Err(Error::Stopped(error.to_string()));
        }
        if queue.closing {
            return Err(Error::Stopped("it was closed".to_owned()));
        }
        change(&mut queue)?;
        if queue.has_work() {
            self.work.notify_one();
        }
        Ok(())
    }

    /// Writes what waits; `false` where the log is closed or has stopped.
    fn step(&self) -> bool {
        let mut commands = {
            let idle = |queue: &mut Queue| !queue.has_work() && !queue.closing;
            let waited = self.work.wait_timeout_while(self.queue(), MARK_PERIOD, idle);
            let (mut queue, waited) = waited.unwrap_or_else(PoisonError::into_inner);
            if queue.failure.is_some() {
                return false;
            }
            if waited.timed_out() {
                drop(queue);
                return self.mark();
            }
            queue.take()
        };
        self.room.notify_all();
        if commands.is_empty() {
            self.mark();
            return false;
        }
        let written = self.writer().write(&mut commands, &|flushed| self.on_flushed(flushed));
        self.care.notify_one();
        self.went_well(&written)
    }

    /// When nothing more comes for a while, and at the end: says on disk what is synced, so that
    /// damage to it is known as such, and how far entries are committed.
    fn mark(&self) -> bool {
        let mut commands = self.queue().take_mark();
        let mut writer = self.writer();
        let written = writer
            .write(&mut commands, &|flushed| self.on_flushed(flushed))
            .and_then(|()| writer.mark());
        drop(writer);
        self.went_well(&written)
    }

    fn went_well(&self, written: &Result<(), Error>) -> bool {
        written.as_ref().inspect_err(|error| self.fail(error)).is_ok()
    }

    fn writer(&self) -> MutexGuard<'_, Writer> {
        self.writer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Before the callbacks run, so that whoever they wake finds it so.
    fn on_flushed(&self, placements: &[Placement]) {
        let mut queue = self.queue();
        let mut flushed = None;
        for placement in placements {
            if queue.tail.place(placement.index, placement.serial, placement.place) {
                flushed = Some(placement.index);
            }
        }
        queue.tail.evict();
        if flushed.is_some() {
            self.flushed.set(flushed);
        }
    }

    fn fail(&self, error: &Error) {
        tracing::error!(%error, "the log has stopped");
        let mut queue = self.queue();
        // What was queued meanwhile will not be written either.
        let commands = std::mem::take(&mut queue.commands);
        queue.failure.get_or_insert(error.clone());
        drop(queue);
        for command in commands {
            match command {
                Command::Append { flushed, .. } | Command::Vote(_, flushed) => {
                    flushed(Err(error.clone()));
                }
                Command::Truncate(_) | Command::Purge(_) | Command::Committed(_) => {}
            }
        }
        self.flushed.stop();
        for waiting in [&self.room, &self.work, &self.care] {
            waiting.notify_all();
        }
    }

    /// One round of care for the files. A full disk is no error yet: the log still has room.
    fn tend(&self) {
        match self.files.tend() {
            Ok(()) => {}
            Err(error) if error.is_no_space() => {
                tracing::warn!(%error, "no room for a spare segment of the log");
            }
            Err(error) => self.fail(&error),
        }
    }

    fn read(&self, range: Range<u64>, bytes_max: usize) -> Result<Vec<Entry>, Error> {
        let mut entries = Vec::new();
        let mut bytes = 0;
        let found = self.find(&range, bytes_max)?;
        for found in found {
            let entry = match found {
                Found::Cached(entry) => entry,
                Found::Stored(id, place) => match self.read_stored(id, place) {
                    Ok(entry) => entry,
                    // A purge may have overtaken this read, and its file be in other use.
                    Err(_) if self.queue().tail.base().is_some_and(|b| b.index >= id.index) => {
                        return Err(Error::Purged { index: range.start });
                    }
                    Err(error) => return Err(error),
                },
            };
            bytes += entry.payload.len();
            if bytes > bytes_max && !entries.is_empty() {
                break;
            }
            entries.push(entry);
        }
        Ok(entries)
    }

    fn find(&self, range: &Range<u64>, bytes_max: usize) -> Result<Vec<Found>, Error> {
        let queue = self.queue();
        if range.is_empty() {
            return Ok(Vec::new());
        }
        if queue.tail.base().is_some_and(|base| range.start <= base.index) {
            return Err(Error::Purged { index: range.start });
        }
        // A log that was never purged may begin anywhere.
        let start = queue.tail.first().map_or(range.start, |first| first.max(range.start));
        let count = usize::try_from(range.end.saturating_sub(start)).unwrap_or(usize::MAX);
        let mut bytes = 0;
        let mut found: Vec<Found> = Vec::new();
        for one in queue.tail.from(start).take(count) {
            bytes += match &one {
                Found::Cached(entry) => entry.payload.len(),
                Found::Stored(_, place) => place.bytes as usize,
            };
            if bytes > bytes_max && !found.is_empty() {
                break;
            }
            found.push(one);
        }
        Ok(found)
    }

    fn read_stored(&self, id: EntryId, place: Place) -> Result<Entry, Error> {
        let number = place.segment.get();
        let path = self.files.path(number);
        let file = self.files.segment(number).ok_or(Error::Purged { index: id.index })?;
        let mut bytes = vec![0; place.bytes as usize];
        file.pread(&mut bytes, u64::from(place.offset)).map_err(Error::io("read", &path))?;
        match decode_record(&bytes) {
            Some((Record::Entry(entry), _)) if entry.id == id => Ok(entry),
            _ => Err(Error::corrupt(
                &path,
                u64::from(place.offset),
                format!("entry {id} cannot be read back"),
            )),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer, and the one that cares for the files, so that the writer need not.
struct Threads {
    core: Arc<Core>,
    running: Mutex<Vec<JoinHandle<()>>>,
}

impl Threads {
    fn start(core: Arc<Core>, folder: &Path) -> Result<Self, Error> {
        let threads = Self { core: core.clone(), running: Mutex::new(Vec::new()) };
        let writer = core.clone();
        threads.spawn(folder, "log-writer", move || while writer.step() {})?;
        threads.spawn(folder, "log-files", move || {
            loop {
                core.tend();
                let queue = core.queue();
                if queue.closing || queue.failure.is_some() {
                    return;
                }
                // Woken after each batch; by time, so that a disk that was full is tried again.
                drop(core.care.wait_timeout(queue, CARE_PERIOD));
            }
        })?;
        Ok(threads)
    }

    fn spawn(
        &self,
        folder: &Path,
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<(), Error> {
        let thread = std::thread::Builder::new().name(name.to_owned()).spawn(run);
        let thread = thread.map_err(Error::io("start a thread for", folder))?;
        self.running.lock().unwrap_or_else(PoisonError::into_inner).push(thread);
        Ok(())
    }

    fn close(&self) -> Result<(), Error> {
        self.core.queue().closing = true;
        for waiting in [&self.core.work, &self.core.care, &self.core.room] {
            waiting.notify_all();
        }
        let running =
            std::mem::take(&mut *self.running.lock().unwrap_or_else(PoisonError::into_inner));
        for thread in running {
            // The last handle may be dropped by a callback.
            if thread.thread().id() != std::thread::current().id() && thread.join().is_err() {
                return Err(Error::Stopped("a thread of the log has panicked".to_owned()));
            }
        }
        self.core.flushed.stop();
        self.core.queue().failure.clone().map_or(Ok(()), Err)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        if let Err(error) = self.close() {
            tracing::error!(%error, "the log did not close cleanly");
        }
    }
}

/// Far more than a node makes before the next look at the disk.
const RESERVE_FILES: u64 = 256;
const CARE_PERIOD: Duration = Duration::from_secs(1);
const MARK_PERIOD: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests;

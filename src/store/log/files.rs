use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::store::{Error, File, Free, Vfs};

/// The files in the log's folder: segments `<number>.log`, and files that wait to become one.
///
/// Making, reusing and deleting them is [`Files::tend`]'s work, away from the writer.
pub(super) struct Files {
    vfs: Arc<dyn Vfs>,
    folder: PathBuf,
    segment_bytes: u32,
    state: Mutex<State>,
    /// Held while a spare is made: whoever needs one meanwhile waits for that one.
    making: Mutex<()>,
}

#[derive(Default)]
struct State {
    segments: BTreeMap<u64, Arc<dyn File>>,
    spare: Option<Spare>,
    /// Purged; to be reused or deleted.
    condemned: Vec<u64>,
    /// Names spare files.
    spares: u64,
}

/// A file of full length, on disk, that holds no segment: zeros, or what is no longer needed.
pub(super) struct Spare {
    pub(super) file: Arc<dyn File>,
    path: PathBuf,
}

impl Files {
    /// Of a folder that has been recovered: `segments` are those in use, all others that this
    /// program has made are deleted, but one spare is kept.
    pub(super) fn new(
        vfs: Arc<dyn Vfs>,
        folder: &Path,
        segment_bytes: u32,
        segments: BTreeMap<u64, Arc<dyn File>>,
    ) -> Result<Self, Error> {
        let mut state = State { segments, ..State::default() };
        for name in vfs.list(folder).map_err(Error::io("list", folder))? {
            let path = folder.join(&name);
            if let Some(number) = number_of(&name) {
                if !state.segments.contains_key(&number) {
                    state.condemned.push(number);
                }
            } else if let Some(number) = name.strip_prefix(SPARE).and_then(|n| n.parse().ok()) {
                state.spares = state.spares.max(number);
                let file = vfs.open(&path).map_err(Error::io("open", &path))?;
                let bytes = file.bytes().map_err(Error::io("measure", &path))?;
                if state.spare.is_none() && bytes == u64::from(segment_bytes) {
                    state.spare = Some(Spare { file, path });
                } else {
                    vfs.unlink(&path).map_err(Error::io("delete", &path))?;
                }
            } else if name == UNFINISHED {
                vfs.unlink(&path).map_err(Error::io("delete", &path))?;
            }
        }
        Ok(Self {
            vfs,
            folder: folder.to_owned(),
            segment_bytes,
            state: Mutex::new(state),
            making: Mutex::new(()),
        })
    }

    /// `None` where it was purged.
    pub(super) fn segment(&self, number: u64) -> Option<Arc<dyn File>> {
        self.state().segments.get(&number).cloned()
    }

    pub(super) fn path(&self, number: u64) -> PathBuf {
        segment_path(&self.folder, number)
    }

    /// Makes one where none is ready.
    pub(super) fn take_spare(&self) -> Result<Spare, Error> {
        if let Some(ready) = self.state().spare.take() {
            return Ok(ready);
        }
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let ready = self.state().spare.take();
        ready.map_or_else(|| self.make_spare(), Ok)
    }

    pub(super) fn has_spare(&self) -> bool {
        self.state().spare.is_some()
    }

    /// Makes the file a segment, durably. Its header and first batch are on disk already: a
    /// segment without them is damaged, not unfinished.
    pub(super) fn enlist(&self, spare: Spare, number: u64) -> Result<Arc<dyn File>, Error> {
        let path = self.path(number);
        self.vfs.rename(&spare.path, &path).map_err(Error::io("rename to", &path))?;
        self.sync_folder()?;
        self.state().segments.insert(number, spare.file.clone());
        Ok(spare.file)
    }

    /// The purge that makes these unneeded is on disk.
    pub(super) fn condemn(&self, numbers: &[u64]) {
        let mut state = self.state();
        for number in numbers {
            state.segments.remove(number);
            state.condemned.push(*number);
        }
    }

    /// Reuses or deletes what is condemned, and has a spare ready when it returns.
    pub(super) fn tend(&self) -> Result<(), Error> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let mut condemned = std::mem::take(&mut self.state().condemned);
        if !condemned.is_empty() {
            let reused = if self.has_spare() { None } else { self.reuse(&mut condemned)? };
            for number in condemned {
                let path = self.path(number);
                self.vfs.unlink(&path).map_err(Error::io("delete", &path))?;
            }
            // Before it is written to: were its new name lost, it would be a damaged segment.
            self.sync_folder()?;
            if let Some(spare) = reused {
                self.state().spare = Some(spare);
            }
        }
        if !self.has_spare() {
            let spare = self.make_spare()?;
            self.state().spare = Some(spare);
        }
        Ok(())
    }

    /// Bytes that may still be written on the folder's file system.
    pub(super) fn free(&self) -> Result<Free, Error> {
        self.vfs.free(&self.folder).map_err(Error::io("measure", &self.folder))
    }

    /// What it holds need not be wiped: batches carry the number of their segment.
    fn reuse(&self, condemned: &mut Vec<u64>) -> Result<Option<Spare>, Error> {
        let Some(number) = condemned.pop() else { return Ok(None) };
        let from = self.path(number);
        let file = self.vfs.open(&from).map_err(Error::io("open", &from))?;
        let bytes = file.bytes().map_err(Error::io("measure", &from))?;
        if bytes != u64::from(self.segment_bytes) {
            condemned.push(number);
            return Ok(None);
        }
        let path = self.next_spare_path();
        self.vfs.rename(&from, &path).map_err(Error::io("rename to", &path))?;
        Ok(Some(Spare { file, path }))
    }

    /// Writes zeros, so that later writes change no metadata of the file system.
    fn make_spare(&self) -> Result<Spare, Error> {
        let unfinished = self.folder.join(UNFINISHED);
        let result = self.fill(&unfinished);
        if result.is_err() {
            // What is left of it would take room that others need; the error is what counts.
            drop(self.vfs.unlink(&unfinished));
        }
        let file = result?;
        let path = self.next_spare_path();
        self.vfs.rename(&unfinished, &path).map_err(Error::io("rename to", &path))?;
        self.sync_folder()?;
        Ok(Spare { file, path })
    }

    fn fill(&self, path: &Path) -> Result<Arc<dyn File>, Error> {
        let file = self.vfs.create(path).map_err(Error::io("create", path))?;
        let bytes = u64::from(self.segment_bytes);
        file.allocate(bytes).map_err(Error::io("allocate", path))?;
        let zeros = vec![0; FILL_BYTES.min(self.segment_bytes as usize)];
        let mut offset = 0;
        while offset < bytes {
            let rest = usize::try_from(bytes - offset).unwrap_or(usize::MAX);
            let chunk = zeros.get(..rest.min(zeros.len())).unwrap_or(&zeros);
            file.pwrite(chunk, offset).map_err(Error::io("write", path))?;
            // In small steps: the writer's own syncs would have to wait for one large one.
            file.fdatasync().map_err(Error::io("sync", path))?;
            offset += chunk.len() as u64;
        }
        Ok(file)
    }

    fn next_spare_path(&self) -> PathBuf {
        let mut state = self.state();
        state.spares += 1;
        self.folder.join(format!("{SPARE}{}", state.spares))
    }

    fn sync_folder(&self) -> Result<(), Error> {
        self.vfs.sync_folder(&self.folder).map_err(Error::io("sync", &self.folder))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The number of a segment by its file's name.
pub(super) fn number_of(name: &str) -> Option<u64> {
    name.strip_suffix(SEGMENT).and_then(|number| number.parse().ok())
}

pub(super) fn segment_path(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{number:020}{SEGMENT}"))
}

const SEGMENT: &str = ".log";
const SPARE: &str = "spare-";
const UNFINISHED: &str = "unfinished";
/// Zeros that are written and synced at once.
const FILL_BYTES: usize = 4 << 20;

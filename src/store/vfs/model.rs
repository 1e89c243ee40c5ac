//! A disk in memory whose power can be cut after any system call, and whose calls can be made to
//! fail.
//!
//! What a cut leaves: of each file what was synced, and any subset of the 512-byte sectors written
//! since; of names what the folder's last sync saw, and any subset of the later changes, but for
//! two that touch the same name in their order. A sector is never torn: that is what disks promise.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::{File, Free, Lock, Vfs};

/// Clones are the same disk.
#[derive(Clone, Default)]
pub(crate) struct Model(Arc<Mutex<Disk>>);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Call {
    Create,
    Pwrite,
    Fdatasync,
    Allocate,
    Rename,
    Unlink,
    SyncFolder,
}

/// What a power cut takes of what was not synced.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Loss {
    Nothing,
    Everything,
    /// Each sector and each name by chance.
    Some(u64),
}

#[derive(Default)]
struct Disk {
    files: BTreeMap<u64, Inode>,
    names: BTreeMap<PathBuf, u64>,
    synced_names: BTreeMap<PathBuf, u64>,
    renames: Vec<Change>,
    inodes: u64,
    calls: Vec<Call>,
    /// Every call from this one on fails.
    power_until: Option<usize>,
    faults: Vec<(Call, String, io::ErrorKind)>,
    locks: BTreeSet<PathBuf>,
    free: Option<Free>,
}

#[derive(Clone, Default)]
struct Inode {
    now: Vec<u8>,
    synced: Vec<u8>,
    writes: Vec<(u64, Vec<u8>)>,
}

#[derive(Clone)]
enum Change {
    Created(PathBuf, u64),
    Renamed(PathBuf, PathBuf),
    Unlinked(PathBuf),
}

impl Model {
    /// The calls that change something, so far.
    pub(crate) fn calls(&self) -> Vec<Call> {
        self.disk().calls.clone()
    }

    /// Lets so many calls that change something succeed, and no more.
    pub(crate) fn cut_power_after(&self, calls: usize) {
        self.disk().power_until = Some(calls);
    }

    /// As after `kill -9`: what was written is there, synced or not.
    pub(crate) fn after_kill(&self) -> Self {
        let disk = self.disk();
        let left = Disk {
            files: disk.files.clone(),
            names: disk.names.clone(),
            synced_names: disk.synced_names.clone(),
            renames: disk.renames.clone(),
            inodes: disk.inodes,
            ..Disk::default()
        };
        Self(Arc::new(Mutex::new(left)))
    }

    /// Makes each such call fail, where the file's name begins so.
    pub(crate) fn fail(&self, call: Call, prefix: &str, kind: io::ErrorKind) {
        self.disk().faults.push((call, prefix.to_owned(), kind));
    }

    pub(crate) fn mend(&self) {
        self.disk().faults.clear();
    }

    pub(crate) fn set_free(&self, free: Free) {
        self.disk().free = Some(free);
    }

    /// The disk as it is found when the power is back.
    pub(crate) fn after_power_cut(&self, loss: Loss) -> Self {
        let mut dice = Dice(match loss {
            Loss::Some(seed) => seed,
            Loss::Nothing | Loss::Everything => 0,
        });
        let disk = self.disk();
        let kept = |dice: &mut Dice| match loss {
            Loss::Nothing => true,
            Loss::Everything => false,
            Loss::Some(_) => dice.roll().is_multiple_of(2),
        };
        let mut names = disk.synced_names.clone();
        let mut lost: BTreeSet<PathBuf> = BTreeSet::new();
        for change in &disk.renames {
            let touched = change.touched();
            if touched.iter().any(|name| lost.contains(*name)) || !kept(&mut dice) {
                lost.extend(touched.into_iter().cloned());
            } else {
                change.apply(&mut names);
            }
        }
        let mut files = BTreeMap::new();
        for (number, inode) in &disk.files {
            let mut bytes = inode.synced.clone();
            for (offset, written) in &inode.writes {
                for (at, sector) in sectors(*offset, written) {
                    if kept(&mut dice) {
                        put(&mut bytes, at, sector);
                    }
                }
            }
            files.insert(*number, Inode { now: bytes.clone(), synced: bytes, writes: Vec::new() });
        }
        let found = Disk {
            files,
            names: names.clone(),
            synced_names: names,
            inodes: disk.inodes,
            free: disk.free,
            ..Disk::default()
        };
        Self(Arc::new(Mutex::new(found)))
    }

    /// The bytes of a file, to look at or to damage, as a failing disk would.
    pub(crate) fn change(&self, path: &Path, change: impl FnOnce(&mut Vec<u8>)) {
        let mut disk = self.disk();
        let number = disk.names[path];
        let inode = disk.files.get_mut(&number).unwrap();
        change(&mut inode.now);
        inode.synced.clone_from(&inode.now);
        inode.writes.clear();
    }

    fn disk(&self) -> MutexGuard<'_, Disk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn call(&self, call: Call, path: &Path) -> io::Result<MutexGuard<'_, Disk>> {
        let mut disk = self.disk();
        if disk.power_until.is_some_and(|calls| disk.calls.len() >= calls) {
            return Err(io::Error::other("the power is off"));
        }
        disk.calls.push(call);
        let name = path.file_name().unwrap().to_str().unwrap();
        let fault =
            disk.faults.iter().find(|(c, prefix, _)| *c == call && name.starts_with(prefix));
        match fault {
            Some((_, _, kind)) => Err((*kind).into()),
            None => Ok(disk),
        }
    }

    fn file(&self, path: &Path, number: u64) -> Arc<dyn File> {
        Arc::new(Open { model: self.clone(), path: path.to_owned(), number })
    }
}

impl Vfs for Model {
    fn create_folder(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let mut disk = self.call(Call::Create, path)?;
        if disk.names.contains_key(path) {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        disk.inodes += 1;
        let number = disk.inodes;
        disk.files.insert(number, Inode::default());
        disk.change(Change::Created(path.to_owned(), number));
        drop(disk);
        Ok(self.file(path, number))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        let number = self.disk().names.get(path).copied().ok_or(io::ErrorKind::NotFound)?;
        Ok(self.file(path, number))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let disk = self.disk();
        let names = disk.names.keys().filter(|path| path.parent() == Some(folder));
        Ok(names.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect())
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut disk = self.call(Call::Rename, from)?;
        disk.names.get(from).ok_or(io::ErrorKind::NotFound)?;
        disk.change(Change::Renamed(from.to_owned(), to.to_owned()));
        Ok(())
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        let mut disk = self.call(Call::Unlink, path)?;
        disk.names.get(path).ok_or(io::ErrorKind::NotFound)?;
        disk.change(Change::Unlinked(path.to_owned()));
        Ok(())
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let mut disk = self.call(Call::SyncFolder, folder)?;
        disk.synced_names = disk.names.clone();
        disk.renames.clear();
        Ok(())
    }

    fn free(&self, _: &Path) -> io::Result<Free> {
        Ok(self.disk().free.unwrap_or(Free { bytes: 1 << 40, files: None }))
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        if !self.disk().locks.insert(path.to_owned()) {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        Ok(Box::new(Held(self.clone(), path.to_owned())))
    }
}

struct Held(Model, PathBuf);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.disk().locks.remove(&self.1);
    }
}

struct Open {
    model: Model,
    path: PathBuf,
    number: u64,
}

impl File for Open {
    fn pwrite(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let mut disk = self.model.call(Call::Pwrite, &self.path)?;
        let inode = disk.files.get_mut(&self.number).unwrap();
        put(&mut inode.now, offset, bytes);
        inode.writes.push((offset, bytes.to_vec()));
        Ok(())
    }

    fn pread(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let disk = self.model.disk();
        let offset = usize::try_from(offset).unwrap();
        let bytes = disk.files[&self.number].now.get(offset..offset + buffer.len());
        buffer.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn fdatasync(&self) -> io::Result<()> {
        let mut disk = self.model.call(Call::Fdatasync, &self.path)?;
        let inode = disk.files.get_mut(&self.number).unwrap();
        inode.synced.clone_from(&inode.now);
        inode.writes.clear();
        Ok(())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        let mut disk = self.model.call(Call::Allocate, &self.path)?;
        let inode = disk.files.get_mut(&self.number).unwrap();
        let from = inode.now.len();
        inode.now.resize(usize::try_from(bytes).unwrap(), 0);
        let zeros = inode.now[from..].to_vec();
        inode.writes.push((from as u64, zeros));
        Ok(())
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.model.disk().files[&self.number].now.len() as u64)
    }
}

impl Disk {
    fn change(&mut self, change: Change) {
        change.apply(&mut self.names);
        self.renames.push(change);
    }
}

impl Change {
    fn touched(&self) -> Vec<&PathBuf> {
        match self {
            Self::Created(path, _) | Self::Unlinked(path) => vec![path],
            Self::Renamed(from, to) => vec![from, to],
        }
    }

    fn apply(&self, names: &mut BTreeMap<PathBuf, u64>) {
        match self {
            Self::Created(path, number) => {
                names.insert(path.clone(), *number);
            }
            Self::Renamed(from, to) => {
                let number = names.remove(from).unwrap();
                names.insert(to.clone(), number);
            }
            Self::Unlinked(path) => {
                names.remove(path);
            }
        }
    }
}

/// Pieces of a write that stay or go together.
fn sectors(offset: u64, bytes: &[u8]) -> Vec<(u64, &[u8])> {
    let mut pieces = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let place = offset + at as u64;
        let until_boundary = SECTOR_BYTES - usize::try_from(place).unwrap() % SECTOR_BYTES;
        let end = bytes.len().min(at + until_boundary);
        pieces.push((place, &bytes[at..end]));
        at = end;
    }
    pieces
}

fn put(file: &mut Vec<u8>, offset: u64, bytes: &[u8]) {
    let offset = usize::try_from(offset).unwrap();
    if file.len() < offset + bytes.len() {
        file.resize(offset + bytes.len(), 0);
    }
    file[offset..offset + bytes.len()].copy_from_slice(bytes);
}

/// SplitMix64: the same seed, the same losses.
pub(crate) struct Dice(pub(crate) u64);

impl Dice {
    pub(crate) fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut x = self.0;
        x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        x ^ (x >> 31)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.roll() % bound
    }
}

const SECTOR_BYTES: usize = 512;

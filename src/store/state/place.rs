use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::Options;
use super::checkpoint::Checkpoint;
use super::lmdb::Lmdb;
use super::snapshot;
use super::table::{Mark, RawKey};
use crate::store::{EntryId, Error};

/// Which store holds the checkpoints.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
#[non_exhaustive]
pub enum Kind {
    #[default]
    Lmdb,
    /// Not trusted across an unclean stop: then thrown away and rebuilt, from a snapshot and the
    /// log.
    #[cfg(feature = "sled")]
    Sled,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Lmdb => "lmdb",
            #[cfg(feature = "sled")]
            Self::Sled => "sled",
        }
    }
}

/// The folder of the state: a folder for each checkpoint store, `current`, which names the one
/// that counts, and `rebuild.snapshot`, from which one that is not durable is rebuilt.
pub(super) struct Place {
    folder: PathBuf,
    options: Options,
    rebuild: Mutex<Rebuild>,
}

/// How old `rebuild.snapshot` is.
#[derive(Default)]
struct Rebuild {
    /// The size of the last one.
    bytes: u64,
    /// Committed since.
    since: u64,
}

impl Place {
    pub(super) fn open(folder: &Path, options: Options) -> Result<Self, Error> {
        make_folder(folder)?;
        snapshot::sync_parent(folder)?;
        Ok(Self { folder: folder.to_owned(), options, rebuild: Mutex::default() })
    }

    /// The store to go on with, and where it stands.
    pub(super) fn current(&self) -> Result<(Arc<dyn Checkpoint>, Mark), Error> {
        let opened = match self.pointer()? {
            None => self.build(None)?,
            Some(name) if !self.is_usable(&name)? => {
                let source = self.folder.join(REBUILD);
                tracing::warn!(%name, "unclean stop: the state is rebuilt");
                self.build(source.exists().then_some(&source))?
            }
            Some(name) if name.starts_with(self.options.kind.name()) => self.open_store(&name)?,
            // The configuration names another kind than before.
            Some(name) => {
                let (old, mark) = self.open_store(&name)?;
                let source = self.folder.join(MIGRATION);
                let source = match mark.applied {
                    Some(_) => snapshot::write(&*old, &source).map(|_| Some(source))?,
                    None => None,
                };
                drop(old);
                self.build(source.as_ref())?
            }
        };
        self.clean();
        Ok(opened)
    }

    /// Up to where the state would survive a power cut that comes now; `mark` is the store's.
    pub(super) fn durable(&self, mark: &Mark) -> Result<Option<EntryId>, Error> {
        match self.options.kind {
            Kind::Lmdb => Ok(mark.applied),
            #[cfg(feature = "sled")]
            Kind::Sled => {
                let rebuild = self.folder.join(REBUILD);
                let info = rebuild.exists().then(|| snapshot::inspect(&rebuild)).transpose()?;
                Ok(info.map(|info| info.applied))
            }
        }
    }

    /// A new store, durable and the current one when this returns.
    pub(super) fn install(&self, file: &Path) -> Result<(Arc<dyn Checkpoint>, Mark), Error> {
        self.build(Some(&file.to_owned()))
    }

    /// As [`Self::install`], with what `fill` puts into it.
    pub(super) fn replace(
        &self,
        fill: impl FnOnce(&dyn Checkpoint) -> Result<(), Error>,
    ) -> Result<(Arc<dyn Checkpoint>, Mark), Error> {
        let (name, checkpoint) = self.next()?;
        fill(&*checkpoint)?;
        if !checkpoint.is_durable() {
            snapshot::write(&*checkpoint, &self.folder.join(REBUILD))?;
        }
        self.make_current(&name, checkpoint)
    }

    /// Where what is staged is put together. It goes with the next [`Self::clean`].
    pub(super) fn staged(&self) -> PathBuf {
        snapshot::beside(&self.folder.join(RESTORE))
    }

    /// A commit has been made. Returns up to where the state is durable now, if that changed.
    pub(super) fn committed(
        &self,
        checkpoint: &dyn Checkpoint,
        applied: EntryId,
        bytes: usize,
    ) -> Result<Option<EntryId>, Error> {
        if checkpoint.is_durable() {
            return Ok(Some(applied));
        }
        let mut rebuild = self.rebuild();
        rebuild.since = rebuild.since.saturating_add(bytes as u64);
        // Writing all of it costs as much as was written since.
        if rebuild.since < rebuild.bytes.max(self.options.checkpoint_bytes as u64) {
            return Ok(None);
        }
        let info = snapshot::write(checkpoint, &self.folder.join(REBUILD))?;
        *rebuild = Rebuild { bytes: info.bytes, since: 0 };
        Ok(Some(info.applied))
    }

    /// Deletes what is not current: left by a stop, or replaced.
    pub(super) fn clean(&self) {
        if let Err(error) = self.try_clean() {
            tracing::warn!(%error, "an old state could not be deleted");
        }
    }

    pub(super) fn close(&self, checkpoint: &dyn Checkpoint) -> Result<(), Error> {
        checkpoint.close()?;
        if checkpoint.is_durable() {
            return Ok(());
        }
        let Some(name) = self.pointer()? else { return Ok(()) };
        write_file(&self.folder.join(format!("{name}{CLEAN}")), b"")
    }

    /// Makes a store, fills it, and then makes it the current one.
    fn build(&self, source: Option<&PathBuf>) -> Result<(Arc<dyn Checkpoint>, Mark), Error> {
        let (name, checkpoint) = self.next()?;
        if let Some(source) = source {
            snapshot::load(source, &*checkpoint)?;
            let rebuild = self.folder.join(REBUILD);
            if !checkpoint.is_durable() && *source != rebuild {
                copy(source, &rebuild)?;
            }
        }
        self.make_current(&name, checkpoint)
    }

    /// An empty store, which does not count yet.
    fn next(&self) -> Result<(String, Arc<dyn Checkpoint>), Error> {
        let newest = self.stores()?.into_iter().filter_map(|(_, number)| number).max();
        let number = newest.unwrap_or_default() + 1;
        let name = format!("{}-{number}", self.options.kind.name());
        let (checkpoint, _) = self.open_store(&name)?;
        Ok((name, checkpoint))
    }

    fn make_current(
        &self,
        name: &str,
        checkpoint: Arc<dyn Checkpoint>,
    ) -> Result<(Arc<dyn Checkpoint>, Mark), Error> {
        snapshot::sync_parent(&self.folder.join(name))?;
        self.point_to(name)?;
        let mark = mark_of(&*checkpoint)?;
        Ok((checkpoint, mark))
    }

    fn open_store(&self, name: &str) -> Result<(Arc<dyn Checkpoint>, Mark), Error> {
        let folder = self.folder.join(name);
        make_folder(&folder)?;
        let checkpoint: Arc<dyn Checkpoint> = match name.split('-').next() {
            Some("lmdb") => Arc::new(Lmdb::open(&folder, self.options.map_bytes)?),
            #[cfg(feature = "sled")]
            Some("sled") => Arc::new(super::sled::Sled::open(&folder)?),
            _ => {
                let what = format!("this program was built without the state store of `{name}`");
                return Err(Error::Database(what));
            }
        };
        let mark = mark_of(&*checkpoint)?;
        Ok((checkpoint, mark))
    }

    /// Whether the store may be trusted. Asking takes the mark of a clean stop away.
    fn is_usable(&self, name: &str) -> Result<bool, Error> {
        if name.starts_with("lmdb") {
            return Ok(true);
        }
        let clean = self.folder.join(format!("{name}{CLEAN}"));
        if !clean.exists() {
            return Ok(false);
        }
        fs::remove_file(&clean).map_err(Error::io("delete", &clean))?;
        snapshot::sync_parent(&clean)?;
        Ok(true)
    }

    /// The name of the current store.
    fn pointer(&self) -> Result<Option<String>, Error> {
        let path = self.folder.join(POINTER);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text.map_err(Error::io("read", &path))?,
        };
        let damaged = || Error::corrupt(&path, 0, "it does not name a state store");
        let mut lines = text.strip_prefix(POINTER_HEADER).ok_or_else(damaged)?.lines();
        let version = lines.next().and_then(|version| version.parse::<u32>().ok());
        let version = version.ok_or_else(damaged)?;
        if version > VERSION {
            return Err(Error::Newer { path, found: version, supported: VERSION });
        }
        let name = lines.next().filter(|name| number_of(name).is_some()).ok_or_else(damaged)?;
        if version < VERSION {
            // Before anything is written that an older program would not see.
            self.point_to(name)?;
        }
        Ok(Some(name.to_owned()))
    }

    fn point_to(&self, name: &str) -> Result<(), Error> {
        let pointer = format!("{POINTER_HEADER}{VERSION}\n{name}\n");
        write_file(&self.folder.join(POINTER), pointer.as_bytes())
    }

    /// The names in the folder; the number of those that are stores.
    fn stores(&self) -> Result<Vec<(String, Option<u64>)>, Error> {
        let failed = |error| Error::io("list", &self.folder)(error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(failed)? {
            if let Ok(name) = entry.map_err(failed)?.file_name().into_string() {
                let number = number_of(&name);
                names.push((name, number));
            }
        }
        Ok(names)
    }

    fn try_clean(&self) -> Result<(), Error> {
        let current = self.pointer()?;
        for (name, number) in self.stores()? {
            let path = self.folder.join(&name);
            if number.is_some() && current.as_ref() != Some(&name) {
                fs::remove_dir_all(&path).map_err(Error::io("delete", &path))?;
            } else if name == MIGRATION
                || name.ends_with(snapshot::UNFINISHED)
                || (name == REBUILD && self.options.kind == Kind::Lmdb)
            {
                fs::remove_file(&path).map_err(Error::io("delete", &path))?;
            }
        }
        Ok(())
    }

    fn rebuild(&self) -> std::sync::MutexGuard<'_, Rebuild> {
        self.rebuild.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn mark_of(checkpoint: &dyn Checkpoint) -> Result<Mark, Error> {
    let Some(bytes) = checkpoint.get(RawKey::mark().as_slice())? else {
        return Ok(Mark::default());
    };
    Mark::decode(bytes).ok_or_else(|| Error::Database("its mark is damaged".to_owned()))
}

/// Of a store's folder, by its name.
fn number_of(name: &str) -> Option<u64> {
    let (kind, number) = name.split_once('-')?;
    if kind.is_empty() || !kind.bytes().all(|byte| byte.is_ascii_lowercase()) {
        return None;
    }
    number.parse().ok()
}

fn make_folder(folder: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(folder);
    made.map_err(Error::io("create", folder))
}

/// Whole and durable, or not at all.
fn write_file(path: &Path, contents: &[u8]) -> Result<(), Error> {
    let beside = snapshot::beside(path);
    let write = || {
        let mut options = fs::OpenOptions::new();
        let options = options.write(true).create(true).truncate(true).mode(0o600);
        let mut file = options.open(&beside)?;
        file.write_all(contents)?;
        file.sync_all()
    };
    write().map_err(Error::io("write", &beside))?;
    snapshot::rename(&beside, path)
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let beside = snapshot::beside(to);
    let copied = fs::copy(from, &beside).and_then(|_| fs::File::open(&beside)?.sync_all());
    copied.map_err(Error::io("write", &beside))?;
    snapshot::rename(&beside, to)
}

const POINTER: &str = "current";
const POINTER_HEADER: &str = "strongroom state ";
/// Of the folder, and of what stands in a checkpoint. 1 has nothing of requests.
const VERSION: u32 = 2;
const REBUILD: &str = "rebuild.snapshot";
const MIGRATION: &str = "migration.snapshot";
const RESTORE: &str = "restore";
/// Added to the name of a store that was closed cleanly.
const CLEAN: &str = ".clean";

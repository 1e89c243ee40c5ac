use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use sled::{Batch, Db};

use super::checkpoint::{Change, Checkpoint, Point, RawRange, Visit};
use crate::store::Error;

/// A checkpoint in sled. Its flush makes no fsync, so it is not durable: only after a clean stop,
/// when all of its files have been synced here, is it used again.
pub(super) struct Sled {
    folder: PathBuf,
    database: Db,
    readers: Mutex<Readers>,
    left: Condvar,
}

/// sled has no points: commits wait for those who look at one.
#[derive(Default)]
struct Readers {
    /// Commits begun.
    commits: u64,
    /// How many began to read after so many commits had begun. Whoever begins during a commit has
    /// the layer that is being committed before their eyes, and does not mind.
    by_commit: BTreeMap<u64, usize>,
}

impl Sled {
    pub(super) fn open(folder: &Path) -> Result<Self, Error> {
        let config = sled::Config::new().path(folder).cache_capacity(CACHE_BYTES);
        // Flushed when it is closed: in between it is not trusted anyway.
        let database = config.flush_every_ms(None).open().map_err(failed)?;
        Ok(Self {
            folder: folder.to_owned(),
            database,
            readers: Mutex::default(),
            left: Condvar::new(),
        })
    }

    fn readers(&self) -> MutexGuard<'_, Readers> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Checkpoint for Sled {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        let value = self.database.get(key).map_err(failed)?;
        Ok(value.map(|value| Bytes::copy_from_slice(&value)))
    }

    fn point(&self) -> Result<Box<dyn Point + '_>, Error> {
        let mut readers = self.readers();
        let commit = readers.commits;
        *readers.by_commit.entry(commit).or_default() += 1;
        Ok(Box::new(Reader { sled: self, commit }))
    }

    fn commit(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), Error> {
        let mut readers = self.readers();
        readers.commits += 1;
        let this = readers.commits;
        let earlier = |readers: &mut Readers| readers.by_commit.range(..this).next().is_some();
        let readers = self.left.wait_while(readers, earlier);
        drop(readers.unwrap_or_else(PoisonError::into_inner));
        let mut batch = Batch::default();
        for (key, value) in changes {
            match value {
                Some(value) => batch.insert(key.as_slice(), value),
                None => batch.remove(key.as_slice()),
            }
        }
        self.database.apply_batch(batch).map_err(failed)
    }

    fn bytes(&self) -> Result<u64, Error> {
        self.database.size_on_disk().map_err(failed)
    }

    fn is_durable(&self) -> bool {
        false
    }

    fn close(&self) -> Result<(), Error> {
        self.database.flush().map_err(failed)?;
        sync_all(&self.folder).map_err(Error::io("sync", &self.folder))
    }
}

struct Reader<'a> {
    sled: &'a Sled,
    commit: u64,
}

impl Point for Reader<'_> {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error> {
        self.sled.get(key)
    }

    fn scan(&self, range: RawRange<'_>, visit: &mut Visit<'_>) -> Result<(), Error> {
        for item in self.sled.database.range::<&[u8], _>(range) {
            let (key, value) = item.map_err(failed)?;
            if visit(&key, &value)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Drop for Reader<'_> {
    fn drop(&mut self) {
        let mut readers = self.sled.readers();
        if let Some(count) = readers.by_commit.get_mut(&self.commit) {
            *count -= 1;
            if *count == 0 {
                readers.by_commit.remove(&self.commit);
            }
        }
        drop(readers);
        self.sled.left.notify_all();
    }
}

fn sync_all(folder: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            sync_all(&path)?;
        } else {
            fs::File::open(&path)?.sync_all()?;
        }
    }
    fs::File::open(folder)?.sync_all()
}

#[expect(clippy::needless_pass_by_value, reason = "for `map_err`")]
fn failed(error: sled::Error) -> Error {
    Error::Database(error.to_string())
}

const CACHE_BYTES: u64 = 64 << 20;

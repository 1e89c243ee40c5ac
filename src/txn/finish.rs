//! What turns a transaction into a batch: the markers that make directories visible in the one
//! above, and the conditions under which they may come and go.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::{Txn, Write};
use crate::clock::Timestamp;
use crate::key::Key;
use crate::record::{Leadership, Revision, SystemKey};
use crate::request::Error;
use crate::secret::Secret;

/// A finished transaction, in plaintext. Only the barrier can open it.
pub struct Batch {
    pub(crate) leadership: Leadership,
    pub(crate) time: Timestamp,
    pub(crate) reads: BTreeMap<Key, Revision>,
    pub(crate) directories: BTreeMap<String, Revision>,
    /// Directories that must hold a record after the batch.
    pub(crate) occupied: BTreeSet<String>,
    pub(crate) writes: BTreeMap<Key, Write>,
    pub(crate) system_reads: BTreeMap<SystemKey, Revision>,
    pub(crate) system_writes: BTreeMap<SystemKey, Option<Bytes>>,
}

impl Txn {
    /// `None` where nothing was written: a read needs no log entry.
    ///
    /// # Errors
    /// [`Error::Conflict`] where nothing is left to write because another has deleted it since it
    /// was read: no entry would find that out. Where the store cannot be read.
    pub fn into_batch(mut self) -> Result<Option<Batch>, Error> {
        self.keep();
        self.drop_deletes_of_nothing()?;
        self.mark_directories()?;
        let occupied = self.unmark_directories()?;
        if !self.demanded && self.kept.is_empty() && self.system_writes.is_empty() {
            return if self.is_torn()? { Err(Error::Conflict) } else { Ok(None) };
        }
        let Self {
            leadership,
            time,
            reads,
            directories,
            kept: writes,
            system_reads,
            system_writes,
            ..
        } = self;
        Ok(Some(Batch {
            leadership,
            time,
            reads,
            directories,
            occupied,
            writes,
            system_reads,
            system_writes,
        }))
    }

    /// A delete of what is not there notes that it was not.
    fn drop_deletes_of_nothing(&mut self) -> Result<(), Error> {
        let mut nothing = Vec::new();
        for (key, write) in &self.kept {
            if matches!(write, Write::Delete) && self.snapshot.revision(key)? == Revision::ABSENT {
                nothing.push(key.clone());
            }
        }
        for key in nothing {
            // What was there when it was read stays, so that the entry is refused.
            if self.reads.get(&key).is_some_and(|seen| *seen != Revision::ABSENT) {
                continue;
            }
            self.kept.remove(&key);
            self.reads.entry(key).or_insert(Revision::ABSENT);
        }
        Ok(())
    }

    /// Whoever puts a record notes its directory's marker, so that it cannot be removed
    /// meanwhile, and writes those that are missing, up to the top.
    fn mark_directories(&mut self) -> Result<(), Error> {
        let puts = self.kept.iter().filter(|(_, write)| matches!(write, Write::Put(_)));
        let directories: BTreeSet<Key> = puts.filter_map(|(key, _)| key.marker()).collect();
        for directory in directories {
            let mut next = Some(directory);
            while let Some(marker) = next {
                if self.kept.contains_key(&marker) {
                    break;
                }
                let revision = self.snapshot.revision(&marker)?;
                self.note(marker.clone(), revision);
                if revision != Revision::ABSENT {
                    break;
                }
                next = marker.marker();
                self.kept.insert(marker, Write::Put(Secret::new(Vec::new())));
            }
        }
        Ok(())
    }

    /// A delete that leaves others says only that some must be left; one that takes the last
    /// notes the directory and removes its marker, and so on upwards.
    fn unmark_directories(&mut self) -> Result<BTreeSet<String>, Error> {
        let deletes = self.kept.iter().filter(|(_, write)| matches!(write, Write::Delete));
        // Deepest first: a directory that empties is a delete in the one above.
        let depth = |directory: &str| directory.matches('/').count();
        let mut open: BTreeSet<(usize, String)> =
            deletes.map(|(key, _)| (depth(key.directory()), key.directory().to_owned())).collect();
        let mut occupied = BTreeSet::new();
        while let Some((_, directory)) = open.pop_last() {
            let before = self.snapshot.directory(&directory)?;
            let (mut created, mut deleted) = (0, 0);
            for (key, write) in &self.kept {
                if key.directory() == directory {
                    let exists = self.snapshot.revision(key)? != Revision::ABSENT;
                    match write {
                        Write::Put(_) if !exists => created += 1,
                        Write::Delete if exists => deleted += 1,
                        Write::Put(_) | Write::Delete => {}
                    }
                }
            }
            if (before.records + created).saturating_sub(deleted) > 0 {
                occupied.insert(directory);
                continue;
            }
            self.directories.entry(directory.clone()).or_insert(before.revision);
            if directory.is_empty() {
                continue;
            }
            let marker = Key::new(directory);
            open.insert((depth(marker.directory()), marker.directory().to_owned()));
            self.kept.insert(marker, Write::Delete);
        }
        Ok(occupied)
    }
}

//! What a log entry does to the state.
//!
//! **Invariant:** [`apply`] depends on its arguments alone. No clock, no randomness, no I/O but
//! the view's look-ups: two replicas that applied the same entries hold the same bytes.

use std::collections::BTreeMap;

use bytes::Bytes;

use crate::clock::Timestamp;
use crate::record::{
    Applied, Ciphertext, Contested, Directory, Leadership, Record, Remembered, RequestId, Restore,
    RestoreStep, Revision, SealedBatch, Staged, StoredDirectory, StoredKey, SystemKey, View,
    ViewError,
};

/// What a committed entry changes; empty but for the time where it was refused.
#[derive(Debug, Default)]
pub struct Effects {
    /// `None`: the record goes.
    pub records: BTreeMap<StoredKey, Option<Record>>,
    /// `None`: the directory goes, with its last record.
    pub directories: BTreeMap<StoredDirectory, Option<Directory>>,
    pub system: BTreeMap<SystemKey, Option<(Revision, Bytes)>>,
    /// The request's step that has taken effect, and its response.
    pub remembered: Option<(RequestId, u32, Option<Ciphertext>)>,
    /// Of what is staged for a restore, by number: what is staged at all, then its pieces.
    pub staged: BTreeMap<u32, Option<StagedPart>>,
    /// What is staged takes the state's place.
    pub replaces: bool,
    /// The state's new time: never earlier than before.
    pub time: Timestamp,
}

/// One stored part of what is staged.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StagedPart {
    All(Staged),
    Piece(Bytes),
}

/// Revisions guard what the transaction read; the leadership guards what its process remembered
/// (cached policies, open leases).
///
/// `leadership` is the one under which raft appended the entry, `index` its place in the log. What
/// is remembered of requests must have advanced to the entry already.
///
/// # Errors
/// Where the view cannot be read.
pub fn apply(
    view: &dyn View,
    index: u64,
    leadership: Leadership,
    batch: &SealedBatch,
) -> Result<(Applied, Effects), ViewError> {
    let time = view.time()?.max(batch.header.time);
    let refused = Effects { time, ..Effects::default() };
    if batch.header.leadership != leadership {
        return Ok((Applied::Fenced, refused));
    }
    // Before what it has read: its own effects have changed that.
    if let Some(applied) = repeated(view, batch, time)? {
        return Ok((applied, refused));
    }
    if let Some(contested) = first_conflict(view, batch)? {
        return Ok((Applied::Conflict(contested), refused));
    }
    let mut effects = Effects { time, ..Effects::default() };
    if let Some(restore) = &batch.restore {
        let applied = stage(view.staged()?, restore, &mut effects);
        return Ok((applied, effects));
    }
    let revision = Revision(index);
    for write in &batch.writes {
        let existed = match effects.records.get(&write.key) {
            Some(written) => written.is_some(),
            None => view.get(&write.key)?.is_some(),
        };
        if existed != write.value.is_some() {
            count(view, &mut effects, write.key.directory(), revision, write.value.is_some())?;
        }
        if existed || write.value.is_some() {
            let record = write.value.clone().map(|value| Record { revision, value });
            effects.records.insert(write.key, record);
        }
    }
    for directory in &batch.occupied {
        let after = match effects.directories.get(directory) {
            Some(changed) => changed.unwrap_or(Directory::ABSENT),
            None => view.directory(directory)?,
        };
        if after.records == 0 {
            return Ok((Applied::Conflict(Contested::Directory(*directory)), refused));
        }
    }
    for (key, value) in &batch.system_writes {
        effects.system.insert(*key, value.clone().map(|value| (revision, value)));
    }
    let step = batch.header.step;
    effects.remembered = batch.header.request.map(|id| (id, step, batch.response.clone()));
    Ok((Applied::Committed, effects))
}

/// A step of a restore: only of the one that was begun last.
fn stage(staged: Option<Staged>, restore: &Restore, effects: &mut Effects) -> Applied {
    let id = restore.id;
    let own = staged.filter(|staged| staged.id == id);
    match &restore.step {
        RestoreStep::Begin => {
            effects.unstage(staged);
            effects.staged.insert(0, Some(StagedPart::All(Staged { id, pieces: 0 })));
            Applied::Committed
        }
        RestoreStep::Piece { number, bytes } => match own {
            Some(own) if Some(*number) == own.pieces.checked_add(1) => {
                let all = Staged { id, pieces: *number };
                effects.staged.insert(0, Some(StagedPart::All(all)));
                effects.staged.insert(*number, Some(StagedPart::Piece(bytes.clone())));
                Applied::Committed
            }
            _ => Applied::Fenced,
        },
        RestoreStep::Replace { pieces, .. } => match own {
            Some(own) if own.pieces == *pieces => {
                effects.replaces = true;
                Applied::Committed
            }
            _ => Applied::Fenced,
        },
        RestoreStep::GiveUp => {
            effects.unstage(own);
            Applied::Committed
        }
    }
}

impl Effects {
    fn unstage(&mut self, staged: Option<Staged>) {
        let Some(staged) = staged else { return };
        self.staged.extend((0..=staged.pieces).map(|number| (number, None)));
    }
}

/// Why a request may not take effect, if it may not.
fn repeated(
    view: &dyn View,
    batch: &SealedBatch,
    time: Timestamp,
) -> Result<Option<Applied>, ViewError> {
    let Some(id) = &batch.header.request else { return Ok(None) };
    Ok(match view.recall(id, batch.header.step, time)? {
        Remembered::New => None,
        Remembered::Done(_) => Some(Applied::Repeated),
        Remembered::Forgotten => Some(Applied::Forgotten),
        Remembered::NoRoom => Some(Applied::NoRoom),
    })
}

fn first_conflict(view: &dyn View, batch: &SealedBatch) -> Result<Option<Contested>, ViewError> {
    for (key, seen) in &batch.reads {
        let revision = view.get(key)?.map_or(Revision::ABSENT, |record| record.revision);
        if revision != *seen {
            return Ok(Some(Contested::Record(*key)));
        }
    }
    for (directory, seen) in &batch.directories {
        if view.directory(directory)?.revision != *seen {
            return Ok(Some(Contested::Directory(*directory)));
        }
    }
    for (key, seen) in &batch.system_reads {
        let revision = view.system(*key)?.map_or(Revision::ABSENT, |(revision, _)| revision);
        if revision != *seen {
            return Ok(Some(Contested::System(*key)));
        }
    }
    Ok(None)
}

/// One record more in the directory, or one less.
fn count(
    view: &dyn View,
    effects: &mut Effects,
    directory: StoredDirectory,
    revision: Revision,
    created: bool,
) -> Result<(), ViewError> {
    let before = match effects.directories.get(&directory) {
        Some(changed) => changed.unwrap_or(Directory::ABSENT),
        None => view.directory(&directory)?,
    };
    let records =
        if created { before.records.saturating_add(1) } else { before.records.saturating_sub(1) };
    let after = (records > 0).then_some(Directory { revision, records });
    effects.directories.insert(directory, after);
    Ok(())
}

#[cfg(test)]
mod tests;

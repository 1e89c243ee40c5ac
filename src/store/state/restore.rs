//! The state as what was staged of a snapshot makes it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::{Bound, ControlFlow};
use std::path::Path;

use sha2::{Digest as _, Sha256};

use super::checkpoint::{Change, Checkpoint};
use super::snapshot::{self, SnapshotInfo};
use super::table::{Directories, Mark, RawKey, Records, Stage, System, Table as _};
use super::walk::walk;
use crate::record::{Revision, SystemKey};
use crate::store::Error;
use crate::store::apply::StagedPart;

/// Puts the pieces together into `file`. `None` where they are no whole snapshot, on this node
/// as on every other.
///
/// # Errors
/// Where the checkpoint cannot be read or the file not be written, or a newer program made the
/// snapshot.
pub(super) fn collect(
    checkpoint: &dyn Checkpoint,
    file: &Path,
    sha256: &[u8; 32],
) -> Result<Option<SnapshotInfo>, Error> {
    let failed = || Error::io("write", file);
    let mut output = BufWriter::new(File::create(file).map_err(failed())?);
    let mut hash = Sha256::new();
    let [first, last] = [1, u32::MAX].map(|number| Stage::key(&number));
    let pieces = (Bound::Included(first.as_slice()), Bound::Included(last.as_slice()));
    checkpoint.point()?.scan(pieces, &mut |_, value| {
        let Some(StagedPart::Piece(piece)) = Stage::decode(value.to_vec().into()) else {
            return Err(Error::Database("a piece of a snapshot is damaged".to_owned()));
        };
        hash.update(&piece);
        output.write_all(&piece).map_err(failed())?;
        Ok(ControlFlow::Continue(()))
    })?;
    output.flush().map_err(failed())?;
    if hash.finalize().as_slice() != sha256 {
        return Ok(None);
    }
    match walk(file, &mut |_| Ok(())) {
        Ok(info) => Ok(Some(info)),
        Err(Error::Corrupt { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Fills an empty checkpoint with what [`collect`] has found, and with what stays of `old`.
/// Everything that comes from the snapshot has the revision of the entry that restores it: what
/// anyone has read before is stale.
pub(super) fn load(
    file: &Path,
    old: &dyn Checkpoint,
    new: &dyn Checkpoint,
    mark: &Mark,
) -> Result<(), Error> {
    let revision = Revision(mark.applied.map_or(0, |id| id.index)).0.to_le_bytes();
    let mut changes: Vec<Change> = Vec::new();
    let mut bytes = 0;
    snapshot::read(file, &mut |_, key, mut value| {
        if !is_restored(key) {
            return Ok(());
        }
        // It begins all three kinds of values.
        if let Some(first) = value.first_chunk_mut() {
            *first = revision;
        }
        bytes += value.len();
        changes.push((key, Some(value)));
        if bytes >= snapshot::LOAD_BYTES {
            bytes = 0;
            new.commit(&mut changes.drain(..))?;
        }
        Ok(())
    })?;
    for key in SystemKey::ALL.iter().map(System::key).filter(|key| !is_restored(*key)) {
        if let Some(value) = old.get(key.as_slice())? {
            changes.push((key, Some(value.into())));
        }
    }
    changes.push((RawKey::mark(), Some(mark.encode())));
    new.commit(&mut changes.into_iter())
}

fn is_restored(key: RawKey) -> bool {
    match key.as_slice().first() {
        Some(&Records::PREFIX | &Directories::PREFIX) => true,
        Some(&System::PREFIX) => RESTORED.iter().any(|restored| System::key(restored) == key),
        _ => false,
    }
}

/// The keys that open what is restored. All others say who this cluster is.
const RESTORED: [SystemKey; 2] = [SystemKey::SealConfiguration, SystemKey::Keyring];

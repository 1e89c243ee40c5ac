use std::ops::{Bound, ControlFlow};

use bytes::Bytes;

use super::table::RawKey;
use crate::store::Error;

/// A value to put, or none to delete it.
pub(super) type Change = (RawKey, Option<Vec<u8>>);

/// A store of keys and values on disk, as of some log entry.
pub(super) trait Checkpoint: Send + Sync {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// The store as it is now, whatever is committed while it is looked at.
    fn point(&self) -> Result<Box<dyn Point + '_>, Error>;

    /// All of the changes or, after a failure, none. Durable when it returns, where
    /// [`Self::is_durable`].
    fn commit(&self, changes: &mut dyn Iterator<Item = Change>) -> Result<(), Error>;

    /// What it takes on disk.
    fn bytes(&self) -> Result<u64, Error>;

    /// Whether a commit survives a power cut. What is not durable is rebuilt after an unclean
    /// stop, from a snapshot and the log.
    fn is_durable(&self) -> bool {
        true
    }

    /// The process ends cleanly; nothing is committed any more.
    fn close(&self) -> Result<(), Error> {
        Ok(())
    }
}

/// One point of a [`Checkpoint`].
pub(super) trait Point {
    fn get(&self, key: &[u8]) -> Result<Option<Bytes>, Error>;

    /// Calls `visit` for each key of the range, in order, until it breaks.
    fn scan(&self, range: RawRange<'_>, visit: &mut Visit<'_>) -> Result<(), Error>;
}

pub(super) type RawRange<'a> = (Bound<&'a [u8]>, Bound<&'a [u8]>);

pub(super) type Visit<'a> = dyn FnMut(&[u8], &[u8]) -> Result<ControlFlow<()>, Error> + 'a;

//! A snapshot's file, item by item, decoded.

use std::path::Path;

use bytes::Bytes;

use super::snapshot::{self, SnapshotInfo};
use super::table::{Directories, Records, Stage, System, Table as _};
use crate::record::{Directory, Record, StoredDirectory, StoredKey};
use crate::store::Error;

/// What a snapshot holds. Records come first, then directories, system records and requests.
#[derive(Clone, Debug)]
pub enum SnapshotItem {
    Record(StoredKey, Record),
    Directory(StoredDirectory, Directory),
    /// By the number of its [`crate::record::SystemKey`].
    System(u32, Bytes),
    /// Something of a request that was answered.
    Remembered,
    /// Something of a restore that was under way.
    Staged,
}

/// Reads all of the file, checks all of its checksums, and shows each item.
///
/// # Errors
/// Where a checksum is wrong, an item cannot be decoded, or the file is a newer program's; and
/// what `visit` returns.
pub fn walk(
    file: &Path,
    visit: &mut dyn FnMut(SnapshotItem) -> Result<(), Error>,
) -> Result<SnapshotInfo, Error> {
    let mut number = 0_u64;
    snapshot::read(file, &mut |at, key, value| {
        number += 1;
        let item = decode(key.as_slice(), value.into());
        let damaged =
            || Error::corrupt(file, at, format!("item {number}, before it, cannot be decoded"));
        visit(item.ok_or_else(damaged)?)
    })
}

fn decode(key: &[u8], value: Bytes) -> Option<SnapshotItem> {
    let (prefix, rest) = key.split_first()?;
    Some(match *prefix {
        Records::PREFIX => {
            SnapshotItem::Record(StoredKey(rest.try_into().ok()?), Records::decode(value)?)
        }
        Directories::PREFIX => SnapshotItem::Directory(
            StoredDirectory(rest.try_into().ok()?),
            Directories::decode(value)?,
        ),
        System::PREFIX => {
            let number = u32::from_be_bytes(rest.try_into().ok()?);
            SnapshotItem::System(number, System::decode(value)?.1)
        }
        Stage::PREFIX => {
            Stage::decode(value)?;
            SnapshotItem::Staged
        }
        _ => SnapshotItem::Remembered,
    })
}

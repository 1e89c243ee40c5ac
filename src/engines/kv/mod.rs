//! Keys and values: version 1 keeps the newest value alone, version 2 the last few.
//!
//! A mount's storage, below its prefix:
//! - `secrets/<path>`: version 1's values, verbatim;
//! - `metadata/<path>`: one record for each of version 2's secrets;
//! - `versions/<id>.<number>`: one record for each version's data. The id is the metadata's, so
//!   that listing reads no data, and a secret made again never meets what an earlier one left;
//! - `config`, and `upgraded` where the mount was once version 1.

pub mod v1;
pub mod v2;

use crate::clock::Timestamp;
use crate::mount::MountEntry;
use crate::request::Error;
use crate::txn::Scope;

/// Whether the mount's options ask for version 2.
pub fn is_versioned(entry: &MountEntry) -> bool {
    entry.options.get("version").is_some_and(|version| version == "2")
}

/// Lets version 2 see what version 1 stored: for whoever changes a mount's option from 1 to 2, in
/// the same transaction. Each secret then reads as version 1, made at this time, and moves to
/// version 2's place with its first write. One record is written, however many secrets there are.
///
/// # Errors
/// Where the record cannot be written.
pub fn upgrade(mount: &mut Scope<'_>, now: Timestamp) -> Result<(), Error> {
    mount.put(UPGRADED, &now)
}

/// Where version 1 keeps a secret.
fn unversioned_key(path: &str) -> String {
    format!("{UNVERSIONED}{path}")
}

/// The directory of version 1's secrets.
const UNVERSIONED: &str = "secrets/";

/// When the mount became version 2.
const UPGRADED: &str = "upgraded";

//! Whether the state in a backup is whole, and whether it can be opened.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::Bytes;

use super::{Error, Unpacked};
use crate::barrier::Keyring;
use crate::record::{StoredDirectory, StoredKey, SystemKey};
use crate::seal::{KeyringRecord, SealConfiguration};
use crate::store::{self, SnapshotItem};
use crate::text::hex;

/// What a state holds, by kind.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Kinds {
    pub records: u64,
    pub directories: u64,
    pub system: u64,
    /// Requests that are remembered, so that a repeated one has one effect.
    pub requests: u64,
    pub value_bytes: u64,
}

/// What a walk over all of a state has found.
#[derive(Debug, Default)]
pub struct Checked {
    pub kinds: Kinds,
    /// One line for each thing that is wrong, the first [`PROBLEMS_MAX`].
    pub problems: Vec<String>,
    pub problems_total: u64,
    pub seal: Option<SealConfiguration>,
    pub keyring: Option<KeyringRecord>,
}

impl Checked {
    fn problem(&mut self, text: String) {
        self.problems_total = self.problems_total.saturating_add(1);
        if self.problems.len() < PROBLEMS_MAX {
            self.problems.push(text);
        }
    }
}

/// Walks all of the state: its checksums, the order and form of what it holds, and whether each
/// directory has as many records as it says. Needs no key.
///
/// # Errors
/// Where the file cannot be read on.
pub fn walk(state: &Path) -> Result<Checked, Error> {
    let mut checked = Checked::default();
    let mut counted: BTreeMap<StoredDirectory, u64> = BTreeMap::new();
    store::walk(state, &mut |item| {
        match item {
            SnapshotItem::Record(key, record) => {
                checked.kinds.records += 1;
                checked.kinds.value_bytes += record.value.as_bytes().len() as u64;
                *counted.entry(directory_of(&key)).or_default() += 1;
            }
            SnapshotItem::Directory(directory, said) => {
                checked.kinds.directories += 1;
                let found = counted.remove(&directory).unwrap_or_default();
                if found != said.records {
                    let name = hex(&directory.0);
                    let said = said.records;
                    checked.problem(format!(
                        "directory {name}: {found} records are there, and it counts {said}"
                    ));
                }
            }
            SnapshotItem::System(number, value) => {
                checked.kinds.system += 1;
                checked.system(number, &value);
            }
            SnapshotItem::Remembered => checked.kinds.requests += 1,
            // Of no use to whoever restores this.
            SnapshotItem::Staged => {}
        }
        Ok(())
    })?;
    for (directory, records) in counted {
        let name = hex(&directory.0);
        checked.problem(format!("directory {name}: {records} records, and no count of them"));
    }
    if checked.seal.is_none() {
        checked.problem("there is no seal configuration: nothing could be unsealed".to_owned());
    }
    if checked.keyring.is_none() {
        checked.problem("there is no keyring: nothing could be unsealed".to_owned());
    }
    Ok(checked)
}

impl Checked {
    fn system(&mut self, number: u32, value: &Bytes) {
        match SystemKey::from_number(number) {
            None => self.problem(format!("system record {number} is of no kind that is known")),
            Some(SystemKey::SealConfiguration) => match SealConfiguration::decode(value) {
                Ok(seal) => self.seal = Some(seal),
                Err(error) => self.problem(format!("the seal configuration: {error}")),
            },
            Some(SystemKey::Keyring) => match KeyringRecord::decode(value) {
                Ok(keyring) => self.keyring = Some(keyring),
                Err(error) => self.problem(format!("the keyring: {error}")),
            },
            Some(_) => {}
        }
    }
}

/// What opened.
#[derive(Debug, Default)]
pub struct Opened {
    pub records: u64,
    pub secrets_mounts: u64,
    pub auth_mounts: u64,
    pub problems: Vec<String>,
    pub problems_total: u64,
}

/// Decrypts every record, and the sealed checksums, with the keyring that shares have opened.
///
/// # Errors
/// Where the file cannot be read on.
pub fn deep(state: &Path, unpacked: &Unpacked, keyring: &Keyring) -> Result<Opened, Error> {
    let mut opened = Opened::default();
    let mut problems = Checked::default();
    let is_sealed = keyring
        .open_checksums(&unpacked.sealed_checksums)
        .is_ok_and(|sums| *sums.expose() == unpacked.checksums);
    if !is_sealed {
        problems.problem(
            "SHA256SUMS.sealed is not of this keyring: the archive was not made by this cluster, \
             or was changed since"
                .to_owned(),
        );
    }
    let secrets = keyring.stored_directory(SECRETS_MOUNTS);
    let auth = keyring.stored_directory(AUTH_MOUNTS);
    store::walk(state, &mut |item| {
        let SnapshotItem::Record(key, record) = item else { return Ok(()) };
        match keyring.open_record(&key, &record.value) {
            Ok(_) => opened.records += 1,
            Err(error) => problems.problem(format!("record {}: {error}", hex(&key.0))),
        }
        let directory = directory_of(&key);
        opened.secrets_mounts += u64::from(directory == secrets);
        opened.auth_mounts += u64::from(directory == auth);
        Ok(())
    })?;
    if opened.secrets_mounts == 0 || opened.auth_mounts == 0 {
        problems.problem("a mount table is empty".to_owned());
    }
    (opened.problems, opened.problems_total) = (problems.problems, problems.problems_total);
    Ok(opened)
}

/// A stored key begins with its directory's.
fn directory_of(key: &StoredKey) -> StoredDirectory {
    let mut directory = [0; 16];
    directory.copy_from_slice(key.0.split_at(16).0);
    StoredDirectory(directory)
}

/// Listed; the others are counted.
const PROBLEMS_MAX: usize = 100;

const SECRETS_MOUNTS: &str = "root/core/mounts/";
const AUTH_MOUNTS: &str = "root/core/auth/";

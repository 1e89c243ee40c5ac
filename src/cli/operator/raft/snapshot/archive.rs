//! A snapshot's archive on this machine.

use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, Write};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use crate::backup::{self, Unpacked};
use crate::cli::failure::Failure;
use crate::rng::{Rng, SystemRng};

/// Reads all of it and checks the archive's checksums; the state goes to `state`.
pub(super) fn unpack(path: &Path, state: impl Write) -> Result<Unpacked, Failure> {
    let failed =
        |error: io::Error| Failure::local(format!("Error opening {}: {error}", path.display()));
    let file = File::open(path).map_err(failed)?;
    backup::unpack(BufReader::new(file), state).map_err(|error| bad(path, &error))
}

pub(super) fn bad(path: &Path, error: &backup::Error) -> Failure {
    Failure::local(format!("The snapshot {} is no good: {error}", path.display()))
}

/// The state of an archive, in a file that goes when this is dropped.
pub(super) struct State {
    pub(super) unpacked: Unpacked,
    file: PathBuf,
}

impl State {
    /// In the folder for temporary files: `TMPDIR`, which needs as much room as the state.
    pub(super) fn of(path: &Path) -> Result<Self, Failure> {
        let rng: &dyn Rng = &SystemRng;
        let file = std::env::temp_dir().join(format!("strongroom-state-{}", rng.uuid()));
        let failed = |error: io::Error| {
            Failure::local(format!("Error unpacking to {}: {error}", file.display()))
        };
        let mut options = OpenOptions::new();
        let options = options.write(true).create_new(true).mode(0o600);
        let to = options.open(&file).map_err(failed)?;
        match unpack(path, to) {
            Ok(unpacked) => Ok(Self { unpacked, file }),
            Err(failure) => {
                drop(fs::remove_file(&file));
                Err(failure)
            }
        }
    }

    pub(super) fn file(&self) -> &Path {
        &self.file
    }
}

impl Drop for State {
    fn drop(&mut self) {
        // It is ciphertext, and the system empties the folder.
        drop(fs::remove_file(&self.file));
    }
}

//! A log file that is put aside when it is long or old enough.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::clock::{Clock, Timestamp};

/// When a file is put aside, and how many stay.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Rotation {
    /// Of one file; 0: as long as it gets. A longer event has a file to itself.
    pub bytes_max: u64,
    /// Counted from when this process opened it; 0: as old as it gets.
    pub age_max: Duration,
    /// Files put aside: 0 keeps all, -1 none. The oldest go first.
    pub files_max: i64,
}

/// Written to as events come: there is no queue that could grow.
pub(super) struct LogFile {
    path: PathBuf,
    rotation: Rotation,
    clock: Arc<dyn Clock>,
    open: Mutex<Open>,
}

struct Open {
    file: File,
    bytes: u64,
    since: Timestamp,
}

impl LogFile {
    /// Goes on at the end of the file that is there. A path that ends in a slash is a folder.
    pub(super) fn open(path: &Path, rotation: Rotation, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let is_folder = path.is_dir() || path.as_os_str().as_encoded_bytes().ends_with(b"/");
        let path = if is_folder { path.join(FILE_NAME) } else { path.to_owned() };
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder)?;
        }
        let open = Mutex::new(open(&path, clock.now())?);
        Ok(Self { path, rotation, clock, open })
    }

    /// # Errors
    /// Where the event, or what was to be put aside for it, is not on disk.
    pub(super) fn write(&self, event: &[u8]) -> io::Result<()> {
        let Rotation { bytes_max, age_max, .. } = self.rotation;
        let length = event.len() as u64;
        let mut open = self.lock();
        let now = self.clock.now();
        let is_long = bytes_max > 0 && open.bytes.saturating_add(length) > bytes_max;
        let is_old = !age_max.is_zero() && now.since(open.since) >= age_max;
        // An empty file is neither: it would be put aside again and again.
        let rotated = match open.bytes > 0 && (is_long || is_old) {
            true => self.rotate(&mut open, now),
            false => Ok(()),
        };
        open.file.write_all(event)?;
        open.bytes = open.bytes.saturating_add(length);
        rotated
    }

    /// After another program has put the file aside.
    ///
    /// # Errors
    /// Where it cannot be opened; the old one is then written on.
    pub(super) fn reopen(&self) -> io::Result<()> {
        *self.lock() = open(&self.path, self.clock.now())?;
        Ok(())
    }

    fn rotate(&self, current: &mut Open, now: Timestamp) -> io::Result<()> {
        let mut number = now.0;
        while self.aside(number).symlink_metadata().is_ok() {
            number = number.saturating_add(1);
        }
        fs::rename(&self.path, self.aside(number))?;
        *current = open(&self.path, now)?;
        self.prune()
    }

    /// `strongroom.log` is put aside as `strongroom-1795502400000.log`: milliseconds since 1970.
    fn aside(&self, number: u64) -> PathBuf {
        let (stem, end) = self.name();
        self.path.with_file_name(format!("{stem}-{number}{end}"))
    }

    fn name(&self) -> (String, String) {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        let end = self.path.extension().map(|end| format!(".{}", end.to_string_lossy()));
        (stem, end.unwrap_or_default())
    }

    fn prune(&self) -> io::Result<()> {
        let keep = match self.rotation.files_max {
            0 => return Ok(()),
            count => usize::try_from(count).unwrap_or(0),
        };
        let folder = self.path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let (stem, end) = self.name();
        let mut numbers = Vec::new();
        for entry in fs::read_dir(folder.unwrap_or(Path::new(".")))? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            let number = name
                .strip_prefix(&stem)
                .and_then(|rest| rest.strip_prefix('-'))
                .and_then(|rest| rest.strip_suffix(&end))
                .and_then(|digits| digits.parse::<u64>().ok());
            numbers.extend(number);
        }
        numbers.sort_unstable_by(|left, right| right.cmp(left));
        for number in numbers.into_iter().skip(keep) {
            fs::remove_file(self.aside(number))?;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn open(path: &Path, now: Timestamp) -> io::Result<Open> {
    // Readable by a group, which programs that ship logs are put into; as Vault does.
    let file = OpenOptions::new().append(true).create(true).mode(0o640).open(path)?;
    let bytes = file.metadata()?.len();
    Ok(Open { file, bytes, since: now })
}

const FILE_NAME: &str = "strongroom.log";

#[cfg(test)]
mod tests;

//! A file that is written on, put aside when it is long or old enough, and opened anew when asked
//! to, or when it was deleted.

use std::fs::{self, OpenOptions, Permissions};
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::os::unix::fs::{
    DirBuilderExt as _, FileTypeExt as _, MetadataExt as _, OpenOptionsExt as _,
    PermissionsExt as _,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::OFlags;

use super::stream::write_all;
use super::{Sink, Unwritten};
use crate::audit::options::FileOptions;
use crate::audit_log::{Sealed, Tail};
use crate::clock::{Clock, Timestamp};

pub(super) struct File {
    options: FileOptions,
    clock: Arc<dyn Clock>,
    open: Open,
    tail: Tail,
}

struct Open {
    file: fs::File,
    /// Pipes and devices have no length, and are not put aside.
    is_regular: bool,
    bytes: u64,
    since: Timestamp,
}

impl File {
    /// # Errors
    /// Where it is not there and cannot be made, or is no file for logs.
    pub(super) fn open(options: FileOptions, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let (open, tail) = open(&options, clock.now())?;
        Ok(Self { options, clock, open, tail })
    }

    fn put_aside_where_due(&mut self, coming: u64) -> io::Result<()> {
        let FileOptions { rotate_bytes, rotate_duration, .. } = self.options;
        let now = self.clock.now();
        let Open { is_regular, bytes, since, .. } = self.open;
        let is_long = rotate_bytes > 0 && bytes.saturating_add(coming) > rotate_bytes;
        let is_old = !rotate_duration.is_zero() && now.since(since) >= rotate_duration;
        // An empty file is neither: it would be put aside again and again.
        if !is_regular || bytes == 0 || !(is_long || is_old) {
            return Ok(());
        }
        let path = &self.options.path;
        let mut number = now.0;
        while aside(path, number).symlink_metadata().is_ok() {
            number = number.saturating_add(1);
        }
        fs::rename(path, aside(path, number))?;
        // The chain goes on: the next file begins where this one ends.
        (self.open, _) = open(&self.options, now)?;
        // That an old one stays is no reason to refuse a record.
        if let Err(error) = self.prune() {
            tracing::warn!(path = %self.options.path.display(), %error, "old audit logs stay");
        }
        Ok(())
    }

    fn prune(&self) -> io::Result<()> {
        let keep = usize::try_from(self.options.rotate_max_files).unwrap_or(usize::MAX);
        if keep == 0 {
            return Ok(());
        }
        let path = &self.options.path;
        let (stem, end) = name(path);
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
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
            fs::remove_file(aside(path, number))?;
        }
        Ok(())
    }
}

impl Sink for File {
    fn write(&mut self, lines: &[String]) -> Result<(), Unwritten> {
        let bytes = lines.concat();
        let length = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        // Written on, a deleted file would take its records along.
        if self.open.is_regular && self.open.file.metadata()?.nlink() == 0 {
            (self.open, _) = open(&self.options, self.clock.now())?;
        }
        self.put_aside_where_due(length)?;
        let Open { file, is_regular, bytes: before, .. } = &mut self.open;
        let descriptor = file.try_clone()?;
        if let Err((written, error)) = write_all(file, &descriptor, bytes.as_bytes()) {
            // As if nothing had been written, where that can be.
            let undone = written == 0 || (*is_regular && file.set_len(*before).is_ok());
            return Err(Unwritten { accepted: 0, partial: !undone, error });
        }
        *before = before.saturating_add(length);
        if self.options.sync && *is_regular {
            file.sync_data()?;
        }
        Ok(())
    }

    fn tail(&self) -> Tail {
        self.tail.clone()
    }

    fn reopen(&mut self) -> io::Result<Option<Tail>> {
        let (opened, tail) = open(&self.options, self.clock.now())?;
        self.open = opened;
        Ok(Some(tail))
    }
}

fn open(options: &FileOptions, now: Timestamp) -> io::Result<(Open, Tail)> {
    let path = &options.path;
    if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    }
    let refuse = |text: &str| Err(io::Error::new(io::ErrorKind::InvalidInput, text.to_owned()));
    match fs::metadata(path) {
        Ok(there) if there.is_dir() => return refuse("is a directory"),
        Ok(there) if there.is_file() && there.mode() & 0o111 != 0 => {
            return refuse("is a program: its mode allows it to be executed");
        }
        _ => {}
    }
    // Without `NONBLOCK` a pipe that nobody reads would stop the thread, here and later.
    let file = OpenOptions::new()
        .append(true)
        .create(true)
        .mode(options.mode.unwrap_or(0o600))
        .custom_flags((OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed())
        .open(path)?;
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    if kind.is_block_device() {
        return refuse("is a disk");
    }
    let is_regular = kind.is_file();
    if is_regular
        && let Some(mode) = options.mode
        && metadata.mode() & 0o777 != mode
    {
        // The umask took bits away, or the file was there before.
        file.set_permissions(Permissions::from_mode(mode))?;
    }
    let tail = if is_regular { read_tail(path, metadata.len())? } else { Tail::default() };
    Ok((Open { file, is_regular, bytes: metadata.len(), since: now }, tail))
}

/// What a log ends with. What is no record is none: then the next segment cannot say what came
/// before, which shows when the log is checked.
fn read_tail(path: &Path, length: u64) -> io::Result<Tail> {
    let mut file = fs::File::open(path)?;
    let mut end = Vec::new();
    let mut from = length;
    let mut step = STEP_BYTES;
    loop {
        step = from.min(step.saturating_mul(2));
        from -= step;
        file.seek(SeekFrom::Start(from))?;
        let mut part = vec![0; usize::try_from(step).unwrap_or_default()];
        file.read_exact(&mut part)?;
        part.append(&mut end);
        end = part;
        let torn_at = end.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let whole = end.get(..torn_at.saturating_sub(1)).unwrap_or_default();
        let start = whole.iter().rposition(|byte| *byte == b'\n').map(|at| at + 1);
        let given_up = length - from >= LINE_BYTES_MAX;
        if start.is_some() || from == 0 || given_up {
            let line = whole.get(start.unwrap_or(0)..).unwrap_or_default();
            let head = Sealed::read(line).filter(|sealed| sealed.is_unchanged());
            let torn = u64::try_from(end.len() - torn_at).unwrap_or_default();
            return Ok(Tail { head: head.map(|sealed| sealed.head), torn });
        }
    }
}

/// `audit.log` is put aside as `audit-1795502400000.log`: milliseconds since 1970.
fn aside(path: &Path, number: u64) -> PathBuf {
    let (stem, end) = name(path);
    path.with_file_name(format!("{stem}-{number}{end}"))
}

fn name(path: &Path) -> (String, String) {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let end = path.extension().map(|end| format!(".{}", end.to_string_lossy()));
    (stem, end.unwrap_or_default())
}

const STEP_BYTES: u64 = 64 << 10;

/// A record of the largest request that is answered, and some.
const LINE_BYTES_MAX: u64 = 256 << 20;

#[cfg(test)]
mod tests;

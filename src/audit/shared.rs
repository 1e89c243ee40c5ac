//! Whether two devices would write to one file: each would break the chain of the other, and put
//! its log aside.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::options::{Options, Target};
use super::store::StoredDevice;

/// As far as this node can see. What cannot be opened at all shares nothing.
pub fn share_file(one: &StoredDevice, other: &StoredDevice) -> bool {
    file(one).zip(file(other)).is_some_and(|(one, other)| is_same(&one, &other))
}

fn file(device: &StoredDevice) -> Option<PathBuf> {
    match Options::read(&device.kind, &device.options, true) {
        Ok((Options { target: Target::File(file), .. }, _)) => Some(file.path),
        _ => None,
    }
}

fn is_same(one: &Path, other: &Path) -> bool {
    match (fs::metadata(one), fs::metadata(other)) {
        // Whoever writes to `/dev/null` disturbs nobody there.
        (Ok(one), Ok(other)) => {
            let is_same = (one.dev(), one.ino()) == (other.dev(), other.ino());
            is_same && !one.file_type().is_char_device()
        }
        (Err(_), Err(_)) => resolved(one) == resolved(other),
        _ => false,
    }
}

/// Of a file that is not there, its folder may be.
fn resolved(path: &Path) -> PathBuf {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    match (fs::canonicalize(folder), path.file_name()) {
        (Ok(folder), Some(name)) => folder.join(name),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests;

//! The disk below the data folder: its kind, room and speed.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Mode, OFlags, statfs, statvfs};
use tokio::time::Instant;

use super::check::Check;
use super::words;

pub(super) fn look(folder: &Path) -> Vec<Check> {
    vec![kind(folder), room(folder), speed(folder)]
}

fn kind(folder: &Path) -> Check {
    const NAME: &str = "Check File System";
    let found = match statfs(folder) {
        Ok(found) => found,
        Err(error) => return Check::skipped(NAME, &words(error)),
    };
    // The type's width differs between machines; the numbers are 32 bits wide.
    let magic = (found.f_type as u64) & 0xffff_ffff;
    let known = KINDS.iter().find(|(number, ..)| *number == magic);
    match known {
        Some((_, name, Trouble::Remote)) => Check::warn(
            NAME,
            &format!("{} is on {name}, over a network.", folder.display()),
            "Use a disk of this machine: locks and syncs over a network are slow or not kept, and \
             each node has its own copy anyway.",
        ),
        Some((_, name, Trouble::Volatile)) => Check::warn(
            NAME,
            &format!("{} is on {name}: in memory, or gone with its container.", folder.display()),
            "Use a disk, or a volume that outlives the container.",
        ),
        Some((_, name, Trouble::None)) => Check::ok(NAME, name),
        None => Check::ok(NAME, &format!("Type {magic:#x}.")),
    }
}

fn room(folder: &Path) -> Check {
    const NAME: &str = "Check Disk Usage";
    let found = match statvfs(folder) {
        Ok(found) => found,
        Err(error) => return Check::skipped(NAME, &words(error)),
    };
    let mebibytes = found.f_bavail.saturating_mul(found.f_frsize) >> 20;
    let files = found.f_favail;
    let text = format!("{mebibytes} MiB and {files} files are free.");
    let advice = "Free some, or use a larger disk: below a reserve of some 320 MiB writes are refused \
                  with 507, and reads go on (deploy/runbooks/disk-full.md).";
    // Some file systems count no files.
    if mebibytes < RESERVE_MEBIBYTES || (found.f_files > 0 && files < FILES_MIN) {
        Check::fail(NAME, &text, advice)
    } else if mebibytes < ENOUGH_MEBIBYTES {
        Check::warn(NAME, &text, advice)
    } else {
        Check::ok(NAME, &text)
    }
}

/// As each write of a cluster waits for: some bytes, on disk.
fn speed(folder: &Path) -> Check {
    const NAME: &str = "Check Sync Latency";
    let mut times = match measure(folder) {
        Ok(times) => times,
        Err(error) => return Check::skipped(NAME, &format!("cannot be measured: {error}")),
    };
    times.sort_unstable();
    let at = |index: usize| times.get(index).copied().unwrap_or_default().as_micros() as f64 / 1e3;
    let (middle, longest) = (at(times.len() / 2), at(times.len().saturating_sub(1)));
    let text = format!("A write is on disk after {middle:.1} ms, {longest:.1} ms at most.");
    if middle > SLOW.as_millis() as f64 || longest > MUCH_TOO_SLOW.as_millis() as f64 {
        let advice = "Each write waits for it on a majority of nodes, and a leader that waits too \
                      long is replaced: use a faster disk, or one that nothing else uses.";
        return Check::warn(NAME, &text, advice);
    }
    Check::ok(NAME, &text)
}

/// With a file that has no name, and is gone when it is closed.
fn measure(folder: &Path) -> Result<Vec<Duration>, String> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = rustix::fs::open(folder, flags, Mode::RUSR | Mode::WUSR).map_err(words)?;
    let mut file = File::from(file);
    let mut times = Vec::new();
    for _ in 0..WRITES {
        let begun = Instant::now();
        file.write_all(&[0; 4096]).and_then(|()| file.sync_data()).map_err(words)?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

#[derive(Clone, Copy)]
enum Trouble {
    None,
    Remote,
    Volatile,
}

/// As `statfs(2)` numbers them.
const KINDS: &[(u64, &str, Trouble)] = &[
    (0x6969, "NFS", Trouble::Remote),
    (0x517b, "SMB", Trouble::Remote),
    (0xff53_4d42, "CIFS", Trouble::Remote),
    (0xfe53_4d42, "SMB 2", Trouble::Remote),
    (0x00c3_6400, "Ceph", Trouble::Remote),
    (0x0102_1997, "9P", Trouble::Remote),
    (0x6573_5546, "FUSE", Trouble::Remote),
    (0x0bd0_0bd0, "Lustre", Trouble::Remote),
    (0x0102_1994, "tmpfs", Trouble::Volatile),
    (0x8584_58f6, "ramfs", Trouble::Volatile),
    (0x794c_7630, "overlayfs", Trouble::Volatile),
    (0xef53, "ext4", Trouble::None),
    (0x5846_5342, "XFS", Trouble::None),
    (0x9123_683e, "Btrfs", Trouble::None),
    (0x2fc1_2fc1, "ZFS", Trouble::None),
];

const RESERVE_MEBIBYTES: u64 = 320;
const ENOUGH_MEBIBYTES: u64 = 512;
const FILES_MIN: u64 = 64;
const WRITES: usize = 16;
const SLOW: Duration = Duration::from_millis(25);
const MUCH_TOO_SLOW: Duration = Duration::from_millis(250);

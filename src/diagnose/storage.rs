//! The data folder: may it be used, whose is it, how far is its log.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use rustix::fs::{Access, access};
use rustix::process::geteuid;

use super::check::Check;
use super::{disk, words};
use crate::cluster::Identity;
use crate::config::{Config, RaftStorage, Storage};
use crate::store::glance;

/// The process that has the data folder open, as `/proc/locks` shows it.
pub(super) fn holder(path: &Path) -> Option<u32> {
    let lock = path.join("log/lock").metadata().ok()?;
    let (major, minor) = (rustix::fs::major(lock.dev()), rustix::fs::minor(lock.dev()));
    let file = format!("{major:02x}:{minor:02x}:{}", lock.ino());
    let locks = std::fs::read_to_string("/proc/locks").ok()?;
    locks.lines().find_map(|line| {
        // `1: FLOCK  ADVISORY  WRITE 4242 fd:01:123456 0 EOF`
        let words: Vec<&str> = line.split_whitespace().collect();
        match words.as_slice() {
            [_, "FLOCK", _, "WRITE", process, of, ..] if *of == file => process.parse().ok(),
            _ => None,
        }
    })
}

pub(super) fn look(config: &Config, holder: Option<u32>) -> Check {
    const NAME: &str = "Check Storage";
    let raft = match &config.settings.storage {
        Storage::Inmem(_) => {
            let advice = "Write `storage \"raft\"` for anything but trials.";
            return Check::warn(NAME, "Everything is lost when the server ends.", advice);
        }
        Storage::Raft(raft) => raft,
    };
    let path = raft.path.as_path();
    let mut parts = vec![folder(raft)];
    if path.is_dir() {
        parts.extend([owner(path), permissions(path)]);
    }
    let near = path.ancestors().find(|path| path.is_dir()).unwrap_or(Path::new("/"));
    parts.extend(disk::look(near));
    if path.is_dir() {
        parts.push(in_use(holder));
        parts.extend(data(path, holder));
    }
    Check::group(NAME, parts)
}

fn folder(raft: &RaftStorage) -> Check {
    const NAME: &str = "Check Data Folder";
    let path = raft.path.as_path();
    let shown = path.display();
    match path.metadata() {
        Ok(found) if !found.is_dir() => Check::fail(
            NAME,
            &format!("{shown} is not a folder."),
            "Move the file away, or set another `path` in `storage \"raft\"`.",
        ),
        Ok(_) => match access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK) {
            Ok(()) => Check::ok(NAME, &format!("{shown} can be read and written.")),
            Err(error) => Check::fail(
                NAME,
                &format!("{shown} cannot be used: {}.", words(error)),
                &format!("chown it to the user that the server runs as, and `chmod 700 {shown}`."),
            ),
        },
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => missing(raft),
        Err(error) => Check::fail(
            NAME,
            &format!("{shown}: {}.", words(error)),
            "Let the user that the server runs as go through the folders above it (chmod +x).",
        ),
    }
}

fn missing(raft: &RaftStorage) -> Check {
    const NAME: &str = "Check Data Folder";
    let shown = raft.path.display();
    if !raft.path_wait.is_zero() {
        return Check::fail(
            NAME,
            &format!(
                "{shown} is not there: a start waits for it for {} s, and fails (`path_wait`).",
                raft.path_wait.as_secs(),
            ),
            "Mount its volume; for a new node, make the folder.",
        );
    }
    let above = raft.path.ancestors().skip(1).find(|path| path.exists());
    let above = above.unwrap_or(Path::new("/"));
    match access(above, Access::WRITE_OK | Access::EXEC_OK) {
        Ok(()) => Check::ok(NAME, &format!("{shown} is not there, and will be made: a new node.")),
        Err(error) => Check::fail(
            NAME,
            &format!(
                "{shown} is not there and cannot be made: {}: {}.",
                above.display(),
                words(error),
            ),
            "Make it, owned by the user that the server runs as (systemd: `StateDirectory`).",
        ),
    }
}

fn owner(path: &Path) -> Check {
    const NAME: &str = "Check Data Folder Owner";
    let Ok(found) = path.metadata() else { return Check::skipped(NAME, "") };
    let (owner, user) = (found.uid(), geteuid().as_raw());
    match user {
        _ if owner == user => Check::ok(NAME, &format!("It belongs to user {user}.")),
        0 => Check::warn(
            NAME,
            &format!("It belongs to user {owner}, and root is looking."),
            "Run this as the user that the server runs as: what root may, that user may not.",
        ),
        _ => Check::warn(
            NAME,
            &format!("It belongs to user {owner}, not to user {user}."),
            "chown it to the user that the server runs as.",
        ),
    }
}

fn permissions(path: &Path) -> Check {
    const NAME: &str = "Check Data Folder Permissions";
    let Ok(found) = path.metadata() else { return Check::skipped(NAME, "") };
    let mode = found.mode() & 0o777;
    match mode & 0o077 {
        0 => Check::ok(NAME, &format!("{mode:03o}: nobody else gets in.")),
        _ => Check::warn(
            NAME,
            &format!("{mode:03o}: others get in. The node's key lies there."),
            &format!("chmod 700 {}", path.display()),
        ),
    }
}

fn in_use(holder: Option<u32>) -> Check {
    const NAME: &str = "Check Server";
    match holder {
        Some(process) => Check::ok(NAME, &format!("Process {process} has the data folder open.")),
        None => Check::ok(NAME, "No server has the data folder open."),
    }
}

/// Whose data it is.
fn data(path: &Path, holder: Option<u32>) -> Vec<Check> {
    let mut parts = Vec::new();
    let advice = "Put back `node` and `log` of one and the same node from one copy, or start with an \
                  empty folder and join again (deploy/runbooks/lost-one-node.md).";
    let node = match Identity::glance(&path.join("node")) {
        Ok(node) => node,
        Err(error) => {
            return vec![Check::fail("Check Node", &error.to_string(), advice)];
        }
    };
    parts.push(match &node {
        None => Check::ok("Check Node", "The folder is of no node yet."),
        Some((id, None)) => {
            Check::ok("Check Node", &format!("Node node-{id:016x}, of no cluster yet."))
        }
        Some((id, Some(name))) if name.node == *id => {
            let text = format!("Node node-{id:016x} of cluster {}.", name.cluster);
            Check::ok("Check Node", &text)
        }
        Some((id, Some(name))) => {
            let other = name.node;
            let text = format!("It is node {id}, and its certificate is of node {other}.");
            Check::fail("Check Node", &text, advice)
        }
    });
    let log = path.join("log");
    let owner = std::fs::read_to_string(log.join("owner")).ok();
    let owner = owner.and_then(|text| text.trim().parse::<u64>().ok());
    let of_folder = node.map(|(id, _)| id);
    if let Some(owner) = owner
        && of_folder != Some(owner)
    {
        let text = match of_folder {
            Some(id) => format!("The log was written by node {owner}, but `node` is of {id}."),
            None => format!("The log was written by node {owner}, and `node` is missing."),
        };
        parts.push(Check::fail("Check Log", &text, advice));
        return parts;
    }
    parts.push(match glance(&log) {
        Ok(Some(found)) => Check::ok("Check Log", &log_text(&found)),
        Ok(None) => Check::ok("Check Log", "It is empty."),
        Err(_) if !log.exists() => Check::ok("Check Log", "It is empty."),
        // Under a server that writes, what is read may be half of a change.
        Err(error) if holder.is_some() => Check::skipped("Check Log", &error.to_string()),
        Err(error) => Check::fail("Check Log", &error.to_string(), advice),
    });
    parts
}

fn log_text(found: &crate::store::Glance) -> String {
    let mebibytes = found.bytes >> 20;
    let last = match found.last {
        Some(last) => format!("Last entry: index {}, term {}", last.index, last.term),
        None => "No entry".to_owned(),
    };
    let committed = found.committed.map(|id| format!("; committed, as noted: {}", id.index));
    format!("{last}{}; {mebibytes} MiB.", committed.unwrap_or_default())
}

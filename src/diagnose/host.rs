//! Limits of the process, memory, and files that the server writes beside its data.

use std::path::{Path, PathBuf};

use rustix::fs::{Access, access};
use rustix::process::{Resource, getrlimit};

use super::check::Check;
use super::words;
use crate::config::{Config, Listener};
use crate::crypto::{LockedKey, memory_is_locked};
use crate::rng::SystemRng;

pub(super) fn look(config: &Config) -> Check {
    let parts = [open_files(config), memory(config), core_files()];
    Check::group("Check Operating System", parts)
}

/// Each connection is a file; the server raises its limit as far as it may.
fn open_files(config: &Config) -> Check {
    const NAME: &str = "Check Open File Limits";
    let connections = config.settings.listener.iter().map(|listener| match listener {
        Listener::Tcp(tcp) => u64::from(tcp.max_connections),
        Listener::Unix(unix) => u64::from(unix.max_connections),
    });
    let needed = connections.sum::<u64>().saturating_add(FILES_BESIDE);
    match getrlimit(Resource::Nofile).maximum {
        Some(limit) if limit < needed => Check::warn(
            NAME,
            &format!("{limit} files may be open, and all connections together need {needed}."),
            &format!(
                "Give the service `LimitNOFILE={needed}` (systemd) or --ulimit nofile={needed} \
                 (containers), or set a lower `max_connections` in its listeners."
            ),
        ),
        Some(limit) => Check::ok(NAME, &format!("Open file limits are set to {limit}.")),
        None => Check::ok(NAME, "There is no limit of open files."),
    }
}

fn memory(config: &Config) -> Check {
    const NAME: &str = "Check Memory Lock";
    // Tried out: whether a page may be locked depends on more than a limit.
    drop(LockedKey::generate(&SystemRng));
    let swaps = std::fs::read_to_string("/proc/swaps").unwrap_or_default();
    let has_swap = swaps.lines().count() > 1;
    match (memory_is_locked(), config.settings.disable_mlock) {
        (true, _) => Check::ok(NAME, "Keys lie in locked memory."),
        (false, true) => {
            Check::skipped(NAME, "`disable_mlock` is set: swap must be off or encrypted.")
        }
        (false, false) => Check::warn(
            NAME,
            match has_swap {
                true => "Memory cannot be locked, and there is swap: keys may be written to it.",
                false => "Memory cannot be locked. There is no swap now.",
            },
            "Allow it: `LimitMEMLOCK=infinity` (systemd), --ulimit memlock=-1 (containers). Or turn \
             swap off or encrypt it, and set `disable_mlock = true`.",
        ),
    }
}

fn core_files() -> Check {
    const NAME: &str = "Check Core Dumps";
    // This program forbids them at its start, as the server does.
    match getrlimit(Resource::Core).current {
        Some(0) => Check::ok(NAME, "Memory is not written to core files."),
        _ => Check::warn(
            NAME,
            "Memory may be written to core files, keys included.",
            "Give the service `LimitCORE=0` (systemd) or --ulimit core=0 (containers).",
        ),
    }
}

/// What audit devices and the log write to.
pub(super) fn files(config: &Config) -> Check {
    let settings = &config.settings;
    let mut parts = Vec::new();
    for device in settings.audit.iter().filter(|device| device.kind == "file") {
        let path = device.options.get("file_path").or_else(|| device.options.get("path"));
        match path.map(String::as_str) {
            Some("stdout" | "discard") | None => {}
            Some(path) => parts.push(writable(
                &format!("Check Audit File {path}"),
                Path::new(path),
                "Without an audit device that takes its record no request is answered.",
            )),
        }
    }
    for (name, path) in [("Log File", &settings.log_file), ("Pid File", &settings.pid_file)] {
        if let Some(path) = path {
            parts.push(writable(&format!("Check {name} {}", path.display()), path, ""));
        }
    }
    match parts.is_empty() {
        true => Check::skipped("Check Files", "None is configured beside the data."),
        false => Check::group("Check Files", parts),
    }
}

/// The file, or else the nearest folder above it that is there.
fn writable(name: &str, path: &Path, why: &str) -> Check {
    let found: Option<PathBuf> = path.ancestors().find(|path| path.exists()).map(Path::to_path_buf);
    let found = found.filter(|path| !path.as_os_str().is_empty()).unwrap_or_else(|| ".".into());
    let is_folder = found.is_dir();
    let wanted = if is_folder { Access::WRITE_OK | Access::EXEC_OK } else { Access::WRITE_OK };
    let outcome = match is_folder || found == path {
        true => access(&found, wanted).map_err(words),
        false => Err("is not a folder".to_owned()),
    };
    match outcome {
        Ok(()) => Check::ok(name, "It can be written."),
        Err(error) => Check::fail(
            name,
            &format!("{} cannot be written: {}. {why}", found.display(), error),
            "Give it to the user that the server runs as (chown), or, under systemd, name its \
             folder in `LogsDirectory` or `ReadWritePaths`.",
        ),
    }
}

/// Of the log, the state, nodes and clients to others.
const FILES_BESIDE: u64 = 1024;

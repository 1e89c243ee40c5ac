//! What the operating system knows of this process, under the names that Prometheus' own clients
//! use.

use std::fs;
use std::time::Duration;

/// Sets `process_*`, and Vault's `runtime.*` as far as they mean something here.
pub(super) fn gauges() {
    if let Some(status) = Status::read() {
        metrics::gauge!("process_resident_memory_bytes").set(status.resident);
        metrics::gauge!("process_virtual_memory_bytes").set(status.virtual_size);
        metrics::gauge!("process_threads").set(status.threads);
        metrics::gauge!("runtime.alloc_bytes").set(status.anonymous);
        metrics::gauge!("runtime.sys_bytes").set(status.resident);
    }
    if let Some(files) = open_files() {
        metrics::gauge!("process_open_fds").set(files);
    }
    if let Some(seconds) = processor_seconds() {
        metrics::gauge!("process_cpu_seconds_total").set(seconds);
    }
    if let Some(start) = start_seconds() {
        metrics::gauge!("process_start_time_seconds").set(start);
    }
}

/// Since the process began.
pub(super) fn uptime() -> Option<Duration> {
    let up = fs::read_to_string("/proc/uptime").ok()?;
    let up: f64 = up.split_ascii_whitespace().next()?.parse().ok()?;
    Duration::try_from_secs_f64((up - start_after_boot()?).max(0.0)).ok()
}

struct Status {
    resident: f64,
    anonymous: f64,
    virtual_size: f64,
    threads: f64,
}

impl Status {
    fn read() -> Option<Self> {
        let text = fs::read_to_string("/proc/self/status").ok()?;
        let number = |name: &str| {
            let line = text.lines().find_map(|line| line.strip_prefix(name))?;
            line.trim_start_matches(':').split_ascii_whitespace().next()?.parse::<f64>().ok()
        };
        Some(Self {
            resident: number("VmRSS")? * KIB,
            anonymous: number("RssAnon")? * KIB,
            virtual_size: number("VmSize")? * KIB,
            threads: number("Threads")?,
        })
    }
}

#[expect(clippy::cast_precision_loss, reason = "files are fewer than 2^52")]
fn open_files() -> Option<f64> {
    Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
}

/// The fields after the name, which may hold spaces: the first is number 3 of `proc(5)`.
fn stat(number: usize) -> Option<f64> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    fields.split_ascii_whitespace().nth(number.checked_sub(3)?)?.parse().ok()
}

fn processor_seconds() -> Option<f64> {
    Some((stat(14)? + stat(15)?) / TICKS_PER_SECOND)
}

fn start_after_boot() -> Option<f64> {
    Some(stat(22)? / TICKS_PER_SECOND)
}

/// Since the Unix epoch.
fn start_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    let boot = text.lines().find_map(|line| line.strip_prefix("btime "))?;
    Some(boot.trim().parse::<f64>().ok()? + start_after_boot()?)
}

const KIB: f64 = 1024.0;

/// Linux shows it so to every program, whatever its own clock does.
const TICKS_PER_SECOND: f64 = 100.0;

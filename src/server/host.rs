//! What `sys/host-info` tells of the machine, as the kernel tells it below `/proc`.
//!
//! The names are those of the library that Vault uses. What cannot be read is left out.

use std::fs;

use serde_json::{Map, Value, json};

/// Everything but the time.
pub(super) fn host_info() -> Map<String, Value> {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    Map::from_iter([
        ("cpu".to_owned(), cpu(&read("/proc/cpuinfo"))),
        ("cpu_times".to_owned(), cpu_times(&read("/proc/stat"))),
        ("disk".to_owned(), disk(&read("/proc/self/mounts"))),
        ("host".to_owned(), host(&read("/proc/uptime"), &read("/proc/stat"))),
        ("memory".to_owned(), memory(&read("/proc/meminfo"))),
    ])
}

fn cpu(text: &str) -> Value {
    let mut cpus = Vec::new();
    for block in text.split("\n\n").filter(|block| !block.trim().is_empty()) {
        let field = |name: &str| {
            let line = block.lines().find_map(|line| {
                let (key, value) = line.split_once(':')?;
                (key.trim() == name).then(|| value.trim().to_owned())
            });
            line.unwrap_or_default()
        };
        let number = |name: &str| field(name).parse::<f64>().unwrap_or_default();
        let flags = field("flags");
        let flags: Vec<&str> = flags.split_whitespace().collect();
        cpus.push(json!({
            "cpu": cpus.len(),
            "vendorId": field("vendor_id"),
            "family": field("cpu family"),
            "model": field("model"),
            "modelName": field("model name"),
            "stepping": field("stepping").parse::<i64>().unwrap_or_default(),
            "physicalId": field("physical id"),
            "coreId": field("core id"),
            "cores": 1,
            "mhz": number("cpu MHz"),
            "cacheSize": field("cache size").trim_end_matches(" KB").parse::<i64>().unwrap_or(0),
            "flags": flags,
            "microcode": field("microcode"),
        }));
    }
    Value::Array(cpus)
}

/// In seconds, by processor.
fn cpu_times(stat: &str) -> Value {
    const NAMES: [&str; 10] = [
        "user",
        "nice",
        "system",
        "idle",
        "iowait",
        "irq",
        "softirq",
        "steal",
        "guest",
        "guestNice",
    ];
    let mut times = Vec::new();
    for line in stat.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().unwrap_or_default();
        // The line `cpu` is of all of them together.
        if !name.starts_with("cpu") || name == "cpu" {
            continue;
        }
        let mut shown = Map::from_iter([("cpu".to_owned(), json!(name))]);
        for (name, ticks) in NAMES.iter().zip(words) {
            let seconds = ticks.parse::<f64>().unwrap_or_default() / TICKS_PER_SECOND;
            shown.insert((*name).to_owned(), json!(seconds));
        }
        times.push(Value::Object(shown));
    }
    Value::Array(times)
}

/// Of file systems that are on a device.
fn disk(mounts: &str) -> Value {
    let mut disks: Vec<Value> = Vec::new();
    let mut seen = Vec::new();
    for line in mounts.lines() {
        let words: Vec<&str> = line.split_whitespace().collect();
        let [device, path, kind, ..] = words.as_slice() else { continue };
        if !device.starts_with('/') || seen.contains(device) || disks.len() >= DISKS_MAX {
            continue;
        }
        // Spaces are written in octal there.
        let path = path.replace("\\040", " ");
        let Ok(stat) = rustix::fs::statvfs(path.as_str()) else { continue };
        seen.push(device);
        let size = stat.f_frsize;
        let used = stat.f_blocks.saturating_sub(stat.f_bfree);
        let inodes_used = stat.f_files.saturating_sub(stat.f_ffree);
        disks.push(json!({
            "path": path,
            "fstype": kind,
            "total": stat.f_blocks.saturating_mul(size),
            "free": stat.f_bavail.saturating_mul(size),
            "used": used.saturating_mul(size),
            "usedPercent": percent(used, used.saturating_add(stat.f_bavail)),
            "inodesTotal": stat.f_files,
            "inodesUsed": inodes_used,
            "inodesFree": stat.f_ffree,
            "inodesUsedPercent": percent(inodes_used, stat.f_files),
        }));
    }
    Value::Array(disks)
}

fn host(uptime: &str, stat: &str) -> Value {
    let uname = rustix::system::uname();
    let text = |name: &std::ffi::CStr| name.to_str().unwrap_or_default().to_owned();
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let of_release = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let of_stat = |name: &str| {
        let line = stat.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.trim().parse::<u64>().ok()).unwrap_or_default()
    };
    let seconds = uptime.split('.').next().and_then(|text| text.trim().parse::<u64>().ok());
    json!({
        "hostname": text(uname.nodename()),
        "uptime": seconds.unwrap_or_default(),
        "bootTime": of_stat("btime "),
        "procs": of_stat("processes "),
        "os": "linux",
        "platform": of_release("ID"),
        "platformFamily": of_release("ID_LIKE"),
        "platformVersion": of_release("VERSION_ID"),
        "kernelVersion": text(uname.release()),
        "kernelArch": text(uname.machine()),
    })
}

/// In bytes.
fn memory(meminfo: &str) -> Value {
    let of = |name: &str| {
        let line = meminfo.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        let kibibytes = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok());
        kibibytes.unwrap_or(0_u64).saturating_mul(1024)
    };
    let (total, free, available) = (of("MemTotal"), of("MemFree"), of("MemAvailable"));
    let (buffers, cached) = (of("Buffers"), of("Cached"));
    let used = total.saturating_sub(free).saturating_sub(buffers).saturating_sub(cached);
    json!({
        "total": total,
        "available": available,
        "used": used,
        "usedPercent": percent(used, total),
        "free": free,
        "active": of("Active"),
        "inactive": of("Inactive"),
        "buffers": buffers,
        "cached": cached,
        "dirty": of("Dirty"),
        "shared": of("Shmem"),
        "slab": of("Slab"),
        "swapTotal": of("SwapTotal"),
        "swapFree": of("SwapFree"),
        "mapped": of("Mapped"),
    })
}

#[expect(clippy::cast_precision_loss, reason = "for people")]
fn percent(part: u64, whole: u64) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 }
}

/// As Linux tells user space, on every architecture.
const TICKS_PER_SECOND: f64 = 100.0;

const DISKS_MAX: usize = 64;

#[cfg(test)]
mod tests;

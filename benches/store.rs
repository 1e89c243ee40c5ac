//! The log's durable batches, and the state's reads, on this disk: the figures by which the
//! stores were chosen, so that the choice can be repeated.
//!
//! `cargo bench --bench store -- [records] [folder]` (100,000; the folder for temporary files,
//! which may be in memory: give one on the disk that counts). With `--features sled` also sled.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "measures by the real clock, and prints what it measured"
)]

use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use bytes::Bytes;
use strongroom::barrier::{Barrier, Keyring, Repeat};
use strongroom::clock::Timestamp;
use strongroom::log::Point;
use strongroom::record::{Ciphertext, Header, Leadership, SealedBatch, StoredKey, View, Write};
use strongroom::rng::{Rng, SystemRng};
use strongroom::secret::Secret;
use strongroom::store::{
    Disk, Entry, EntryId, LogOptions, MemoryState, SegmentLog, State, StateKind, StateOptions,
    Watermark,
};

fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let records = arguments.next().map_or(100_000, |records| records.parse().unwrap());
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    for entries in [1, 16, 128] {
        log(&folder.path().join(format!("log-{entries}")), entries);
    }
    let memory = MemoryState::default();
    let apply =
        |index, batch: &SealedBatch| assert!(memory.apply(index, LEADERSHIP, batch).is_ok());
    let loading = timed(|| load(records, apply));
    report("memory", records, loading, &memory);
    let kinds: &[(&str, StateKind)] = &[
        ("lmdb", StateKind::Lmdb),
        #[cfg(feature = "sled")]
        ("sled", StateKind::Sled),
    ];
    for (name, kind) in kinds {
        state(name, *kind, records, &folder.path().join(name));
    }
    listing(records, &folder.path().join("listing"));
}

/// One directory of so many secrets, through the barrier: how long a LIST takes, and how much
/// memory it needs beyond what the node had.
fn listing(records: u64, folder: &Path) {
    let flushed = Arc::new(Watermark::unbounded());
    let state = State::open(folder, StateOptions::default(), flushed, Box::new(|_| {})).unwrap();
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let barrier = Barrier::new(rng.clone());
    barrier.open(Arc::new(Keyring::generate(rng.as_ref(), Timestamp(1))));
    let begin = || {
        let point = Point { leadership: LEADERSHIP, view: Arc::new(state.clone()) };
        barrier.begin(point, Timestamp(1)).unwrap()
    };
    for index in 1..=records / 1000 {
        let mut transaction = begin();
        let mut scope = transaction.scope("bench/");
        for number in index * 1000..(index + 1) * 1000 {
            let value = Secret::new(vec![7; 512]);
            scope.put_bytes(&format!("names/{number:07}"), value).unwrap();
        }
        let batch = transaction.into_batch().unwrap().unwrap();
        let entry = barrier.seal(batch, Repeat::default()).unwrap();
        let (batch, _, _) = SealedBatch::decode_entry(entry).unwrap();
        state.apply(index, LEADERSHIP, &batch).unwrap();
    }
    state.checkpoint().unwrap();
    let before = memory("RssAnon:");
    // From here on the peak is counted anew.
    std::fs::write("/proc/self/clear_refs", "5").unwrap();
    let mut names = 0;
    let time = timed(|| names = begin().scope("bench/").list("names").unwrap().len());
    // Linux tells the peak of all memory: the store's file, which is mapped, is taken off.
    let peak = memory("VmHWM:").saturating_sub(memory("RssFile:")).saturating_sub(before);
    println!("list of {names} names: {time:?}, {} MiB more at its peak", peak / 1024);
}

/// Of this process, in kilobytes.
fn memory(name: &str) -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// One batch after the other, each waited for: the latency of a lone writer.
fn log(folder: &Path, entries: u64) {
    let log = SegmentLog::open(Arc::new(Disk), folder, LogOptions::default()).unwrap();
    let payload = Bytes::from(vec![7; 1024]);
    let mut next = 1;
    let mut batches = 0_u32;
    let begin = Instant::now();
    while begin.elapsed() < Duration::from_secs(3) {
        let batch = (next..next + entries)
            .map(|index| Entry {
                id: EntryId { index, term: 1, node: 1 },
                payload: payload.clone(),
            })
            .collect();
        next += entries;
        let (sender, flushed) = mpsc::sync_channel(1);
        log.append(batch, Box::new(move |result| sender.send(result).unwrap())).unwrap();
        flushed.recv().unwrap().unwrap();
        batches += 1;
        // As raft does, so that segments are reused.
        if batches.is_multiple_of(100) {
            let upto = EntryId { index: next - 1, term: 1, node: 1 };
            log.checkpointed(upto).unwrap();
            log.purge(upto).unwrap();
        }
    }
    let rate = f64::from(batches) / begin.elapsed().as_secs_f64();
    println!("log: {entries:>3} entries of 1 KiB a batch: {rate:>6.0} durable batches/s");
    log.close().unwrap();
}

fn state(name: &str, kind: StateKind, records: u64, folder: &Path) {
    let open = || {
        let options = StateOptions { kind, ..StateOptions::default() };
        let flushed = Arc::new(Watermark::unbounded());
        State::open(folder, options, flushed, Box::new(|_| {})).unwrap()
    };
    let state = open();
    let loading = timed(|| {
        load(records, |index, batch| assert!(state.apply(index, LEADERSHIP, batch).is_ok()));
    });
    let checkpoint = timed(|| assert!(state.checkpoint().is_ok()));
    report(name, records, loading, &state);
    let export = timed(|| drop(state.export(&folder.with_extension("snapshot")).unwrap()));
    state.close().unwrap();
    drop(state);
    let opening = timed(|| drop(open()));
    println!("{name}: last checkpoint {checkpoint:?}, snapshot {export:?}, opening {opening:?}");
}

fn load(records: u64, apply: impl Fn(u64, &SealedBatch)) {
    for index in 1..=records / 16 {
        let writes = (0..16).map(|number| Write {
            key: key(index * 16 + number),
            value: Some(Ciphertext::from_sealed(Bytes::from(vec![7; 512]))),
        });
        apply(index, &batch(writes.collect()));
    }
}

fn report(name: &str, records: u64, loading: Duration, view: &dyn View) {
    let reads = 200_000;
    let reading = timed(|| {
        std::thread::scope(|scope| {
            for thread in 0..2_u64 {
                scope.spawn(move || {
                    for number in 0..reads / 2 {
                        let number = mixed(number * 2 + thread) % (records / 16 * 16);
                        assert!(view.get(&key(16 + number)).unwrap().is_some());
                    }
                });
            }
        });
    });
    let writes = records as f64 / loading.as_secs_f64();
    let reads = reads as f64 / reading.as_secs_f64();
    println!("{name}: {writes:.0} records/s applied, {reads:.0} random reads/s by 2 threads");
}

fn batch(writes: Vec<Write>) -> SealedBatch {
    SealedBatch {
        header: Header {
            leadership: LEADERSHIP,
            time: Timestamp(1),
            request: None,
            step: 0,
            finished: Vec::new(),
        },
        reads: Vec::new(),
        directories: Vec::new(),
        occupied: Vec::new(),
        writes,
        system_reads: Vec::new(),
        system_writes: Vec::new(),
        response: None,
        restore: None,
    }
}

/// Spread as hashes are; 64 records a directory.
fn key(number: u64) -> StoredKey {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&mixed(number / 64).to_be_bytes());
    bytes[16..24].copy_from_slice(&mixed(number).to_be_bytes());
    StoredKey(bytes)
}

fn mixed(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    (number ^ (number >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) ^ (number >> 32)
}

fn timed(run: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    run();
    begin.elapsed()
}

const LEADERSHIP: Leadership = Leadership { term: 1, node: 1 };

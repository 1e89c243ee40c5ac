mod agreement;
mod restore;
mod snapshots;

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

use super::*;
use crate::clock::Timestamp;
use crate::record::{
    Ciphertext, Directory, Header, OriginId, Part, Record, RequestId, Revision, StoredDirectory,
    StoredKey, SystemKey, View, Write,
};

const LEADERSHIP: Leadership = Leadership { term: 2, node: 7 };

#[cfg(not(feature = "sled"))]
const KINDS: [Kind; 1] = [Kind::Lmdb];
#[cfg(feature = "sled")]
const KINDS: [Kind; 2] = [Kind::Lmdb, Kind::Sled];

/// Small, so that checkpoints are made all the time.
fn options(kind: Kind) -> Options {
    Options { kind, overlay_bytes_max: 12_000, checkpoint_bytes: 2000, map_bytes: 64 << 20 }
}

fn open(folder: &Path, kind: Kind) -> State {
    let flushed = Arc::new(Watermark::unbounded());
    State::open(folder, options(kind), flushed, Box::new(|_| {})).unwrap()
}

fn key(directory: u8, name: u8) -> StoredKey {
    let mut bytes = [name; 32];
    bytes[..16].fill(directory);
    StoredKey(bytes)
}

fn batch(writes: Vec<(StoredKey, Option<&[u8]>)>) -> SealedBatch {
    let write = |(key, value): (StoredKey, Option<&[u8]>)| Write {
        key,
        value: value.map(|value| Ciphertext::from_sealed(Bytes::copy_from_slice(value))),
    };
    SealedBatch {
        header: Header {
            leadership: LEADERSHIP,
            time: Timestamp(1000),
            request: None,
            step: 0,
            finished: Vec::new(),
        },
        reads: Vec::new(),
        directories: Vec::new(),
        occupied: Vec::new(),
        writes: writes.into_iter().map(write).collect(),
        system_reads: Vec::new(),
        system_writes: Vec::new(),
        response: None,
        restore: None,
    }
}

fn put(state: &State, index: u64, key: StoredKey, value: &[u8]) {
    let applied = state.apply(index, LEADERSHIP, &batch(vec![(key, Some(value))])).unwrap();
    assert_eq!(applied, Applied::Committed);
}

fn request(number: u64) -> RequestId {
    RequestId::Numbered { origin: OriginId([1; 16]), number }
}

fn listed(
    view: &dyn View,
    directory: &StoredDirectory,
    part: Part,
) -> (Directory, Vec<(StoredKey, Record)>) {
    let mut records = Vec::new();
    let counted = view.list(directory, part, &mut |key, record| {
        records.push((key, record));
        ControlFlow::Continue(())
    });
    (counted.unwrap(), records)
}

fn id(index: u64) -> EntryId {
    EntryId::new(index, LEADERSHIP)
}

#[test]
fn state_is_there_again_after_a_clean_stop() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let state = open(folder.path(), kind);
        put(&state, 1, key(1, 1), b"one");
        state.apply_membership(id(2), Bytes::from_static(b"members")).unwrap();
        state.apply_blank(id(3)).unwrap();
        let hash = state.hash().unwrap();
        state.close().unwrap();
        drop(state);
        let state = open(folder.path(), kind);
        assert_eq!(state.applied(), Some(id(3)));
        assert_eq!(state.membership().unwrap(), Bytes::from_static(b"members"));
        assert_eq!(state.time().unwrap(), Timestamp(1000));
        assert_eq!(state.get(&key(1, 1)).unwrap().unwrap().revision, Revision(1));
        assert_eq!(state.hash().unwrap(), hash, "{kind:?}");
    }
}

#[test]
fn entry_out_of_turn_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path(), Kind::Lmdb);
    put(&state, 5, key(1, 1), b"one");
    for index in [4, 5, 7] {
        let refused = state.apply(index, LEADERSHIP, &batch(Vec::new())).unwrap_err();
        assert_eq!(refused.to_string(), format!("state store: entry {index} does not follow 6"));
    }
    put(&state, 6, key(1, 1), b"two");
}

#[test]
fn checkpoint_never_goes_beyond_what_the_log_has_flushed() {
    let folder = tempfile::tempdir().unwrap();
    let flushed = Arc::new(Watermark::default());
    flushed.set(Some(2));
    let (sender, told) = mpsc::channel();
    let log = flushed.clone();
    let on_durable = move |id: EntryId| {
        assert!(log.index() >= Some(id.index), "{id} is not flushed");
        sender.send(id.index).unwrap();
    };
    let open =
        State::open(folder.path(), options(Kind::Lmdb), flushed.clone(), Box::new(on_durable));
    let state = open.unwrap();
    put(&state, 1, key(1, 1), b"one");
    assert_eq!(state.checkpoint().unwrap(), Some(id(1)));
    for index in 2..5 {
        put(&state, index, key(1, index as u8), b"more");
    }
    let waiting = state.clone();
    let waiting = thread::spawn(move || waiting.checkpoint().unwrap());
    while flushed.waiting() == 0 {
        assert!(!waiting.is_finished(), "it did not wait for the log");
        thread::yield_now();
    }
    // It goes on being read and written meanwhile.
    put(&state, 5, key(1, 2), b"newer");
    assert_eq!(state.get(&key(1, 2)).unwrap().unwrap().revision, Revision(5));
    flushed.set(Some(5));
    assert!(waiting.join().unwrap() >= Some(id(4)));
    state.close().unwrap();
    drop(state);
    let told: Vec<u64> = told.iter().collect();
    assert_eq!(told.last(), Some(&5), "{told:?}");
}

#[test]
fn apply_waits_at_the_bound_until_the_disk_has_followed() {
    let folder = tempfile::tempdir().unwrap();
    let flushed = Arc::new(Watermark::default());
    let opened = State::open(folder.path(), options(Kind::Lmdb), flushed.clone(), Box::new(|_| {}));
    let state = opened.unwrap();
    let mut index = 0;
    let mut seen = Vec::new();
    while state.pressure() != Pressure::Full {
        index += 1;
        put(&state, index, key(1, 1), &[0; 700]);
        seen.push(state.pressure());
    }
    assert!(seen.is_sorted() && seen.contains(&Pressure::Hold), "{seen:?}");
    let (sender, receiver) = mpsc::channel();
    let applier = state.clone();
    let thread = thread::spawn(move || {
        put(&applier, index + 1, key(1, 1), b"waited");
        sender.send(applier.pressure()).unwrap();
    });
    assert_eq!(receiver.try_recv(), Err(mpsc::TryRecvError::Empty));
    assert_eq!(state.applied(), Some(id(index)));
    flushed.set(Some(index + 1));
    assert_ne!(receiver.recv().unwrap(), Pressure::Full);
    thread.join().unwrap();
}

#[test]
fn log_that_has_stopped_stops_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let flushed = Arc::new(Watermark::default());
    let opened = State::open(folder.path(), options(Kind::Lmdb), flushed.clone(), Box::new(|_| {}));
    let state = opened.unwrap();
    put(&state, 1, key(1, 1), b"one");
    flushed.stop();
    assert!(state.checkpoint().is_err());
    assert!(state.apply(2, LEADERSHIP, &batch(Vec::new())).is_err());
    assert!(state.failure().is_some());
    drop(state);
    // What was never flushed was never kept.
    assert_eq!(open(folder.path(), Kind::Lmdb).applied(), None);
}

#[test]
fn listing_is_one_point_whatever_is_written_and_checkpointed_meanwhile() {
    for kind in KINDS {
        let folder = tempfile::tempdir().unwrap();
        let state = open(folder.path(), kind);
        let names: Vec<StoredKey> = (0..20).map(|name| key(3, name)).collect();
        let value = [0; 300].as_slice();
        let first = names[..10].iter().map(|name| (*name, Some(value))).collect();
        state.apply(1, LEADERSHIP, &batch(first)).unwrap();
        let writer = state.clone();
        let moved = names.clone();
        let writer = thread::spawn(move || {
            for index in 2..1500_u64 {
                // Ten of the twenty are there, always.
                let at = (index - 2) as usize % 20;
                let moves = vec![(moved[at], None), (moved[(at + 10) % 20], Some(value))];
                writer.apply(index, LEADERSHIP, &batch(moves)).unwrap();
            }
        });
        let directory = names[0].directory();
        let mut listings = 0;
        while !writer.is_finished() {
            let (counted, records) = listed(&state, &directory, Part::ALL);
            assert_eq!((counted.records, records.len()), (10, 10), "{kind:?}");
            let newest = records.iter().map(|(_, record)| record.revision).max();
            assert_eq!(newest, Some(counted.revision), "{kind:?}");
            assert!(records.is_sorted_by_key(|(key, _)| *key));
            listings += 1;
        }
        writer.join().unwrap();
        assert!(listings > 10, "{kind:?}: {listings}");
        assert!(state.0.shared.read().committed > Some(id(1000)), "{kind:?}: no checkpoints");
    }
}

#[test]
fn folder_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path(), Kind::Lmdb));
    let pointer = folder.path().join("current");
    assert_eq!(std::fs::read_to_string(&pointer).unwrap(), "strongroom state 2\nlmdb-1\n");
    for (text, expected) in [
        ("strongroom state 3\nlmdb-1\n", "format version 3, newer than the 2"),
        ("strongroom state 1\n../lmdb-1\n", "does not name a state store"),
        ("", "does not name a state store"),
    ] {
        std::fs::write(&pointer, text).unwrap();
        let flushed = Arc::new(Watermark::unbounded());
        let opened = State::open(folder.path(), options(Kind::Lmdb), flushed, Box::new(|_| {}));
        let Err(error) = opened else { panic!("opened with {text:?}") };
        assert!(error.to_string().contains(expected), "{text:?}: {error}");
    }
}

#[cfg(feature = "sled")]
#[test]
fn sled_is_thrown_away_after_an_unclean_stop_and_told_durable_only_with_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let (sender, told) = mpsc::channel();
    let open = |sender: mpsc::Sender<u64>| {
        let on_durable = move |id: EntryId| sender.send(id.index).unwrap();
        let flushed = Arc::new(Watermark::unbounded());
        let options = Options { checkpoint_bytes: 600, ..options(Kind::Sled) };
        State::open(folder.path(), options, flushed, Box::new(on_durable)).unwrap()
    };
    let state = open(sender.clone());
    put(&state, 1, key(1, 1), b"small");
    state.checkpoint().unwrap();
    assert_eq!(told.try_recv().ok(), None, "without a snapshot");
    put(&state, 2, key(1, 2), &[0; 2000]);
    state.checkpoint().unwrap();
    assert_eq!(told.try_recv().ok(), Some(2));
    put(&state, 3, key(1, 3), b"after the snapshot");
    state.checkpoint().unwrap();
    assert_eq!(told.try_recv().ok(), None, "soon after a snapshot");
    state.close().unwrap();
    drop(state);
    let clean = folder.path().join("sled-1.clean");
    std::fs::remove_file(&clean).unwrap();
    let state = open(sender);
    assert_eq!(state.applied(), Some(id(2)));
    assert_eq!(told.try_recv().ok(), Some(2));
    assert_eq!(state.get(&key(1, 3)).unwrap(), None);
    assert!(!folder.path().join("sled-1").exists());
    drop(state);
    assert!(folder.path().join("sled-2.clean").exists());
}

#[cfg(feature = "sled")]
#[test]
fn change_of_the_store_keeps_the_state() {
    let folder = tempfile::tempdir().unwrap();
    let mut hashes = Vec::new();
    for (round, kind) in [Kind::Lmdb, Kind::Sled, Kind::Lmdb, Kind::Sled].into_iter().enumerate() {
        let state = open(folder.path(), kind);
        if round == 0 {
            put(&state, 1, key(1, 1), b"one");
        }
        hashes.push(state.hash().unwrap());
        state.close().unwrap();
        drop(state);
        let names: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
        assert!(names.len() <= 4, "{names:?}");
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

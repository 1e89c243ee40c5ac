mod crash;

use std::io::ErrorKind;
use std::path::PathBuf;
use std::sync::mpsc;

use super::*;
use crate::store::Disk;
use crate::store::vfs::model::{Call, Loss, Model};

const SEGMENT_BYTES: u32 = 16 << 10;

fn options() -> Options {
    Options { segment_bytes: SEGMENT_BYTES, cache_bytes_max: 2000, queue_bytes_max: 1 << 20 }
}

fn folder() -> PathBuf {
    PathBuf::from("/log")
}

/// Without threads: [`drain`] and `tend` do their work, when the test says so.
fn open(model: &Model) -> Result<SegmentLog, Error> {
    let core = Arc::new(Core::open(Arc::new(model.clone()), &folder(), options())?);
    Ok(SegmentLog(Arc::new(Threads { core, running: Mutex::new(Vec::new()) })))
}

fn drain(log: &SegmentLog) {
    while log.0.core.queue().has_work() && log.0.core.step() {}
}

/// As [`SegmentLog::close`] with threads.
fn close(log: &SegmentLog) {
    drain(log);
    log.0.core.queue().closing = true;
    while log.0.core.step() {}
}

fn id(index: u64) -> EntryId {
    EntryId { index, term: 1, node: 2 }
}

fn entry(index: u64, bytes: usize) -> Entry {
    Entry { id: id(index), payload: Bytes::from(vec![index as u8; bytes]) }
}

fn append(log: &SegmentLog, entries: Vec<Entry>) {
    log.append(entries, Box::new(|result| result.unwrap())).unwrap();
    drain(log);
}

fn indexes(entries: &[Entry]) -> Vec<u64> {
    entries.iter().map(|entry| entry.id.index).collect()
}

fn segments(model: &Model) -> Vec<String> {
    let names = model.list(&folder()).unwrap();
    names.into_iter().filter(|name| name.ends_with(".log")).collect()
}

#[test]
fn entries_can_be_read_before_they_are_written_and_after_reopening() {
    let model = Model::default();
    let log = open(&model).unwrap();
    assert_eq!(log.state(), LogState::default());
    log.append(vec![entry(0, 10), entry(1, 20)], Box::new(|_| {})).unwrap();
    assert_eq!(indexes(&log.read(0..2, 100).unwrap()), [0, 1]);
    assert_eq!(log.flushed().index(), None);
    drain(&log);
    assert_eq!(log.flushed().index(), Some(1));
    drop(log);
    let log = open(&model).unwrap();
    assert_eq!(log.state(), LogState { last_purged: None, last: Some(id(1)) });
    assert_eq!(log.read(0..9, 100).unwrap(), [entry(0, 10), entry(1, 20)]);
    assert_eq!(log.flushed().index(), Some(1));
}

#[test]
fn vote_and_committed_survive_reopening_and_rotation() {
    let model = Model::default();
    let log = open(&model).unwrap();
    log.save_vote(Bytes::from_static(b"term 3"), Box::new(|result| result.unwrap())).unwrap();
    append(&log, vec![entry(1, 10)]);
    log.save_committed(id(1));
    for index in 2..20 {
        append(&log, vec![entry(index, 3000)]);
    }
    log.checkpointed(id(18)).unwrap();
    log.purge(id(18)).unwrap();
    drain(&log);
    log.0.core.tend();
    assert!(segments(&model).len() <= 2, "{:?}", segments(&model));
    drop(log);
    let log = open(&model).unwrap();
    assert_eq!(log.read_vote().unwrap(), Bytes::from_static(b"term 3"));
    assert_eq!(log.read_committed(), Some(id(1)));
    assert_eq!(log.state(), LogState { last_purged: Some(id(18)), last: Some(id(19)) });
}

#[test]
fn read_is_bounded_in_bytes_but_not_empty() {
    let model = Model::default();
    let log = open(&model).unwrap();
    append(&log, (1..=9).map(|index| entry(index, 1000)).collect());
    // Of nine entries the cache holds the last two: some of these come from the file.
    for (range, bytes_max, expected) in [
        (1..10, 1, vec![1]),
        (1..10, 2500, vec![1, 2]),
        (7..10, 5000, vec![7, 8, 9]),
        (9..20, 1, vec![9]),
        (10..20, 1000, vec![]),
        (3..3, 1000, vec![]),
    ] {
        let read = log.read(range.clone(), bytes_max).unwrap();
        assert_eq!(indexes(&read), expected, "{range:?} in {bytes_max}");
        assert!(read.iter().all(|one| *one == entry(one.id.index, 1000)), "{range:?}");
    }
}

#[test]
fn truncated_entries_are_replaced_also_when_none_was_written_yet() {
    let model = Model::default();
    let log = open(&model).unwrap();
    let other = |index| Entry { payload: Bytes::from_static(b"other"), ..entry(index, 0) };
    log.append(vec![entry(1, 10), entry(2, 10), entry(3, 10)], Box::new(|_| {})).unwrap();
    log.truncate_after(Some(1)).unwrap();
    log.append(vec![other(2)], Box::new(|_| {})).unwrap();
    drain(&log);
    assert_eq!(log.flushed().index(), Some(2));
    for _ in 0..2 {
        let log = open(&model.after_power_cut(Loss::Everything)).unwrap();
        assert_eq!(log.read(1..9, 100).unwrap(), [entry(1, 10), other(2)]);
    }
    log.truncate_after(None).unwrap();
    assert_eq!(log.state(), LogState::default());
    assert_eq!(log.flushed().index(), None);
    append(&log, vec![entry(1, 5)]);
    drop(log);
    assert_eq!(open(&model).unwrap().read(0..9, 100).unwrap(), [entry(1, 5)]);
}

#[test]
fn callbacks_come_in_order_and_after_the_sync() {
    let model = Model::default();
    let log = open(&model).unwrap();
    let before = model.calls().len();
    let (sender, receiver) = mpsc::channel();
    let told = |what: u64| -> Flushed {
        let (sender, model) = (sender.clone(), model.clone());
        Box::new(move |result| {
            result.unwrap();
            let calls = model.calls().split_off(before);
            sender.send((what, calls)).unwrap();
        })
    };
    log.append(vec![entry(1, 10)], told(1)).unwrap();
    log.save_vote(Bytes::from_static(b"vote"), told(2)).unwrap();
    log.append(Vec::new(), told(3)).unwrap();
    log.append(vec![entry(2, 10)], told(4)).unwrap();
    drain(&log);
    let told: Vec<_> = receiver.try_iter().collect();
    // All four in one batch: one write, one sync.
    let calls = vec![Call::Pwrite, Call::Fdatasync];
    assert_eq!(told, [1, 2, 3, 4].map(|what| (what, calls.clone())));
}

#[test]
fn purge_reaches_the_disk_only_as_far_as_a_checkpoint_goes() {
    let model = Model::default();
    let log = open(&model).unwrap();
    append(&log, (1..=8).map(|index| entry(index, 100)).collect());
    log.purge(id(6)).unwrap();
    assert!(matches!(log.read(6..8, 100), Err(Error::Purged { index: 6 })));
    drain(&log);
    let found = open(&model.after_power_cut(Loss::Nothing)).unwrap();
    assert_eq!(found.state().last_purged, None);
    assert_eq!(indexes(&found.read(1..9, 10_000).unwrap()), [1, 2, 3, 4, 5, 6, 7, 8]);
    log.checkpointed(id(4)).unwrap();
    drain(&log);
    let found = open(&model.after_power_cut(Loss::Everything)).unwrap();
    assert_eq!(found.state().last_purged, Some(id(4)));
    log.checkpointed(id(8)).unwrap();
    drain(&log);
    let found = open(&model.after_power_cut(Loss::Everything)).unwrap();
    assert_eq!(found.state().last_purged, Some(id(6)));
}

#[test]
fn log_goes_on_after_an_installed_snapshot_but_not_before_it_is_durable() {
    let model = Model::default();
    let log = open(&model).unwrap();
    append(&log, vec![entry(1, 10)]);
    log.purge(id(50)).unwrap();
    assert_eq!(log.state(), LogState { last_purged: Some(id(50)), last: Some(id(50)) });
    let refused = log.append(vec![entry(51, 10)], Box::new(|_| {}));
    assert!(matches!(refused, Err(Error::Gap { .. })), "{refused:?}");
    log.checkpointed(id(50)).unwrap();
    append(&log, vec![entry(51, 10)]);
    let found = open(&model.after_power_cut(Loss::Everything)).unwrap();
    assert_eq!(found.state(), LogState { last_purged: Some(id(50)), last: Some(id(51)) });
}

#[test]
fn hole_and_oversized_entry_are_refused() {
    let model = Model::default();
    let log = open(&model).unwrap();
    append(&log, vec![entry(1, 10)]);
    let hole = log.append(vec![entry(3, 10)], Box::new(|_| {}));
    assert!(matches!(hole, Err(Error::Gap { found: 3, expected: 2 })), "{hole:?}");
    let large = log.append(vec![entry(2, SEGMENT_BYTES as usize)], Box::new(|_| {}));
    assert!(matches!(large, Err(Error::TooLarge { .. })), "{large:?}");
    log.purge(id(1)).unwrap();
    assert!(matches!(log.truncate_after(Some(0)), Err(Error::Purged { index: 0 })));
    append(&log, vec![entry(2, 10)]);
}

#[test]
fn largest_entry_fits_beside_the_largest_vote() {
    let model = Model::default();
    let log = open(&model).unwrap();
    log.save_vote(vec![1; 512].into(), Box::new(|_| {})).unwrap();
    let Err(Error::TooLarge { bytes_max, .. }) =
        log.append(vec![entry(1, 1 << 20)], Box::new(|_| {}))
    else {
        panic!("too large")
    };
    append(&log, vec![entry(1, bytes_max), entry(2, bytes_max)]);
    log.save_committed(id(2));
    append(&log, vec![entry(3, bytes_max)]);
    drop(log);
    assert_eq!(indexes(&open(&model).unwrap().read(1..4, 1 << 20).unwrap()), [1, 2, 3]);
}

#[test]
fn purged_segments_are_reused() {
    let model = Model::default();
    let log = open(&model).unwrap();
    log.0.core.tend();
    let allocated = || model.calls().iter().filter(|call| **call == Call::Allocate).count();
    let before = allocated();
    for index in 1..60 {
        append(&log, vec![entry(index, 3000)]);
        log.checkpointed(id(index)).unwrap();
        log.purge(id(index)).unwrap();
        drain(&log);
        log.0.core.tend();
    }
    assert!(allocated() - before <= 2, "{} new files", allocated() - before);
    assert!(segments(&model).len() <= 2);
    drop(log);
    assert_eq!(open(&model).unwrap().state().last, Some(id(59)));
}

#[test]
fn failed_sync_stops_the_log_and_is_not_tried_again() {
    let model = Model::default();
    let log = open(&model).unwrap();
    append(&log, vec![entry(1, 10)]);
    model.fail(Call::Fdatasync, "", ErrorKind::Other);
    let (sender, receiver) = mpsc::channel();
    let second = sender.clone();
    log.append(vec![entry(2, 10)], Box::new(move |result| sender.send(result).unwrap())).unwrap();
    log.save_vote(Bytes::new(), Box::new(move |result| second.send(result).unwrap())).unwrap();
    drain(&log);
    let told: Vec<_> = receiver.try_iter().collect();
    assert!(matches!(told[..], [Err(Error::Io { .. }), Err(Error::Io { .. })]), "{told:?}");
    model.mend();
    let calls = model.calls().len();
    let refused = log.append(vec![entry(3, 10)], Box::new(|_| {}));
    assert!(matches!(refused, Err(Error::Stopped(_))), "{refused:?}");
    drain(&log);
    assert_eq!(model.calls().len(), calls, "something was written after the failure");
    assert!(!log.flushed().wait(2));
    assert!(log.failure().is_some());
}

#[test]
fn full_disk_does_not_stop_a_log_that_has_a_spare_segment() {
    let model = Model::default();
    let log = open(&model).unwrap();
    log.0.core.tend();
    model.fail(Call::Allocate, "unfinished", ErrorKind::StorageFull);
    let mut index = 0;
    // The first segment and the spare one take eight of these.
    while index < 8 {
        index += 1;
        append(&log, vec![entry(index, 2400)]);
        log.0.core.tend();
    }
    assert!(log.failure().is_none());
    let (sender, receiver) = mpsc::channel();
    log.append(vec![entry(9, 8000)], Box::new(move |result| sender.send(result.is_err()).unwrap()))
        .unwrap();
    drain(&log);
    assert_eq!(receiver.try_iter().collect::<Vec<_>>(), [true]);
    assert!(log.failure().unwrap().is_no_space());
    model.mend();
    drop(log);
    let log = open(&model).unwrap();
    assert_eq!(log.state().last, Some(id(8)));
    append(&log, vec![entry(9, 8000)]);
}

#[test]
fn disk_is_low_when_a_spare_segment_and_a_checkpoint_would_not_fit() {
    let model = Model::default();
    let log = open(&model).unwrap();
    for (bytes, files, low) in [
        (u64::from(SEGMENT_BYTES) + 999, None, true),
        (1 << 20, None, false),
        (1 << 20, Some(1000), false),
        (1 << 20, Some(RESERVE_FILES - 1), true),
        (1 << 20, Some(0), true),
    ] {
        model.set_free(Free { bytes, files });
        assert_eq!(log.disk(1000).unwrap().is_low(), low, "{bytes} {files:?}");
    }
}

#[test]
fn second_process_is_refused() {
    let model = Model::default();
    let log = open(&model).unwrap();
    assert!(matches!(open(&model), Err(Error::Locked(_))));
    drop(log);
    assert!(open(&model).is_ok());
}

#[test]
fn damage_to_what_was_synced_refuses_to_open() {
    let model = Model::default();
    let log = open(&model).unwrap();
    for index in 1..10 {
        append(&log, vec![entry(index, 3000)]);
    }
    assert_eq!(segments(&model).len(), 3);
    close(&log);
    drop(log);
    let names = segments(&model);
    let mut refused = 0;
    for name in &names {
        let path = folder().join(name);
        let length = model.open(&path).unwrap().bytes().unwrap() as usize;
        let mut contents = vec![0; length];
        model.open(&path).unwrap().pread(&mut contents, 0).unwrap();
        let end = contents.iter().rposition(|byte| *byte != 0).unwrap();
        for at in (0..=end).step_by(61) {
            let damaged = model.after_power_cut(Loss::Nothing);
            damaged.change(&path, |bytes| bytes[at] ^= 0x10);
            let in_unused_header = (24..4096).contains(&at);
            // The closing mark itself says nothing that is missed.
            let in_mark = name == names.last().unwrap() && at + 48 > end;
            // What aligns a batch is not read.
            let in_padding = contents[at] == 0 && !in_unused_header && open(&damaged).is_ok();
            if in_unused_header || in_mark || in_padding {
                continue;
            }
            match open(&damaged) {
                Err(Error::Corrupt { .. } | Error::Newer { .. }) => refused += 1,
                Err(error) => panic!("{name} at {at}: {error}"),
                Ok(log) => panic!("{name} at {at}: opened with {:?}", log.state()),
            }
        }
    }
    assert!(refused > 400, "{refused}");
}

#[test]
fn last_batch_of_a_log_that_was_idle_is_known_to_be_damaged() {
    for (marked, cut) in [(false, true), (true, false)] {
        let model = Model::default();
        let log = open(&model).unwrap();
        append(&log, vec![entry(1, 100), entry(2, 100)]);
        log.save_committed(id(2));
        if marked {
            assert!(log.0.core.mark());
            let calls = model.calls().len();
            assert!(log.0.core.mark());
            assert_eq!(model.calls().len(), calls, "one mark is enough");
        }
        let killed = model.after_kill();
        assert_eq!(open(&killed).unwrap().read_committed(), marked.then_some(id(2)));
        killed.change(&folder().join(&segments(&killed)[0]), |bytes| {
            let at = bytes.windows(100).position(|bytes| bytes == [2; 100]).unwrap();
            bytes[at] ^= 1;
        });
        match open(&killed) {
            Ok(log) => assert!(cut && log.state().last.is_none(), "marked: {marked}"),
            Err(error) => assert!(!cut, "marked: {marked}: {error}"),
        }
    }
}

#[test]
fn missing_segment_refuses_to_open() {
    for missing in 0..3 {
        let model = Model::default();
        let log = open(&model).unwrap();
        for index in 1..14 {
            append(&log, vec![entry(index, 3000)]);
        }
        close(&log);
        drop(log);
        let names = segments(&model);
        assert_eq!(names.len(), 5);
        model.unlink(&folder().join(&names[missing])).unwrap();
        let opened = open(&model);
        assert!(matches!(opened, Err(Error::Corrupt { .. })), "without {}", names[missing]);
    }
}

#[test]
fn segment_of_a_newer_program_is_refused() {
    let model = Model::default();
    close(&open(&model).unwrap());
    model.change(&folder().join(&segments(&model)[0]), |bytes| bytes[8] = 2);
    let Err(error) = open(&model) else { panic!("opened") };
    assert_eq!(
        error.to_string(),
        "`/log/00000000000000000001.log` has format version 2, newer than the 1 this program \
         reads: upgrade this node"
    );
}

#[test]
fn threads_write_what_they_are_given_and_end_with_the_last_handle() {
    let folder = tempfile::tempdir().unwrap();
    let open = || SegmentLog::open(Arc::new(Disk), &folder.path().join("log"), options()).unwrap();
    let log = open();
    let (sender, receiver) = mpsc::channel();
    for index in 1..200 {
        let sender = sender.clone();
        let flushed =
            move |result: Result<(), Error>| sender.send((index, result.is_ok())).unwrap();
        log.append(vec![entry(index, 700)], Box::new(flushed)).unwrap();
        if index == 150 {
            log.checkpointed(id(100)).unwrap();
            log.purge(id(100)).unwrap();
        }
    }
    assert!(log.flushed().wait(199), "{:?}", log.failure());
    drop(sender);
    log.close().unwrap();
    let told: Vec<_> = receiver.iter().collect();
    assert_eq!(told, (1..200).map(|index| (index, true)).collect::<Vec<_>>());
    assert!(matches!(log.append(vec![entry(200, 1)], Box::new(|_| {})), Err(Error::Stopped(_))));
    assert!(matches!(
        SegmentLog::open(Arc::new(Disk), &folder.path().join("log"), options()),
        Err(Error::Locked(_))
    ));
    drop(log);
    let log = open();
    assert_eq!(log.state(), LogState { last_purged: Some(id(100)), last: Some(id(199)) });
    let read = log.read(101..200, 1 << 20).unwrap();
    assert_eq!(read, (101..200).map(|index| entry(index, 700)).collect::<Vec<_>>());
}

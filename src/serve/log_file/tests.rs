use std::sync::atomic::{AtomicU64, Ordering};

use super::*;

#[derive(Default)]
struct SetClock(AtomicU64);

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }
}

/// Every file of the folder with what it holds.
fn files(folder: &Path) -> Vec<(String, String)> {
    let mut files: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            let text = fs::read_to_string(entry.path()).unwrap();
            (entry.file_name().into_string().unwrap(), text)
        })
        .collect();
    files.sort();
    files
}

fn of(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
    pairs.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect()
}

#[test]
fn a_file_that_would_be_too_long_is_put_aside_first() {
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation { bytes_max: 4, ..Rotation::default() };
    let clock = Arc::new(SetClock(7.into()));
    let log = LogFile::open(&folder.path().join("a.log"), rotation, clock).unwrap();
    for event in ["12", "34", "5", "long line", "6"] {
        log.write(event.as_bytes()).unwrap();
    }
    // Two within one millisecond do not overwrite each other.
    assert_eq!(
        files(folder.path()),
        of(&[("a-7.log", "1234"), ("a-8.log", "5"), ("a-9.log", "long line"), ("a.log", "6")]),
    );
}

#[test]
fn a_file_that_is_too_old_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let rotation = Rotation { age_max: Duration::from_millis(10), ..Rotation::default() };
    let clock = Arc::new(SetClock::default());
    // A folder, which is made.
    let path = folder.path().join("logs/");
    let log = LogFile::open(&path, rotation, clock.clone()).unwrap();
    for (time, event) in [(9, "a"), (9, "b"), (10, "c"), (19, "d"), (20, "e")] {
        clock.0.store(time, Ordering::Relaxed);
        log.write(event.as_bytes()).unwrap();
    }
    let expected =
        [("strongroom-10.log", "ab"), ("strongroom-20.log", "cd"), ("strongroom.log", "e")];
    assert_eq!(files(&path), of(&expected));
}

#[test]
fn only_so_many_files_stay_aside() {
    for (files_max, expected) in [
        (0, vec![("x-1", "a"), ("x-2", "b"), ("x-3", "c"), ("x", "d")]),
        (2, vec![("x-2", "b"), ("x-3", "c"), ("x", "d")]),
        (-1, vec![("x", "d")]),
    ] {
        let folder = tempfile::tempdir().unwrap();
        // Others' files stay.
        let others = [("x-1.log", "o"), ("x-old", "o"), ("y-1", "o")];
        for (name, text) in others {
            fs::write(folder.path().join(name), text).unwrap();
        }
        let clock = Arc::new(SetClock(1.into()));
        let rotation = Rotation { bytes_max: 1, files_max, ..Rotation::default() };
        let log = LogFile::open(&folder.path().join("x"), rotation, clock).unwrap();
        for event in ["a", "b", "c", "d"] {
            log.write(event.as_bytes()).unwrap();
        }
        let mut expected = of(&[expected, others.to_vec()].concat());
        expected.sort();
        assert_eq!(files(folder.path()), expected, "{files_max}");
    }
}

#[test]
fn a_file_is_gone_on_with_and_opened_again_where_another_program_moved_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    fs::write(&path, "before\n").unwrap();
    let rotation = Rotation { bytes_max: 10, ..Rotation::default() };
    let log = LogFile::open(&path, rotation, Arc::new(SetClock(1.into()))).unwrap();
    log.write(b"on\n").unwrap();
    fs::rename(&path, folder.path().join("moved")).unwrap();
    log.write(b"\n").unwrap_err();
    log.reopen().unwrap();
    log.write(b"anew").unwrap();
    assert_eq!(files(folder.path()), of(&[("a.log", "anew"), ("moved", "before\non\n\n")]));
}

use std::sync::Mutex;
use std::time::Duration;

use super::*;
use crate::audit_log::{Chain, ChainKey, Style};

struct Manual(Mutex<Timestamp>);

impl Clock for Manual {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

fn options(path: &Path) -> FileOptions {
    FileOptions {
        path: path.to_owned(),
        mode: Some(0o600),
        rotate_bytes: 0,
        rotate_duration: Duration::ZERO,
        rotate_max_files: 0,
        sync: false,
    }
}

fn at(seconds: u64) -> Arc<Manual> {
    Arc::new(Manual(Mutex::new(Timestamp::from_seconds(seconds))))
}

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| format!("{text}\n")).collect()
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn files_are_put_aside_by_length_and_age_and_the_oldest_go() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let clock = at(100);
    let options = FileOptions {
        rotate_bytes: 10,
        rotate_duration: Duration::from_secs(60),
        rotate_max_files: 2,
        sync: true,
        ..options(&path)
    };
    let mut file = File::open(options, clock.clone()).unwrap();
    file.write(&lines(&["12345"])).unwrap();
    file.write(&lines(&["67890"])).unwrap();
    assert_eq!(names(folder.path()), ["a-100000.log", "a.log"]);
    *clock.0.lock().unwrap() = Timestamp::from_seconds(160);
    file.write(&lines(&["x"])).unwrap();
    file.write(&lines(&["a line that is longer than a whole file"])).unwrap();
    assert_eq!(names(folder.path()), ["a-160000.log", "a-160001.log", "a.log"]);
    assert_eq!(fs::read_to_string(folder.path().join("a-160000.log")).unwrap(), "67890\n");
}

#[test]
fn what_is_no_place_for_a_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("program");
    fs::write(&program, "").unwrap();
    fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
    let pipe = folder.path().join("pipe");
    rustix::fs::mknodat(
        rustix::fs::CWD,
        &pipe,
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
        0,
    )
    .unwrap();
    for (path, expected) in [
        (folder.path(), "is a directory"),
        (program.as_path(), "is a program"),
        (pipe.as_path(), "No such device"),
        (Path::new("/proc/nope"), "No such file"),
    ] {
        let error = File::open(options(path), at(1)).err().unwrap().to_string();
        assert!(error.contains(expected), "{}: {error}", path.display());
    }
}

#[test]
fn modes_are_as_asked_or_left() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("below/a.log");
    let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
    drop(File::open(FileOptions { mode: Some(0o640), ..options(&path) }, at(1)).unwrap());
    assert_eq!(mode(&path), 0o640);
    assert_eq!(mode(path.parent().unwrap()), 0o700);
    drop(File::open(FileOptions { mode: None, ..options(&path) }, at(1)).unwrap());
    assert_eq!(mode(&path), 0o640);
    drop(File::open(options(&path), at(1)).unwrap());
    assert_eq!(mode(&path), 0o600);
}

#[test]
fn a_deleted_file_is_made_anew() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let mut file = File::open(options(&path), at(1)).unwrap();
    file.write(&lines(&["1"])).unwrap();
    fs::remove_file(&path).unwrap();
    file.write(&lines(&["2"])).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "2\n");
}

#[test]
fn the_tail_is_the_last_record_and_what_was_torn() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.log");
    let mut chain = Chain::begin(ChainKey::of_salt(b"s"), [1; 8]);
    let mut long = format!("{{\"a\":\"{}\"}}", "x".repeat(300_000));
    chain.seal(&mut long, Style::Json);
    for (before, after, torn) in [("", "\n", 0), ("first\n", "\n", 0), ("first\n", "\n{\"a", 3)] {
        fs::write(&path, format!("{before}{long}{after}")).unwrap();
        let file = File::open(options(&path), at(1)).unwrap();
        assert_eq!(file.tail(), Tail { head: chain.head(), torn });
    }
    for (content, torn) in [("", 0), ("no record\n", 0), ("torn", 4), ("\n", 0)] {
        fs::write(&path, content).unwrap();
        let file = File::open(options(&path), at(1)).unwrap();
        assert_eq!(file.tail(), Tail { head: None, torn }, "{content:?}");
    }
}

#[test]
fn a_full_device_is_an_error_and_leaves_nothing() {
    let mut file = File::open(options(Path::new("/dev/full")), at(1)).unwrap();
    let unwritten = file.write(&lines(&["1"])).unwrap_err();
    assert_eq!(unwritten.error.kind(), io::ErrorKind::StorageFull);
    assert!(!unwritten.partial);
}

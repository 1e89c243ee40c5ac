use std::fs;
use std::path::PathBuf;

use super::*;

fn filled(folder: &Path, kind: Kind) -> State {
    let state = open(folder, kind);
    for name in 0..40 {
        put(&state, u64::from(name) + 1, key(name % 3, name), &[name; 100]);
    }
    let mut system = batch(vec![(key(0, 3), None)]);
    system.system_writes = vec![(SystemKey::Cluster, Some(Bytes::from_static(b"cluster")))];
    system.header.request = Some(request(3));
    system.response = Some(Ciphertext::from_sealed(Bytes::from_static(b"response")));
    state.apply(41, LEADERSHIP, &system).unwrap();
    state.apply_membership(id(42), Bytes::from_static(b"members")).unwrap();
    state
}

fn names(folder: &Path) -> Vec<PathBuf> {
    let mut names: Vec<_> = fs::read_dir(folder).unwrap().map(|one| one.unwrap().path()).collect();
    names.sort();
    names
}

#[test]
fn snapshot_makes_another_node_equal() {
    for from in KINDS {
        for to in KINDS {
            let folder = tempfile::tempdir().unwrap();
            let state = filled(&folder.path().join("from"), from);
            let file = folder.path().join("state.bin");
            let written = state.export(&file).unwrap();
            assert_eq!(written.applied, id(42));
            assert_eq!(written.items, 39 + 3 + 1 + 2);
            assert_eq!(inspect(&file).unwrap(), written);
            let other = open(&folder.path().join("to"), to);
            put(&other, 1, key(9, 9), b"to be replaced");
            assert_eq!(other.install(&file).unwrap(), written);
            assert_eq!(other.hash().unwrap(), state.hash().unwrap());
            assert_eq!(other.get(&key(9, 9)).unwrap(), None);
            let mut repeated = batch(Vec::new());
            repeated.header.request = Some(request(3));
            for state in [&state, &other] {
                put(state, 43, key(1, 1), b"after");
                let again = state.apply(44, LEADERSHIP, &repeated).unwrap();
                assert_eq!(again, Applied::Repeated);
            }
            let hash = state.hash().unwrap();
            assert_eq!(other.hash().unwrap(), hash);
            drop(other);
            let other = open(&folder.path().join("to"), to);
            assert_eq!(other.hash().unwrap(), hash, "{from:?} to {to:?}, opened again");
            assert_eq!(other.membership().unwrap(), Bytes::from_static(b"members"));
        }
    }
}

#[test]
fn equal_states_make_equal_files() {
    let folder = tempfile::tempdir().unwrap();
    let mut files = Vec::new();
    for (number, kind) in KINDS.into_iter().chain(KINDS).enumerate() {
        let state = filled(&folder.path().join(number.to_string()), kind);
        let file = folder.path().join(format!("{number}.bin"));
        state.export(&file).unwrap();
        files.push(fs::read(file).unwrap());
    }
    assert!(files.iter().all(|file| *file == files[0]));
}

#[test]
fn installed_snapshot_is_reported_durable_and_ends_the_wait_for_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.bin");
    filled(&folder.path().join("from"), Kind::Lmdb).export(&file).unwrap();
    let (sender, told) = mpsc::channel();
    let on_durable = move |id: EntryId| sender.send(id).unwrap();
    let flushed = Arc::new(Watermark::unbounded());
    let to = folder.path().join("to");
    let state = State::open(&to, options(Kind::Lmdb), flushed, Box::new(on_durable)).unwrap();
    state.install(&file).unwrap();
    assert_eq!(told.try_iter().last(), Some(id(42)));
    assert_eq!(state.checkpoint().unwrap(), Some(id(42)));
    assert_eq!(state.applied(), Some(id(42)));
    // The old store is gone, and what a half-done installation left goes with the next start.
    assert_eq!(names(&to), [to.join("current"), to.join("lmdb-2")]);
    drop(state);
    fs::create_dir(to.join("lmdb-3")).unwrap();
    fs::write(to.join("lmdb-3").join("data.mdb"), b"half").unwrap();
    fs::write(to.join("current.unfinished"), b"half").unwrap();
    assert_eq!(open(&to, Kind::Lmdb).applied(), Some(id(42)));
    assert_eq!(names(&to), [to.join("current"), to.join("lmdb-2")]);
}

#[test]
fn damaged_snapshot_is_refused_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.bin");
    let state = filled(&folder.path().join("from"), Kind::Lmdb);
    state.export(&file).unwrap();
    let whole = fs::read(&file).unwrap();
    let other = open(&folder.path().join("to"), Kind::Lmdb);
    put(&other, 1, key(9, 9), b"stays");
    let hash = other.hash().unwrap();
    let refuse = |damaged: &[u8], what: String| {
        fs::write(&file, damaged).unwrap();
        match other.install(&file) {
            Err(Error::Corrupt { .. } | Error::Newer { .. }) => {}
            Err(error) => panic!("{what}: {error}"),
            Ok(_) => panic!("{what} was installed"),
        }
    };
    for at in (0..whole.len()).step_by(37).chain([whole.len() - 1]) {
        let mut damaged = whole.clone();
        damaged[at] ^= 4;
        refuse(&damaged, format!("a bit changed at {at}"));
        refuse(&whole[..at], format!("cut at {at}"));
    }
    refuse(&[whole.as_slice(), b"x"].concat(), "longer by a byte".to_owned());
    assert_eq!(other.hash().unwrap(), hash);
}

#[test]
fn snapshot_of_a_newer_program_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.bin");
    let state = filled(&folder.path().join("from"), Kind::Lmdb);
    state.export(&file).unwrap();
    let mut newer = fs::read(&file).unwrap();
    newer[8] = 4;
    fs::write(&file, newer).unwrap();
    for refused in [state.install(&file), inspect(&file)] {
        let error = refused.unwrap_err();
        assert!(matches!(error, Error::Newer { found: 4, supported: 3, .. }), "{error}");
    }
}

#[test]
fn state_without_an_entry_makes_no_snapshot_and_leaves_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder.path().join("state"), Kind::Lmdb);
    assert!(state.export(&folder.path().join("state.bin")).is_err());
    assert_eq!(names(folder.path()), [folder.path().join("state")]);
}

/// One without anything of requests.
#[test]
fn snapshot_of_the_first_version_can_be_read() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("state.bin");
    let golden = include_str!("../../../../tests/golden/snapshot-v1.hex");
    fs::write(&file, crate::store::tests::unhex(golden)).unwrap();
    let state = open(&folder.path().join("state"), Kind::Lmdb);
    assert_eq!(state.install(&file).unwrap().applied, id(2));
    assert_eq!(state.get(&key(0x11, 0x22)).unwrap().unwrap().value.as_bytes(), "value");
}

#[test]
fn state_of_the_first_version_is_taken_over() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(folder.path(), Kind::Lmdb);
    put(&state, 1, key(1, 1), b"one");
    drop(state);
    let pointer = folder.path().join("current");
    let text = fs::read_to_string(&pointer).unwrap();
    for (version, opens) in [(1, true), (3, false)] {
        fs::write(&pointer, text.replace("state 2", &format!("state {version}"))).unwrap();
        let options = options(Kind::Lmdb);
        let flushed = Arc::new(Watermark::unbounded());
        let opened = State::open(folder.path(), options, flushed, Box::new(|_| {}));
        assert_eq!(opened.map(drop).is_ok(), opens, "{version}");
        if opens {
            assert_eq!(fs::read_to_string(&pointer).unwrap(), text);
        }
    }
}

#[test]
fn snapshot_has_the_bytes_it_always_had() {
    let folder = tempfile::tempdir().unwrap();
    let state = open(&folder.path().join("state"), Kind::Lmdb);
    let mut first = batch(vec![(key(0x11, 0x22), Some(b"value")), (key(0x33, 0x44), Some(b""))]);
    first.system_writes = vec![(SystemKey::FeatureLevel, Some(Bytes::from_static(b"level")))];
    first.header.request = Some(request(5));
    first.header.finished = vec![(1, 3)];
    first.response = Some(Ciphertext::from_sealed(Bytes::from_static(b"response")));
    state.apply(1, LEADERSHIP, &first).unwrap();
    state.apply_membership(id(2), Bytes::from_static(b"members")).unwrap();
    let file = folder.path().join("state.bin");
    state.export(&file).unwrap();
    let golden = include_str!("../../../../tests/golden/snapshot-v2.hex");
    assert_eq!(crate::store::tests::hex(&fs::read(&file).unwrap()), golden);
    fs::write(&file, crate::store::tests::unhex(golden)).unwrap();
    let read = open(&folder.path().join("other"), Kind::Lmdb);
    read.install(&file).unwrap();
    assert_eq!(read.hash().unwrap(), state.hash().unwrap());
}

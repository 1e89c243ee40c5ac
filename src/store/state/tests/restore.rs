//! Another state's snapshot, staged piece by piece, takes the state's place.

use std::fs;

use sha2::{Digest as _, Sha256};

use super::*;
use crate::record::{Restore, RestoreId, RestoreStep, Staged};

const ID: RestoreId = RestoreId([5; 16]);

fn step(id: RestoreId, step: RestoreStep) -> SealedBatch {
    SealedBatch { restore: Some(Restore { id, step }), ..batch(Vec::new()) }
}

fn system(values: [(SystemKey, &'static str); 4]) -> SealedBatch {
    let values = values.map(|(key, value)| (key, Some(Bytes::from_static(value.as_bytes()))));
    SealedBatch { system_writes: values.into(), ..batch(Vec::new()) }
}

/// The file of a snapshot that was made elsewhere, later by the clock.
fn snapshot(folder: &Path) -> Vec<u8> {
    let state = open(&folder.join("from"), Kind::Lmdb);
    for name in 0..40 {
        put(&state, u64::from(name) + 1, key(name % 3, name), &[name; 100]);
    }
    let mut last = system([
        (SystemKey::Cluster, "their cluster"),
        (SystemKey::Keyring, "their keyring"),
        (SystemKey::SealConfiguration, "their seal"),
        (SystemKey::RemovedNodes, "their removed nodes"),
    ]);
    last.header.time = Timestamp(5000);
    last.header.request = Some(request(1));
    state.apply(41, LEADERSHIP, &last).unwrap();
    state.apply_membership(id(42), Bytes::from_static(b"their members")).unwrap();
    let file = folder.join("state.bin");
    state.export(&file).unwrap();
    fs::read(file).unwrap()
}

/// The state that is to be replaced, up to entry 3.
fn begun(folder: &Path, kind: Kind) -> State {
    let state = open(folder, kind);
    let mut first = system([
        (SystemKey::Cluster, "cluster"),
        (SystemKey::Keyring, "keyring"),
        (SystemKey::SealConfiguration, "seal"),
        (SystemKey::FeatureLevel, "level"),
    ]);
    first.writes = batch(vec![(key(9, 9), Some(b"goes"))]).writes;
    first.header.request = Some(request(2));
    state.apply(1, LEADERSHIP, &first).unwrap();
    state.apply_membership(id(2), Bytes::from_static(b"members")).unwrap();
    put(&state, 3, key(1, 1), b"is replaced");
    state
}

fn apply_all(state: &State, steps: impl IntoIterator<Item = RestoreStep>) -> Vec<Applied> {
    let applied = steps.into_iter().map(|one| {
        let index = state.applied().unwrap().index + 1;
        state.apply(index, LEADERSHIP, &step(ID, one)).unwrap()
    });
    applied.collect()
}

/// Begins, and stages all of it.
fn staging(snapshot: &[u8]) -> Vec<RestoreStep> {
    let pieces = snapshot
        .chunks(1000)
        .zip(1..)
        .map(|(bytes, number)| RestoreStep::Piece { number, bytes: Bytes::copy_from_slice(bytes) });
    std::iter::once(RestoreStep::Begin).chain(pieces).collect()
}

fn replace(snapshot: &[u8]) -> RestoreStep {
    RestoreStep::Replace {
        pieces: snapshot.chunks(1000).count() as u32,
        sha256: Sha256::digest(snapshot).into(),
    }
}

fn value(state: &State, key: SystemKey) -> Option<Bytes> {
    state.system(key).unwrap().map(|(_, value)| value)
}

#[test]
fn what_is_staged_takes_the_place_of_all_but_what_names_the_cluster() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    let mut hashes = Vec::new();
    for (number, kind) in KINDS.into_iter().enumerate() {
        let place = folder.path().join(number.to_string());
        let state = begun(&place, kind);
        let applied = apply_all(&state, staging(&snapshot));
        assert!(applied.iter().all(|applied| *applied == Applied::Committed));
        // A node that stops here goes on with what it has staged.
        drop(state);
        let state = open(&place, kind);
        assert_eq!(state.staged().unwrap().unwrap().id, ID);
        assert_eq!(state.get(&key(9, 9)).unwrap().unwrap().value.as_bytes().as_ref(), b"goes");
        let applied = apply_all(&state, [replace(&snapshot)]);
        assert_eq!(applied, [Applied::Committed]);
        let at = state.applied().unwrap();
        check_replaced(&state, at);
        drop(state);
        let state = open(&place, kind);
        check_replaced(&state, at);
        hashes.push(state.hash().unwrap());
        // Requests of either are forgotten: neither has taken effect in this state.
        for (index, number) in [(at.index + 1, 1), (at.index + 2, 2)] {
            let mut again = batch(Vec::new());
            again.header.request = Some(request(number));
            assert_eq!(state.apply(index, LEADERSHIP, &again).unwrap(), Applied::Committed);
        }
    }
    assert!(hashes.iter().all(|hash| *hash == hashes[0]));
}

fn check_replaced(state: &State, at: EntryId) {
    assert_eq!(state.applied(), Some(at));
    assert_eq!(state.membership().unwrap(), Bytes::from_static(b"members"));
    assert_eq!(state.time().unwrap(), Timestamp(5000), "it never goes back");
    assert_eq!(state.get(&key(9, 9)).unwrap(), None);
    let record = state.get(&key(1, 1)).unwrap().unwrap();
    assert_eq!(record.value.as_bytes().as_ref(), [1; 100]);
    assert_eq!(record.revision, Revision(at.index));
    let (directory, records) = listed(state, &key(2, 0).directory(), Part::ALL);
    assert_eq!(directory, Directory { revision: Revision(at.index), records: 13 });
    assert_eq!(records.len(), 13);
    for (key, expected) in [
        (SystemKey::Cluster, Some("cluster")),
        (SystemKey::Keyring, Some("their keyring")),
        (SystemKey::SealConfiguration, Some("their seal")),
        (SystemKey::FeatureLevel, Some("level")),
        (SystemKey::RemovedNodes, None),
    ] {
        assert_eq!(value(state, key), expected.map(Bytes::from), "{key:?}");
    }
    assert_eq!(state.staged().unwrap(), None);
}

#[test]
fn what_is_no_snapshot_replaces_nothing_on_any_node() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    let mut damaged = snapshot.clone();
    damaged[3000] ^= 1;
    let cut = &snapshot[..snapshot.len() - 1];
    for (number, (bytes, said)) in
        [(&damaged[..], &damaged[..]), (cut, cut), (&damaged, &snapshot)].into_iter().enumerate()
    {
        let state = begun(&folder.path().join(number.to_string()), Kind::Lmdb);
        apply_all(&state, staging(bytes));
        assert_eq!(apply_all(&state, [replace(said)]), [Applied::Damaged], "{number}");
        let index = state.applied().unwrap().index;
        assert_eq!(value(&state, SystemKey::Keyring).unwrap(), Bytes::from_static(b"keyring"));
        put(&state, index + 1, key(1, 1), b"it goes on");
    }
}

#[test]
fn steps_out_of_turn_and_of_another_attempt_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    let state = begun(&folder.path().join("to"), Kind::Lmdb);
    let [committed, fenced] = [Applied::Committed, Applied::Fenced];
    let piece = |number| RestoreStep::Piece { number, bytes: Bytes::from_static(b"x") };
    let nothing_begun = apply_all(&state, [piece(1), replace(&snapshot), RestoreStep::GiveUp]);
    assert_eq!(nothing_begun, [fenced, fenced, committed]);
    let applied = apply_all(&state, [RestoreStep::Begin, piece(2), piece(1), piece(1), piece(2)]);
    assert_eq!(applied, [committed, fenced, committed, fenced, committed]);
    assert_eq!(state.staged().unwrap(), Some(Staged { id: ID, pieces: 2 }));
    assert_eq!(apply_all(&state, [replace(&snapshot)]), [fenced], "pieces are missing");
    let index = state.applied().unwrap().index;
    let other = RestoreId([6; 16]);
    for (number, one) in [piece(3), RestoreStep::GiveUp].into_iter().enumerate() {
        state.apply(index + 1 + number as u64, LEADERSHIP, &step(other, one)).unwrap();
        assert_eq!(state.staged().unwrap(), Some(Staged { id: ID, pieces: 2 }));
    }
    // The newer attempt takes what the older has left away.
    state.apply(index + 3, LEADERSHIP, &step(other, RestoreStep::Begin)).unwrap();
    assert_eq!(state.staged().unwrap(), Some(Staged { id: other, pieces: 0 }));
    let nothing = begun(&folder.path().join("nothing"), Kind::Lmdb);
    for index in 4..=index + 3 {
        nothing.apply(index, LEADERSHIP, &batch(Vec::new())).unwrap();
    }
    state.apply(index + 4, LEADERSHIP, &step(other, RestoreStep::GiveUp)).unwrap();
    nothing.apply(index + 4, LEADERSHIP, &batch(Vec::new())).unwrap();
    assert_eq!(state.hash().unwrap(), nothing.hash().unwrap(), "it leaves no trace");
}

#[test]
fn a_node_that_was_away_gets_what_is_staged_with_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let snapshot = snapshot(folder.path());
    let state = begun(&folder.path().join("to"), Kind::Lmdb);
    apply_all(&state, staging(&snapshot));
    let file = folder.path().join("sent.bin");
    state.export(&file).unwrap();
    let away = open(&folder.path().join("away"), Kind::Lmdb);
    away.install(&file).unwrap();
    for state in [&state, &away] {
        assert_eq!(apply_all(state, [replace(&snapshot)]), [Applied::Committed]);
    }
    assert_eq!(state.hash().unwrap(), away.hash().unwrap());
}

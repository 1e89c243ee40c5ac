use super::*;
use crate::record::{Ciphertext, Header, Write};
use crate::store::MemoryState;

const LEADERSHIP: Leadership = Leadership { term: 1, node: 1 };

fn key(directory: u8, name: u8) -> StoredKey {
    let mut bytes = [name; 32];
    bytes[..16].fill(directory);
    StoredKey(bytes)
}

fn put(key: StoredKey) -> Write {
    Write { key, value: Some(Ciphertext::from_sealed(Bytes::from_static(b"sealed"))) }
}

fn delete(key: StoredKey) -> Write {
    Write { key, value: None }
}

fn batch(writes: Vec<Write>) -> SealedBatch {
    SealedBatch {
        header: Header {
            leadership: LEADERSHIP,
            time: Timestamp(10),
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

fn committed(state: &MemoryState, index: u64, batch: &SealedBatch) {
    assert_eq!(state.apply(index, LEADERSHIP, batch).unwrap(), Applied::Committed);
}

#[test]
fn directory_counts_creates_and_deletes_but_not_updates() {
    let state = MemoryState::default();
    let directory = key(1, 0).directory();
    for (index, write, revision, records) in [
        (1, put(key(1, 1)), 1, 1),
        (2, put(key(1, 1)), 1, 1),
        (3, put(key(1, 2)), 3, 2),
        (4, delete(key(1, 9)), 3, 2),
        (5, delete(key(1, 1)), 5, 1),
        (6, delete(key(1, 2)), 0, 0),
    ] {
        committed(&state, index, &batch(vec![write]));
        let expected = Directory { revision: Revision(revision), records };
        assert_eq!(state.directory(&directory).unwrap(), expected, "after entry {index}");
    }
}

#[test]
fn another_leadership_is_fenced_even_in_the_same_term() {
    let state = MemoryState::default();
    let usurper = Leadership { node: 2, ..LEADERSHIP };
    let outcome = state.apply(1, usurper, &batch(vec![put(key(1, 1))])).unwrap();
    assert_eq!(outcome, Applied::Fenced);
    assert_eq!(state.get(&key(1, 1)).unwrap(), None);
}

#[test]
fn stale_read_is_a_conflict_that_names_the_record() {
    let state = MemoryState::default();
    committed(&state, 1, &batch(vec![put(key(1, 1))]));
    let mut stale = batch(vec![put(key(1, 2))]);
    stale.reads = vec![(key(1, 1), Revision::ABSENT)];
    let outcome = state.apply(2, LEADERSHIP, &stale).unwrap();
    assert_eq!(outcome, Applied::Conflict(Contested::Record(key(1, 1))));
    assert_eq!(state.get(&key(1, 2)).unwrap(), None);
    stale.reads = vec![(key(1, 1), Revision(1))];
    committed(&state, 3, &stale);
}

#[test]
fn stale_listing_is_a_conflict() {
    let state = MemoryState::default();
    committed(&state, 1, &batch(vec![put(key(1, 1))]));
    let mut lister = batch(vec![put(key(2, 1))]);
    lister.directories = vec![(key(1, 0).directory(), Revision(1))];
    committed(&state, 2, &batch(vec![put(key(1, 2))]));
    let outcome = state.apply(3, LEADERSHIP, &lister).unwrap();
    assert_eq!(outcome, Applied::Conflict(Contested::Directory(key(1, 0).directory())));
}

#[test]
fn delete_that_was_to_leave_others_is_refused_when_it_would_be_the_last() {
    let state = MemoryState::default();
    committed(&state, 1, &batch(vec![put(key(1, 1)), put(key(1, 2))]));
    let directory = key(1, 0).directory();
    let rivals = [1, 2].map(|name| {
        let mut rival = batch(vec![delete(key(1, name))]);
        rival.occupied = vec![directory];
        rival
    });
    committed(&state, 2, &rivals[0]);
    let outcome = state.apply(3, LEADERSHIP, &rivals[1]).unwrap();
    assert_eq!(outcome, Applied::Conflict(Contested::Directory(directory)));
    assert_eq!(state.directory(&directory).unwrap().records, 1);
}

#[test]
fn time_never_goes_back() {
    let state = MemoryState::default();
    committed(&state, 1, &batch(vec![put(key(1, 1))]));
    let mut early = batch(vec![put(key(1, 1))]);
    early.header.time = Timestamp(3);
    committed(&state, 2, &early);
    assert_eq!(state.time().unwrap(), Timestamp(10));
}

#[test]
fn system_record_has_a_revision_to_be_checked() {
    let state = MemoryState::default();
    let mut first = batch(Vec::new());
    first.system_reads = vec![(SystemKey::Cluster, Revision::ABSENT)];
    first.system_writes = vec![(SystemKey::Cluster, Some(Bytes::from_static(b"id")))];
    committed(&state, 1, &first);
    let outcome = state.apply(2, LEADERSHIP, &first).unwrap();
    assert_eq!(outcome, Applied::Conflict(Contested::System(SystemKey::Cluster)));
}

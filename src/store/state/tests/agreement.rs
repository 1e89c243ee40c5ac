//! Whatever is applied, checkpointed, stopped and replayed: the stores say what memory says.

use std::fs;

use super::*;
use crate::store::MemoryState;
use crate::store::vfs::model::Dice;

/// Caught, when put in: tombstones dropped from the overlay; a mark that is written one entry
/// ahead; a thaw before the commit.
#[test]
fn stores_agree_with_memory_over_random_entries_checkpoints_stops_and_replays() {
    for kind in KINDS {
        for seed in 0..25 {
            run(kind, seed);
        }
    }
}

enum Entry {
    Batch(Box<SealedBatch>, Leadership),
    Blank,
    Membership(Bytes),
}

fn run(kind: Kind, seed: u64) {
    let dice = &mut Dice(seed);
    let folders = tempfile::tempdir().unwrap();
    let mut folder = folders.path().join("0");
    let mut state = open(&folder, kind);
    let memory = MemoryState::default();
    let mut entries: Vec<(Entry, Option<Applied>)> = Vec::new();
    for step in 0..120 {
        let case = format!("{kind:?}, seed {seed}, step {step}");
        let index = entries.len() as u64 + 1;
        match dice.below(30) {
            0 => drop(state.checkpoint().unwrap()),
            1 => {
                drop(state);
                state = open(&folder, kind);
                replay(&state, &entries, &case);
            }
            // As after a power cut: the files as they are at some moment between two commits.
            2 => {
                let copy = folders.path().join(format!("copy-{step}"));
                let guard = state.0.shared.committer();
                copy_folder(&folder, &copy);
                drop(guard);
                drop(state);
                folder = copy;
                state = open(&folder, kind);
                replay(&state, &entries, &case);
            }
            3 => {
                state.apply_blank(id(index)).unwrap();
                entries.push((Entry::Blank, None));
            }
            4 => {
                let membership = Bytes::from(vec![dice.roll() as u8; 3]);
                state.apply_membership(id(index), membership.clone()).unwrap();
                entries.push((Entry::Membership(membership), None));
            }
            _ => {
                let batch = random_batch(dice, &memory);
                let leadership =
                    Leadership { node: LEADERSHIP.node + dice.below(12) / 11, ..LEADERSHIP };
                let expected = memory.apply(index, leadership, &batch).unwrap();
                assert_eq!(state.apply(index, leadership, &batch).unwrap(), expected, "{case}");
                entries.push((Entry::Batch(Box::new(batch), leadership), Some(expected)));
            }
        }
        compare(&state, &memory, &case);
    }
    let committed = entries.iter().filter(|(_, applied)| *applied == Some(Applied::Committed));
    assert!(committed.count() > 30, "{kind:?}, seed {seed}: too few were committed");
    // Replaying all of it into another store gives the same bytes.
    let other = open(&folders.path().join("other"), Kind::Lmdb);
    replay(&other, &entries, "into another store");
    assert_eq!(other.hash().unwrap(), state.hash().unwrap(), "{kind:?}, seed {seed}");
}

fn replay(state: &State, entries: &[(Entry, Option<Applied>)], case: &str) {
    let from = state.applied().map_or(0, |id| id.index as usize);
    for (at, (entry, applied)) in entries.iter().enumerate().skip(from) {
        let index = at as u64 + 1;
        match entry {
            Entry::Batch(batch, leadership) => {
                let again = state.apply(index, *leadership, batch).unwrap();
                assert_eq!(Some(again), *applied, "{case}: entry {index} replayed");
            }
            Entry::Blank => state.apply_blank(id(index)).unwrap(),
            Entry::Membership(membership) => {
                state.apply_membership(id(index), membership.clone()).unwrap();
            }
        }
    }
    let newest = entries.iter().rev().find_map(|(entry, _)| match entry {
        Entry::Membership(membership) => Some(membership.clone()),
        _ => None,
    });
    assert_eq!(state.membership(), newest, "{case}");
}

fn random_batch(dice: &mut Dice, memory: &MemoryState) -> SealedBatch {
    let mut made = batch(Vec::new());
    made.header.time = Timestamp(1000 + dice.below(1000));
    let random_key = |dice: &mut Dice| key(dice.below(4) as u8, dice.below(6) as u8);
    for _ in 0..dice.below(4) {
        let value = vec![dice.roll() as u8; dice.below(200) as usize];
        let value = (dice.below(3) > 0).then(|| Ciphertext::from_sealed(value.into()));
        made.writes.push(Write { key: random_key(dice), value });
    }
    // One revision in eight is stale.
    let seen = |dice: &mut Dice, revision: Revision| {
        if dice.below(8) == 0 { Revision(dice.below(9)) } else { revision }
    };
    for _ in 0..dice.below(3) {
        let key = random_key(dice);
        let revision = memory.get(&key).unwrap().map_or(Revision::ABSENT, |one| one.revision);
        made.reads.push((key, seen(dice, revision)));
    }
    if dice.below(4) == 0 {
        let directory = random_key(dice).directory();
        let revision = memory.directory(&directory).unwrap().revision;
        made.directories.push((directory, seen(dice, revision)));
    }
    if dice.below(6) == 0 {
        made.occupied.push(random_key(dice).directory());
    }
    if dice.below(6) == 0 {
        let key = SystemKey::ALL[dice.below(6) as usize];
        let revision = memory.system(key).unwrap().map_or(Revision::ABSENT, |(found, _)| found);
        made.system_reads.push((key, seen(dice, revision)));
        let value = (dice.below(3) > 0).then(|| Bytes::from_static(b"system"));
        made.system_writes.push((key, value));
    }
    made
}

fn compare(state: &State, memory: &MemoryState, case: &str) {
    for directory in 0..4 {
        let stored = key(directory, 0).directory();
        let all = listed(memory, &stored, Part::ALL);
        assert_eq!(listed(state, &stored, Part::ALL), all, "{case}");
        for (after, records_max) in [(0, 1), (2, 2), (4, 9), (9, 9)] {
            let part = Part { after: Some(key(directory, after)), records_max };
            let (counted, records) = listed(state, &stored, part);
            let wanted = all.1.iter().filter(|(name, _)| *name > key(directory, after));
            let wanted: Vec<_> = wanted.take(records_max).cloned().collect();
            assert_eq!((counted, records), (all.0, wanted), "{case}: {part:?}");
            assert_eq!(listed(memory, &stored, part), listed(state, &stored, part), "{case}");
        }
        assert_eq!(state.directory(&stored).unwrap(), memory.directory(&stored).unwrap(), "{case}");
        for name in 0..6 {
            let key = key(directory, name);
            assert_eq!(state.get(&key).unwrap(), memory.get(&key).unwrap(), "{case}: {key:?}");
        }
    }
    for key in SystemKey::ALL {
        assert_eq!(state.system(key).unwrap(), memory.system(key).unwrap(), "{case}: {key:?}");
    }
    assert_eq!(state.time().unwrap(), memory.time().unwrap(), "{case}");
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        let to = to.join(path.file_name().unwrap());
        if path.is_dir() {
            copy_folder(&path, &to);
        } else {
            fs::copy(&path, &to).unwrap();
        }
    }
}

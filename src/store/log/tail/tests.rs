use super::*;

fn id(index: u64) -> EntryId {
    EntryId { index, term: 1, node: 1 }
}

fn entry(index: u64) -> Entry {
    Entry { id: id(index), payload: Bytes::from(vec![0; 10]) }
}

fn place(offset: u32) -> Place {
    Place { segment: NonZeroU64::MIN, offset, bytes: 10 }
}

/// Which entries come from memory, and which from disk.
fn found(tail: &Tail, start: u64) -> Vec<(u64, bool)> {
    let one = |found| match found {
        Found::Cached(entry) => (entry.id.index, true),
        Found::Stored(id, _) => (id.index, false),
    };
    tail.from(start).map(one).collect()
}

#[test]
fn only_what_is_on_disk_leaves_the_cache() {
    let mut tail = Tail::new(25);
    let serials: Vec<u64> = (1..=5).map(|index| tail.push(entry(index), None)).collect();
    assert_eq!(found(&tail, 1), [(1, true), (2, true), (3, true), (4, true), (5, true)]);
    assert!(tail.place(1, serials[0], place(1)));
    assert!(tail.place(3, serials[2], place(3)));
    tail.evict();
    assert_eq!(found(&tail, 1), [(1, false), (2, true), (3, true), (4, true), (5, true)]);
    assert!(tail.place(2, serials[1], place(2)));
    tail.evict();
    assert_eq!(found(&tail, 2), [(2, false), (3, false), (4, true), (5, true)]);
    assert_eq!(found(&tail, 6), []);
}

#[test]
fn place_of_a_truncated_entry_is_not_its_successors() {
    let mut tail = Tail::new(0);
    let first = tail.push(entry(1), None);
    tail.truncate_after(None);
    let second = tail.push(entry(1), None);
    assert!(!tail.place(1, first, place(1)));
    assert!(tail.place(1, second, place(2)));
}

#[test]
fn truncation_and_purge_keep_cache_and_slots_together() {
    let mut tail = Tail::new(20);
    for index in 1..=6 {
        tail.push(entry(index), Some(place(index as u32)));
    }
    assert_eq!(found(&tail, 4), [(4, false), (5, true), (6, true)]);
    tail.truncate_after(Some(3));
    assert_eq!(found(&tail, 1), [(1, false), (2, false), (3, false)]);
    tail.push(entry(4), None);
    tail.purge(id(2));
    assert_eq!(found(&tail, 3), [(3, false), (4, true)]);
    assert_eq!((tail.base(), tail.last(), tail.next()), (Some(id(2)), Some(id(4)), Some(5)));
    tail.purge(id(1));
    assert_eq!(tail.base(), Some(id(2)));
    tail.purge(id(9));
    assert_eq!((tail.base(), tail.last(), tail.next()), (Some(id(9)), Some(id(9)), Some(10)));
    assert_eq!((tail.cache.len(), tail.cache_bytes), (0, 0));
    tail.push(entry(10), None);
    assert_eq!(found(&tail, 10), [(10, true)]);
}

use super::*;

fn key(number: usize) -> Key {
    Key::new(format!("a/{number:06}"))
}

#[test]
fn what_was_parsed_before_the_cache_was_dropped_is_not_kept() {
    let cache = RecordCache::default();
    let before = cache.generation();
    cache.insert(before, key(1), Revision(1), Arc::new(1_u8));
    assert_eq!(cache.get::<u8>(&key(1), Revision(1)).as_deref(), Some(&1));
    assert_eq!(cache.get::<u8>(&key(1), Revision(2)), None);
    cache.clear();
    cache.insert(before, key(1), Revision(1), Arc::new(1_u8));
    assert_eq!(cache.get::<u8>(&key(1), Revision(1)), None);
    cache.insert(cache.generation(), key(1), Revision(1), Arc::new(1_u8));
    assert!(cache.get::<u8>(&key(1), Revision(1)).is_some());
}

#[test]
fn full_cache_drops_one_for_each_that_comes_and_another_each_time() {
    let cache = RecordCache::default();
    for number in 0..RECORDS_MAX + 3 {
        cache.insert(0, key(number), Revision(1), Arc::new(()));
    }
    let kept = |number| cache.get::<()>(&key(number), Revision(1)).is_some();
    assert_eq!(cache.lock().by_key.len(), RECORDS_MAX);
    assert_eq!([0, 1, 2, 3].map(kept), [false, false, false, true]);
    assert!(kept(RECORDS_MAX + 2));
}

use std::collections::BTreeSet;

use super::*;

#[test]
fn set_holds_what_was_added_and_joins_neighbours() {
    let mut set = NumberSet::default();
    let mut model = BTreeSet::new();
    let mut dice: u64 = 7;
    for _ in 0..2000 {
        dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let first = (dice >> 33) % 500;
        let last = first + (dice >> 59);
        set.add((first, last));
        model.extend(first..=last);
        if dice.is_multiple_of(97) {
            for (first, last) in set.take(2) {
                (first..=last).for_each(|number| assert!(model.remove(&number)));
            }
        }
        for number in 0..540 {
            assert_eq!(set.contains(number), model.contains(&number), "{number}");
        }
        let ranges: Vec<Numbers> = set.iter().collect();
        assert!(ranges.windows(2).all(|pair| pair[0].1 + 1 < pair[1].0), "{ranges:?}");
    }
}

#[test]
fn set_that_is_too_scattered_takes_its_lowest_gaps_in() {
    let mut set = NumberSet::default();
    let count = RANGES_MAX as u64 + 10;
    (0..count).for_each(|number| set.add((number * 2, number * 2)));
    assert_eq!(set.iter().len(), RANGES_MAX);
    assert!(set.contains(1) && set.contains(19));
    assert!(!set.contains(21) && !set.contains(count * 2));
}

#[test]
fn ends_of_all_numbers_are_no_overflow() {
    let mut set = NumberSet::default();
    set.add((u64::MAX, u64::MAX));
    set.add((0, 0));
    set.add((5, 4));
    assert!(set.contains(u64::MAX) && set.contains(0) && !set.contains(5));
    set.add((0, u64::MAX));
    assert_eq!(set.iter().collect::<Vec<_>>(), [(0, u64::MAX)]);
}

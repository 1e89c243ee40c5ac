use super::*;

fn user(number: usize) -> User {
    ("mount".to_owned(), format!("user{number}"))
}

#[test]
fn failures_add_up_until_none_has_come_for_long() {
    let mut failures = Failures::default();
    for (seconds, expected) in [(0, 1), (10, 2), (69, 3), (129, 1), (130, 2)] {
        let now = Timestamp(seconds * 1000);
        assert_eq!(failures.add(&user(1), now, 60), expected, "{seconds}");
    }
    assert!(failures.forget(&user(1)).is_some_and(|failed| failed.count == 2));
    assert!(failures.by_time.is_empty() && failures.by_user.is_empty());
}

#[test]
fn the_oldest_failure_makes_room() {
    let mut failures = Failures::default();
    for number in 0..=USERS_MAX {
        failures.add(&user(number), Timestamp(number as u64), 60);
    }
    assert_eq!((failures.by_user.len(), failures.by_time.len()), (USERS_MAX, USERS_MAX));
    assert!(failures.forget(&user(0)).is_none());
    assert!(failures.forget(&user(USERS_MAX)).is_some());
}

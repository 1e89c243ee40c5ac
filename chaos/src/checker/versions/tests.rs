use super::{Found, compare};
use crate::workload::{Outcome, Write};

/// What is wrong, the writes with their outcomes, and the payloads by version.
type Case = (&'static str, &'static [(u64, Outcome)], &'static [(u64, u64)]);

fn problems(writes: &[(u64, Outcome)], found: &[(u64, u64)]) -> usize {
    let writes: Vec<Write> = writes
        .iter()
        .map(|(id, outcome)| Write { path: "p".into(), id: *id, outcome: *outcome })
        .collect();
    let found: Found = found.iter().copied().collect();
    compare("p", &writes, &found).len()
}

#[test]
fn what_was_acknowledged_and_what_is_unknown_may_be_there() {
    use Outcome::{Acknowledged, Refused, Unknown};
    let writes = [(7, Acknowledged(1)), (8, Unknown), (9, Acknowledged(3)), (10, Refused)];
    assert_eq!(problems(&writes, &[(1, 7), (2, 8), (3, 9)]), 0);
    assert_eq!(problems(&[(8, Unknown)], &[]), 0);
}

#[test]
fn each_broken_promise_is_a_problem() {
    use Outcome::{Acknowledged, Refused, Unknown};
    let all: [Case; 6] = [
        ("lost", &[(7, Acknowledged(1))], &[]),
        ("overwritten", &[(7, Acknowledged(1)), (8, Unknown)], &[(1, 8)]),
        ("twice", &[(7, Acknowledged(1))], &[(1, 7), (2, 7)]),
        ("refused", &[(7, Refused)], &[(1, 7)]),
        ("of another", &[(7, Acknowledged(1))], &[(1, 7), (2, 99)]),
        ("a hole", &[(7, Acknowledged(1)), (8, Acknowledged(3))], &[(1, 7), (3, 8)]),
    ];
    for (what, writes, found) in all {
        assert!(problems(writes, found) > 0, "{what}");
    }
}

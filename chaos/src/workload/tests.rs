use strongroom::client::{Error, PUT, Unsent};

use super::{Outcome, judge};

fn unsent(kind: Unsent) -> Error {
    Error::Unsent { method: PUT, url: "http://n1".into(), kind, reason: "x".into() }
}

#[test]
fn what_a_fault_explains_is_a_finding_only_without_one() {
    for (kind, outcome) in [
        (Unsent::Connection, Outcome::Refused),
        (Unsent::Broken, Outcome::Unknown),
        (Unsent::Timeout, Outcome::Unknown),
    ] {
        for is_disturbed in [false, true] {
            let judged = judge(&unsent(kind), is_disturbed);
            assert_eq!(judged.outcome, outcome, "{kind:?}");
            assert_eq!(judged.is_finding, !is_disturbed, "{kind:?}");
        }
    }
}

#[test]
fn what_no_fault_explains_is_always_a_finding() {
    let judged = judge(&unsent(Unsent::Malformed), true);
    assert!(judged.is_finding);
    assert_eq!(judged.outcome, Outcome::Unknown);
}

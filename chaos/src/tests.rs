use super::*;

#[test]
fn a_run_that_tried_too_little_has_a_problem() {
    for (faults, min, expected) in [(0, 0, false), (0, 1, true), (4, 5, true), (5, 5, false)] {
        assert_eq!(too_few(faults, min).is_some(), expected, "{faults} of {min}");
    }
}

use std::time::Duration;

use super::go_duration;

#[test]
fn durations_are_as_go_prints_them() {
    for (milliseconds, text) in [
        (0, "0s"),
        (20, "20ms"),
        (1_500, "1.5s"),
        (1_050, "1.05s"),
        (10_000, "10s"),
        (90_000, "1m30s"),
        (86_400_000, "24h0m0s"),
    ] {
        assert_eq!(go_duration(Duration::from_millis(milliseconds)), text);
    }
}

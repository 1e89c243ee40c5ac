use std::time::Duration;

use super::parse_duration;

#[test]
fn durations_read_as_in_go() {
    for (text, milliseconds, negative) in [
        ("", 0, false),
        (" 60 ", 60_000, false),
        ("0", 0, false),
        ("-0", 0, false),
        ("-5", 5_000, true),
        ("+5", 5_000, false),
        ("1h30m", 5_400_000, false),
        ("1.5s", 1_500, false),
        (".5s", 500, false),
        ("1.s", 1_000, false),
        ("1d", 86_400_000, false),
        ("1d2h", 93_600_000, false),
        ("250ms", 250, false),
        ("-1m", 60_000, true),
        ("1000us", 1, false),
        ("1000µs", 1, false),
    ] {
        let expected = (Duration::from_millis(milliseconds), negative);
        assert_eq!(parse_duration(text), Ok(expected), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_refused() {
    for text in [
        "banana",
        "1x",
        "1.5",
        "s",
        ".s",
        "1..5s",
        "--1",
        "1h-5m",
        "99999999999999999999",
        "9223372037",
        "1 h",
    ] {
        assert!(parse_duration(text).is_err(), "{text}");
    }
    assert!(parse_duration("9223372036").is_ok());
}

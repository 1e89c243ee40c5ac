use std::time::Duration;

use super::SignedDuration;

#[test]
fn durations_are_seconds_or_gos_notation() {
    for (text, nanoseconds, is_negative) in [
        ("0", 0, false),
        ("-0", 0, false),
        ("90", 90_000_000_000, false),
        (" 90s ", 90_000_000_000, false),
        ("-5", 5_000_000_000, true),
        ("+5", 5_000_000_000, false),
        ("+5s", 5_000_000_000, false),
        ("1h30m", 5_400_000_000_000, false),
        ("1.5h", 5_400_000_000_000, false),
        ("-1m", 60_000_000_000, true),
        ("1.5s", 1_500_000_000, false),
        (".5s", 500_000_000, false),
        ("1.s", 1_000_000_000, false),
        ("250ms", 250_000_000, false),
        ("3us1ns", 3_001, false),
        ("1000\u{b5}s", 1_000_000, false),
        ("1000\u{3bc}s", 1_000_000, false),
        ("7d", 604_800_000_000_000, false),
        ("1d2h", 93_600_000_000_000, false),
        // Neither of these has an exact floating-point number.
        ("0.1h", 360_000_000_000, false),
        ("4.35s", 4_350_000_000, false),
        ("0.000000001d", 86_400, false),
        ("0.0000000019s", 1, false),
        ("0.9999999999999999999999s", 999_999_999, false),
    ] {
        let length = Duration::from_nanos(nanoseconds);
        assert_eq!(
            SignedDuration::parse(text),
            Ok(SignedDuration { length, is_negative }),
            "{text}"
        );
    }
}

#[test]
fn what_is_no_duration_is_refused_in_gos_words() {
    for (text, words) in [
        ("", "invalid duration \"\""),
        (" ", "invalid duration \" \""),
        ("-", "invalid duration \"-\""),
        ("banana", "invalid duration \"banana\""),
        ("s", "invalid duration \"s\""),
        (".s", "invalid duration \".s\""),
        ("1..5s", "invalid duration \"1..5s\""),
        ("1.2.3s", "invalid duration \"1.2.3s\""),
        ("--1", "invalid duration \"--1\""),
        ("1.5", "missing unit in duration \"1.5\""),
        ("1h30", "missing unit in duration \"1h30\""),
        ("1x", "unknown unit \"x\" in duration \"1x\""),
        ("1h-5m", "unknown unit \"h-\" in duration \"1h-5m\""),
        ("1h 30m", "unknown unit \"h \" in duration \"1h 30m\""),
        ("1e4h", "unknown unit \"e\" in duration \"1e4h\""),
        ("9223372036854775808", "invalid duration \"9223372036854775808\""),
        ("99999999999999999999", "invalid duration \"99999999999999999999\""),
        ("18446744073709551615d", "invalid duration \"18446744073709551615d\""),
    ] {
        let error = SignedDuration::parse(text).unwrap_err().to_string();
        assert_eq!(error, format!("time: {words}"), "{text}");
    }
}

#[test]
fn the_longest_is_what_a_signed_integer_holds() {
    let longest = SignedDuration::parse("9223372036854775807").unwrap();
    assert_eq!(longest.whole_seconds(), i64::MAX);
    assert_eq!(SignedDuration::parse("-9223372036854775807s").unwrap().whole_seconds(), -i64::MAX);
}

#[test]
fn whole_seconds_drop_parts_and_keep_the_sign() {
    for (text, seconds, unsigned) in [
        ("1999ms", 1, Some(Duration::from_millis(1999))),
        ("-1999ms", -1, None),
        ("-1ns", 0, None),
        ("-0s", 0, Some(Duration::ZERO)),
    ] {
        let read = SignedDuration::parse(text).unwrap();
        assert_eq!((read.whole_seconds(), read.unsigned()), (seconds, unsigned), "{text}");
    }
}

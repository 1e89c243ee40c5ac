use std::path::PathBuf;

use super::*;
use crate::config::problem::Place;
use crate::config::stanza::{Found, Setting};
use crate::config::syntax::Entry;

/// Reads `value` as the key `k`: the value's `Debug`, or the problem.
fn read<T: Setting + std::fmt::Debug>(value: Value) -> String {
    let node = Node { place: Place::whole("f"), value };
    let entry = Entry { key: "k".to_owned(), labels: Vec::new(), node };
    let mut reader = Reader::new(&[], Vec::new());
    match T::read(&Found { key: "k", entries: vec![&entry] }, &mut reader) {
        Some(value) => format!("{value:?}"),
        None => reader.problems[0].to_string(),
    }
}

fn text<T: Setting + std::fmt::Debug>(text: &str) -> String {
    read::<T>(Value::Text(text.to_owned()))
}

#[test]
fn durations_are_positive_and_below_a_century() {
    let wrong = "f: `k` must be a duration such as 90, \"90s\", \"1h30m\" or \"7d\", found ";
    for (written, shown) in [
        ("0", "0ns".to_owned()),
        (" 90s ", "90s".to_owned()),
        ("1h30m", "5400s".to_owned()),
        ("250ms", "250ms".to_owned()),
        ("36600d", "3162240000s".to_owned()),
        ("36601d", format!("{wrong}\"36601d\"")),
        ("99999999999999999999", format!("{wrong}\"99999999999999999999\"")),
        ("-1s", format!("{wrong}\"-1s\"")),
        ("-1", format!("{wrong}\"-1\"")),
        ("1w", format!("{wrong}\"1w\"")),
        ("", format!("{wrong}\"\"")),
    ] {
        assert_eq!(text::<Duration>(written), shown, "{written}");
    }
    assert_eq!(read::<Duration>(Value::Number("90".to_owned())), "90s");
}

#[test]
fn booleans_come_in_several_ways() {
    let wrong = "f: `k` must be true or false, found ";
    for (value, shown) in [
        (Value::Bool(true), "true".to_owned()),
        (Value::Text("true".to_owned()), "true".to_owned()),
        (Value::Text("0".to_owned()), "false".to_owned()),
        (Value::Number("1".to_owned()), "true".to_owned()),
        (Value::Number("2".to_owned()), format!("{wrong}2")),
        (Value::Text("maybe".to_owned()), format!("{wrong}\"maybe\"")),
        (Value::Null, format!("{wrong}null")),
        (Value::List(Vec::new()), format!("{wrong}a list")),
        (Value::Object(Vec::new()), format!("{wrong}a block")),
    ] {
        assert_eq!(read::<bool>(value.clone()), shown, "{value}");
    }
}

#[test]
fn sizes_have_units_and_limits_may_be_none() {
    let wrong = "f: `k` must be a number of bytes such as 33554432 or \"32MiB\", or -1 for no limit, found ";
    for (written, shown) in [
        ("1024", "SizeLimit(Some(1024))".to_owned()),
        ("32MiB", "SizeLimit(Some(33554432))".to_owned()),
        ("32 mb", "SizeLimit(Some(32000000))".to_owned()),
        ("-1", "SizeLimit(None)".to_owned()),
        ("0", format!("{wrong}\"0\"")),
        ("1.5kb", format!("{wrong}\"1.5kb\"")),
        ("99999999999gib", format!("{wrong}\"99999999999gib\"")),
        ("kb", format!("{wrong}\"kb\"")),
    ] {
        assert_eq!(text::<SizeLimit>(written), shown, "{written}");
    }
}

#[test]
fn permissions_are_octal() {
    for (written, shown) in [
        ("660", "Mode(432)"),
        ("0600", "Mode(384)"),
        ("888", "f: `k` must be permissions in octal such as \"660\", found \"888\""),
        ("1777", "f: `k` must be permissions in octal such as \"660\", found \"1777\""),
    ] {
        assert_eq!(text::<Mode>(written), shown);
    }
}

#[test]
fn urls_name_a_scheme_a_host_and_a_port() {
    for (written, shown) in [
        ("https://10.0.0.5:8200", Some("https://10.0.0.5:8200")),
        ("http://vault.internal", Some("http://vault.internal:80")),
        ("https://vault-0.x_y/", Some("https://vault-0.x_y:443")),
        ("10.0.0.5:8200", Some("https://10.0.0.5:8200")),
        ("https://[fd00::1]:8200", Some("https://[fd00::1]:8200")),
        ("https://[fd00::1]", Some("https://[fd00::1]:443")),
        ("ftp://x", None),
        ("https://", None),
        ("https://x:0", None),
        ("https://x:99999", None),
        ("https://x/path", None),
        ("https://user@x", None),
        ("https://[x]:1", None),
        ("https://[::1]x:1", None),
        ("https://fd00::1", None),
        ("", None),
    ] {
        let read = Endpoint::parse(written).map(|endpoint| endpoint.to_string());
        assert_eq!(read.as_deref(), shown, "{written}");
    }
}

#[test]
fn lists_may_be_words_with_commas() {
    assert_eq!(text::<Words>("a, b,,c"), "Words([\"a\", \"b\", \"c\"])");
    assert_eq!(text::<Networks>(""), "Networks([])");
    assert_eq!(
        text::<Networks>("10.0.0.0/8,x"),
        "f: `k` must be a list of addresses and networks such as \"10.0.0.0/8\", found \"x\""
    );
}

#[test]
fn secrets_are_not_shown() {
    assert_eq!(text::<Secret<String>>("hidden"), "Secret(..)");
    let nested = Value::Bool(true);
    assert_eq!(read::<Secret<String>>(nested), "f: `k` must be text, found another kind");
    assert_eq!(text::<PathBuf>(""), "f: `k` must be a path, found \"\"");
}

#[test]
fn versions_are_semantic_versions() {
    for text in ["1.19.0", "0.0.0", "10.20.30", "1.19.0+ent", "1.19.0-rc1", "1.0.0-a.0.b-1+01.x"] {
        assert_eq!(Version::parse(text).expect(text).as_str(), text);
    }
    for text in [
        "",
        "1",
        "1.19",
        "v1.19.0",
        "1.19.0.1",
        "01.19.0",
        "1.19.-1",
        "1.19.x",
        "1.19.0-",
        "1.19.0+",
        "1.19.0-01",
        "1.19.0-a..b",
        "1.19.0 ",
        "1.19.0+e t",
        "1.19.99999999999999999999",
        &format!("1.19.0+{}", "a".repeat(64)),
    ] {
        assert_eq!(Version::parse(text), None, "{text:?}");
    }
}

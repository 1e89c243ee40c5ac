use super::*;
use crate::audit::Side;
use crate::mount::{MountConfig, MountEntry, Table};
use crate::request::{Operation, Request};

fn takes(text: &str) -> bool {
    let filter = Filter::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    let request = Request { path: "secret/data/a".into(), ..Request::default() };
    let mount = MountEntry {
        table: Table::Secret,
        path: "secret/".into(),
        kind: "kv".into(),
        description: String::new(),
        uuid: String::new(),
        accessor: String::new(),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: std::collections::BTreeMap::new(),
        config: MountConfig::default(),
        tainted: false,
    };
    filter.takes(&Record {
        request: &request,
        operation: Operation::Read,
        caller: None,
        mount: Some(&mount),
        policies: None,
        is_repeated: false,
        side: Side::Request(None),
    })
}

#[test]
fn expressions_hold_or_not() {
    for (text, expected) in [
        ("mount_type == \"kv\"", true),
        ("mount_type == kv", true),
        ("mount_type==\"kv\"", true),
        ("mount_type != \"kv\"", false),
        ("mount_point == `secret/`", true),
        ("operation == read", true),
        ("namespace == \"\"", true),
        ("namespace is empty", true),
        ("path is not empty", true),
        ("path matches \"^secret/.*\"", true),
        ("path matches \"^secret/\\w+/b$\"", false),
        ("path not matches \"^sys/\"", true),
        ("\"data\" in path", true),
        ("\"data\" not in path", false),
        ("data in path", true),
        ("path contains \"metadata\"", false),
        ("path not contains metadata", true),
        ("not operation == read", false),
        ("not not operation == read", true),
        ("operation == list or operation == read and mount_type == kv", true),
        // `and` binds closer.
        ("operation == read or operation == list and mount_type == pki", true),
        ("(operation == read or operation == list) and mount_type == pki", false),
        ("not (mount_type == pki or operation == list)", true),
        ("path == \"a\\\"b\\\\c\"", false),
    ] {
        assert_eq!(takes(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_filter_is_told() {
    let deep = format!("{}operation == read", "not ".repeat(40));
    let long = vec!["operation == read"; 65].join(" or ");
    let too_long = format!("path == \"{}\"", "x".repeat(5000));
    for (text, expected) in [
        ("", "expected a comparison, found the end"),
        ("operation", "expected `==`, `!=`, `contains`, `matches` or `is empty`, found the end"),
        ("operation ==", "expected a text, found the end"),
        ("operation = read", "expected a word, found ="),
        (
            "secret == 1",
            "\"secret\" is none of mount_point, mount_type, namespace, operation and path",
        ),
        ("(operation == read", "expected `)`, found the end"),
        ("operation == read)", "expected `and` or `or`, found `)`"),
        ("operation == read operation == list", "expected `and` or `or`, found `operation`"),
        ("operation == \"read", "a quoted text does not end"),
        ("\"a\" path", "expected `in`, found `path`"),
        ("path is full", "expected `empty`, found `full`"),
        (&deep, "is nested deeper than 32, or has more than 64 comparisons"),
        (&long, "is nested deeper than 32, or has more than 64 comparisons"),
        (&too_long, "is longer than 4096 bytes"),
    ] {
        assert_eq!(Filter::parse(text).unwrap_err().to_string(), expected, "{text}");
    }
    let error = Filter::parse("path matches \"(\"").unwrap_err().to_string();
    assert!(error.starts_with("\"(\" is no regular expression: "), "{error}");
}

proptest::proptest! {
    #[test]
    fn no_text_panics(text in "[a-z()=!\"`\\\\ ]{0,60}") {
        drop(Filter::parse(&text));
    }
}

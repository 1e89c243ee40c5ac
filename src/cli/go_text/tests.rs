use serde_json::json;

use super::*;

#[test]
fn values_print_as_in_go() {
    for (value, wanted) in [
        (json!(null), "<nil>"),
        (json!("a b"), "a b"),
        (json!(true), "true"),
        (json!(["b", 1, null]), "[b 1 <nil>]"),
        (json!({"z": 1, "a": {"k": []}}), "map[a:map[k:[]] z:1]"),
        (json!({}), "map[]"),
    ] {
        assert_eq!(text(&value), wanted);
    }
    let large: Value = serde_json::from_str("12345678901234567890123").unwrap();
    assert_eq!(text(&large), "12345678901234567890123");
}

#[test]
fn lists_quote_as_in_go() {
    assert_eq!(quoted(None), "[]");
    assert_eq!(quoted(Some(&vec!["a".into(), "b\"c".into()])), r#"["a" "b\"c"]"#);
}

#[test]
fn durations_drop_empty_parts() {
    for (seconds, text) in
        [(0, "0s"), (59, "59s"), (60, "1m"), (3600, "1h"), (3605, "1h5s"), (2_764_800, "768h")]
    {
        assert_eq!(duration(seconds), text);
    }
}

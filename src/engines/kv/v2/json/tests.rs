use super::*;

/// The examples of RFC 7396, appendix A, and numbers that no float holds.
#[test]
fn merge_patch_does_as_the_examples() {
    for (target, patch, result) in [
        (r#"{"a":"b"}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"b":"c"}"#, r#"{"a":"b","b":"c"}"#),
        (r#"{"a":"b"}"#, r#"{"a":null}"#, "{}"),
        (r#"{"a":"b","b":"c"}"#, r#"{"a":null}"#, r#"{"b":"c"}"#),
        (r#"{"a":["b"]}"#, r#"{"a":"c"}"#, r#"{"a":"c"}"#),
        (r#"{"a":"c"}"#, r#"{"a":["b"]}"#, r#"{"a":["b"]}"#),
        (r#"{"a":{"b":"c"}}"#, r#"{"a":{"b":"d","c":null}}"#, r#"{"a":{"b":"d"}}"#),
        (r#"{"a":[{"b":"c"}]}"#, r#"{"a":[1]}"#, r#"{"a":[1]}"#),
        (r#"["a","b"]"#, r#"["c","d"]"#, r#"["c","d"]"#),
        (r#"{"a":"b"}"#, r#"["c"]"#, r#"["c"]"#),
        (r#"{"a":"foo"}"#, "null", "null"),
        (r#"{"a":"foo"}"#, r#""bar""#, r#""bar""#),
        (r#"{"e":null}"#, r#"{"a":1}"#, r#"{"e":null,"a":1}"#),
        ("[1,2]", r#"{"a":"b","c":null}"#, r#"{"a":"b"}"#),
        ("{}", r#"{"a":{"bb":{"ccc":null}}}"#, r#"{"a":{"bb":{}}}"#),
        (
            r#"{"a":1.10}"#,
            r#"{"b":12345678901234567890}"#,
            r#"{"a":1.10,"b":12345678901234567890}"#,
        ),
    ] {
        let mut merged = serde_json::from_str(target).unwrap();
        merge_patch(&mut merged, serde_json::from_str(patch).unwrap());
        assert_eq!(merged.to_string(), result, "{target} with {patch}");
    }
}

#[test]
fn subkeys_show_no_value() {
    let value = serde_json::from_str(r#"{"a":{"b":1,"c":[1,{"d":1}],"e":{},"f":{"g":1}},"z":"s"}"#);
    let value: Value = value.unwrap();
    for (depth, shown) in [
        (0, r#"{"a":{"b":null,"c":null,"e":null,"f":{"g":null}},"z":null}"#),
        (1, r#"{"a":null,"z":null}"#),
        (2, r#"{"a":{"b":null,"c":null,"e":null,"f":null},"z":null}"#),
        (3, r#"{"a":{"b":null,"c":null,"e":null,"f":{"g":null}},"z":null}"#),
    ] {
        assert_eq!(subkeys(&value, depth).to_string(), shown, "depth {depth}");
    }
    assert_eq!(subkeys(&Value::Null, 0), Value::Null);
    assert_eq!(subkeys(&serde_json::json!({}), 0).to_string(), "{}");
}

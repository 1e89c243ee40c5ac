use super::super::settings::JsonLimits;
use super::object;
use crate::request::Error;

#[test]
fn objects_are_read_and_numbers_keep_their_text() {
    for (body, expected) in [
        (r#"{}"#, r#"{}"#),
        (r#"null"#, r#"{}"#),
        (r#"{"b":12345678901234567890,"a":1.10}"#, r#"{"b":12345678901234567890,"a":1.10}"#),
        (r#"{"a":1e400,"a":-0.0}"#, r#"{"a":-0.0}"#),
        (r#"{"a":-0,"b":[-0,{"c":-0}]}"#, r#"{"a":-0,"b":[-0,{"c":-0}]}"#),
        (r#" {"a":"\u00e4\\\""} "#, r#"{"a":"ä\\\""}"#),
    ] {
        let params = object(body.as_bytes(), JsonLimits::default()).unwrap();
        assert_eq!(serde_json::Value::Object(params).to_string(), expected, "{body}");
    }
}

#[test]
fn what_is_no_object_is_refused() {
    for body in
        ["[1]", "\"x\"", "1", "true", "{", "{\"a\":}", "{}{}", "{} x", "", "{\"a\":\"\u{1}\"}"]
    {
        let Err(Error::BadRequest(text)) = object(body.as_bytes(), JsonLimits::default()) else {
            panic!("{body}");
        };
        assert!(text.starts_with("failed to decode JSON input: "), "{body}: {text}");
    }
    assert!(object(b"{\"a\":\"\xff\"}", JsonLimits::default()).is_err());
}

#[test]
fn limits_hold_at_their_bounds() {
    let limits = JsonLimits { depth_max: 3, strings_max: 4, members_max: 5 };
    for (body, fits) in [
        (r#"{"a":[[1]]}"#, true),
        (r#"{"a":[[[1]]]}"#, false),
        (r#"{"a":"1","b":"2"}"#, true),
        (r#"{"a":"1","b":"2","c":3}"#, false),
        (r#"{"a":[1,2,3,4]}"#, true),
        (r#"{"a":[1,2,3,4,5]}"#, false),
        (r#"{"a":"[[[[[\"[[,,,,,,,,"}"#, true),
    ] {
        assert_eq!(object(body.as_bytes(), limits).is_ok(), fits, "{body}");
    }
}

#[test]
fn the_default_depth_can_be_parsed_and_dropped() {
    let nested =
        |depth: usize| format!("{{\"a\":{}{}}}", "[".repeat(depth - 1), "]".repeat(depth - 1));
    assert!(object(nested(300).as_bytes(), JsonLimits::default()).is_ok());
    assert!(object(nested(301).as_bytes(), JsonLimits::default()).is_err());
    assert!(object(nested(1_000_000).as_bytes(), JsonLimits::default()).is_err());
}

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn hasher(byte: u8) -> Hasher {
    Hasher::of_stored(&STANDARD.encode([byte; SALT_BYTES])).unwrap()
}

/// Any JSON, whose strings begin with `s`, and names of members with `k`.
fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        "s[ -~]{0,12}".prop_map(Value::String),
    ];
    leaf.prop_recursive(4, 64, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
            prop::collection::vec(("k[a-d]{1,2}", inner), 0..6)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

fn strings(value: &Value, into: &mut Vec<String>) {
    match value {
        Value::String(text) => into.push(text.clone()),
        Value::Array(items) => items.iter().for_each(|item| strings(item, into)),
        Value::Object(members) => members.values().for_each(|value| strings(value, into)),
        _ => {}
    }
}

/// With every string as `then` makes it.
fn with_strings(value: &Value, then: &dyn Fn(&str) -> String) -> Value {
    match value {
        Value::String(text) => Value::String(then(text)),
        Value::Array(items) => items.iter().map(|item| with_strings(item, then)).collect(),
        Value::Object(members) => Value::Object(
            members.iter().map(|(key, value)| (key.clone(), with_strings(value, then))).collect(),
        ),
        other => other.clone(),
    }
}

proptest! {
    #[test]
    fn no_string_leaves_unhashed_and_all_else_stays(value in any_json()) {
        let data = Map::from_iter([("data".to_owned(), value)]);
        let hasher = hasher(7);
        let hashed = Value::Object(hasher.hash_all(&data, &[]));
        let mut left = Vec::new();
        strings(&hashed, &mut left);
        prop_assert!(left.iter().all(|text| text.starts_with("hmac-sha256:") && text.len() == 76));
        // The same value has the same hash, and shape, names, numbers and booleans are kept.
        let expected = with_strings(&Value::Object(data), &|text| hasher.hash(text));
        prop_assert_eq!(hashed, expected);
    }
}

#[test]
fn a_salt_makes_other_hashes() {
    assert_eq!(hasher(1).hash("a"), hasher(1).hash("a"));
    assert_ne!(hasher(1).hash("a"), hasher(2).hash("a"));
    assert_ne!(hasher(1).hash("a"), hasher(1).hash("b"));
    // RFC 4231, test case 1: a key of 20 bytes, which salts here do not have; so against the
    // function itself.
    let expected = hex(&hmac_sha256(&[1; SALT_BYTES], &[b"a"]));
    assert_eq!(hasher(1).hash("a"), format!("hmac-sha256:{expected}"));
}

#[test]
fn keys_that_are_left_clear_are_so_at_any_depth() {
    let data = json!({ "a": "1", "b": { "a": ["2", { "c": "3" }], "d": "4" } });
    let hashed = hasher(1).hash_all(data.as_object().unwrap(), &["a".to_owned()]);
    let h = |text: &str| hasher(1).hash(text);
    assert_eq!(
        Value::Object(hashed),
        json!({ "a": "1", "b": { "a": ["2", { "c": h("3") }], "d": h("4") } })
    );
}

#[test]
fn a_damaged_salt_is_none() {
    for salt in ["", "AAAA", "not base64"] {
        assert!(Hasher::of_stored(salt).is_none(), "{salt}");
    }
    assert!(!format!("{:?}", hasher(65)).contains('A'));
}

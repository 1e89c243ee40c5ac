use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde_json::json;

use super::*;
use crate::framework::Seconds;
use crate::secret::Secret;

#[derive(JsonSchema)]
#[expect(dead_code, reason = "only its schema is read")]
struct Sample {
    text: Option<String>,
    key: Option<Secret<String>>,
    flag: bool,
    count: Option<i64>,
    ratio: f64,
    list: Option<Vec<String>>,
    versions: Vec<u64>,
    map: Option<BTreeMap<String, String>>,
    object: Option<Map<String, Value>>,
    any: Option<Value>,
    ttl: Option<Seconds>,
}

fn fields() -> Fields {
    Fields::of(&schemars::schema_for!(Sample))
}

#[test]
fn every_declared_type_takes_what_vault_takes() {
    for (field, sent, expected) in [
        ("text", json!("a"), json!("a")),
        ("text", json!(12), json!("12")),
        ("key", json!(1.10), json!("1.1")),
        ("flag", json!("true"), json!(true)),
        ("flag", json!(1), json!(true)),
        ("flag", json!("0"), json!(false)),
        ("count", json!("7"), json!(7)),
        ("count", json!(7.0), json!(7)),
        ("ratio", json!("0.5"), json!(0.5)),
        ("list", json!("a, b,,c"), json!(["a", "b", "c"])),
        ("list", json!(["a", 1]), json!(["a", "1"])),
        ("versions", json!("1,2"), json!([1, 2])),
        ("versions", json!([1, "2"]), json!([1, 2])),
        ("versions", json!(3), json!([3])),
        ("map", json!({"a": 1}), json!({"a": "1"})),
        ("map", json!(["a=b", "c=d=e"]), json!({"a": "b", "c": "d=e"})),
        ("map", json!("a=b,c=d"), json!({"a": "b", "c": "d"})),
        ("map", json!("{\"a\": \"b\"}"), json!({"a": "b"})),
        ("object", json!({"a": [1]}), json!({"a": [1]})),
        ("any", json!([1, {"a": null}]), json!([1, {"a": null}])),
        ("ttl", json!("1h30m"), json!(5400)),
        ("ttl", json!("90"), json!(90)),
        ("ttl", json!(90), json!(90)),
        ("ttl", json!("7d"), json!(604_800)),
        ("ttl", json!("-1s"), json!(-1)),
        ("ttl", json!("1.5h"), json!(5400)),
        ("ttl", json!(""), json!(0)),
    ] {
        let params = Map::from_iter([(field.to_owned(), sent.clone())]);
        let (coerced, ignored) = fields().coerce(params).unwrap();
        assert_eq!(coerced[field].to_string(), expected.to_string(), "{field} from {sent}");
        assert!(ignored.is_empty());
    }
}

#[test]
fn what_cannot_be_converted_names_the_field_and_not_the_value() {
    for (field, sent) in [
        ("flag", json!("maybe")),
        ("count", json!("seven")),
        ("count", json!(1.5)),
        ("text", json!(["a"])),
        ("list", json!({"a": 1})),
        ("map", json!("novalue")),
        ("ttl", json!("1 fortnight")),
        ("object", json!([1])),
    ] {
        let params = Map::from_iter([(field.to_owned(), sent.clone())]);
        let Err(Error::BadRequest(text)) = fields().coerce(params) else {
            panic!("{field} took {sent}");
        };
        let start = format!(
            "Field validation failed: error converting input for field \"{field}\": expected "
        );
        assert!(text.starts_with(&start), "{text}");
        assert!(!text.contains("maybe") && !text.contains("seven"), "{text}");
    }
}

#[test]
fn unknown_parameters_are_told_and_null_counts_as_absent() {
    let params = json!({"zebra": 1, "text": null, "apple": 2}).as_object().unwrap().clone();
    let (coerced, ignored) = fields().coerce(params).unwrap();
    assert!(coerced.is_empty());
    assert_eq!(ignored, ["apple", "zebra"]);
}

#[test]
fn big_integers_pass_through_what_is_not_declared_an_integer() {
    let number: Value = serde_json::from_str("12345678901234567890").unwrap();
    let params = Map::from_iter([("any".to_owned(), number)]);
    let (coerced, _) = fields().coerce(params).unwrap();
    assert_eq!(coerced["any"].to_string(), "12345678901234567890");
}

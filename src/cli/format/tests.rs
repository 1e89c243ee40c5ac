use super::*;

fn envelope(body: &str) -> Envelope {
    serde_json::from_str(body).unwrap()
}

fn table_of(body: &str) -> String {
    table::of_pairs(&envelope_rows(&envelope(body)))
}

#[test]
fn a_secret_shows_how_often_to_read_it() {
    assert_eq!(
        table_of(r#"{"lease_duration":2764800,"data":{"x":"1","n":2,"max_ttl":3600,"e":""}}"#),
        "Key                 Value\n\
         ---                 -----\n\
         refresh_interval    768h\n\
         e                   n/a\n\
         max_ttl             1h\n\
         n                   2\n\
         x                   1"
    );
}

#[test]
fn a_lease_shows_its_id() {
    assert_eq!(
        table_of(r#"{"lease_id":"db/creds/a/1","lease_duration":60,"renewable":true,"data":{}}"#),
        "Key                Value\n\
         ---                -----\n\
         lease_id           db/creds/a/1\n\
         lease_duration     1m\n\
         lease_renewable    true"
    );
}

#[test]
fn a_token_shows_its_policies_and_metadata() {
    assert_eq!(
        table_of(
            r#"{"auth":{"client_token":"hvs.x","accessor":"a","policies":["default","p"],
                "token_policies":["default","p"],"metadata":{"user":"bob"},"lease_duration":0}}"#
        ),
        "Key                  Value\n\
         ---                  -----\n\
         token                hvs.x\n\
         token_accessor       a\n\
         token_duration       ∞\n\
         token_renewable      false\n\
         token_policies       [\"default\" \"p\"]\n\
         identity_policies    []\n\
         policies             [\"default\" \"p\"]\n\
         token_meta_user      bob"
    );
}

#[test]
fn a_wrapped_reply_shows_its_token() {
    let body = r#"{"wrap_info":{"token":"hvs.w","accessor":"a","ttl":60,
        "creation_time":"2026-11-24T08:05:24.5Z","creation_path":"p","wrapped_accessor":""}}"#;
    assert_eq!(
        table_of(body),
        "Key                              Value\n\
         ---                              -----\n\
         wrapping_token:                  hvs.w\n\
         wrapping_accessor:               a\n\
         wrapping_token_ttl:              1m\n\
         wrapping_token_creation_time:    2026-11-24 08:05:24.5 +0000 UTC\n\
         wrapping_token_creation_path:    p"
    );
    assert_eq!(field(&envelope(body), "wrapping_token"), Some(json!("hvs.w")));
}

#[test]
fn a_login_that_waits_for_a_second_factor_shows_its_methods() {
    assert_eq!(
        table_of(
            r#"{"auth":{"client_token":"","mfa_requirement":{"mfa_request_id":"r",
                "mfa_constraints":{"c":{"any":[{"type":"totp","id":"i","uses_passcode":true}]}}}}}"#
        ),
        "Key                                    Value\n\
         ---                                    -----\n\
         mfa_request_id                         r\n\
         mfa_constraint_c_totp_id               i\n\
         mfa_constraint_c_totp_uses_passcode    true"
    );
}

#[test]
fn json_keeps_vaults_order_and_long_numbers() {
    let value = envelope_value(&envelope(
        r#"{"request_id":"r","lease_id":"","renewable":false,"lease_duration":0,
            "data":{"b":12345678901234567890123,"a":{"d":1.10,"c":[]}},"wrap_info":null,
            "warnings":null,"auth":null,"mount_type":"kv"}"#,
    ));
    assert_eq!(
        json_text(&value),
        r#"{
  "request_id": "r",
  "lease_id": "",
  "lease_duration": 0,
  "renewable": false,
  "data": {
    "a": {
      "c": [],
      "d": 1.10
    },
    "b": 12345678901234567890123
  },
  "warnings": null,
  "mount_type": "kv"
}"#
    );
}

#[test]
fn fields_come_from_where_they_are() {
    let secret = envelope(r#"{"lease_duration":5,"data":{"x":"1","z":null,"lease_id":"own"}}"#);
    for (name, wanted) in [
        ("x", Some(json!("1"))),
        ("z", None),
        ("lease_duration", Some(json!(5))),
        ("lease_id", Some(json!(""))),
        ("data", Some(json!({"x": "1", "z": null, "lease_id": "own"}))),
        ("none", None),
    ] {
        assert_eq!(field(&secret, name), wanted, "{name}");
    }
    let versioned = envelope(r#"{"data":{"data":{"x":"1"},"metadata":{}}}"#);
    assert_eq!(field(&versioned, "data"), Some(json!({"x": "1"})));
    let token = envelope(r#"{"auth":{"client_token":"t","policies":null,"metadata":{"k":"v"}}}"#);
    assert_eq!(field(&token, "token"), Some(json!("t")));
    assert_eq!(field(&token, "policies"), Some(json!([])));
    assert_eq!(field(&token, "token_meta_k"), Some(json!("v")));
}

#[test]
fn warnings_wrap_at_78_characters() {
    let text = "Invalid path for a versioned K/V secrets engine. See the API docs for the \
                appropriate API endpoints to use.";
    assert_eq!(
        bullet(text),
        "  * Invalid path for a versioned K/V secrets engine. See the API docs for the\n  \
           appropriate API endpoints to use."
    );
}

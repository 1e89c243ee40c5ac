use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value, json};

use super::{Asked, Encoded, outcome};
use crate::clock::Timestamp;
use crate::request::{Auth, Body, Error, Lease, Operation, RawBody, Reply, TokenType, WrapInfo};

fn asked(operation: Operation, path: &str) -> Asked {
    Asked { request_id: "rid".to_owned(), operation, path: path.to_owned() }
}

fn data(value: Value) -> Reply {
    let Value::Object(data) = value else { panic!("no object: {value}") };
    Reply { mount_type: "kv".to_owned(), ..Reply::data(data) }
}

fn text(encoded: &Encoded) -> &str {
    std::str::from_utf8(&encoded.body).unwrap()
}

#[test]
fn the_envelope_has_its_keys_in_order() {
    let encoded = outcome(Ok(data(json!({ "b": 1.10, "a": "x" }))), &asked(Operation::Read, "a"));
    assert_eq!(encoded.status, 200);
    assert_eq!(
        text(&encoded),
        "{\"request_id\":\"rid\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,\
         \"data\":{\"b\":1.1,\"a\":\"x\"},\"wrap_info\":null,\"warnings\":null,\"auth\":null,\
         \"mount_type\":\"kv\"}\n",
    );
    let lease = Lease {
        id: "l".to_owned(),
        ttl: Duration::from_secs(60),
        renewable: true,
        ..Lease::default()
    };
    let reply = Reply { lease: Some(lease), ..data(json!({})) }.warn("careful");
    assert_eq!(
        text(&outcome(Ok(reply), &asked(Operation::Read, "a"))),
        "{\"request_id\":\"rid\",\"lease_id\":\"l\",\"renewable\":true,\"lease_duration\":60,\
         \"data\":{},\"wrap_info\":null,\"warnings\":[\"careful\"],\"auth\":null,\
         \"mount_type\":\"kv\"}\n",
    );
}

#[test]
fn auth_is_written_as_vault_does() {
    let mut auth = Auth {
        client_token: "hvs.t".to_owned(),
        accessor: "acc".to_owned(),
        policies: vec!["default".to_owned(), "p".to_owned()],
        ttl: Duration::from_secs(3600),
        renewable: true,
        token_type: TokenType::Service,
        num_uses: 3,
        ..Auth::default()
    };
    let write = |auth: &Auth| {
        let reply = Reply { auth: Some(auth.clone()), ..Reply::default() };
        let encoded = outcome(Ok(reply), &asked(Operation::Update, "auth/x/login"));
        assert_eq!(encoded.status, 200);
        let body: Value = serde_json::from_slice(&encoded.body).unwrap();
        assert_eq!(body["data"], Value::Null);
        body["auth"].to_string()
    };
    assert_eq!(
        write(&auth),
        r#"{"client_token":"hvs.t","accessor":"acc","policies":["default","p"],"metadata":null,"lease_duration":3600,"renewable":true,"entity_id":"","token_type":"service","orphan":false,"mfa_requirement":null,"num_uses":3}"#,
    );
    auth.token_policies = vec!["default".to_owned()];
    auth.identity_policies = vec!["p".to_owned()];
    auth.metadata = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    auth.token_type = TokenType::Batch;
    let written = write(&auth);
    assert!(
        written.contains(r#""token_policies":["default"],"identity_policies":["p"],"metadata":{"k":"v"},"lease_duration""#),
        "{written}"
    );
    assert!(written.contains(r#""token_type":"batch""#), "{written}");
}

#[test]
fn a_wrapped_answer_shows_the_wrapping_alone() {
    let wrapping = WrapInfo {
        token: "hvs.w".to_owned(),
        accessor: "acc".to_owned(),
        ttl: Duration::from_secs(60),
        creation_time: Timestamp::from_seconds(0),
        creation_path: "a/b".to_owned(),
        wrapped_accessor: None,
    };
    let reply = Reply {
        wrap_info: Some(wrapping.clone()),
        auth: Some(Auth::default()),
        lease: Some(Lease { id: "secret".to_owned(), ..Lease::default() }),
        ..data(json!({ "password": "secret" }))
    };
    let encoded = outcome(Ok(reply), &asked(Operation::Read, "a/b"));
    assert_eq!(
        text(&encoded),
        "{\"request_id\":\"\",\"lease_id\":\"\",\"renewable\":false,\"lease_duration\":0,\
         \"data\":null,\"wrap_info\":{\"token\":\"hvs.w\",\"accessor\":\"acc\",\"ttl\":60,\
         \"creation_time\":\"1970-01-01T00:00:00Z\",\"creation_path\":\"a/b\"},\
         \"warnings\":null,\"auth\":null,\"mount_type\":\"kv\"}\n",
    );
    let wrapping = WrapInfo { wrapped_accessor: Some("inner".to_owned()), ..wrapping };
    let reply = Reply { wrap_info: Some(wrapping), ..Reply::default() };
    let encoded = outcome(Ok(reply), &asked(Operation::List, "a/b/"));
    assert_eq!(encoded.status, 200);
    assert!(text(&encoded).contains(r#""creation_path":"a/b","wrapped_accessor":"inner"}"#));
}

#[test]
fn old_paths_show_their_data_at_the_top_too() {
    for (path, copied) in [
        ("sys/mounts", true),
        ("sys/mounts/", true),
        ("sys/mounts/kv/tune", true),
        ("sys/auth", true),
        ("sys/audit", true),
        ("sys/audit-hash/file", true),
        ("sys/policy", true),
        ("sys/policy/p", true),
        ("sys/capabilities-self", true),
        ("sys/key-status", true),
        ("sys/rotate/config", false),
        ("sys/remount", true),
        ("sys/wrapping/wrap", true),
        ("sys/config/cors", true),
        ("sys/policies/acl/p", false),
        ("sys/remount/status/x", false),
        ("sys/auditor", false),
        ("kv/sys/mounts", false),
    ] {
        let encoded = outcome(Ok(data(json!({ "x": 1 }))), &asked(Operation::Read, path));
        assert_eq!(text(&encoded).starts_with("{\"x\":1,\"request_id\""), copied, "{path}");
    }
    // The envelope's own keys stay whole and in their order.
    let encoded =
        outcome(Ok(data(json!({ "data": 1, "x": 2 }))), &asked(Operation::Read, "sys/mounts"));
    assert!(text(&encoded).starts_with("{\"x\":2,\"request_id\":\"rid\",\"lease_id\""));
    assert!(text(&encoded).contains("\"data\":{\"data\":1,\"x\":2}"));
}

#[test]
fn emptiness_has_its_statuses() {
    let keys = |keys: &[&str]| Reply::keys(keys.iter().map(|&key| key.to_owned()).collect());
    let nothing = "{\"errors\":[]}\n";
    for (operation, reply, status, whole) in [
        (Operation::Read, Reply::default(), 404, Some(nothing)),
        (Operation::Header, Reply::default(), 404, Some(nothing)),
        (Operation::List, Reply::default(), 404, Some(nothing)),
        (Operation::List, keys(&[]), 404, Some(nothing)),
        (Operation::List, data(json!({})), 404, Some(nothing)),
        (Operation::List, data(json!({ "keys": [] })), 404, Some(nothing)),
        (Operation::List, data(json!({})).warn("w"), 404, None),
        (Operation::List, Reply::default().warn("w"), 404, None),
        (Operation::List, keys(&["a"]), 200, None),
        (Operation::Read, Reply::default().warn("w"), 200, None),
        (Operation::Read, data(json!({})), 200, None),
        (Operation::Update, Reply::default(), 204, Some("")),
        (Operation::Delete, Reply::default(), 204, Some("")),
        (Operation::Patch, Reply::default(), 204, Some("")),
        (Operation::Update, Reply { status: Some(202), ..Reply::default() }, 202, Some("")),
        (Operation::Update, Reply { status: Some(204), ..data(json!({"a": 1})) }, 204, Some("")),
    ] {
        let row = format!("{operation:?} {reply:?}");
        let encoded = outcome(Ok(reply), &asked(operation, "a"));
        assert_eq!(encoded.status, status, "{row}");
        assert_eq!(encoded.headers["content-type"], "application/json", "{row}");
        match whole {
            Some(whole) => assert_eq!(text(&encoded), whole, "{row}"),
            None => assert!(text(&encoded).starts_with("{\"request_id\":\"rid\""), "{row}"),
        }
    }
}

#[test]
fn a_status_of_its_own_and_a_404_with_a_body_end_without_a_newline() {
    let reply = Reply { status: Some(202), ..Reply::default() }.warn("started");
    let encoded = outcome(Ok(reply), &asked(Operation::Update, "a"));
    assert_eq!(encoded.status, 202);
    assert!(text(&encoded).ends_with("\"mount_type\":\"\"}"));

    let reply = Box::new(data(json!({ "metadata": {} })));
    let encoded = outcome(Err(Error::NotFoundWith(reply)), &asked(Operation::Read, "a"));
    assert_eq!(encoded.status, 404);
    assert!(text(&encoded).contains("\"data\":{\"metadata\":{}}"));
    assert!(text(&encoded).ends_with("\"mount_type\":\"kv\"}"));
}

#[test]
fn bare_and_raw_bodies_have_no_envelope() {
    let reply = Reply { status: Some(503), ..Reply::bare(&json!({ "sealed": true })).unwrap() };
    let encoded = outcome(Ok(reply), &asked(Operation::Read, "sys/health"));
    assert_eq!((encoded.status.as_u16(), text(&encoded)), (503, "{\"sealed\":true}\n"));

    let raw = RawBody { content_type: "text/plain".to_owned(), bytes: Bytes::from_static(b"x") };
    let reply = Reply {
        body: Body::Raw(raw),
        headers: BTreeMap::from([("etag".to_owned(), "1".to_owned())]),
        ..Reply::default()
    };
    let encoded = outcome(Ok(reply), &asked(Operation::Read, "a"));
    assert_eq!((encoded.status.as_u16(), text(&encoded)), (200, "x"));
    assert_eq!(encoded.headers["content-type"], "text/plain");
    assert_eq!(encoded.headers["etag"], "1");
}

#[test]
fn errors_are_written_with_their_status_and_no_other_key() {
    let encoded = outcome(Err(Error::bad_request("no \"x\"")), &asked(Operation::Update, "a"));
    assert_eq!(encoded.status, 400);
    assert_eq!(text(&encoded), "{\"errors\":[\"no \\\"x\\\"\"]}\n");
    let encoded = outcome(Err(Error::internal("secret detail")), &asked(Operation::Update, "a"));
    assert_eq!(text(&encoded), "{\"errors\":[\"internal error\"]}\n");
    let encoded = outcome(Err(Error::LeadershipLost), &asked(Operation::Update, "a"));
    assert_eq!(encoded.headers["retry-after"], "1");
    let reply = Reply { body: Body::Data(Map::new()), ..Reply::default() };
    assert_eq!(outcome(Ok(reply), &asked(Operation::Update, "a")).status, 200);
}

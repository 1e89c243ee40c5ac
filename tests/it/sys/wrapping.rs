//! Response wrapping, as clients see it.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use strongroom::request::{Body, Error, Operation, Reply, Request, WrapInfo};
use strongroom::rng::{Rng, SystemRng};
use strongroom::secret::Secret;

use crate::harness::{Server, data, line};
use crate::token::{create, lives, lookup, policy, refusal};

const UNWRAP: &str = "sys/wrapping/unwrap";
const INVALID: &str = "wrapping token is not valid or does not exist";

fn request(operation: Operation, path: &str, params: &Value, token: &str, ttl: u64) -> Request {
    Request {
        id: (&SystemRng as &dyn Rng).uuid(),
        operation,
        path: path.into(),
        params: params.as_object().cloned().unwrap_or_default(),
        token: (!token.is_empty()).then(|| Arc::new(Secret::new(token.to_owned()))),
        wrap_ttl: (ttl > 0).then(|| Duration::from_secs(ttl)),
        ..Request::default()
    }
}

/// As root, with a time to live of `ttl` seconds for what is wrapped.
fn outcome(
    server: &Server,
    operation: Operation,
    path: &str,
    params: &Value,
    ttl: u64,
) -> Result<Reply, Error> {
    let request = request(operation, path, params, &server.root, ttl);
    server.block_on(server.pipeline.handle(&request))
}

fn wrap(server: &Server, operation: Operation, path: &str, params: &Value, ttl: u64) -> WrapInfo {
    let reply = outcome(server, operation, path, params, ttl).unwrap();
    assert!(matches!(reply.body, Body::Empty), "the answer is not given in clear too: {reply:?}");
    assert!(reply.auth.is_none() && reply.lease.is_none() && reply.warnings.is_empty());
    reply.wrap_info.unwrap()
}

fn content(reply: &Reply) -> Value {
    match &reply.body {
        Body::Raw(raw) => {
            assert_eq!(raw.content_type, "application/json");
            serde_json::from_slice(&raw.bytes).unwrap()
        }
        other => panic!("{other:?}"),
    }
}

fn unwrap(server: &Server, token: &str) -> Result<Value, Error> {
    let reply = server.send(Operation::Update, UNWRAP, &Value::Null, token)?;
    Ok(content(&reply))
}

#[test]
fn answer_goes_into_a_token_that_is_good_for_one_use() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    server.write("kv/a", &json!({"secret": "s", "number": 1.10})).unwrap();
    let entries = server.entries();
    let info = wrap(&server, Operation::Read, "kv/a", &Value::Null, 60);
    assert_eq!(server.entries() - entries, 1, "token and answer are one entry");
    assert_eq!((info.ttl.as_secs(), info.creation_path.as_str()), (60, "kv/a"));
    assert_eq!(info.wrapped_accessor, None);
    let seen = lookup(&server, &info.token);
    for (name, value) in [
        ("policies", json!(["response-wrapping"])),
        ("num_uses", json!(1)),
        ("creation_ttl", json!(60)),
        ("explicit_max_ttl", json!(60)),
        ("renewable", json!(false)),
        ("orphan", json!(true)),
        ("path", json!("kv/a")),
        ("display_name", json!("token")),
        ("accessor", json!(info.accessor)),
    ] {
        assert_eq!(seen[name], value, "{name}");
    }
    let unwrapped = unwrap(&server, &info.token).unwrap();
    assert_eq!(unwrapped["data"], json!({"secret": "s", "number": 1.10}));
    assert_eq!(unwrapped["mount_type"], "kv");
    assert!(!unwrapped["request_id"].as_str().unwrap().is_empty());
    assert_eq!(refusal(unwrap(&server, &info.token)), INVALID);
    assert!(!lives(&server, &info.token));
    server.change("root/core/", |core| {
        assert!(core.list("cubbyhole").unwrap().is_empty(), "it goes with its token");
    });
}

#[test]
fn token_may_be_named_in_the_body_by_whoever_may_unwrap() {
    let server = Server::new();
    let reader = create(&server, &json!({"policies": ["default"]}));
    let info = wrap(&server, Operation::Update, "sys/wrapping/wrap", &json!({"a": [1]}), 60);
    let params = json!({"token": info.token});
    let reply = server.send(Operation::Update, UNWRAP, &params, &reader).unwrap();
    assert_eq!(content(&reply)["data"], json!({"a": [1]}));
    let outcome = server.send(Operation::Update, UNWRAP, &params, &reader);
    assert_eq!(refusal(outcome), INVALID);
    // The wrapping token itself in both places.
    let info = wrap(&server, Operation::Update, "sys/wrapping/wrap", &json!({"a": 1}), 60);
    let params = json!({"token": info.token});
    let reply = server.send(Operation::Update, UNWRAP, &params, &info.token).unwrap();
    assert_eq!(content(&reply)["data"], json!({"a": 1}));
    // Whoever may not leaves it as it is.
    policy(&server, "none", r#"path "kv/*" { capabilities = ["read"] }"#);
    let stranger = create(&server, &json!({"policies": ["none"], "no_default_policy": true}));
    let info = wrap(&server, Operation::Update, "sys/wrapping/wrap", &json!({"a": 1}), 60);
    let params = json!({"token": info.token});
    for token in [stranger.as_str(), "unknown", ""] {
        let outcome = server.send(Operation::Update, UNWRAP, &params, token);
        assert!(matches!(outcome, Err(Error::Denied)), "{token}: {outcome:?}");
    }
    assert!(unwrap(&server, &info.token).is_ok());
}

#[test]
fn of_what_names_no_wrapping_token_vault_says_which() {
    let server = Server::new();
    let ordinary = create(&server, &json!({"policies": ["default"]}));
    let validating = |text: &str| format!("error validating wrapping token: {text}");
    for path in ["sys/wrapping/unwrap", "sys/wrapping/rewrap", "sys/wrapping/lookup"] {
        for (params, token, expected) in [
            (json!({"token": "x"}), server.root.as_str(), INVALID.to_owned()),
            (json!({"token": "x"}), "", INVALID.to_owned()),
            (json!({"token": ordinary}), &server.root, INVALID.to_owned()),
            (json!({}), &server.root, INVALID.to_owned()),
            (json!({}), "x", INVALID.to_owned()),
            (json!({}), "", validating("token is empty")),
            (json!({"token": ""}), &server.root, validating("empty token in request body")),
            (
                json!({"token": 5}),
                &server.root,
                validating("could not decode token in request body"),
            ),
        ] {
            let outcome = server.send(Operation::Update, path, &params, token);
            assert_eq!(refusal(outcome), expected, "{path} {params} {token}");
        }
    }
    assert!(lives(&server, &ordinary));
    let outcome = server.write("sys/wrapping/wrap", &json!({"a": 1}));
    assert_eq!(refusal(outcome), "endpoint requires response wrapping to be used");
    let audited = server.audited();
    let refused = format!("update sys/wrapping/unwrap: {INVALID}");
    assert!(audited.contains(&refused), "{audited:?}");
}

#[test]
fn lookup_tells_when_and_by_what_and_costs_no_use() {
    let server = Server::new();
    let info = wrap(&server, Operation::Read, "sys/mounts", &Value::Null, 90);
    for (operation, params, token) in [
        (Operation::Update, json!({"token": info.token}), ""),
        (Operation::Read, json!({"token": info.token}), server.root.as_str()),
        (Operation::Update, json!({}), &info.token),
        (Operation::Read, json!({}), &info.token),
    ] {
        let reply = server.send(operation, "sys/wrapping/lookup", &params, token);
        let expected = json!({
            "creation_path": "sys/mounts",
            "creation_time": "2023-11-14T22:13:20Z",
            "creation_ttl": 90,
        });
        assert_eq!(Value::Object(data(reply.unwrap())), expected, "{operation:?} {params}");
    }
    assert!(unwrap(&server, &info.token).is_ok());
}

#[test]
fn rewrap_moves_it_to_a_new_token_with_the_same_time_to_live_and_origin() {
    let server = Server::new();
    let params = json!({"policies": ["default"]});
    let first = wrap(&server, Operation::Update, "auth/token/create", &params, 60);
    let accessor = first.wrapped_accessor.clone().unwrap();
    let params = json!({"token": first.token});
    let again = wrap(&server, Operation::Update, "sys/wrapping/rewrap", &params, 0);
    assert_ne!(first.token, again.token);
    assert_eq!((again.ttl.as_secs(), again.creation_path.as_str()), (60, "auth/token/create"));
    assert_eq!(again.wrapped_accessor.as_ref(), Some(&accessor));
    assert_eq!(refusal(unwrap(&server, &first.token)), INVALID);
    let params = json!({"token": again.token});
    let shorter = wrap(&server, Operation::Update, "sys/wrapping/rewrap", &params, 20);
    assert_eq!(shorter.ttl.as_secs(), 20);
    let auth = unwrap(&server, &shorter.token).unwrap()["auth"].clone();
    assert_eq!(auth["accessor"], json!(accessor));
    assert!(lives(&server, auth["client_token"].as_str().unwrap()));
    // Unwrapped into a wrapping: two to open.
    let inner = wrap(&server, Operation::Update, "sys/wrapping/wrap", &json!({"b": 1}), 60);
    let params = json!({"token": inner.token});
    let outer = wrap(&server, Operation::Update, UNWRAP, &params, 50);
    assert_eq!(unwrap(&server, &outer.token).unwrap()["data"], json!({"b": 1}));
}

#[test]
fn any_request_with_a_wrapping_token_is_its_use() {
    let server = Server::new();
    for (operation, path) in [
        (Operation::Read, "auth/token/lookup-self"),
        (Operation::Read, "sys/mounts"),
        (Operation::Read, "cubbyhole/wrapinfo"),
        (Operation::List, "cubbyhole/"),
        (Operation::Update, "sys/wrapping/wrap"),
    ] {
        let info = wrap(&server, Operation::Read, "sys/mounts", &Value::Null, 60);
        let outcome = server.send(operation, path, &Value::Null, &info.token);
        assert!(matches!(outcome, Err(Error::Denied)), "{path}: {outcome:?}");
        assert_eq!(refusal(unwrap(&server, &info.token)), INVALID, "{path}");
    }
}

#[test]
fn old_clients_read_it_from_the_cubbyhole() {
    let server = Server::new();
    let info = wrap(&server, Operation::Update, "sys/wrapping/wrap", &json!({"a": 1}), 60);
    let read = || server.send(Operation::Read, "cubbyhole/response", &Value::Null, &info.token);
    let reply = read().unwrap();
    assert!(reply.warnings[0].starts_with("Reading from 'cubbyhole/response' is deprecated"));
    let response: Value = serde_json::from_str(data(reply)["response"].as_str().unwrap()).unwrap();
    assert_eq!(response["data"], json!({"a": 1}));
    assert!(matches!(read(), Err(Error::Denied)));
}

#[test]
fn wrapping_ends_on_time() {
    let server = Server::new();
    let params = json!({"policies": ["default"], "ttl": "1h"});
    let info = wrap(&server, Operation::Update, "auth/token/create", &params, 60);
    server.set_time(59);
    assert!(server.send(Operation::Read, "sys/wrapping/lookup", &Value::Null, &info.token).is_ok());
    server.set_time(60);
    assert_eq!(refusal(unwrap(&server, &info.token)), INVALID);
    // The token that was in it is another matter: its accessor was told.
    let params = json!({"accessor": info.wrapped_accessor.unwrap()});
    server.write("auth/token/revoke-accessor", &params).unwrap();
}

#[test]
fn nothing_is_not_wrapped_and_neither_are_errors() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    server.mount("v2/", "kv", &[("version", "2")]);
    server.write("kv/empty/x", &json!({"a": 1})).unwrap();
    server.delete("kv/empty/x").unwrap();
    for (operation, path, params, expected) in [
        (Operation::Update, "kv/a", json!({"a": 1}), "204"),
        (Operation::Delete, "kv/a", json!({}), "204"),
        (Operation::Read, "kv/none", json!({}), "404"),
        (Operation::Update, "kv/a", json!({}), "400 missing data fields"),
        (Operation::List, "kv/empty/", json!({}), "error unsupported path"),
        (
            Operation::Read,
            "nosuch/x",
            json!({}),
            "error no handler for route \"nosuch/x\". route entry not found.",
        ),
    ] {
        assert_eq!(line(outcome(&server, operation, path, &params, 60)), expected, "{path}");
    }
    // A deleted version's metadata is an answer, with 404 as its status.
    server.write("v2/data/a", &json!({"data": {"a": 1}})).unwrap();
    server.delete("v2/data/a").unwrap();
    let info = wrap(&server, Operation::Read, "v2/data/a", &Value::Null, 60);
    let reply = server.send(Operation::Update, UNWRAP, &Value::Null, &info.token).unwrap();
    assert_eq!(reply.status, Some(404));
    assert_eq!(content(&reply)["data"]["data"], Value::Null);
}

#[test]
fn policy_may_demand_wrapping_and_limit_its_time() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    server.write("kv/a", &json!({"a": 1})).unwrap();
    policy(
        &server,
        "wrapped",
        r#"path "kv/*" {
             capabilities = ["read"]
             min_wrapping_ttl = "10s"
             max_wrapping_ttl = "1m"
           }"#,
    );
    let token = create(&server, &json!({"policies": ["wrapped"]}));
    for (ttl, allowed) in [(0, false), (9, false), (10, true), (60, true), (61, false)] {
        let request = request(Operation::Read, "kv/a", &Value::Null, &token, ttl);
        let outcome = server.block_on(server.pipeline.handle(&request));
        match outcome {
            Ok(reply) => assert!(allowed && reply.wrap_info.is_some(), "{ttl}"),
            Err(Error::Denied) => assert!(!allowed, "{ttl}"),
            Err(other) => panic!("{ttl}: {other:?}"),
        }
    }
}

#[test]
fn of_two_hundred_clients_one_unwraps() {
    let server = Server::new();
    let reader = create(&server, &json!({"policies": ["default"]}));
    for through_body in [false, true] {
        let info = wrap(&server, Operation::Update, "sys/wrapping/wrap", &json!({"a": 1}), 60);
        let (params, token) = if through_body {
            (json!({"token": info.token}), reader.as_str())
        } else {
            (json!({}), info.token.as_str())
        };
        let rivals = (0..200).map(|_| server.start(Operation::Update, UNWRAP, &params, token));
        let outcomes = server.block_on(join_all(rivals));
        let won = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
        assert_eq!(won, 1, "through the body: {through_body}");
        for outcome in outcomes {
            match outcome {
                Ok(reply) => assert_eq!(content(&reply)["data"], json!({"a": 1})),
                Err(Error::Denied) => {}
                Err(error) => assert_eq!(error.to_string(), INVALID),
            }
        }
    }
}

#[test]
fn of_two_hundred_clients_one_uses_a_token_for_one_use() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"], "num_uses": 1}));
    let rivals = (0..200)
        .map(|_| server.start(Operation::Read, "auth/token/lookup-self", &Value::Null, &token));
    let outcomes = server.block_on(join_all(rivals));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[test]
fn what_is_too_large_to_keep_is_refused_and_the_inner_token_is_not_made() {
    let server = Server::new();
    let accessors = || data(server.list("auth/token/accessors/").unwrap())["keys"].clone();
    let before = accessors();
    let large = "x".repeat(strongroom::pipeline::VALUE_BYTES_MAX);
    let outcome = outcome(&server, Operation::Update, "sys/wrapping/wrap", &json!({"a": large}), 9);
    assert!(matches!(outcome, Err(Error::TooLarge(_))), "{outcome:?}");
    assert_eq!(accessors(), before);
}

use std::sync::Arc;

use serde_json::json;
use strongroom::request::{Error, Operation, Request};
use strongroom::secret::Secret;

use super::*;

#[test]
fn new_token_is_told_as_in_vault() {
    let server = Server::new();
    let reply = server
        .write("auth/token/create", &json!({"policies": ["p1"], "ttl": "1h", "meta": {"a": "b"}}));
    let reply = reply.unwrap();
    assert_eq!(reply.warnings, ["Policy \"p1\" does not exist"]);
    let auth = auth(reply);
    assert!(auth.client_token.starts_with("hvs."), "{}", auth.client_token);
    assert_eq!(auth.client_token.len(), 28);
    assert_eq!(auth.accessor.len(), 24);
    assert_eq!(auth.policies, ["default", "p1"]);
    assert_eq!(auth.token_policies, auth.policies);
    assert_eq!((auth.ttl.as_secs(), auth.renewable, auth.orphan), (3600, true, false));
    assert_eq!(auth.metadata["a"], "b");
    assert!(lives(&server, &auth.client_token));
}

#[test]
fn what_a_caller_without_sudo_may_not_create() {
    let server = Server::new();
    let token = admin(&server);
    for (params, message) in [
        (json!({"policies": ["other"]}), "child policies must be subset of parent"),
        (json!({"policies": ["root"]}), "child policies must be subset of parent"),
        (json!({"no_parent": true}), "root or sudo privileges required to create orphan token"),
        (json!({"period": "1h"}), "root or sudo privileges required to create periodic token"),
        (json!({"id": "x"}), "root or sudo privileges required to specify token id"),
        (json!({"num_uses": -1}), "number of uses cannot be negative"),
        (json!({"ttl": "-1s"}), "ttl must be positive"),
        (json!({"period": "-1h"}), "period must be positive"),
        (json!({"explicit_max_ttl": "-1h"}), "explicit_max_ttl must be positive"),
        (json!({"type": "other"}), "invalid 'token_type' value"),
        (
            json!({"entity_alias": "a"}),
            "'entity_alias' is only allowed in combination with token role",
        ),
        (json!({"type": "batch", "num_uses": 3}), "batch tokens cannot have \"num_uses\" set"),
        (json!({"type": "batch", "period": 3}), "batch tokens cannot have \"period\" set"),
        (
            json!({"type": "batch", "explicit_max_ttl": 3}),
            "batch tokens cannot have \"explicit_max_ttl\" set",
        ),
    ] {
        assert_eq!(refusal(create_as(&server, &token, &params)), message, "{params}");
    }
}

#[test]
fn what_even_root_may_not_create() {
    let server = Server::new();
    create(&server, &json!({"id": "taken"}));
    for (params, message) in [
        (json!({"type": "batch"}), "batch tokens cannot be root tokens"),
        (json!({"policies": ["response-wrapping"]}), "cannot assign policy \"response-wrapping\""),
        (json!({"id": "taken"}), "cannot create a token with a duplicate ID"),
        (json!({"id": "a.b"}), "custom token ID cannot have a '.' in the value"),
        (json!({"id": "hvs.b"}), "custom token ID cannot have the 'hvs.' prefix"),
        (json!({"id": "s.b"}), "custom token ID cannot have the 's.' prefix"),
    ] {
        let outcome = server.write("auth/token/create", &params);
        assert_eq!(refusal(outcome), message, "{params}");
    }
    let outcome = server.write("auth/token/create/nosuch", &json!({}));
    assert_eq!(refusal(outcome), "unknown role nosuch");
}

#[test]
fn child_gets_the_policies_that_the_rules_give() {
    let server = Server::new();
    admin(&server);
    policy(&server, "su", r#"path "auth/token/*" { capabilities = ["update", "sudo"] }"#);
    let plain = create(&server, &json!({"policies": ["adm"]}));
    let bare = create(&server, &json!({"policies": ["adm"], "no_default_policy": true}));
    let sudo = create(&server, &json!({"policies": ["su"]}));
    for (parent, params, policies) in [
        (&server.root, json!({}), vec!["root"]),
        (&server.root, json!({"policies": ["root", "x"]}), vec!["root"]),
        (&server.root, json!({"policies": [" B", "a", "b", ""]}), vec!["a", "b", "default"]),
        (&server.root, json!({"policies": ["a"], "no_default_policy": true}), vec!["a"]),
        (&plain, json!({}), vec!["adm", "default"]),
        (&plain, json!({"policies": ["default"]}), vec!["default"]),
        (&plain, json!({"policies": ["ADM"]}), vec!["adm", "default"]),
        (&plain, json!({"policies": ["adm"], "no_default_policy": true}), vec!["adm"]),
        (&bare, json!({}), vec!["adm"]),
        (&bare, json!({"policies": ["adm"]}), vec!["adm"]),
        (&sudo, json!({}), vec!["default", "su"]),
        (&sudo, json!({"policies": ["any"]}), vec!["any", "default"]),
        (&sudo, json!({"policies": ["any"], "no_default_policy": true}), vec!["any"]),
    ] {
        let auth = create_as(&server, parent, &params).unwrap();
        assert_eq!(auth.policies, policies, "{params}");
    }
    let outcome = create_as(&server, &bare, &json!({"policies": ["adm", "default"]}));
    assert_eq!(refusal(outcome), "child policies must be subset of parent");
    let outcome = create_as(&server, &sudo, &json!({"policies": ["root"]}));
    assert_eq!(refusal(outcome), "root tokens may not be created without parent token being root");
}

#[test]
fn root_token_that_expires_makes_none_that_does_not() {
    let server = Server::new();
    let root = create(&server, &json!({"policies": ["root"], "ttl": "1h"}));
    let outcome = create_as(&server, &root, &json!({}));
    assert_eq!(refusal(outcome), "expiring root tokens cannot create non-expiring root tokens");
    assert_eq!(create_as(&server, &root, &json!({"ttl": "30m"})).unwrap().ttl.as_secs(), 1800);
    let endless = create_as(&server, &server.root, &json!({})).unwrap();
    assert_eq!((endless.ttl.as_secs(), endless.renewable), (0, false));
    for params in [json!({"period": "1h"}), json!({"explicit_max_ttl": "1h"})] {
        let expiring = create_as(&server, &server.root, &params).unwrap();
        assert_eq!((expiring.ttl.as_secs(), expiring.renewable), (3600, true), "{params}");
    }
}

#[test]
fn time_to_live_follows_the_mount_and_what_is_asked() {
    let server = Server::new();
    for (params, ttl, warning) in [
        (json!({}), 2_764_800, None),
        (json!({"ttl": "1h"}), 3600, None),
        (json!({"lease": "2h"}), 7200, None),
        (
            json!({"ttl": "10000h"}),
            2_764_800,
            Some(
                "TTL of \"10000h\" exceeded the effective max_ttl of \"768h\"; TTL value is \
                  capped accordingly",
            ),
        ),
        (
            json!({"explicit_max_ttl": "1h"}),
            3600,
            Some(
                "TTL of \"768h\" exceeded the effective max_ttl of \"1h\"; TTL value is capped \
                  accordingly",
            ),
        ),
        (json!({"ttl": "1h", "period": "30m"}), 1800, None),
        (
            json!({"period": "10000h"}),
            2_764_800,
            Some(
                "period of \"10000h\" exceeded the effective max_ttl of \"768h\"; period value \
                  is capped accordingly",
            ),
        ),
    ] {
        let mut params = params;
        params["policies"] = json!(["default"]);
        let reply = server.write("auth/token/create", &params).unwrap();
        assert_eq!(reply.warnings, warning.into_iter().collect::<Vec<_>>(), "{params}");
        assert_eq!(auth(reply).ttl.as_secs(), ttl, "{params}");
    }
    server
        .write("sys/auth/token/tune", &json!({"default_lease_ttl": "2h", "max_lease_ttl": "4h"}))
        .unwrap();
    let reply = server.write("auth/token/create", &json!({"policies": ["default"]})).unwrap();
    assert_eq!(auth(reply).ttl.as_secs(), 7200);
    let params = json!({"policies": ["default"], "ttl": "5h"});
    assert_eq!(auth(server.write("auth/token/create", &params).unwrap()).ttl.as_secs(), 14_400);
}

#[test]
fn ten_uses_are_ten_however_many_try_at_once() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"], "num_uses": 10}));
    let read = Operation::Read;
    let tries = (0..64).map(|_| server.start(read, "auth/token/lookup-self", &json!({}), &token));
    let outcomes = server.block_on(futures_util::future::join_all(tries));
    let mut left: Vec<i64> = Vec::new();
    for outcome in outcomes {
        match outcome {
            Ok(reply) => left.push(data(reply)["num_uses"].as_i64().unwrap()),
            Err(error) => assert!(matches!(error, Error::Denied), "{error:?}"),
        }
    }
    left.sort_unstable();
    assert_eq!(left, [-1, 1, 2, 3, 4, 5, 6, 7, 8, 9], "the last use shows as -1");
    let outcome = server.write("auth/token/lookup", &json!({ "token": token }));
    assert_eq!(refusal(outcome), "bad token", "nothing is left of it");
}

#[test]
fn token_of_limited_use_has_no_children() {
    let server = Server::new();
    admin(&server);
    for uses in [1, 2] {
        let token = create(&server, &json!({"policies": ["adm"], "num_uses": uses}));
        let outcome = create_as(&server, &token, &json!({}));
        assert_eq!(refusal(outcome), "restricted use token cannot generate child tokens");
    }
}

#[test]
fn custom_id_is_taken_and_warned_of() {
    let server = Server::new();
    let reply = server
        .write("auth/token/create", &json!({"id": "my/own", "policies": ["default"]}))
        .unwrap();
    assert_eq!(reply.warnings.len(), 1);
    assert_eq!(auth(reply).client_token, "my/own");
    assert!(lives(&server, "my/own"));
}

#[test]
fn batch_token_works_without_a_record() {
    let server = Server::new();
    let admin = admin(&server);
    let before = server.entries();
    let auth = create_as(&server, &admin, &json!({"type": "batch", "meta": {"a": "b"}})).unwrap();
    assert_eq!(server.entries(), before, "nothing is stored of it");
    assert!(auth.client_token.starts_with("hvb."), "{}", auth.client_token);
    assert_eq!((auth.accessor.as_str(), auth.renewable, auth.orphan), ("", false, false));
    let batch = auth.client_token;
    let seen = lookup_self(&server, &batch).unwrap();
    assert_eq!((&seen["type"], &seen["meta"]), (&json!("batch"), &json!({"a": "b"})));
    assert_eq!((&seen["id"], &seen["ttl"]), (&json!(batch), &json!(2_764_800)));
    assert_eq!(lookup(&server, &batch), seen);
    for (path, params, message) in [
        ("create", json!({}), "batch tokens cannot create more tokens"),
        ("renew-self", json!({}), "batch tokens cannot be renewed"),
        ("renew", json!({ "token": batch }), "batch tokens cannot be renewed"),
        ("revoke-self", json!({}), "batch tokens cannot be revoked"),
        ("revoke", json!({ "token": batch }), "batch tokens cannot be revoked"),
    ] {
        let path = format!("auth/token/{path}");
        let outcome = server.send(Operation::Update, &path, &params, &batch);
        assert_eq!(refusal(outcome), message, "{path}");
    }
}

#[test]
fn batch_token_ends_with_its_time_its_parent_and_whoever_changes_it() {
    let server = Server::new();
    let parent = admin(&server);
    let batch = |ttl: &str| {
        let params = json!({"type": "batch", "ttl": ttl});
        create_as(&server, &parent, &params).unwrap().client_token
    };
    let (short, long) = (batch("1m"), batch("1h"));
    let mut changed = long.clone().into_bytes();
    let last = changed.len() - 5;
    changed[last] = if changed[last] == b'A' { b'B' } else { b'A' };
    assert!(!lives(&server, &String::from_utf8(changed).unwrap()));
    server.set_time(60);
    assert!(!lives(&server, &short));
    assert!(lives(&server, &long));
    server.write("auth/token/revoke", &json!({ "token": parent })).unwrap();
    assert!(!lives(&server, &long));
}

#[test]
fn batch_token_does_not_stand_on_another_parent_of_the_same_id() {
    let server = Server::new();
    admin(&server);
    let params = json!({"id": "chosen", "policies": ["adm"]});
    create(&server, &params);
    let batch = create_as(&server, "chosen", &json!({"type": "batch"})).unwrap().client_token;
    assert!(lives(&server, &batch));
    server.write("auth/token/revoke", &json!({"token": "chosen"})).unwrap();
    create(&server, &params);
    assert!(lives(&server, "chosen"));
    assert!(!lives(&server, &batch));
}

#[test]
fn chain_of_tokens_has_an_end() {
    let server = Server::new();
    let mut token = admin(&server);
    let outcome = loop {
        match create_as(&server, &token, &json!({})) {
            Ok(auth) => token = auth.client_token,
            Err(error) => break error,
        }
    };
    assert_eq!(outcome.to_string(), "this token has 256 ancestors: it cannot create more tokens");
    assert!(lives(&server, &token));
}

#[test]
fn whatever_is_asked_counts_as_a_use() {
    let server = Server::new();
    let token = create(&server, &json!({"policies": ["default"], "num_uses": 3}));
    let request = |path: &str| Request {
        path: path.into(),
        token: Some(Arc::new(Secret::new(token.clone()))),
        ..Request::default()
    };
    let judge = |path: &str| server.block_on(server.pipeline.judge(&request(path)));
    // As a standby asks for what it then does itself.
    judge("auth/token/lookup-self").unwrap();
    let denied = server.send(Operation::Read, "sys/mounts", &json!({}), &token);
    assert!(matches!(denied, Err(Error::Denied)), "{denied:?}");
    let left = lookup(&server, &token);
    assert_eq!(left["num_uses"], 1);
    assert!(judge("sys/mounts").is_err());
    let outcome = server.write("auth/token/lookup", &json!({ "token": token }));
    assert_eq!(refusal(outcome), "bad token", "nothing is left of it");
    assert!(judge("auth/token/lookup-self").is_err());
}

use std::net::SocketAddr;

use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use crate::harness::{Server, data, line};

/// `ok`, or the seconds that the client is told to wait.
fn ask(server: &Server, path: &str, remote: &str) -> String {
    let remote: SocketAddr = remote.parse().unwrap();
    let outcome = server.send_from(Operation::Read, path, &Value::Null, &server.root, remote);
    match outcome {
        Err(Error::TooManyWith { headers, .. }) => format!("wait {}", headers["retry-after"]),
        _ => "ok".into(),
    }
}

const CLIENT: &str = "192.0.2.1:1000";

#[test]
fn a_client_is_refused_once_it_is_over_its_rate() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    let quota = json!({"rate": 2, "interval": "10s", "path": "kv/"});
    assert_eq!(line(server.write("sys/quotas/rate-limit/q", &quota)), "204");
    for expected in ["ok", "ok", "wait 10", "wait 10"] {
        assert_eq!(ask(&server, "kv/x", CLIENT), expected);
    }
    // Another port is the same client; another address and another mount are not concerned.
    assert_eq!(ask(&server, "kv/x", "192.0.2.1:2000"), "wait 10");
    assert_eq!(ask(&server, "kv/x", "192.0.2.2:1000"), "ok");
    assert_eq!(ask(&server, "sys/mounts", CLIENT), "ok");
    server.set_time(10);
    assert_eq!(ask(&server, "kv/x", CLIENT), "ok");
    // A change counts at once, and begins anew.
    let blocking = json!({"rate": 1, "interval": 1, "block_interval": "1h", "path": "kv/"});
    assert_eq!(line(server.write("sys/quotas/rate-limit/q", &blocking)), "204");
    for expected in ["ok", "wait 3600", "wait 3600"] {
        assert_eq!(ask(&server, "kv/x", CLIENT), expected);
    }
    assert_eq!(line(server.delete("sys/quotas/rate-limit/q")), "204");
    assert_eq!(ask(&server, "kv/x", CLIENT), "ok");
}

/// The whole point: it costs neither a token's use nor a policy's look.
#[test]
fn a_refused_request_uses_no_token_and_is_not_audited_unless_asked() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    let made = server.write("auth/token/create", &json!({"num_uses": 3, "policies": ["root"]}));
    let token = made.unwrap().auth.unwrap().client_token;
    server.write("sys/quotas/rate-limit/q", &json!({"rate": 1, "path": "kv/"})).unwrap();
    let read = || server.send(Operation::Read, "kv/x", &Value::Null, &token);
    assert_eq!(line(read()), "404");
    server.audited();
    for _ in 0..5 {
        assert!(matches!(read(), Err(Error::TooManyWith { .. })));
    }
    assert!(server.audited().is_empty());
    let config = json!({"enable_rate_limit_audit_logging": true});
    server.write("sys/quotas/config", &config).unwrap();
    server.set_time(5);
    assert_eq!(line(read()), "404");
    server.audited();
    assert!(matches!(read(), Err(Error::TooManyWith { .. })));
    let told = server.audited();
    assert_eq!(told.len(), 2, "{told:?}");
    assert!(told[0].contains("rate limit quota exceeded"), "{told:?}");
    server.set_time(10);
    assert_eq!(line(read()), "404", "the third and last use");
    server.set_time(15);
    assert_eq!(line(read()), "403");
}

#[test]
fn clients_are_told_where_they_stand_where_that_is_on() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    server.write("kv/x", &json!({"a": "b"})).unwrap();
    server
        .write("sys/quotas/rate-limit/q", &json!({"rate": 2, "interval": 9, "path": "kv/"}))
        .unwrap();
    assert!(server.read("kv/x").unwrap().headers.is_empty());
    let config = json!({"enable_rate_limit_response_headers": true});
    server.write("sys/quotas/config", &config).unwrap();
    let told = server.read("kv/x").unwrap().headers;
    let told: Vec<(&str, &str)> =
        told.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(
        told,
        [("x-ratelimit-limit", "2"), ("x-ratelimit-remaining", "1"), ("x-ratelimit-reset", "9")]
    );
    drop(server.read("kv/x"));
    let Err(Error::TooManyWith { headers, text }) = server.read("kv/x") else { panic!() };
    assert_eq!(text, "request path \"kv/x\": rate limit quota exceeded");
    assert_eq!(
        (headers["x-ratelimit-remaining"].as_str(), headers["retry-after"].as_str()),
        ("0", "9")
    );
}

#[test]
fn exempt_paths_and_the_most_specific_quota() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    for (name, path, rate) in
        [("all", "", 1), ("mount", "kv/", 2), ("glob", "kv/a*", 3), ("exact", "kv/ab", 4)]
    {
        let quota = json!({"rate": rate, "path": path, "interval": 100});
        let remote = "192.0.2.9:1".parse().unwrap();
        let path = format!("sys/quotas/rate-limit/{name}");
        server.set_time(rate * 1000);
        server.send_from(Operation::Update, &path, &quota, &server.root, remote).unwrap();
    }
    let allowed =
        |path: &str| (0..10).take_while(|_| ask(&server, path, "192.0.2.7:1") == "ok").count();
    assert_eq!(
        ["kv/ab", "kv/ac", "kv/x", "sys/mounts", "nosuch/x"].map(allowed),
        // The last two count together.
        [4, 3, 2, 1, 0]
    );
    let config = json!({"rate_limit_exempt_paths": ["sys/mounts", "nosuch/*"]});
    server.set_time(60_000);
    server.write("sys/quotas/config", &config).unwrap();
    assert_eq!(["sys/mounts", "nosuch/x"].map(allowed), [10, 10]);
}

#[test]
fn quotas_are_listed_read_and_deleted() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    assert_eq!(line(server.list("sys/quotas/rate-limit")), "204");
    assert_eq!(line(server.read("sys/quotas/rate-limit/q")), "404");
    let read = || line(server.read("sys/quotas/rate-limit/q"));
    for (params, expected) in [
        (
            json!({"rate": 500}),
            r#"{"block_interval":0,"inheritable":true,"interval":1,"name":"q","path":"","rate":500,"role":"","type":"rate-limit"}"#,
        ),
        (
            json!({"rate": 500.5, "path": "kv", "interval": "2m", "block_interval": 30}),
            r#"{"block_interval":30,"inheritable":false,"interval":120,"name":"q","path":"kv/","rate":500.5,"role":"","type":"rate-limit"}"#,
        ),
        (
            json!({"rate": "9", "path": "kv/a*", "type": "x", "inheritable": true}),
            r#"{"block_interval":0,"inheritable":true,"interval":1,"name":"q","path":"kv/a*","rate":9,"role":"","type":"rate-limit"}"#,
        ),
    ] {
        assert_eq!(line(server.write("sys/quotas/rate-limit/q", &params)), "204");
        assert_eq!(read(), format!("200 {expected}"));
    }
    assert_eq!(line(server.list("sys/quotas/rate-limit")), r#"200 {"keys":["q"]}"#);
    for _ in 0..2 {
        assert_eq!(line(server.delete("sys/quotas/rate-limit/q")), "204");
    }
    let config = data(server.read("sys/quotas/config").unwrap());
    assert_eq!(config["rate_limit_exempt_paths"].as_array().unwrap().len(), 7);
}

#[test]
fn quotas_that_make_no_sense_are_refused() {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    server.write("sys/quotas/rate-limit/other", &json!({"rate": 1000, "path": "kv/"})).unwrap();
    let before = server.entries();
    for (params, expected) in [
        (json!({}), "'rate' is invalid"),
        (json!({"rate": 0}), "'rate' is invalid"),
        (json!({"rate": -1}), "'rate' is invalid"),
        (json!({"rate": "x"}), "Field validation failed"),
        (json!({"rate": 5, "interval": -1}), "`interval` must be"),
        (json!({"rate": 5, "block_interval": "-1h"}), "`block_interval` must be"),
        (json!({"rate": 5, "interval": i64::MAX}), "`interval` must be"),
        (json!({"rate": 5, "path": "nosuch/"}), "invalid mount path \"nosuch/\""),
        (json!({"rate": 5, "path": "../x"}), "path leaves its mount"),
        (json!({"rate": 5, "path": "kv/", "role": "x"}), "is not a valid auth method"),
        (json!({"rate": 5, "role": "x"}), "is not a valid auth method"),
        (json!({"rate": 5, "path": "auth/token", "role": "x"}), "\"auth/token/\" does not support"),
        (json!({"rate": 5, "path": "kv"}), "similar properties exists under the name \"other\""),
        (json!({"rate": 5, "path": "kv/".repeat(2000)}), "at most"),
    ] {
        let refused = line(server.write("sys/quotas/rate-limit/q", &params));
        assert!(refused.starts_with("400 ") && refused.contains(expected), "{params}: {refused}");
    }
    assert_eq!(server.entries(), before);
}

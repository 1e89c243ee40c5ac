//! Bad input for every field of every route, made from the route tables: whatever is sent, the
//! server answers, says what is wrong in a 4xx, and has changed nothing where it refused.

use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Map, Value, json};
use strongroom::framework::{FieldKind, Needs, RouteFacts};
use strongroom::mount::Table;
use strongroom::request::{Error, Operation, Reply};
use strongroom::{auth, engines, sys};

use crate::harness::Server;
use crate::parity::entry;

#[test]
fn sys_refuses_what_it_cannot_use() {
    let facts: Vec<RouteFacts> = sys::engine().unwrap().routes().map(RouteFacts::of).collect();
    walk("sys/", &facts);
}

#[test]
fn auth_methods_refuse_what_they_cannot_use() {
    for kind in auth::KINDS.iter().chain(&["token"]) {
        let entry = entry(Table::Auth, kind, &[]);
        if let Some(mount) = auth::open(&entry).unwrap() {
            walk(&format!("auth/{kind}/"), &mount.routes());
        }
    }
}

#[test]
fn engines_refuse_what_they_cannot_use() {
    for kind in engines::KINDS.iter().chain(&["cubbyhole", "identity"]) {
        let versions: &[&str] = if *kind == "kv" { &["1", "2"] } else { &[""] };
        for version in versions {
            let entry = entry(Table::Secret, kind, &[("version", version)]);
            if let Some(mount) = engines::open(&entry).unwrap() {
                walk(&format!("{kind}/"), &mount.routes());
            }
        }
    }
}

/// Values that no field, or hardly any, can use.
fn bad_values() -> Vec<Value> {
    let long = "x".repeat(70_000);
    vec![
        Value::Null,
        json!(""),
        json!(" "),
        json!(-1),
        json!(0),
        json!(i64::MIN),
        json!(i64::MAX),
        json!(u64::MAX),
        serde_json::from_str("123456789012345678901234567890").unwrap(),
        serde_json::from_str("-1e400").unwrap(),
        json!(0.5),
        json!(true),
        json!([]),
        json!([[]]),
        json!([null, 1, "a", {}]),
        json!({}),
        json!({"": {"a": [null]}}),
        json!(long),
        json!("nosuch"),
        json!("../../etc"),
        json!("a/../b"),
        json!("a//b/"),
        json!("*"),
        json!("%2F%00"),
        json!("\u{0}\u{1}\n\r\t"),
        json!("\u{fffd}\u{202e}\u{10ffff}é"),
        json!("{{identity.entity.id}}"),
        json!("-1h"),
        json!("9999999999999h"),
        json!("2026-13-45T99:99:99Z"),
        json!("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----"),
        json!("====AAAA===="),
        json!("hvs.nosuch"),
        json!("10.0.0.0/99"),
        json!("{\"a\":"),
    ]
}

/// A value that the field takes, so that others are looked at too.
fn usual(name: &str, property: &Value) -> Value {
    match FieldKind::of_schema(property) {
        FieldKind::Boolean => json!(true),
        FieldKind::Duration | FieldKind::Integer | FieldKind::Number => json!(1),
        FieldKind::IntegerList => json!([1]),
        FieldKind::Map | FieldKind::Object | FieldKind::Any => json!({"a": "b"}),
        FieldKind::StringList => json!(["a"]),
        FieldKind::String => json!(if name == "type" { "kv" } else { "a" }),
    }
}

fn walk(mount: &str, facts: &[RouteFacts]) {
    let asked = AtomicUsize::new(0);
    let mut server = fresh(mount);
    for route in facts {
        for (operation, schema) in &route.operations {
            let properties = schema.get("properties").and_then(Value::as_object);
            let properties: Map<String, Value> = properties.cloned().unwrap_or_default();
            let captures: Vec<&str> = route.captures().map(|(name, _)| name).collect();
            let body: Map<String, Value> = properties
                .iter()
                .filter(|(name, _)| !captures.contains(&name.as_str()))
                .map(|(name, property)| (name.clone(), usual(name, property)))
                .collect();
            let send = |captured: &str, body: Map<String, Value>| {
                let path = path(mount, route, captured);
                asked.fetch_add(1, Ordering::Relaxed);
                judge(&server, *operation, &path, &Value::Object(body), route);
            };
            // Nothing at all, then each field alone, each among usual ones, then what is unknown.
            send("a", Map::new());
            for name in body.keys() {
                for bad in bad_values() {
                    send("a", Map::from_iter([(name.clone(), bad.clone())]));
                    let mut among = body.clone();
                    among.insert(name.clone(), bad);
                    send("a", among);
                }
            }
            send("a", Map::from_iter([("no such field".to_owned(), json!({"a": 1}))]));
            if !captures.is_empty() {
                for bad in [
                    "nosuch",
                    "..",
                    "%2e%2e",
                    "a%2Fb",
                    "\u{0}",
                    "é\u{202e}",
                    "*",
                    "+",
                    "-1",
                    "99999999999999999999",
                    "a b",
                    "UPPER",
                    "{{x}}",
                ] {
                    send(bad, body.clone());
                }
                send(&"x".repeat(5000), body.clone());
            }
            if stops_the_server(route, *operation) {
                server = fresh(mount);
            }
        }
    }
    let asked = asked.into_inner();
    assert!(asked > facts.len(), "{mount}: {asked} requests");
}

/// A server on which nothing that was sent before matters.
fn fresh(mount: &str) -> Server {
    let server = Server::new();
    let kind = mount.trim_end_matches('/');
    if !["sys", "cubbyhole", "auth/token", "identity"].contains(&kind) {
        let (table, kind) = match kind.strip_prefix("auth/") {
            Some(kind) => ("auth", kind),
            None => ("mounts", kind),
        };
        server.write(&format!("sys/{table}/{kind}"), &json!({"type": kind})).unwrap();
    }
    server
}

/// What may take the root token, a mount or all of it away.
fn stops_the_server(route: &RouteFacts, operation: Operation) -> bool {
    operation == Operation::Delete
        || operation == Operation::Update
            && ["revoke", "disable", "seal", "remount", "quotas", "policies/acl", "unseal", "init"]
                .iter()
                .any(|word| route.template.contains(word))
}

fn path(mount: &str, route: &RouteFacts, captured: &str) -> String {
    let parts =
        route.template.split('/').map(|part| if part.starts_with('{') { captured } else { part });
    format!("{mount}{}", parts.collect::<Vec<_>>().join("/"))
}

fn judge(server: &Server, operation: Operation, path: &str, body: &Value, route: &RouteFacts) {
    let entries = server.entries();
    let outcome = server.send(operation, path, body, &server.root);
    let shown = || {
        let body = body.to_string();
        format!("{} {path:.200} {body:.300}", operation.name())
    };
    match &outcome {
        Ok(reply) => assert!(status(reply) < 500, "{}: {reply:?}", shown()),
        // The harness has no node behind it: what only a node can answer is tested with one.
        Err(Error::Internal(source)) if source.to_string() == "no node" => {}
        Err(Error::Uninitialized) => {}
        Err(error) => {
            let (status, _) = strongroom::http::status_of(error);
            assert!((400..500).contains(&status), "{}: {status} {error:?}", shown());
            if route.needs != Needs::Nothing && !counts_failures(route) {
                // What acts outside is noted before it runs, and what came of it after.
                let noted = if route.acts_outside { 2 } else { 0 };
                assert!(
                    server.entries() <= entries + noted,
                    "{}: refused, and yet written",
                    shown()
                );
            }
        }
    }
}

/// What is meant to remember that it refused.
fn counts_failures(route: &RouteFacts) -> bool {
    route.login
}

fn status(reply: &Reply) -> u16 {
    reply.status.unwrap_or(200)
}

use serde_json::json;
use strongroom::request::{Error, Operation};

use crate::harness::{Server, data, line};

#[test]
fn a_moved_mount_keeps_what_it_has_stored_and_its_uuid() {
    let server = Server::new();
    server.write("sys/mounts/old", &json!({"type": "kv"})).unwrap();
    server.write("old/a", &json!({"x": 1})).unwrap();
    let before = data(server.read("sys/mounts/old").unwrap());
    // Below its own old path, which it leaves.
    let reply = server.write("sys/remount", &json!({"from": "/old/", "to": "old/new"})).unwrap();
    assert_eq!(reply.warnings.len(), 1);
    let id = data(reply)["migration_id"].as_str().unwrap().to_owned();
    assert_eq!(data(server.read("sys/mounts/old/new").unwrap()), before);
    assert_eq!(line(server.read("old/new/a")), r#"200 {"x":1}"#);
    assert!(matches!(server.read("old/a"), Err(Error::NoRoute(_))));
    let status = data(server.read(&format!("sys/remount/status/{id}")).unwrap());
    assert_eq!(status["migration_info"]["status"], "success");
    assert_eq!(status["migration_info"]["source_mount"], "old/");
    assert_eq!(status["migration_info"]["target_mount"], "old/new/");
    assert_eq!(line(server.read("sys/remount/status/other")), "404");
}

#[test]
fn a_move_that_cannot_be_is_refused_with_its_reason() {
    let server = Server::new();
    for mount in ["a", "b/c"] {
        server.write(&format!("sys/mounts/{mount}"), &json!({"type": "kv"})).unwrap();
    }
    for (from, to, message) in [
        ("", "x", "both 'from' and 'to' path must be specified as a string"),
        ("nosuch", "x", "no matching mount at \"nosuch/\""),
        ("auth/nosuch", "auth/x", "no matching mount at \"auth/nosuch/\""),
        ("sys", "x", "cannot remount \"sys/\""),
        ("cubbyhole", "x", "cannot remount \"cubbyhole/\""),
        ("auth/token", "auth/x", "cannot remount \"auth/token/\""),
        ("a", "a", "path is already in use at a/"),
        ("a", "b", "path is already in use at b/c/"),
        ("a", "b/c/d", "path is already in use at b/c/"),
        ("a", "sys/x", "cannot mount over the reserved path \"sys/x/\""),
        ("a", "auth/x", "an auth method stays below \"auth/\", and a secrets engine outside of it"),
    ] {
        let outcome = server.write("sys/remount", &json!({"from": from, "to": to}));
        assert_eq!(line(outcome), format!("400 {message}"), "{from} {to}");
    }
    assert!(server.read("sys/mounts/a").is_ok());
}

#[test]
fn only_the_last_moves_are_remembered_and_moving_needs_sudo() {
    let server = Server::new();
    server.write("sys/mounts/m0", &json!({"type": "kv"})).unwrap();
    let mut ids = Vec::new();
    for at in 0..65 {
        let body = json!({"from": format!("m{at}"), "to": format!("m{}", at + 1)});
        let moved = data(server.write("sys/remount", &body).unwrap());
        ids.push(moved["migration_id"].as_str().unwrap().to_owned());
    }
    let status = |id: &str| line(server.read(&format!("sys/remount/status/{id}")));
    assert_eq!(status(&ids[0]), "404");
    assert!(status(&ids[1]).starts_with("200"));
    let policy = json!({"policy": "path \"sys/remount\" { capabilities = [\"update\"] }"});
    server.write("sys/policies/acl/p", &policy).unwrap();
    let made = server.write("auth/token/create", &json!({"policies": ["p"]})).unwrap();
    let token = made.auth.unwrap().client_token;
    let body = json!({"from": "m65", "to": "x"});
    assert_eq!(line(server.send(Operation::Update, "sys/remount", &body, &token)), "403");
}

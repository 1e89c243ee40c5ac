use serde_json::{Value, json};
use strongroom::auth::token::{NewToken, TokenEntry, TokenStore, storage_name};
use strongroom::job::delete_tree;
use strongroom::mount::{MountEntry, Table};
use strongroom::request::{Operation, TokenType};
use strongroom::rng::SystemRng;
use strongroom::secret::Secret;

use crate::harness::{START, Server, line};

#[test]
fn every_operation_answers_as_vault() {
    use Operation::{Delete, List, Read, Update};
    let server = Server::new();
    for (operation, path, body, answer) in [
        (List, "cubbyhole/", "", "204"),
        (Read, "cubbyhole/a", "", "404"),
        (Update, "cubbyhole/a", "{}", "400 missing data fields"),
        (Update, "cubbyhole/a", r#"{"x":1.10,"path":"own"}"#, "204"),
        (Read, "cubbyhole/a", "", r#"200 {"x":1.10,"path":"own"}"#),
        (Update, "cubbyhole/a/", r#"{"x":1}"#, "400 cannot write to a path ending in '/'"),
        (Update, "cubbyhole/", r#"{"x":1}"#, "400 cannot write to a path ending in '/'"),
        (Update, "cubbyhole/a/b", r#"{"x":1}"#, "204"),
        (Read, "cubbyhole/a/", "", "404"),
        (Read, "cubbyhole/", "", "404"),
        (List, "cubbyhole/", "", r#"200 {"keys":["a","a/"]}"#),
        (List, "cubbyhole/a/", "", r#"200 {"keys":["b"]}"#),
        (Delete, "cubbyhole/", "", "204"),
        (Delete, "cubbyhole/a", "", "204"),
        (Read, "cubbyhole/a", "", "404"),
    ] {
        let params: Value = serde_json::from_str(body).unwrap_or_default();
        let outcome = server.send(operation, path, &params, &server.root);
        assert_eq!(line(outcome), answer, "{operation:?} {path} {body}");
    }
}

#[test]
fn token_sees_its_own_place_only_and_a_batch_token_has_none() {
    let server = Server::new();
    let other = token(&server, TokenType::Service);
    let batch = token(&server, TokenType::Batch);
    server.write("cubbyhole/a", &json!({"x": 1})).unwrap();
    let send = |operation, token: &str| {
        line(server.send(operation, "cubbyhole/a", &json!({"x": 2}), token))
    };
    assert_eq!(send(Operation::Read, &other), "404");
    assert_eq!(send(Operation::Update, &other), "204");
    assert_eq!(line(server.read("cubbyhole/a")), r#"200 {"x":1}"#);
    for operation in [Operation::Read, Operation::Update, Operation::Delete, Operation::List] {
        let text = "400 cubbyhole operations are only supported by 'service' type tokens";
        assert_eq!(send(operation, &batch), text, "{operation:?}");
    }
}

#[test]
fn destroy_takes_everything_of_one_token_in_bounded_steps() {
    let server = Server::new();
    let other = token(&server, TokenType::Service);
    for path in ["a", "b", "a/b", "a/c/d", "e/f/g"] {
        server.write(&format!("cubbyhole/{path}"), &json!({"x": 1})).unwrap();
        let path = format!("cubbyhole/{path}");
        server.send(Operation::Update, &path, &json!({"x": 1}), &other).unwrap();
    }
    let root = storage_name(&Secret::new(server.root.clone()));
    let prefix = prefix(&server);
    for (step, left) in [false, false, true].into_iter().enumerate() {
        server.change(&prefix, |scope| {
            assert_eq!(delete_tree(scope, &root, 2).unwrap().is_all, left, "step {step}");
        });
    }
    assert_eq!(line(server.list("cubbyhole/")), "204");
    let others = server.send(Operation::List, "cubbyhole/", &Value::Null, &other);
    assert_eq!(line(others), r#"200 {"keys":["a","a/","b","e/"]}"#);
}

fn prefix(server: &Server) -> String {
    let mut prefix = String::new();
    server.change("root/", |scope| {
        let key = Table::Secret.key("cubbyhole/");
        let entry: MountEntry = scope.get(&key).unwrap().unwrap();
        scope.put(&key, &entry).unwrap();
        prefix = format!("root/{}", entry.storage_prefix());
    });
    prefix
}

fn token(server: &Server, token_type: TokenType) -> String {
    let policies = vec!["root".into()];
    let entry = TokenEntry { policies, token_type, ttl: 3600, ..TokenEntry::default() };
    let mut made = String::new();
    server.change("root/core/", |scope| {
        let new = NewToken { entry, id: None };
        let (token, _) = TokenStore::new(scope).create(&SystemRng, START, new).unwrap();
        made.clone_from(token.expose());
    });
    made
}

#[test]
fn create_and_update_are_told_apart_in_the_token_s_own_place() {
    let server = Server::new();
    let policy = json!({"policy": "path \"cubbyhole/*\" { capabilities = [\"create\"] }"});
    server.write("sys/policies/acl/once", &policy).unwrap();
    let body = json!({"policies": ["once"], "no_default_policy": true});
    let token = || {
        let made = server.write("auth/token/create", &body).unwrap();
        made.auth.unwrap().client_token
    };
    for token in [token(), token()] {
        let write = || server.send(Operation::Update, "cubbyhole/a", &json!({"x": 1}), &token);
        assert_eq!(line(write()), "204");
        server.audited();
        assert_eq!(line(write()), "403");
        assert_eq!(server.audited()[0], "update cubbyhole/a: permission denied");
    }
}

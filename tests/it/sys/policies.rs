use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use crate::harness::{Server, data};

#[test]
fn policy_is_read_back_as_it_was_written() {
    let server = Server::new();
    let text = "path \"secret/*\" { capabilities = [\"read\"] }";
    server.write("sys/policies/acl/Team/One", &json!({ "policy": text })).unwrap();
    let read = data(server.read("sys/policies/acl/team/one").unwrap());
    assert_eq!((&read["name"], &read["policy"]), (&json!("team/one"), &json!(text)));
    assert_eq!(data(server.read("sys/policy/team/one").unwrap())["rules"], text);
    let names = data(server.list("sys/policies/acl/").unwrap());
    assert_eq!(names["keys"], json!(["default", "root", "team/one"]));
    server.delete("sys/policies/acl/team/one").unwrap();
    assert!(matches!(server.read("sys/policies/acl/team/one"), Err(Error::NotFound)));
}

#[test]
fn what_cannot_be_a_policy_is_refused_with_its_reason() {
    let server = Server::new();
    for (name, policy, message) in [
        ("root", "path \"a\" {}", "cannot update \"root\" policy"),
        ("a", "", "'policy' parameter not supplied or empty"),
        ("a", "nonsense {", "failed to parse policy: "),
        ("a", "path \"x\" { capabilities = [\"fly\"] }", "failed to parse policy: "),
    ] {
        let outcome =
            server.write(&format!("sys/policies/acl/{name}"), &json!({ "policy": policy }));
        let Err(Error::BadRequest(text)) = outcome else { panic!("{name}: {outcome:?}") };
        assert!(text.starts_with(message), "{text}");
    }
    for (name, message) in
        [("root", "cannot delete root policy"), ("default", "cannot delete default policy")]
    {
        let outcome = server.delete(&format!("sys/policies/acl/{name}"));
        let Err(Error::BadRequest(text)) = outcome else { panic!("{name}: {outcome:?}") };
        assert_eq!(text, message);
    }
}

#[test]
fn capabilities_are_told_for_each_path_and_at_top_for_one() {
    let server = Server::new();
    let one = data(server.write("sys/capabilities-self", &json!({"paths": "a/b"})).unwrap());
    assert_eq!(one["a/b"], json!(["root"]));
    assert_eq!(one["capabilities"], json!(["root"]));
    let two = data(server.write("sys/capabilities-self", &json!({"paths": ["a", "b"]})).unwrap());
    assert!(!two.contains_key("capabilities"));
    for params in [json!({"paths": ["a"]}), json!({"paths": ["a"], "token": "wrong"})] {
        let outcome = server.write("sys/capabilities", &params);
        assert!(matches!(outcome, Err(Error::BadRequest(_))), "{outcome:?}");
    }
    let stranger = server.send(Operation::Update, "sys/capabilities-self", &Value::Null, "x");
    assert!(matches!(stranger, Err(Error::Denied)));
}

#[test]
fn resultant_acl_of_root_is_root() {
    let server = Server::new();
    let resultant = data(server.read("sys/internal/ui/resultant-acl").unwrap());
    assert_eq!(Value::Object(resultant), json!({"root": true}));
}

#[test]
fn slash_at_the_end_gets_around_no_rule() {
    let server = Server::new();
    let text = r#"path "auth/token/roles/*" { capabilities = ["read", "delete", "list"] }
                  path "auth/token/roles/safe" { capabilities = ["deny"] }"#;
    server.write("sys/policies/acl/most", &json!({ "policy": text })).unwrap();
    for role in ["safe", "other"] {
        server.write(&format!("auth/token/roles/{role}"), &json!({})).unwrap();
    }
    let token = crate::token::create(&server, &json!({"policies": ["most"]}));
    let send = |operation, path| server.send(operation, path, &json!({}), &token);
    for path in ["auth/token/roles/safe", "auth/token/roles/safe/"] {
        for operation in [Operation::Read, Operation::Delete] {
            let outcome = send(operation, path);
            assert!(matches!(outcome, Err(Error::Denied)), "{operation:?} {path}: {outcome:?}");
        }
    }
    assert!(send(Operation::Read, "auth/token/roles/other/").is_ok());
    assert!(send(Operation::List, "auth/token/roles/").is_ok());
}

use serde_json::json;
use strongroom::request::{Error, Operation};

use super::{ALL, make, read, token, write};
use crate::harness::{Server, data, line};

#[test]
fn a_locked_namespace_answers_nothing_but_its_unlocking() {
    let server = Server::new();
    for path in ["a/", "a/b/", "c/"] {
        make(&server, path);
        write(&server, path, "sys/mounts/kv", &json!({"type": "kv"})).unwrap();
        write(&server, path, "kv/x", &json!({"v": path})).unwrap();
    }
    let of_a = token(&server, "a/", ALL);
    let locked = data(server.write("sys/namespaces/api-lock/lock/a", &json!({})).unwrap());
    let key = locked["unlock_key"].as_str().unwrap();
    let text = "API access to this namespace has been locked by an administrator - \"a/\" must be \
                unlocked to gain access.";
    for namespace in ["a/", "a/b/"] {
        for token in [&server.root, &of_a] {
            for path in ["kv/x", "auth/token/lookup-self", "sys/mounts", "sys/namespaces/b"] {
                match read(&server, namespace, path, token) {
                    Err(Error::Unavailable(said)) => assert_eq!(said, text),
                    other => panic!("{namespace} {path}: {other:?}"),
                }
            }
        }
    }
    assert!(read(&server, "c/", "kv/x", &server.root).is_ok());
    assert_eq!(data(server.read("sys/namespaces/a").unwrap())["locked"], true);
    assert_eq!(
        line(server.write("sys/namespaces/api-lock/lock/a", &json!({}))),
        "400 cannot lock namespace \"a/\": is already locked"
    );
    let wrong = json!({"unlock_key": "wrong"});
    let path = "sys/namespaces/api-lock/unlock";
    let said = line(server.send_in("a/", Operation::Update, path, &wrong, &of_a));
    assert_eq!(said, "400 incorrect unlock key");
    assert!(read(&server, "a/", "kv/x", &of_a).is_err());
    let right = json!({ "unlock_key": key });
    server.send_in("a/", Operation::Update, path, &right, &of_a).unwrap();
    assert!(read(&server, "a/", "kv/x", &of_a).is_ok());
    assert_eq!(
        line(server.send_in("a/", Operation::Update, path, &right, &of_a)),
        "400 namespace \"a/\" is not locked"
    );

    // Who has sudo needs no key, who has not does.
    write(&server, "", "sys/namespaces/api-lock/lock/a/b", &json!({})).unwrap();
    assert!(read(&server, "a/", "kv/x", &of_a).is_ok());
    assert!(read(&server, "a/b/", "kv/x", &of_a).is_err());
    let weak = token(&server, "a/", r#"path "*" { capabilities = ["update"] }"#);
    let below = "sys/namespaces/api-lock/unlock/b";
    let said = line(server.send_in("a/", Operation::Update, below, &json!({}), &weak));
    assert!(said.starts_with("400"), "{said}");
    let said = line(server.write("sys/namespaces/api-lock/unlock/a/b", &json!({})));
    assert!(said.contains("Namespace unlocked using sudo capabilities"), "{said}");
    for (path, text) in [
        ("sys/namespaces/api-lock/lock", "root namespace cannot be locked/unlocked"),
        ("sys/namespaces/api-lock/unlock", "root namespace cannot be locked/unlocked"),
        ("sys/namespaces/api-lock/lock/nope", "requested namespace does not exist"),
    ] {
        assert_eq!(line(server.write(path, &json!({}))), format!("400 {text}"));
    }
}

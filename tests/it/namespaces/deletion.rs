use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::leases::{issue, mount};
use super::{ALL, create, make, read, token, work, write};
use crate::harness::{Server, data, line};
use crate::lease::{Backend, Mode, backend_engine as engine};

fn delete(server: &Server, namespace: &str, name: &str) -> String {
    let path = format!("sys/namespaces/{name}");
    line(server.send_in(namespace, Operation::Delete, &path, &Value::Null, &server.root))
}

#[test]
fn a_namespace_goes_with_all_it_has() {
    let backend = Arc::new(Backend::default());
    let server = Server::with_mounts(vec![("db/", engine(&backend))]);
    let made = make(&server, "a/");
    let uuid = made["uuid"].as_str().unwrap().to_owned();
    make(&server, "c/");
    mount(&server, &uuid);
    write(&server, "a/", "sys/mounts/kv", &json!({"type": "kv"})).unwrap();
    write(&server, "a/", "kv/x", &json!({"v": "a"})).unwrap();
    let of_a = token(&server, "a/", ALL);
    let above = create(&server, "", &json!({"policies": ["root"]}), &server.root).unwrap();
    let below = create(&server, "a/", &json!({"policies": ["p"]}), &above.client_token).unwrap();
    let batch = json!({"policies": ["p"], "ttl": "1h", "type": "batch"});
    let batch = create(&server, "a/", &batch, &of_a).unwrap();
    for token in [&of_a, &above.client_token, &below.client_token] {
        issue(&server, "a/", token);
    }
    assert_eq!(backend.users().len(), 3);

    // Its leases are ended before what its engines know is deleted, however long that takes.
    backend.set(Mode::Fails);
    assert_eq!(delete(&server, "", "a"), r#"200 {"status":"in-progress"}"#);
    let tokens = [&of_a, &below.client_token, &batch.client_token, &server.root];
    for token in tokens {
        assert!(matches!(read(&server, "a/", "kv/x", token), Err(Error::Missing(_))));
        let said = line(read(&server, "", "a/kv/x", token));
        assert!(said == "403" || said.contains("no handler"), "{said}");
    }
    work(&server);
    assert_eq!(data(server.read("sys/namespaces/a").unwrap())["tainted"], true);
    assert_eq!(delete(&server, "", "a"), r#"200 {"status":"in-progress"}"#);
    let said = line(server.write("sys/namespaces/a", &json!({})));
    assert!(said.contains("is being deleted"), "{said}");
    backend.set(Mode::Works);
    server.set_time(3600);
    work(&server);
    assert!(backend.users().is_empty());
    assert!(matches!(server.read("sys/namespaces/a"), Err(Error::NotFound)));
    let left = |place: &str, directory: &str| {
        let pipeline = server.pipeline.clone();
        let list = |txn: &mut strongroom::txn::Txn| txn.scope(place).list(directory);
        server.block_on(pipeline.internal(list)).unwrap()
    };
    let others = left("ns/", "");
    assert_eq!(others.len(), 1, "what is left is another namespace's: {others:?}");
    assert!(!others[0].starts_with(&uuid));
    assert_eq!(left("root/core/", "namespace-id").len(), 1);
    assert_eq!(left("root/core/", "token/parent").len(), 1, "the root token's other children");
    assert!(crate::lease::leftovers(&server).is_empty());

    // Another at the same path has nothing of it.
    make(&server, "a/");
    assert!(matches!(read(&server, "a/", "kv/x", &server.root), Err(Error::NoRoute(_))));
    for token in [&of_a, &below.client_token, &batch.client_token] {
        assert_eq!(line(read(&server, "a/", "sys/mounts", token)), "403");
    }
    assert_eq!(delete(&server, "", "nope"), "200 ! requested namespace does not exist");
}

#[test]
fn one_with_others_below_stays() {
    let server = Server::new();
    make(&server, "a/");
    make(&server, "a/b/");
    assert_eq!(
        delete(&server, "", "a"),
        "400 unable to delete namespace containing child namespaces"
    );
    assert_eq!(delete(&server, "a/", "b"), r#"200 {"status":"in-progress"}"#);
    assert!(delete(&server, "", "a").starts_with("400"), "until it is gone");
    work(&server);
    assert_eq!(delete(&server, "", "a"), r#"200 {"status":"in-progress"}"#);
    work(&server);
    assert!(server.list("sys/namespaces/").unwrap().is_empty());
}

#[test]
fn what_cannot_be_ended_is_forced() {
    // What is only not reached is tried for ever elsewhere.
    for mode in [Mode::Fails, Mode::IsAway] {
        let backend = Arc::new(Backend::default());
        let server = Server::with_mounts(vec![("db/", engine(&backend))]);
        let made = make(&server, "a/");
        mount(&server, made["uuid"].as_str().unwrap());
        issue(&server, "a/", &server.root);
        backend.set(mode);
        delete(&server, "", "a");
        for minutes in 1..30 {
            server.set_time(minutes * 60);
            work(&server);
        }
        assert!(matches!(server.read("sys/namespaces/a"), Err(Error::NotFound)));
    }
}

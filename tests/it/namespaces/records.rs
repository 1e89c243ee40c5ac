use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::{make, read, write};
use crate::harness::{Server, data, line};

#[test]
fn namespaces_are_made_shown_changed_and_listed() {
    let server = Server::new();
    let made = data(
        write(&server, "", "sys/namespaces/a", &json!({"custom_metadata": {"x": "y"}})).unwrap(),
    );
    assert_eq!(made["path"], "a/");
    assert_eq!(made["custom_metadata"], json!({"x": "y"}));
    assert_eq!((&made["locked"], &made["tainted"]), (&json!(false), &json!(false)));
    let id = made["id"].as_str().unwrap();
    assert!(id.len() == 6 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    assert_eq!(data(server.read("sys/namespaces/a").unwrap()), made);
    assert_eq!(data(server.read("sys/namespaces/a/").unwrap()), made);

    // What is there stays, but for its metadata.
    let again = data(write(&server, "", "sys/namespaces/a", &json!({})).unwrap());
    assert_eq!((&again["id"], &again["uuid"]), (&made["id"], &made["uuid"]));
    assert_eq!(again["custom_metadata"], json!({}));
    let patch = json!({"custom_metadata": {"z": "1", "gone": null}});
    let patched = server.send(Operation::Patch, "sys/namespaces/a", &patch, &server.root);
    assert_eq!(data(patched.unwrap())["custom_metadata"], json!({"z": "1"}));

    let nested = data(write(&server, "a/", "sys/namespaces/b", &json!({})).unwrap());
    assert_eq!(nested["path"], "a/b/");
    let listed = |namespace: &str| {
        let path = "sys/namespaces/";
        let reply = server.send_in(namespace, Operation::List, path, &Value::Null, &server.root);
        let reply = reply.unwrap();
        if reply.is_empty() { Value::Null } else { data(reply)["keys"].clone() }
    };
    assert_eq!(listed(""), json!(["a/"]));
    assert_eq!(listed("a/"), json!(["b/"]));
    assert_eq!(listed("a/b/"), Value::Null);
    let seen = |namespace: &str| {
        data(read(&server, namespace, "sys/internal/ui/namespaces", &server.root).unwrap())
    };
    assert_eq!(seen("a/")["keys"], json!(["b/"]));
    assert!(seen("a/b/").is_empty());
}

#[test]
fn what_cannot_be_a_namespace_is_refused() {
    let server = Server::new();
    make(&server, "a/");
    write(&server, "", "sys/mounts/m/x", &json!({"type": "kv"})).unwrap();
    let refused = [
        ("sys/namespaces/sys", json!({}), "reserved path"),
        ("sys/namespaces/root", json!({}), "reserved path"),
        ("sys/namespaces/a/b", json!({}), "cannot contain /"),
        ("sys/namespaces/a b", json!({}), "space characters"),
        ("sys/namespaces/x*", json!({}), "wildcard characters"),
        ("sys/namespaces/m", json!({}), "conflicts with existing mount: m/x/"),
        ("sys/namespaces/d", json!({"custom_metadata": {"a": 1}}), "values must be strings"),
        ("sys/namespaces/d", json!({"custom_metadata": "bad"}), "custom_metadata"),
        ("sys/mounts/a", json!({"type": "kv"}), "existing mount at a/"),
        ("sys/mounts/a/x", json!({"type": "kv"}), "existing mount at a/"),
        ("sys/remount", json!({"from": "m/x", "to": "a/x"}), "existing mount at a/"),
    ];
    for (path, params, text) in refused {
        let said = line(server.write(path, &params));
        assert!(said.starts_with("400") && said.contains(text), "{path}: {said}");
    }
    assert!(matches!(server.read("sys/namespaces/d"), Err(Error::NotFound)));
    let patched = server.send(Operation::Patch, "sys/namespaces/d", &json!({}), &server.root);
    assert_eq!(line(patched), "400 namespace not found");
}

#[test]
fn a_header_and_a_path_lead_to_the_same_namespace() {
    let server = Server::new();
    make(&server, "a/");
    make(&server, "a/b/");
    write(&server, "a/b/", "sys/mounts/kv", &json!({"type": "kv"})).unwrap();
    write(&server, "a/b/", "kv/x", &json!({"v": "ab"})).unwrap();
    let found = [("", "a/b/kv/x"), ("a/", "b/kv/x"), ("a/b/", "kv/x")];
    for (namespace, path) in found {
        let read = data(read(&server, namespace, path, &server.root).unwrap());
        assert_eq!(read["v"], "ab", "{namespace} {path}");
    }
    let absent = [
        ("zz/", "kv/x", "namespace not found"),
        ("a/zz/", "kv/x", "namespace not found"),
        ("A/", "kv/x", "namespace not found"),
        ("", "zz/kv/x", "no handler for route \"zz/kv/x\". route entry not found."),
        ("", "kv/x", "no handler for route \"kv/x\". route entry not found."),
        ("a/", "kv/x", "no handler for route \"kv/x\". route entry not found."),
        ("", "a", "no handler for route \"a\". route entry not found."),
        ("", "a/../a/b/kv/x", "no handler for route \"../a/b/kv/x\". route entry not found."),
        ("", "a//b/kv/x", "no handler for route \"/b/kv/x\". route entry not found."),
    ];
    for (namespace, path, text) in absent {
        let said = line(read(&server, namespace, path, &server.root));
        assert_eq!(said, format!("error {text}"), "{namespace} {path}");
    }
}

#[test]
fn what_belongs_to_the_cluster_is_the_root_namespaces_alone() {
    let server = Server::new();
    make(&server, "a/");
    let system = server.pipeline.router.system("sys/").unwrap();
    let mut refused = 0;
    for facts in system.mount.routes() {
        let path: Vec<&str> = facts
            .template
            .split('/')
            .map(|segment| if segment.starts_with('{') { "x" } else { segment })
            .collect();
        let path = format!("sys/{}", path.join("/"));
        let here = strongroom::namespace::Namespace { uuid: "u".into(), ..Default::default() };
        if strongroom::namespace::refusal(&here, &path).is_none() {
            continue;
        }
        for namespace in ["a/", ""] {
            let path = if namespace.is_empty() { format!("a/{path}") } else { path.clone() };
            for operation in [Operation::Read, Operation::Update, Operation::Delete] {
                let before = server.entries();
                let said =
                    line(server.send_in(namespace, operation, &path, &json!({}), &server.root));
                assert!(said.contains("namespace"), "{operation:?} {path}: {said}");
                assert_eq!(server.entries(), before, "{operation:?} {path}");
                refused += 1;
            }
        }
    }
    assert!(refused > 200, "{refused}");
}

#[test]
fn what_a_namespace_starts_with_is_its_own() {
    let server = Server::new();
    make(&server, "a/");
    let mounts =
        |namespace: &str, path: &str| data(read(&server, namespace, path, &server.root).unwrap());
    let own = mounts("a/", "sys/mounts");
    let paths: Vec<&String> = own.keys().collect();
    assert_eq!(paths, ["cubbyhole/", "identity/", "sys/"]);
    assert_eq!(mounts("a/", "sys/auth").keys().collect::<Vec<_>>(), ["token/"]);
    for (path, mount) in &own {
        assert_ne!(mount["accessor"], mounts("", "sys/mounts")[path]["accessor"], "{path}");
    }
    write(&server, "a/", "sys/policies/acl/p", &json!({"policy": "path \"x\" {}"})).unwrap();
    let policies = |namespace: &str| {
        let path = "sys/policies/acl/";
        let reply = server.send_in(namespace, Operation::List, path, &Value::Null, &server.root);
        data(reply.unwrap())["keys"].clone()
    };
    assert_eq!(policies("a/"), json!(["default", "p"]));
    assert_eq!(policies(""), json!(["default", "root"]));
    write(&server, "a/", "identity/entity", &json!({"name": "e"})).unwrap();
    let entity = data(read(&server, "a/", "identity/entity/name/e", &server.root).unwrap());
    let id = data(server.read("sys/namespaces/a").unwrap())["id"].clone();
    assert_eq!(entity["namespace_id"], id);
    assert!(server.read("identity/entity/name/e").is_err());
}

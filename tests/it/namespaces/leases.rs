use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::mount::{MountConfig, MountEntry, Table};
use strongroom::request::{Lease, Operation};

use super::{ALL, create, make, read, token, work, write};
use crate::harness::{Server, data, line};
use crate::lease::{Backend, Mode, backend_engine as engine};

/// Two namespaces, each with the same engine at the same path.
fn server() -> (Server, Arc<Backend>) {
    let backend = Arc::new(Backend::default());
    let server = Server::with_mounts(vec![("db/", engine(&backend))]);
    for path in ["a/", "c/"] {
        let made = make(&server, path);
        mount(&server, made["uuid"].as_str().unwrap());
    }
    (server, backend)
}

pub(super) fn mount(server: &Server, uuid: &str) {
    let entry = MountEntry {
        table: Table::Secret,
        path: "db/".into(),
        kind: "test".into(),
        description: String::new(),
        uuid: format!("db-{uuid}"),
        accessor: format!("test_{uuid}"),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: std::collections::BTreeMap::new(),
        config: MountConfig::default(),
        tainted: false,
    };
    let place = format!("ns/{uuid}/");
    server.change(&place, |scope| scope.put(&entry.table.key("db/"), &entry).unwrap());
}

pub(super) fn issue(server: &Server, namespace: &str, token: &str) -> Lease {
    read(server, namespace, "db/creds/app", token).unwrap().lease.unwrap()
}

#[test]
fn leases_are_their_namespaces() {
    let (server, backend) = server();
    let lease = issue(&server, "a/", &server.root);
    let id = data(server.read("sys/namespaces/a").unwrap())["id"].as_str().unwrap().to_owned();
    assert!(lease.id.starts_with("db/creds/app/") && lease.id.ends_with(&format!(".{id}")));
    let params = json!({"lease_id": lease.id});
    for (namespace, found) in [("a/", true), ("", false), ("c/", false)] {
        for path in ["sys/leases/lookup", "sys/leases/renew"] {
            assert_eq!(write(&server, namespace, path, &params).is_ok(), found, "{namespace}");
        }
        let path = "sys/leases/lookup/db/creds/app/";
        let listed = server.send_in(namespace, Operation::List, path, &Value::Null, &server.root);
        assert_eq!(!listed.unwrap().is_empty(), found, "{namespace}");
        if !found {
            write(&server, namespace, "sys/leases/revoke", &params).unwrap();
            write(&server, namespace, "sys/leases/revoke-prefix/db", &json!({})).unwrap();
            write(&server, namespace, "sys/leases/revoke-force/db", &json!({})).unwrap();
            // What is another namespace's is no part of a path.
            let path = "sys/leases/revoke-prefix/a/db";
            write(&server, namespace, path, &json!({})).unwrap();
        }
    }
    work(&server);
    assert_eq!(backend.users().len(), 1);
    write(&server, "a/", "sys/leases/revoke", &params).unwrap();
    assert!(backend.users().is_empty());
}

#[test]
fn leases_below_end_with_the_token_above_that_they_were_issued_to() {
    let (server, backend) = server();
    for kind in ["service", "batch"] {
        let above = create(&server, "", &json!({"policies": ["root"]}), &server.root).unwrap();
        let mut owner = above.client_token.clone();
        if kind == "batch" {
            server.write("sys/policies/acl/all", &json!({"policy": ALL})).unwrap();
            let params = json!({"policies": ["all"], "type": "batch", "ttl": "1h"});
            owner = create(&server, "", &params, &owner).unwrap().client_token;
        }
        for namespace in ["a/", "c/"] {
            issue(&server, namespace, &owner);
        }
        assert_eq!(backend.users().len(), 2, "{kind}");
        server.write("auth/token/revoke", &json!({"token": above.client_token})).unwrap();
        work(&server);
        assert!(backend.users().is_empty(), "{kind}");
    }
    assert!(crate::lease::leftovers(&server).is_empty());
}

#[test]
fn leases_of_a_namespace_expire_and_are_tried_again() {
    let (server, backend) = server();
    let of_a = token(&server, "a/", ALL);
    issue(&server, "a/", &of_a);
    backend.set(Mode::Fails);
    server.set_time(40 * 24 * 3600);
    work(&server);
    assert_eq!(backend.users().len(), 1);
    backend.set(Mode::Works);
    server.set_time(40 * 24 * 3600 + 600);
    work(&server);
    assert!(backend.users().is_empty());
    assert_eq!(line(read(&server, "a/", "sys/mounts", &of_a)), "403", "it has expired too");
}

#[test]
fn time_that_passes_costs_no_entry_for_each_namespace() {
    let server = Server::new();
    for path in ["a/", "c/"] {
        make(&server, path);
        token(&server, path, ALL);
    }
    server.set_time(3600);
    work(&server);
    for minute in 1..=5 {
        server.set_time(3600 + 60 * minute);
        let before = server.entries();
        work(&server);
        assert!(server.entries() <= before + 1, "the root namespace's alone");
    }
}

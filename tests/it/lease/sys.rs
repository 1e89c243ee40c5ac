use std::sync::Arc;

use serde_json::json;
use strongroom::lease::{Counts, LeaseEntry, LeaseStore};
use strongroom::request::{Error, Operation};

use super::backend::engine;
use super::*;
use crate::harness::Server;
use crate::token::create;

fn server() -> (Server, Arc<Backend>) {
    let backend = Arc::new(Backend::default());
    (Server::with_mounts(vec![("db/", engine(&backend))]), backend)
}

#[test]
fn bad_input_is_refused_and_changes_nothing() {
    let (server, _) = server();
    issue(&server, "db/made/app");
    let before = (server.entries(), states(&server, "test_db"));
    let update = Operation::Update;
    for (operation, path, body, text) in [
        (update, "lookup", json!({}), "lease_id must be specified"),
        (update, "lookup", json!({"lease_id": ""}), "lease_id must be specified"),
        (update, "lookup", json!({"lease_id": 5}), "invalid lease"),
        (update, "lookup", json!({"lease_id": "."}), "invalid lease"),
        (update, "lookup", json!({"lease_id": "a/.."}), "invalid lease"),
        (update, "lookup", json!({"lease_id": "db/made/app/\u{0}"}), "invalid lease"),
        (update, "lookup", json!({"lease_id": ["x"]}), "lease_id"),
        (update, "renew", json!({"lease_id": {}}), "lease_id"),
        (update, "renew", json!({"lease_id": "db/x", "increment": "soon"}), "increment"),
        (
            update,
            "renew",
            json!({"lease_id": "db/x", "increment": "99999999999999999999h"}),
            "increment",
        ),
        (update, "revoke", json!({}), "lease_id must be specified"),
        (update, "revoke", json!({"lease_id": "db/x", "sync": "perhaps"}), "sync"),
        (update, "revoke-prefix/db", json!({"sync": {}}), "sync"),
        (Operation::Read, "", json!({"type": "irrevocable", "limit": "x"}), "limit must be"),
        (Operation::Read, "", json!({"type": "irrevocable", "limit": "-4"}), "limit must be"),
        (Operation::Read, "", json!({"type": "irrevocable", "limit": "0"}), "limit must be"),
        (Operation::Read, "", json!({"type": ["x", {}]}), "type"),
    ] {
        let path = format!("sys/leases/{path}");
        let path = path.trim_end_matches('/');
        let outcome = server.send(operation, path, &body, &server.root);
        let Err(Error::BadRequest(told)) = outcome else { panic!("{path} {body}: {outcome:?}") };
        assert!(told.contains(text), "{path} {body}: {told}");
    }
    for (path, kind) in [("sys/leases", "foo"), ("sys/leases/count", "foo"), ("sys/leases", "")] {
        let outcome = server.send(Operation::Read, path, &json!({ "type": kind }), &server.root);
        assert!(matches!(outcome, Err(Error::NotFound)), "{path}: {outcome:?}");
    }
    assert_eq!((server.entries(), states(&server, "test_db")), before);
}

#[test]
fn tidy_ends_leases_of_tokens_that_are_gone() {
    let (server, backend) = server();
    let kept = issue(&server, "db/made/app").id;
    let id = "db/made/app/dangling0000000000000000";
    core(&server, |core| {
        let entry = LeaseEntry {
            kind: "user".into(),
            internal: json!({"name": "x", "role": "y"}).as_object().cloned().unwrap(),
            acts: true,
            expires: strongroom::clock::Timestamp(u64::MAX / 2),
            token: "h0".into(),
            ..LeaseEntry::default()
        };
        LeaseStore::new(core).register("test_db", id, entry).unwrap();
    });
    let reply = server.write("sys/leases/tidy", &json!({})).unwrap();
    assert_eq!((reply.status, reply.warnings.len()), (Some(202), 1));
    work(&server);
    assert_eq!(backend.acts(), ["drop x"]);
    assert!(exists(&server, &kept) && !exists(&server, id));
}

#[test]
fn counts_are_in_memory_and_a_walk_finds_them_again() {
    let (server, _) = server();
    let counts = &server.pipeline.leases.counts;
    assert_eq!((counts.of("test_db"), counts.total()), (None, None));
    let walked = || {
        core(&server, |core| {
            let mut walked = strongroom::lease::Walked::default();
            walked.add(core).unwrap();
            walked
        })
    };
    let walk = || counts.set(walked());
    walk();
    assert_eq!((counts.of("test_db"), counts.total()), (Some(0), Some(0)));
    let ids: Vec<String> = (0..5).map(|_| issue(&server, "db/made/app").id).collect();
    issue(&server, "db/notes/a");
    assert_eq!(counts.of("test_db"), Some(6), "at once");
    revoke(&server, &ids[0]).unwrap();
    create(&server, &json!({"policies": ["default"]}));
    walk();
    assert_eq!((counts.of("test_db"), counts.total()), (Some(5), Some(6)));
    let entries = server.entries();
    server.pipeline.forget();
    assert_eq!(counts.of("test_db"), None);
    let other = Counts::default();
    other.set(walked());
    assert_eq!((other.of("test_db"), other.irrevocable()), (Some(5), Some(0)));
    assert_eq!(other.all().unwrap().get("test_db"), Some(&5));
    assert_eq!(server.entries(), entries, "nothing is stored");
}

use std::sync::Arc;

use futures_util::FutureExt as _;
use serde_json::json;
use strongroom::barrier::Repeat;
use strongroom::lease::LeaseEntry;
use strongroom::log::ReplicatedLog as _;
use strongroom::request::{Error, Operation};
use strongroom::server::end_leases_now;

use super::backend::engine;
use super::*;
use crate::harness::{START, Server, data};
use crate::token::{create, lives, policy};

fn server() -> (Server, Arc<Backend>, Arc<Backend>) {
    let (one, other) = (Arc::new(Backend::default()), Arc::new(Backend::default()));
    let mounts = vec![("db/", engine(&one)), ("other/", engine(&other))];
    (Server::with_mounts(mounts), one, other)
}

#[test]
fn a_revocation_is_answered_when_it_has_happened() {
    let (server, backend, _) = server();
    for path in ["sys/leases/revoke", "sys/revoke"] {
        let id = issue(&server, "db/creds/app").id;
        let reply = server.write(path, &json!({ "lease_id": id })).unwrap();
        assert!(reply.is_empty() && reply.status.is_none());
        assert!(backend.users().is_empty() && !exists(&server, &id));
        let id = issue(&server, "db/creds/app").id;
        server.write(&format!("{path}/{id}"), &json!({})).unwrap();
        assert!(backend.users().is_empty(), "{path}");
    }
    assert!(revoke(&server, "db/creds/app/unknown").unwrap().is_empty());
    assert_eq!(leftovers(&server), Vec::<String>::new());
}

#[test]
fn a_revocation_may_be_queued() {
    let (server, backend, _) = server();
    let id = issue(&server, "db/creds/app").id;
    let body = json!({ "lease_id": id, "sync": false });
    assert_eq!(server.write("sys/leases/revoke", &body).unwrap().status, Some(202));
    assert_eq!(backend.users().len(), 1);
    let renewed = renew(&server, &id, 60);
    assert!(matches!(&renewed, Err(Error::BadRequest(text)) if text == "lease expired"));
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn a_failing_backend_is_tried_six_times_then_an_operator_is_asked() {
    let (server, backend, _) = server();
    let id = issue(&server, "db/creds/app").id;
    backend.set(Mode::Fails);
    backend.acts();
    let failed = revoke(&server, &id);
    assert!(matches!(&failed, Err(Error::Failed(text)) if text.contains("the backend is down")));
    let mut tries = vec![0];
    for second in 1..1000 {
        server.set_time(second);
        if second == 1 {
            backend.acts();
        }
        work(&server);
        if !backend.acts().is_empty() {
            tries.push(second);
        }
    }
    assert_eq!(tries, [0, 10, 30, 70, 150, 310]);
    assert_eq!(states(&server, "test_db"), [0, 0, 0, 1]);
    let read = |path: &str| {
        data(
            server
                .send(Operation::Read, path, &json!({"type": "irrevocable"}), &server.root)
                .unwrap(),
        )
    };
    let counts = read("sys/leases/count");
    assert_eq!(counts["lease_count"], 1);
    assert_eq!(counts["counts"], json!({"test_db": 1}));
    let list = read("sys/leases");
    assert_eq!(list["leases"], json!([{"lease_id": id, "error": "the backend is down"}]));
    let found = data(server.write("sys/leases/lookup", &json!({ "lease_id": id })).unwrap());
    assert_eq!((&found["ttl"], &found["revocation_attempts"]), (&json!(0), &json!(6)));
    // By force it goes, whatever the backend says.
    server.write("sys/leases/revoke-force/db", &json!({})).unwrap();
    assert_eq!(leftovers(&server), Vec::<String>::new());
    assert_eq!(backend.acts(), ["drop app-1"], "it was asked once more");
    assert_eq!(backend.users(), ["app-1"]);
}

#[test]
fn what_could_not_be_ended_can_be_tried_again_by_an_operator() {
    let (server, backend, _) = server();
    let ids: Vec<String> = (0..3).map(|_| issue(&server, "db/creds/app").id).collect();
    backend.set(Mode::Fails);
    let failed = server.write("sys/leases/revoke-prefix/db", &json!({}));
    assert!(matches!(&failed, Err(Error::Failed(text)) if text.contains("3 of 3")), "{failed:?}");
    for second in 1..400 {
        server.set_time(second);
        work(&server);
    }
    assert_eq!(states(&server, "test_db"), [0, 0, 0, 3]);
    backend.set(Mode::Works);
    revoke(&server, &ids[0]).unwrap();
    assert_eq!(states(&server, "test_db"), [0, 0, 0, 2]);
    server.write("sys/leases/revoke-prefix/db/creds", &json!({})).unwrap();
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn a_prefix_is_whole_segments_and_leaves_others() {
    let (server, backend, other) = server();
    for path in ["db/creds/a", "db/creds/ab", "db/made/a", "other/creds/a"] {
        issue(&server, path);
    }
    for (prefix, left) in [
        ("db/creds/a", vec!["a-3", "ab-2"]),
        ("db/creds/ab/", vec!["a-3"]),
        ("db/cre", vec!["a-3"]),
        ("nothing/here", vec!["a-3"]),
        ("db", vec![]),
    ] {
        let reply = server.write(&format!("sys/leases/revoke-prefix/{prefix}"), &json!({}));
        assert!(reply.unwrap().is_empty(), "{prefix}");
        assert_eq!(backend.users(), left, "{prefix}");
    }
    assert_eq!(other.users(), ["a-1"]);
    let id = issue(&server, "db/creds/a").id;
    server.write(&format!("sys/revoke-prefix/{id}"), &json!({})).unwrap();
    assert!(backend.users().is_empty(), "a whole id is a prefix of one");
    for path in ["sys/leases/revoke-prefix", "sys/leases/revoke-force"] {
        let outcome = server.write(path, &json!({}));
        assert!(matches!(outcome, Err(Error::UnsupportedPath)), "{outcome:?}");
        let outcome = server.write(&format!("{path}/"), &json!({}));
        assert!(matches!(outcome, Err(Error::BadRequest(_))), "{outcome:?}");
    }
}

#[test]
fn tokens_below_a_prefix_are_good_for_nothing_from_the_entry_on_that_marks_it() {
    let (server, _, _) = server();
    let tokens: Vec<String> =
        (0..250).map(|_| create(&server, &json!({"policies": ["default"]}))).collect();
    let by_role = |name: &str| {
        server.write(&format!("auth/token/roles/{name}"), &json!({})).unwrap();
        let reply =
            server.write(&format!("auth/token/create/{name}"), &json!({"policies": ["default"]}));
        crate::token::auth(reply.unwrap()).client_token
    };
    let (of_a, of_b) = (by_role("a"), by_role("b"));
    let queued = json!({ "sync": false });
    server.write("sys/leases/revoke-prefix/auth/token/create/a", &queued).unwrap();
    assert!(!lives(&server, &of_a) && lives(&server, &of_b));
    server.set_time(1);
    server.write("sys/leases/revoke-prefix/auth/token/create", &queued).unwrap();
    let later = create(&server, &json!({"policies": ["default"]}));
    assert!(!lives(&server, &of_b) && tokens.iter().all(|token| !lives(&server, token)));
    assert!(!lives(&server, &later), "of the same moment");
    server.set_time(2);
    let later = create(&server, &json!({"policies": ["default"]}));
    assert!(lives(&server, &later) && lives(&server, &server.root));
    work(&server);
    assert!(lives(&server, &later));
    core(&server, |core| {
        assert_eq!(core.list("token/id").unwrap().len(), 2);
        assert_eq!(core.list("lease/prefix").unwrap(), Vec::<String>::new());
    });
}

#[test]
fn a_token_is_looked_up_and_revoked_by_its_lease() {
    let (server, _, _) = server();
    let token = create(&server, &json!({"policies": ["default"], "ttl": "1h"}));
    let keys = data(server.list("sys/leases/lookup/auth/token/create").unwrap());
    let name = keys["keys"][0].as_str().unwrap();
    let id = format!("auth/token/create/{name}");
    let found = data(server.write("sys/leases/lookup", &json!({ "lease_id": id })).unwrap());
    assert_eq!((&found["ttl"], &found["renewable"]), (&json!(3600), &json!(true)));
    let elsewhere = format!("auth/token/other/{name}");
    assert!(!exists(&server, &elsewhere));
    revoke(&server, &elsewhere).unwrap();
    assert!(lives(&server, &token));
    revoke(&server, &id).unwrap();
    assert!(!lives(&server, &token) && !exists(&server, &id));
}

#[test]
fn a_backend_that_hangs_holds_up_no_other() {
    let (server, hung, other) = server();
    for _ in 0..40 {
        issue(&server, "db/made/a");
        issue(&server, "other/made/a");
    }
    for mount in ["db", "other"] {
        let path = format!("sys/leases/revoke-prefix/{mount}");
        server.write(&path, &json!({"sync": false})).unwrap();
    }
    crate::token::work_off(&server);
    hung.set(Mode::Hangs);
    let pipeline = server.pipeline.clone();
    server.block_on(async {
        let ends = end_leases_now(&pipeline);
        let others_are_done = async {
            while !other.users().is_empty() {
                tokio::task::yield_now().await;
            }
        };
        tokio::select! {
            outcome = ends => panic!("{outcome:?}"),
            () = others_are_done => {}
        }
    });
    assert_eq!(hung.users().len(), 40);
    assert!(hung.reached() <= 32, "a bounded number is asked at a time: {}", hung.reached());
    hung.set(Mode::Works);
    work(&server);
    assert_eq!((hung.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn unmounting_ends_the_mount_s_leases_while_its_storage_is_there() {
    let (server, backend, other) = server();
    server.write("db/roles/app", &json!({"ttl": 3600})).unwrap();
    for _ in 0..300 {
        issue(&server, "db/made/app");
    }
    issue(&server, "other/made/app");
    backend.set(Mode::Fails);
    server.delete("sys/mounts/db").unwrap();
    work(&server);
    let jobs = || server.block_on(server.pipeline.internal(strongroom::sys::jobs::jobs)).unwrap();
    assert_eq!(jobs().len(), 1, "it waits for its leases");
    backend.set(Mode::Works);
    for minute in 1..20 {
        server.set_time(minute * 60);
        work(&server);
    }
    assert_eq!((backend.users(), jobs()), (vec![], vec![]));
    assert_eq!(other.users(), ["app-1"]);
}

#[test]
fn a_lease_that_changes_its_state_holds_up_its_mount_s_end() {
    let (server, backend, _) = server();
    issue(&server, "db/made/app");
    server.delete("sys/mounts/db").unwrap();
    work(&server);
    server.mount("db/", "test", &[]);
    server.delete("sys/mounts/db").unwrap();
    backend.acts();
    let barrier = server.pipeline.barrier.clone();
    // Just before the step that would be the last: after it has looked, before it commits.
    server.log.before_next_proposal(move |log| {
        let point = log.begin().now_or_never().unwrap().unwrap();
        let mut txn = barrier.begin(point, START).unwrap();
        let lease = LeaseEntry { kind: "note".into(), ..LeaseEntry::default() };
        txn.scope("root/core/").put("lease/ending/test_db/db%2Fx%2Fy", &lease).unwrap();
        let batch = txn.into_batch().unwrap().unwrap();
        log.append(barrier.seal(batch, Repeat::default()).unwrap()).unwrap();
    });
    crate::token::work_off(&server);
    let jobs = || server.block_on(server.pipeline.internal(strongroom::sys::jobs::jobs)).unwrap();
    assert_eq!(jobs().len(), 1, "it waits for the lease");
    work(&server);
    assert_eq!((states(&server, "test_db"), jobs()), ([0; 4], vec![]));
}

#[test]
fn leases_of_a_dead_backend_s_mount_can_be_forced_after_it_is_unmounted() {
    let (server, backend, _) = server();
    issue(&server, "db/made/app");
    backend.set(Mode::Fails);
    server.delete("sys/mounts/db").unwrap();
    for second in 0..400 {
        server.set_time(second);
        work(&server);
    }
    assert_eq!(states(&server, "test_db"), [0, 0, 0, 1]);
    server.write("sys/leases/revoke-force/db", &json!({})).unwrap();
    work(&server);
    assert_eq!(leftovers(&server), Vec::<String>::new());
    let jobs = server.block_on(server.pipeline.internal(strongroom::sys::jobs::jobs)).unwrap();
    assert_eq!(jobs, Vec::<String>::new());
}

#[test]
fn a_lease_keeps_its_id_when_its_mount_is_moved() {
    let (server, backend, _) = server();
    let lease = issue(&server, "db/made/app");
    server.write("sys/remount", &json!({"from": "db", "to": "moved"})).unwrap();
    assert!(exists(&server, &lease.id));
    let keys = data(server.list("sys/leases/lookup/db/made/app").unwrap());
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert!(issue(&server, "moved/made/app").id.starts_with("moved/made/app/"));
    revoke(&server, &lease.id).unwrap();
    assert_eq!(backend.users(), ["app-2"]);
    server.delete("sys/mounts/moved").unwrap();
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn only_who_may_lists_and_forces() {
    let (server, _, _) = server();
    policy(
        &server,
        "leases",
        r#"path "sys/leases/*" { capabilities = ["update", "list", "read"] }
        path "sys/leases" { capabilities = ["read"] }"#,
    );
    let token = create(&server, &json!({"policies": ["leases"]}));
    let send = |operation, path: &str| {
        server.send(operation, path, &json!({"type": "irrevocable"}), &token)
    };
    for (operation, path, allowed) in [
        (Operation::List, "sys/leases/lookup/", false),
        (Operation::List, "sys/leases/lookup/db/", false),
        (Operation::Update, "sys/leases/revoke-prefix/db", false),
        (Operation::Update, "sys/leases/revoke-force/db", false),
        (Operation::Read, "sys/leases", false),
        (Operation::Read, "sys/leases/count", true),
        (Operation::Update, "sys/leases/tidy", true),
    ] {
        let outcome = send(operation, path);
        assert_eq!(outcome.is_ok(), allowed, "{path}: {outcome:?}");
    }
}

#[test]
fn a_revocation_whose_answer_was_lost_is_awaited_by_whoever_repeats_it() {
    for (path, names_it) in [("sys/leases/revoke", true), ("sys/leases/revoke-prefix/db", false)] {
        let (server, backend, _) = server();
        let id = issue(&server, "db/creds/app").id;
        let body = if names_it { json!({ "lease_id": id }) } else { json!({}) };
        let revoke = numbered(&server, 1, Operation::Update, path, &body);
        let send = || server.block_on(server.pipeline.handle(&revoke));
        server.log.lose_next_answer();
        assert!(matches!(send(), Err(Error::LeadershipLost)), "{path}");
        backend.set(Mode::Fails);
        for _ in 0..2 {
            let failed = send();
            let tells = |text: &str| text.contains("the backend is down");
            assert!(matches!(&failed, Err(Error::Failed(text)) if tells(text)), "{failed:?}");
        }
        backend.set(Mode::Works);
        server.set_time(100);
        work(&server);
        assert!(send().unwrap().is_empty(), "{path}");
        assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
    }
}

#[test]
fn a_revocation_that_was_decided_is_never_said_not_to_have_been() {
    let (server, _, _) = server();
    let id = issue(&server, "db/creds/app").id;
    let log = server.log.clone();
    server.log.before_next_proposal(move |_| {
        // The lease's end.
        log.before_next_proposal(strongroom::log::MemoryLog::change_leadership);
    });
    let outcome = revoke(&server, &id);
    assert!(matches!(outcome, Err(Error::LeadershipLost)), "{outcome:?}");
}

use std::sync::Arc;

use serde_json::{Map, Value, json};
use strongroom::request::{Error, Operation};

use super::backend::engine;
use super::*;
use crate::harness::{Server, data};
use crate::token::{create, policy, refusal};

fn server() -> (Server, Arc<Backend>) {
    let backend = Arc::new(Backend::default());
    (Server::with_mounts(vec![("db/", engine(&backend))]), backend)
}

fn lookup(server: &Server, id: &str) -> Map<String, Value> {
    data(server.write("sys/leases/lookup", &json!({ "lease_id": id })).unwrap())
}

/// A token that may use the engine.
fn token(server: &Server, params: &Value) -> String {
    policy(server, "db", r#"path "db/*" { capabilities = ["read"] }"#);
    let mut params = params.clone();
    params["policies"] = json!(["db"]);
    create(server, &params)
}

#[test]
fn a_lease_is_one_entry_and_is_looked_up_and_listed() {
    let (server, _) = server();
    let before = server.entries();
    let lease = issue(&server, "db/made/app");
    assert_eq!(server.entries() - before, 1);
    let name = lease.id.strip_prefix("db/made/app/").unwrap();
    assert!(name.len() == 24 && name.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{name}");
    assert_eq!((lease.ttl.as_secs(), lease.renewable), (2_764_800, true));
    assert!(lease.internal.is_empty(), "what the engine keeps is not told");
    server.set_time(100);
    let found = lookup(&server, &lease.id);
    let keys: Vec<&str> = found.keys().map(String::as_str).collect();
    let expected = ["expire_time", "id", "issue_time", "last_renewal", "path", "renewable", "ttl"];
    assert_eq!(keys, expected);
    assert_eq!((&found["ttl"], &found["path"]), (&json!(2_764_700), &json!("db/made/app")));
    issue(&server, "db/notes/other");
    create(&server, &json!({"policies": ["default"]}));
    let list = |path: &str| {
        let reply = server.list(&format!("sys/leases/lookup/{path}")).unwrap();
        data(reply)["keys"].clone()
    };
    assert_eq!(list(""), json!(["auth/", "db/"]));
    assert_eq!(list("db"), json!(["made/", "notes/"]));
    assert_eq!(list("db/made/app/"), json!([name]));
    assert_eq!(list("auth/token"), json!(["create/"]));
    assert!(server.list("sys/leases/lookup/nowhere/").unwrap().is_empty());
}

#[test]
fn times_to_live_follow_caller_role_and_mount() {
    // Role's ttl and max_ttl; what is granted at issue, and half an hour later to whoever asks
    // for three hours.
    for (ttl, max_ttl, granted, renewed) in [
        (0, 0, 2_764_800, 10_800),
        (7200, 0, 7200, 10_800),
        (7200, 7200, 7200, 5400),
        (7200, 9000, 7200, 7200),
        (9_000_000, 0, 2_764_800, 10_800),
    ] {
        let (server, _) = server();
        let role = json!({ "ttl": ttl, "max_ttl": max_ttl });
        server.write("db/roles/app", &role).unwrap();
        let reply = server.read("db/made/app").unwrap();
        assert_eq!(reply.warnings.is_empty(), granted >= ttl, "{role} {:?}", reply.warnings);
        let issued = lease(reply);
        assert_eq!(issued.ttl.as_secs(), granted, "{role}");
        server.set_time(1800);
        let again = renew(&server, &issued.id, 10_800).unwrap();
        assert_eq!((again.ttl.as_secs(), &again.id), (renewed, &issued.id), "{role}");
        assert_eq!(lookup(&server, &issued.id)["ttl"], renewed, "{role}");
    }
}

#[test]
fn a_mount_that_is_tuned_meanwhile_counts_as_it_is_now() {
    let (server, _) = server();
    let issued = issue(&server, "db/made/app");
    let tune = |max: &str| {
        let tuning = json!({ "default_lease_ttl": "30m", "max_lease_ttl": max });
        server.write("sys/mounts/db/tune", &tuning).unwrap();
    };
    tune("1h");
    server.set_time(1800);
    assert_eq!(renew(&server, &issued.id, 0).unwrap().ttl.as_secs(), 1800);
    assert_eq!(issue(&server, "db/made/app").ttl.as_secs(), 1800);
    server.set_time(3500);
    assert_eq!(renew(&server, &issued.id, 500).unwrap().ttl.as_secs(), 100);
    tune("40m");
    assert_eq!(refusal(renew(&server, &issued.id, 500)), "past the max TTL, cannot renew");
}

#[test]
fn renewal_refuses_what_cannot_be_renewed() {
    let (server, backend) = server();
    let fixed = issue(&server, "db/notes/fixed").id;
    let ended = issue(&server, "db/notes/a").id;
    revoke(&server, &ended).unwrap();
    let short = json!({"ttl": 60});
    server.write("db/roles/short", &short).unwrap();
    let over = issue(&server, "db/made/short").id;
    let failing = issue(&server, "db/made/app").id;
    create(&server, &json!({"policies": ["default"]}));
    let tokens = server.list("sys/leases/lookup/auth/token/create").unwrap();
    let of_token = format!("auth/token/create/{}", data(tokens)["keys"][0].as_str().unwrap());
    server.set_time(61);
    for (id, text) in [
        (fixed.as_str(), "lease is not renewable"),
        (&ended, "lease not found"),
        (&over, "lease expired"),
        ("nope", "lease not found"),
        ("a/../b", "lease not found"),
        ("/", "lease not found"),
        ("", "lease_id must be specified"),
        (&of_token, "tokens cannot be renewed through this endpoint"),
    ] {
        assert_eq!(refusal(renew(&server, id, 0)), text, "{id}");
    }
    let negative = json!({"lease_id": failing, "increment": -1});
    assert!(refusal(server.write("sys/leases/renew", &negative)).contains("negative value '-1'"));
    backend.set(Mode::Fails);
    let before = lookup(&server, &failing);
    let failed = renew(&server, &failing, 60);
    assert!(matches!(&failed, Err(Error::Failed(text)) if text == "the backend is down"));
    assert_eq!(lookup(&server, &failing), before, "nothing changed");
    for path in ["sys/renew", "sys/leases/renew/nope", "sys/renew/nope"] {
        let outcome = server.write(path, &json!({"lease_id": "nope"}));
        assert_eq!(refusal(outcome), "lease not found", "{path}");
    }
}

#[test]
fn a_lease_ends_when_its_time_is_over_not_a_minute_later() {
    let (server, backend) = server();
    server.write("db/roles/app", &json!({"ttl": 90})).unwrap();
    issue(&server, "db/creds/app");
    let renewed = issue(&server, "db/creds/app").id;
    server.set_time(80);
    renew(&server, &renewed, 300).unwrap();
    work(&server);
    assert_eq!(backend.users(), ["app-1", "app-2"]);
    server.set_time(91);
    work(&server);
    assert_eq!(backend.users(), ["app-2"]);
    server.set_time(379);
    work(&server);
    assert_eq!(backend.users(), ["app-2"]);
    server.set_time(381);
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn what_needs_no_act_just_goes() {
    let (server, backend) = server();
    let id = issue(&server, "db/notes/a").id;
    let kept = issue(&server, "db/notes/b").id;
    let before = server.entries();
    revoke(&server, &id).unwrap();
    assert_eq!(server.entries() - before, 1);
    assert!(!exists(&server, &id) && exists(&server, &kept));
    server.set_time(2_764_900);
    work(&server);
    assert_eq!((leftovers(&server), backend.acts()), (vec![], vec![]));
}

#[test]
fn next_leader_ends_what_the_last_one_left_with_a_clock_that_went_back() {
    let (server, backend) = server();
    server.write("db/roles/app", &json!({"ttl": 100})).unwrap();
    issue(&server, "db/creds/app");
    server.set_time(50);
    work(&server);
    server.log.change_leadership();
    server.pipeline.forget();
    server.set_time(10);
    issue(&server, "db/creds/app");
    server.set_time(101);
    work(&server);
    assert_eq!(backend.users(), ["app-2"], "it was issued at 50, as the log says");
    server.set_time(151);
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn leases_end_with_their_token() {
    let (server, backend) = server();
    let parent = token(&server, &json!({}));
    policy(
        &server,
        "make",
        r#"path "auth/token/create" { capabilities = ["update"] }
        path "db/*" { capabilities = ["read"] }"#,
    );
    let maker = create(&server, &json!({"policies": ["make"]}));
    let child = crate::token::create_as(&server, &maker, &json!({})).unwrap().client_token;
    let batch = json!({"type": "batch", "ttl": "10m"});
    let batch = crate::token::create_as(&server, &maker, &batch).unwrap().client_token;
    for owner in [&parent, &maker, &child, &batch] {
        for path in ["db/creds/app", "db/notes/a"] {
            issue_as(&server, owner, path).unwrap();
        }
    }
    assert_eq!(states(&server, "test_db"), [8, 0, 0, 0]);
    server.write("auth/token/revoke", &json!({ "token": parent })).unwrap();
    assert_eq!(states(&server, "test_db"), [6, 1, 0, 0], "in the same entry");
    work(&server);
    assert_eq!(backend.users().len(), 3);
    server.write("auth/token/revoke", &json!({ "token": maker })).unwrap();
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
}

#[test]
fn a_token_with_many_leases_is_revoked_in_bounded_steps() {
    let (server, backend) = server();
    let owner = token(&server, &json!({}));
    for _ in 0..300 {
        issue_as(&server, &owner, "db/made/app").unwrap();
    }
    server.write("auth/token/revoke", &json!({ "token": owner })).unwrap();
    assert!(matches!(issue_as(&server, &owner, "db/made/app"), Err(Error::Denied)));
    work(&server);
    assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]));
    assert!(backend.dropped().values().all(|times| *times == 1));
}

#[test]
fn a_batch_token_s_lease_does_not_outlive_it() {
    let (server, _) = server();
    let batch = token(&server, &json!({"type": "batch", "ttl": "10m"}));
    server.set_time(60);
    let lease = issue_as(&server, &batch, "db/made/app").unwrap();
    assert_eq!(lease.ttl.as_secs(), 540);
    server.set_time(100);
    assert_eq!(renew(&server, &lease.id, 3600).unwrap().ttl.as_secs(), 500);
    server.set_time(600);
    assert_eq!(refusal(renew(&server, &lease.id, 3600)), "lease expired");
}

#[test]
fn the_last_use_of_a_token_gives_no_lease() {
    let (server, backend) = server();
    for path in ["db/made/app", "db/notes/a", "db/creds/app"] {
        let once = token(&server, &json!({"num_uses": 1}));
        let text = refusal(issue_as(&server, &once, path));
        assert!(text.starts_with("Secret cannot be returned; token had one use left"), "{text}");
        assert!(matches!(issue_as(&server, &once, path), Err(Error::Denied)), "{path}");
    }
    work(&server);
    assert_eq!(leftovers(&server), Vec::<String>::new());
    assert!(!backend.acts().iter().any(|act| act.starts_with("create")), "nothing was created");
}

#[test]
fn a_token_that_is_revoked_while_its_lease_is_issued_leaves_none() {
    for path in ["db/creds/app", "db/notes/a"] {
        let (server, backend) = server();
        let owner = token(&server, &json!({}));
        let params = json!({ "token": owner });
        let revoke = server.start(Operation::Update, "auth/token/revoke", &params, &server.root);
        let revoke = std::sync::Mutex::new(Some(Box::pin(revoke)));
        let rival = move |_: &strongroom::log::MemoryLog| {
            let revoke = revoke.lock().unwrap().take().unwrap();
            futures_util::FutureExt::now_or_never(revoke).unwrap().unwrap();
        };
        if path == "db/creds/app" {
            // The intent's entry first, then what is proposed after the act.
            let log = server.log.clone();
            server.log.before_next_proposal(move |_| log.before_next_proposal(rival));
        } else {
            server.log.before_next_proposal(rival);
        }
        let outcome = issue_as(&server, &owner, path);
        assert!(outcome.is_err(), "{path}: {outcome:?}");
        work(&server);
        assert_eq!((backend.users(), leftovers(&server)), (vec![], vec![]), "{path}");
    }
}

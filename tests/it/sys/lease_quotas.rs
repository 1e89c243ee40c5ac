use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::request::{Auth, Error, Operation};

use crate::harness::{Server, data, line};
use crate::lease::{Backend, backend_engine, issue, renew, revoke, work};
use crate::token::create;

const EXCEEDED: &str = "lease count quota exceeded";

fn log_in(server: &Server) -> Result<Auth, String> {
    let path = "auth/userpass/login/bob";
    let reply = server.send(Operation::Update, path, &json!({"password": "pw"}), "");
    reply.map(|reply| reply.auth.unwrap()).map_err(|error| error.to_string())
}

fn with_bob() -> Server {
    let server = Server::new();
    server.write("sys/auth/userpass", &json!({"type": "userpass"})).unwrap();
    server.write("auth/userpass/users/bob", &json!({"password": "pw"})).unwrap();
    server
}

fn limit(server: &Server, name: &str, path: &str, max_leases: u64) {
    let quota = json!({"path": path, "max_leases": max_leases});
    assert_eq!(line(server.write(&format!("sys/quotas/lease-count/{name}"), &quota)), "204");
}

fn counter(server: &Server, name: &str) -> Value {
    data(server.read(&format!("sys/quotas/lease-count/{name}")).unwrap())["counter"].clone()
}

fn is_refused(server: &Server, path: &str, body: &Value) -> bool {
    match server.write(path, body) {
        Err(Error::TooMany(text)) => text.contains(EXCEEDED),
        Err(other) => panic!("{other:?}"),
        Ok(_) => false,
    }
}

#[test]
fn logins_are_refused_once_their_mount_has_as_many_leases_as_it_may() {
    let server = with_bob();
    limit(&server, "q", "auth/userpass", 2);
    let first = log_in(&server).unwrap();
    log_in(&server).unwrap();
    let path = "auth/userpass/login/bob";
    let refused = format!("1 error occurred:\n\t* request path \"{path}\": {EXCEEDED}\n\n");
    assert_eq!(log_in(&server).map(drop), Err(refused));
    assert_eq!(counter(&server, "q"), 2);
    // What is there is renewed; batch tokens are refused though they do not count.
    server.write("auth/token/renew", &json!({"token": first.client_token})).unwrap();
    server.write("auth/userpass/users/bob", &json!({"token_type": "batch"})).unwrap();
    assert!(log_in(&server).is_err());
    server.write("auth/token/revoke", &json!({"token": first.client_token})).unwrap();
    for _ in 0..3 {
        log_in(&server).unwrap();
    }
    server.write("auth/userpass/users/bob", &json!({"token_type": "service"})).unwrap();
    log_in(&server).unwrap();
    assert!(log_in(&server).is_err());
    // A change counts at once, and so does time.
    limit(&server, "q", "auth/userpass", 3);
    log_in(&server).unwrap();
    server.set_time(40 * 24 * 3600);
    work(&server);
    assert_eq!(counter(&server, "q"), 0);
    log_in(&server).unwrap();
}

#[test]
fn quota_for_all_counts_the_mounts_that_have_none() {
    let server = with_bob();
    limit(&server, "all", "", 2);
    limit(&server, "bobs", "auth/userpass", 5);
    for _ in 0..5 {
        log_in(&server).unwrap();
    }
    assert!(log_in(&server).is_err());
    assert_eq!((counter(&server, "all"), counter(&server, "bobs")), (json!(0), json!(5)));
    for path in ["auth/token/create", "auth/token/create-orphan"] {
        assert!(!is_refused(&server, path, &json!({"policies": ["default"]})), "{path}");
    }
    assert!(is_refused(&server, "auth/token/create", &json!({"policies": ["default"]})));
    // An operator can come in whatever is used up.
    assert!(!is_refused(&server, "auth/token/create", &json!({"policies": ["root"]})));
    server.delete("sys/quotas/lease-count/bobs").unwrap();
    assert!(counter(&server, "all").as_u64() >= Some(7));
    assert!(log_in(&server).is_err());
    server.delete("sys/quotas/lease-count/all").unwrap();
    log_in(&server).unwrap();
}

#[test]
fn backend_is_not_asked_for_what_a_quota_refuses() {
    let backend = Arc::new(Backend::default());
    let server = Server::with_mounts(vec![("db/", backend_engine(&backend))]);
    limit(&server, "q", "db", 2);
    let lease = issue(&server, "db/creds/app");
    issue(&server, "db/notes/app");
    backend.acts();
    for path in ["db/creds/app", "db/made/app", "db/notes/app"] {
        let refused = server.read(path);
        assert!(matches!(refused, Err(Error::TooMany(_))), "{path}: {refused:?}");
    }
    assert_eq!(backend.acts(), Vec::<String>::new());
    renew(&server, &lease.id, 60).unwrap();
    revoke(&server, &lease.id).unwrap();
    issue(&server, "db/creds/app");
    assert!(server.read("db/notes/app").is_err());
    assert_eq!(counter(&server, "q"), 2);
}

#[test]
fn those_under_way_count_each_other() {
    let server = Server::new();
    create(&server, &json!({"policies": ["default"]}));
    let before = counter_of_tokens(&server);
    limit(&server, "q", "auth/token", before + 1);
    let body = json!({"policies": ["default"]});
    let rival = server.start(Operation::Update, "auth/token/create", &body, &server.root);
    let rival = std::sync::Mutex::new(Some(Box::pin(rival)));
    // After the first has looked, before what it makes is there.
    server.log.before_next_proposal(move |_| {
        let rival = rival.lock().unwrap().take().unwrap();
        let outcome = futures_util::FutureExt::now_or_never(rival).unwrap();
        assert!(matches!(outcome, Err(Error::TooMany(_))), "{outcome:?}");
    });
    create(&server, &body);
    assert_eq!(counter(&server, "q"), before + 1);
    assert!(is_refused(&server, "auth/token/create", &body));
    // Whoever was refused has left no place taken.
    limit(&server, "q", "auth/token", before + 2);
    create(&server, &body);
}

fn counter_of_tokens(server: &Server) -> u64 {
    limit(server, "q", "auth/token", 1000);
    counter(server, "q").as_u64().unwrap()
}

#[test]
fn a_path_may_have_so_many_leases_of_its_own() {
    let backend = Arc::new(Backend::default());
    let server = Server::with_mounts(vec![("db/", backend_engine(&backend))]);
    let before = issue(&server, "db/creds/app");
    limit(&server, "app", "db/creds/app", 2);
    limit(&server, "others", "db/creds/o*", 1);
    let first = issue(&server, "db/creds/app");
    issue(&server, "db/creds/app");
    issue(&server, "db/creds/other");
    for path in ["db/creds/app", "db/creds/other", "db/creds/once-more"] {
        assert!(matches!(server.read(path), Err(Error::TooMany(_))), "{path}");
    }
    issue(&server, "db/creds/free");
    // Those that were there before are not counted; of the others each, whatever ends it.
    assert_eq!((counter(&server, "app"), counter(&server, "others")), (json!(2), json!(1)));
    revoke(&server, &before.id).unwrap();
    assert!(matches!(server.read("db/creds/app"), Err(Error::TooMany(_))));
    renew(&server, &first.id, 60).unwrap();
    revoke(&server, &first.id).unwrap();
    work(&server);
    issue(&server, "db/creds/app");
    assert_eq!(counter(&server, "app"), 2);
    // A change goes on counting what was counted.
    limit(&server, "app", "db/creds/app", 3);
    issue(&server, "db/creds/app");
    assert!(matches!(server.read("db/creds/app"), Err(Error::TooMany(_))));
    server.write("sys/leases/revoke-force/db/creds/app", &json!({})).unwrap();
    work(&server);
    assert_eq!(counter(&server, "app"), 0);
}

#[test]
fn a_login_path_may_have_so_many_tokens_of_its_own() {
    let server = with_bob();
    server.write("auth/userpass/users/eve", &json!({"password": "pw"})).unwrap();
    limit(&server, "bob", "auth/userpass/login/bob", 1);
    limit(&server, "tokens", "auth/token/create", 1);
    let bob = log_in(&server).unwrap();
    assert!(log_in(&server).unwrap_err().contains(EXCEEDED));
    let eve =
        server.send(Operation::Update, "auth/userpass/login/eve", &json!({"password": "pw"}), "");
    assert!(eve.is_ok());
    assert!(!is_refused(&server, "auth/token/create", &json!({"policies": ["default"]})));
    assert!(is_refused(&server, "auth/token/create", &json!({"policies": ["default"]})));
    assert!(!is_refused(&server, "auth/token/create-orphan", &json!({"policies": ["default"]})));
    assert_eq!((counter(&server, "bob"), counter(&server, "tokens")), (json!(1), json!(1)));
    server.write("auth/token/revoke", &json!({"token": bob.client_token})).unwrap();
    work(&server);
    assert_eq!(counter(&server, "bob"), 0);
    log_in(&server).unwrap();
    server.set_time(40 * 24 * 3600);
    work(&server);
    assert_eq!((counter(&server, "bob"), counter(&server, "tokens")), (json!(0), json!(0)));
}

#[test]
fn quotas_are_written_read_listed_and_deleted() {
    let server = with_bob();
    assert_eq!(line(server.list("sys/quotas/lease-count")), "204");
    assert_eq!(line(server.read("sys/quotas/lease-count/q")), "404");
    let write = |params: &Value| line(server.write("sys/quotas/lease-count/q", params));
    for (params, expected) in [
        (json!({}), "400 'max_leases' is invalid"),
        (json!({"max_leases": 0}), "400 'max_leases' is invalid"),
        (json!({"max_leases": -1}), "400 'max_leases' is invalid"),
        (json!({"max_leases": "many"}), "400 Field validation failed"),
        (json!({"max_leases": 1, "path": "nosuch"}), "400 invalid mount path \"nosuch\""),
        (
            json!({"max_leases": 1, "path": "auth/userpass", "role": "x"}),
            "400 Mount path \"auth/userpass/\" does not support use with role-based quotas",
        ),
        (json!({"max_leases": 1, "path": "x".repeat(5000)}), "400 a quota's name has at most"),
    ] {
        let answer = write(&params);
        assert!(answer.starts_with(expected), "{params}: {answer}");
        assert_eq!(line(server.list("sys/quotas/lease-count")), "204", "{params}");
    }
    for (params, expected) in [
        (
            json!({"max_leases": "7", "path": "/auth/userpass", "type": "lease-count", "name": "x"}),
            r#"{"counter":0,"inheritable":false,"max_leases":7,"name":"q","path":"auth/userpass/","role":"","type":"lease-count"}"#,
        ),
        (
            json!({"max_leases": 1000}),
            r#"{"counter":0,"inheritable":true,"max_leases":1000,"name":"q","path":"","role":"","type":"lease-count"}"#,
        ),
    ] {
        drop(write(&params));
        assert_eq!(line(server.read("sys/quotas/lease-count/q")), format!("200 {expected}"));
    }
    let same = line(server.write("sys/quotas/lease-count/r", &json!({"max_leases": 1})));
    assert_eq!(same, "400 quota rule with similar properties exists under the name \"q\"");
    assert_eq!(line(server.list("sys/quotas/lease-count")), r#"200 {"keys":["q"]}"#);
    for _ in 0..2 {
        assert_eq!(line(server.delete("sys/quotas/lease-count/q")), "204");
    }
    assert_eq!(line(server.read("sys/quotas/lease-count/q")), "404");
}

//! What limits clients: quotas by namespace, and locks of users.

use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::{create, make, write};
use crate::harness::{Server, data, line};

fn limit(server: &Server, name: &str, params: &Value) {
    let path = format!("sys/quotas/lease-count/{name}");
    assert_eq!(line(server.write(&path, params)), "204");
}

fn counter(server: &Server, name: &str) -> u64 {
    let path = format!("sys/quotas/lease-count/{name}");
    data(server.read(&path).unwrap())["counter"].as_u64().unwrap()
}

fn log_in(server: &Server, namespace: &str, user: &str, password: &str) -> String {
    let path = format!("auth/userpass/login/{user}");
    let password = json!({ "password": password });
    match server.send_in(namespace, Operation::Update, &path, &password, "") {
        Ok(_) => "ok",
        Err(Error::Denied) => "locked",
        Err(Error::TooMany(_)) => "too many",
        Err(_) => "wrong",
    }
    .to_owned()
}

fn server() -> Server {
    let server = Server::new();
    for namespace in ["a/", "a/b/", "c/"] {
        make(&server, namespace);
    }
    for namespace in ["", "a/", "a/b/", "c/"] {
        write(&server, namespace, "sys/auth/userpass", &json!({"type": "userpass"})).unwrap();
        let user = json!({"password": "pw"});
        write(&server, namespace, "auth/userpass/users/bob", &user).unwrap();
    }
    server
}

#[test]
fn a_lease_count_quota_is_for_a_mount_of_one_namespace() {
    let server = server();
    limit(&server, "q", &json!({"path": "a/auth/userpass", "max_leases": 2}));
    for namespace in ["a/", "a/", "", "a/b/", "c/"] {
        assert_eq!(log_in(&server, namespace, "bob", "pw"), "ok", "{namespace}");
    }
    assert_eq!(counter(&server, "q"), 2);
    let path = "a/auth/userpass/login/bob";
    let refused = server.send(Operation::Update, path, &json!({"password": "pw"}), "");
    let text = "1 error occurred:\n\t* request path \"a/auth/userpass/login/bob\": lease count \
                quota exceeded\n\n";
    assert!(matches!(&refused, Err(Error::TooMany(said)) if said == text), "{refused:?}");
    for namespace in ["", "a/b/", "c/"] {
        assert_eq!(log_in(&server, namespace, "bob", "pw"), "ok", "{namespace}");
    }
    let within = json!({"path": "a/auth/userpass/login", "max_leases": 2});
    assert_eq!(line(server.write("sys/quotas/lease-count/w", &within)), "204");
    assert_eq!(counter(&server, "w"), 0);
    let said = line(write(&server, "a/", "sys/quotas/lease-count/q", &json!({"max_leases": 9})));
    assert!(said.contains("only available in root namespace"), "{said}");
}

#[test]
fn a_lease_count_quota_of_a_namespace_counts_those_below_only_if_they_inherit_it() {
    for (inheritable, below) in [(false, "ok"), (true, "too many")] {
        let server = server();
        limit(&server, "own", &json!({"path": "a/auth/userpass", "max_leases": 9}));
        let quota = json!({"path": "a", "max_leases": 2, "inheritable": inheritable});
        limit(&server, "q", &quota);
        // The mount's own quota takes it out of the namespace's.
        assert_eq!(log_in(&server, "a/", "bob", "pw"), "ok");
        let params = json!({"policies": ["default"]});
        create(&server, "a/", &params, &server.root).unwrap();
        create(&server, "a/", &params, &server.root).unwrap();
        let refused = create(&server, "a/", &params, &server.root);
        assert!(matches!(refused, Err(Error::TooMany(_))), "{inheritable}");
        assert_eq!(log_in(&server, "a/b/", "bob", "pw"), below, "{inheritable}");
        assert_eq!(log_in(&server, "c/", "bob", "pw"), "ok");
        assert_eq!((counter(&server, "q"), counter(&server, "own")), (2, 1));
    }
    // That for all is inherited unless something else is said, and gives way to one below.
    let server = server();
    limit(&server, "all", &json!({"max_leases": 3}));
    limit(&server, "a", &json!({"path": "a/", "max_leases": 1}));
    for (namespace, expected) in [
        ("", "ok"),
        ("c/", "ok"),
        ("a/", "ok"),
        ("a/", "too many"),
        ("a/b/", "ok"),
        ("a/b/", "too many"),
        ("c/", "too many"),
    ] {
        assert_eq!(log_in(&server, namespace, "bob", "pw"), expected, "{namespace}");
    }
    assert_eq!((counter(&server, "all"), counter(&server, "a")), (3, 1));
}

#[test]
fn users_of_one_name_are_locked_out_in_their_own_namespace() {
    let server = server();
    for user in ["bob", "nobody"] {
        for _ in 0..6 {
            log_in(&server, "a/", user, "guess");
        }
        assert_eq!(log_in(&server, "a/", user, "pw"), "locked", "{user}");
    }
    for namespace in ["", "a/b/", "c/"] {
        assert_eq!(log_in(&server, namespace, "bob", "pw"), "ok", "{namespace}");
        assert_eq!(log_in(&server, namespace, "nobody", "pw"), "wrong", "{namespace}");
    }
    let locked = |namespace: &str| {
        let read = super::read(&server, namespace, "sys/locked-users", &server.root);
        data(read.unwrap())["total"].as_u64().unwrap()
    };
    assert_eq!((locked("a/"), locked(""), locked("a/b/")), (1, 0, 0));
    let path = "sys/auth/userpass";
    let accessor =
        data(super::read(&server, "a/", path, &server.root).unwrap())["accessor"].clone();
    let unlock = format!("sys/locked-users/{}/unlock/bob", accessor.as_str().unwrap());
    write(&server, "c/", &unlock, &json!({})).ok();
    assert_eq!(log_in(&server, "a/", "bob", "pw"), "locked", "another namespace's administrator");
    write(&server, "a/", &unlock, &json!({})).unwrap();
    assert_eq!(log_in(&server, "a/", "bob", "pw"), "ok");
}

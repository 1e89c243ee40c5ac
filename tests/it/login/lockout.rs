use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::{login, server};
use crate::harness::{Server, data, line};

const LOGIN: &str = "auth/userpass/login/bob";

fn with_bob() -> Server {
    let server = server("userpass");
    server.write("auth/userpass/users/bob", &json!({"password": "pw"})).unwrap();
    server
}

/// `ok`, `wrong` or `locked`.
fn outcome(server: &Server, path: &str, password: &str) -> &'static str {
    match login(server, path, &json!({ "password": password })) {
        Ok(_) => "ok",
        Err(Error::BadRequest(_)) => "wrong",
        Err(Error::Denied) => "locked",
        Err(other) => panic!("{other:?}"),
    }
}

fn accessor(server: &Server) -> String {
    data(server.read("sys/auth/userpass").unwrap())["accessor"].as_str().unwrap().to_owned()
}

fn locked(server: &Server) -> Value {
    let shown = data(server.read("sys/locked-users").unwrap());
    shown["by_namespace"][0]["mount_accessors"].clone()
}

#[test]
fn five_failures_lock_a_user_out_and_time_or_an_operator_lets_them_in() {
    let server = with_bob();
    for _ in 0..4 {
        assert_eq!(outcome(&server, LOGIN, "x"), "wrong");
    }
    assert_eq!(outcome(&server, LOGIN, "pw"), "ok", "which is the end of the counting");
    for _ in 0..5 {
        assert_eq!(outcome(&server, LOGIN, "x"), "wrong");
    }
    assert_eq!(outcome(&server, "auth/userpass/login/BOB", "pw"), "locked");
    let accessor = accessor(&server);
    let expected = json!([{"mount_accessor": accessor, "counts": 1, "alias_identifiers": ["bob"]}]);
    assert_eq!(locked(&server), expected);
    // A lock is written down: the next leader knows it, though it has counted nothing.
    server.pipeline.forget();
    assert_eq!(outcome(&server, LOGIN, "pw"), "locked");
    server.set_time(899);
    assert_eq!(outcome(&server, LOGIN, "pw"), "locked");
    server.set_time(900);
    assert_eq!(locked(&server), json!([]));
    assert_eq!(outcome(&server, LOGIN, "x"), "wrong");
    assert_eq!(outcome(&server, LOGIN, "pw"), "ok");
    for _ in 0..5 {
        outcome(&server, LOGIN, "x");
    }
    assert_eq!(outcome(&server, LOGIN, "pw"), "locked");
    let unlock = format!("sys/locked-users/{accessor}/unlock/bob");
    for _ in 0..2 {
        assert_eq!(line(server.write(&unlock, &json!({}))), "204");
    }
    assert_eq!(outcome(&server, LOGIN, "pw"), "ok");
}

#[test]
fn failures_long_ago_do_not_count() {
    let server = with_bob();
    for round in 0..3 {
        server.set_time(round * 901);
        for _ in 0..4 {
            assert_eq!(outcome(&server, LOGIN, "x"), "wrong");
        }
    }
    assert_eq!(locked(&server), json!([]));
    assert_eq!(outcome(&server, LOGIN, "pw"), "ok");
}

#[test]
fn mount_is_tuned_to_other_limits_or_none() {
    let server = with_bob();
    let tune = |config: Value| {
        line(server.write("sys/auth/userpass/tune", &json!({"user_lockout_config": config})))
    };
    assert_eq!(tune(json!({"lockout_threshold": "2", "lockout_duration": "5m"})), "204");
    let shown = data(server.read("sys/auth/userpass/tune").unwrap());
    for (name, value) in [
        ("user_lockout_threshold", json!(2)),
        ("user_lockout_duration", json!(300)),
        ("user_lockout_counter_reset_duration", json!(0)),
        ("user_lockout_disable", json!(false)),
    ] {
        assert_eq!(shown[name], value, "{name}");
    }
    for _ in 0..2 {
        assert_eq!(outcome(&server, LOGIN, "x"), "wrong");
    }
    assert_eq!(outcome(&server, LOGIN, "pw"), "locked");
    server.set_time(300);
    assert_eq!(outcome(&server, LOGIN, "pw"), "ok");
    assert_eq!(tune(json!({"lockout_disable": true})), "204");
    for _ in 0..7 {
        assert_eq!(outcome(&server, LOGIN, "x"), "wrong");
    }
    for (config, refused) in [
        (json!({"lockout_threshold": "x"}), "400 unable to parse lockout_threshold"),
        (json!({"lockout_duration": "x"}), "400 unable to parse lockout_duration"),
        (json!({"lockout_disable": "x"}), "400 unable to parse lockout_disable"),
        (json!({"other": 1}), "400 user_lockout_config has no field \"other\""),
    ] {
        assert!(tune(config.clone()).starts_with(refused), "{config}");
    }
    let token = server
        .write("sys/auth/token/tune", &json!({"user_lockout_config": {"lockout_threshold": 2}}));
    let refused = "400 tuning of user lockout configuration for auth type \"token\" not allowed";
    assert_eq!(line(token), refused);
}

#[test]
fn nobody_escapes_by_writing_a_name_as_a_number() {
    let server = server("approle");
    server.write("auth/approle/role/dev", &json!({"role_id": "123"})).unwrap();
    let drawn = data(server.write("auth/approle/role/dev/secret-id", &json!({})).unwrap());
    let attempt = |role_id: Value, secret_id: &Value| {
        let given = json!({"role_id": role_id, "secret_id": secret_id});
        login(&server, "auth/approle/login", &given).map(drop)
    };
    for role_id in [json!("123"), json!(123), json!("123"), json!(123), json!(123)] {
        let refused = attempt(role_id, &json!("wrong"));
        assert!(matches!(refused, Err(Error::BadRequest(_))), "{refused:?}");
    }
    for role_id in [json!(123), json!("123")] {
        let refused = attempt(role_id, &drawn["secret_id"]);
        assert!(matches!(refused, Err(Error::Denied)), "{refused:?}");
    }
}

#[test]
fn failures_do_not_tell_who_exists() {
    let server = with_bob();
    let tries = |name: &str| {
        let path = format!("auth/userpass/login/{name}");
        let before = server.entries();
        let outcomes: Vec<_> = (0..7).map(|_| outcome(&server, &path, "x")).collect();
        (outcomes, server.entries() - before)
    };
    let of_bob = tries("bob");
    assert_eq!(of_bob.0, ["wrong", "wrong", "wrong", "wrong", "wrong", "locked", "locked"]);
    let long = "n".repeat(3000);
    for name in ["none", &long] {
        assert_eq!(tries(name), of_bob, "{name}");
    }
    assert_eq!(locked(&server)[0]["alias_identifiers"], json!(["bob"]), "others are not stored");
    server.set_time(899);
    assert_eq!(tries("none").0, ["locked"; 7]);
    server.set_time(900);
    assert_eq!(tries("none"), of_bob);
    // Whoever comes to be may log in, and whom an operator lets in.
    let none = "auth/userpass/login/none";
    server.write("auth/userpass/users/none", &json!({"password": "pw"})).unwrap();
    assert_eq!(outcome(&server, none, "pw"), "ok");
    let other = "auth/userpass/login/other";
    assert_eq!(tries("other"), of_bob);
    let unlock = format!("sys/locked-users/{}/unlock/other", accessor(&server));
    server.write(&unlock, &json!({})).unwrap();
    assert_eq!(outcome(&server, other, "pw"), "wrong");
}

#[test]
fn failures_do_not_tell_which_roles_exist() {
    let server = server("approle");
    server.write("auth/approle/role/dev", &json!({"role_id": "rid"})).unwrap();
    for role_id in ["rid", "none"] {
        let given = json!({"role_id": role_id, "secret_id": "x"});
        for number in 0..6 {
            let refused = login(&server, "auth/approle/login", &given).map(drop);
            let is_locked = matches!(refused, Err(Error::Denied));
            assert_eq!(is_locked, number == 5, "{role_id} {number}: {refused:?}");
        }
    }
}

#[test]
fn lock_is_not_lost_to_a_rival() {
    let server = with_bob();
    for _ in 0..4 {
        assert_eq!(outcome(&server, LOGIN, "x"), "wrong");
    }
    let policies = json!({"token_policies": "a"});
    let path = "auth/userpass/users/bob/policies";
    let rival = server.start(Operation::Update, path, &policies, &server.root);
    let rival = std::sync::Mutex::new(Some(Box::pin(rival)));
    server.log.before_next_proposal(move |_| {
        let rival = rival.lock().unwrap().take().unwrap();
        futures_util::FutureExt::now_or_never(rival).unwrap().unwrap();
    });
    assert_eq!(outcome(&server, LOGIN, "x"), "wrong");
    assert_eq!(outcome(&server, LOGIN, "pw"), "locked");
}

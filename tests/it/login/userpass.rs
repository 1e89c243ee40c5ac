use serde_json::{Value, json};
use strongroom::request::{Error, TokenType};

use super::{fields, login, login_from, server};
use crate::harness::{data, line};
use crate::token::{lives, lookup, refusal};

const REFUSED: &str = "invalid username or password";

#[test]
fn user_logs_in_by_a_password_in_whatever_case_the_name_is() {
    let server = server("userpass");
    let user = json!({
        "password": "pw", "token_policies": "P2,p1", "token_ttl": "1h", "token_num_uses": 3,
        "token_bound_cidrs": "192.0.2.0/24",
    });
    server.write("auth/userpass/users/Bob", &user).unwrap();
    let auth = login(&server, "auth/userpass/login/BOB", &json!({"password": "pw"})).unwrap();
    assert_eq!(auth.token_policies, ["default", "p1", "p2"]);
    assert_eq!((auth.ttl.as_secs(), auth.num_uses, auth.renewable), (3600, 3, true));
    assert_eq!((auth.orphan, auth.token_type), (true, TokenType::Service));
    assert_eq!(auth.metadata, [("username".to_owned(), "bob".to_owned())].into());
    let seen = lookup(&server, &auth.client_token);
    let expected = json!(["userpass-bob", "auth/userpass/login/BOB", 3, ["192.0.2.0/24"], true]);
    assert_eq!(json!(fields(&seen, "display_name path num_uses bound_cidrs orphan")), expected);
    let elsewhere =
        login_from(&server, "198.51.100.1", "auth/userpass/login/bob", &json!({"password": "pw"}));
    assert!(matches!(elsewhere, Err(Error::Denied)), "{elsewhere:?}");
    assert_eq!(json!(data(server.list("auth/userpass/users/").unwrap())["keys"]), json!(["bob"]));
}

#[test]
fn wrong_password_unknown_user_and_nothing_at_all_are_refused() {
    let server = server("userpass");
    server.write("auth/userpass/users/bob", &json!({"password": "pw"})).unwrap();
    for (name, params, expected) in [
        ("bob", json!({"password": "pv"}), REFUSED),
        ("none", json!({"password": "pw"}), REFUSED),
        ("bob", json!({}), "missing password"),
        ("none", json!({"password": ""}), "missing password"),
    ] {
        let outcome = login(&server, &format!("auth/userpass/login/{name}"), &params);
        assert_eq!(refusal(outcome), expected, "{name} {params}");
    }
}

#[test]
fn users_are_written_read_changed_and_deleted() {
    let server = server("userpass");
    let users = "auth/userpass/users";
    let write = |path: &str, params: Value| line(server.write(&format!("{users}/{path}"), &params));
    assert_eq!(write("bob", json!({})), "400 must provide either password or password_hash");
    assert_eq!(write("bob", json!({"password": "a", "policies": "P1,p2", "ttl": 60})), "204");
    let shown = data(server.read(&format!("{users}/BOB")).unwrap());
    let expected = json!({
        "policies": ["p1", "p2"], "token_bound_cidrs": [], "token_explicit_max_ttl": 0,
        "token_max_ttl": 0, "token_no_default_policy": false, "token_num_uses": 0,
        "token_period": 0, "token_policies": ["p1", "p2"], "token_strictly_bind_ip": false,
        "token_ttl": 60, "token_type": "default", "ttl": 60,
    });
    let mut shown: Vec<_> = shown.into_iter().collect();
    shown.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(Value::Object(shown.into_iter().collect()), expected);
    assert_eq!(write("bob", json!({"token_max_ttl": "2h"})), "204", "the password stays");
    assert_eq!(write("bob/password", json!({"password": "b"})), "204");
    assert_eq!(write("bob/policies", json!({"token_policies": "p3"})), "204");
    let auth = login(&server, "auth/userpass/login/bob", &json!({"password": "b"})).unwrap();
    assert_eq!(auth.token_policies, ["default", "p3"]);
    for (path, params, expected) in [
        ("bob/password", json!({}), "400 must provide either password or password_hash"),
        ("none/password", json!({"password": "x"}), "400 username does not exist"),
        ("none/policies", json!({"policies": "x"}), "400 username does not exist"),
        ("bob/policies", json!({}), "400 missing token_policies"),
        (
            "bob",
            json!({"password": "x", "password_hash": "y"}),
            "400 only one of password or password_hash may be provided",
        ),
        ("bob", json!({"token_type": "x"}), "400 invalid 'token_type' value \"x\""),
    ] {
        assert_eq!(write(path, params.clone()), expected, "{path} {params}");
    }
    assert!(write("bob", json!({"password_hash": "y"})).starts_with("400 password_hash is not a"));
    assert!(login(&server, "auth/userpass/login/bob", &json!({"password": "b"})).is_ok());
    for _ in 0..2 {
        assert_eq!(line(server.delete(&format!("{users}/bob"))), "204");
    }
    assert_eq!(line(server.read(&format!("{users}/bob"))), "404");
    let gone = login(&server, "auth/userpass/login/bob", &json!({"password": "b"}));
    assert_eq!(refusal(gone), REFUSED);
}

#[test]
fn imported_hash_is_good_for_logins_and_replaced_by_the_first() {
    let server = server("userpass");
    // From the test vectors of crypt_blowfish.
    let hash = "$2a$05$CCCCCCCCCCCCCCCCCCCCC.E5YPO9kmyuRGyh0XouQYb4YMJKvyOeW";
    server.write("auth/userpass/users/bob", &json!({"password_hash": hash})).unwrap();
    let try_login =
        |password: &str| login(&server, "auth/userpass/login/bob", &json!({"password": password}));
    assert_eq!(refusal(try_login("U*V")), REFUSED);
    let entries = server.entries();
    assert!(try_login("U*U").is_ok());
    assert_eq!(server.entries() - entries, 1, "in the login's own entry");
    assert!(try_login("U*U").is_ok());
    assert_eq!(refusal(try_login("U*V")), REFUSED);
}

#[test]
fn no_login_gives_what_no_login_may() {
    let server = server("userpass");
    for (user, params, expected) in [
        ("a", json!({"token_policies": "root"}), "auth methods cannot create root tokens"),
        (
            "b",
            json!({"token_policies": "response-wrapping"}),
            "cannot assign policy \"response-wrapping\"",
        ),
    ] {
        let mut params = params;
        params["password"] = json!("pw");
        server.write(&format!("auth/userpass/users/{user}"), &params).unwrap();
        let path = format!("auth/userpass/login/{user}");
        assert_eq!(refusal(login(&server, &path, &json!({"password": "pw"}))), expected);
    }
}

#[test]
fn lifetimes_are_those_of_user_and_mount() {
    let server = server("userpass");
    server
        .write(
            "sys/auth/userpass/tune",
            &json!({"default_lease_ttl": "10m", "max_lease_ttl": "1h"}),
        )
        .unwrap();
    for (params, ttl) in [
        (json!({}), 600),
        (json!({"token_ttl": "20m"}), 1200),
        (json!({"token_ttl": "2h"}), 3600),
        (json!({"token_max_ttl": "5m"}), 300),
        (json!({"token_explicit_max_ttl": "4m"}), 240),
        (json!({"token_period": "3m"}), 180),
    ] {
        let mut user = params.clone();
        user["password"] = json!("pw");
        server.write("auth/userpass/users/bob", &user).unwrap();
        let auth = login(&server, "auth/userpass/login/bob", &json!({"password": "pw"})).unwrap();
        assert_eq!(auth.ttl.as_secs(), ttl, "{params}");
        server.delete("auth/userpass/users/bob").unwrap();
    }
}

#[test]
fn batch_tokens_and_those_without_default_are_had_by_parameter() {
    let server = server("userpass");
    let user = json!({
        "password": "pw", "token_type": "batch", "token_no_default_policy": true,
        "token_policies": "p", "token_strictly_bind_ip": true,
    });
    server.write("auth/userpass/users/bob", &user).unwrap();
    let auth = login(&server, "auth/userpass/login/bob", &json!({"password": "pw"})).unwrap();
    assert!(auth.client_token.starts_with("hvb."), "{}", auth.client_token);
    assert_eq!(
        (auth.token_policies.as_slice(), auth.renewable),
        (["p".to_owned()].as_slice(), false)
    );
    assert_eq!(lookup(&server, &auth.client_token)["bound_cidrs"], json!(["192.0.2.1"]));
    server
        .write("auth/userpass/users/eve", &json!({"password": "pw", "token_num_uses": 1}))
        .unwrap();
    server.write("sys/auth/userpass/tune", &json!({"token_type": "batch"})).unwrap();
    let outcome = login(&server, "auth/userpass/login/eve", &json!({"password": "pw"}));
    assert_eq!(refusal(outcome), "batch tokens cannot have \"num_uses\" set");
}

#[test]
fn tokens_go_with_the_mount() {
    let server = server("userpass");
    server.write("auth/userpass/users/bob", &json!({"password": "pw"})).unwrap();
    let auth = login(&server, "auth/userpass/login/bob", &json!({"password": "pw"})).unwrap();
    assert!(lives(&server, &auth.client_token));
    server.delete("sys/auth/userpass").unwrap();
    assert!(!lives(&server, &auth.client_token));
}

#[test]
fn slash_at_the_end_of_a_login_is_none_of_its_lease() {
    let server = server("userpass");
    server.write("auth/userpass/users/bob", &json!({"password": "pw"})).unwrap();
    let auth = login(&server, "auth/userpass/login/bob/", &json!({"password": "pw"})).unwrap();
    assert_eq!(lookup(&server, &auth.client_token)["path"], "auth/userpass/login/bob");
    let below = data(server.list("sys/leases/lookup/auth/userpass/login/bob").unwrap());
    assert_eq!(below["keys"].as_array().unwrap().len(), 1, "{below:?}");
}

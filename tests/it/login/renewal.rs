//! A login's token is renewed by what its user or role is now.

use serde_json::{Value, json};
use strongroom::request::Auth;

use super::{login, server};
use crate::harness::{Server, data};
use crate::token::lives;

const USER: &str = "auth/userpass/users/bob";
const ROLE: &str = "auth/approle/role/dev";

fn user_s(server: &Server) -> Auth {
    login(server, "auth/userpass/login/bob", &json!({"password": "pw"})).unwrap()
}

fn program_s(server: &Server) -> Auth {
    let drawn = data(server.write(&format!("{ROLE}/secret-id"), &json!({})).unwrap());
    let given = json!({"role_id": "rid", "secret_id": drawn["secret_id"]});
    login(server, "auth/approle/login", &given).unwrap()
}

/// The seconds granted, or why there are none.
fn renew(server: &Server, auth: &Auth, increment: u64) -> Result<u64, String> {
    let body = json!({"token": auth.client_token, "increment": increment});
    let outcome = server.write("auth/token/renew", &body);
    outcome.map(|reply| reply.auth.unwrap().ttl.as_secs()).map_err(|error| error.to_string())
}

fn with_user(params: &Value) -> Server {
    let server = server("userpass");
    let mut params = params.clone();
    params["password"] = json!("pw");
    server.write(USER, &params).unwrap();
    server
}

fn with_role(params: &Value) -> Server {
    let server = server("approle");
    server.write(ROLE, params).unwrap();
    server.write(&format!("{ROLE}/role-id"), &json!({"role_id": "rid"})).unwrap();
    server
}

#[test]
fn user_s_token_is_renewed_as_long_as_they_are_there_and_may_do_the_same() {
    let server = with_user(&json!({"token_policies": "a", "token_ttl": "1h"}));
    let auth = user_s(&server);
    server.set_time(1800);
    assert_eq!(renew(&server, &auth, 0), Ok(3600));
    server.write(USER, &json!({"token_ttl": "10m"})).unwrap();
    assert_eq!(renew(&server, &auth, 0), Ok(600), "as the user is now");
    for policies in ["a,b", "", "b"] {
        server.write(USER, &json!({ "token_policies": policies })).unwrap();
        let refused = renew(&server, &auth, 0);
        assert_eq!(refused, Err("policies have changed, not renewing".into()), "{policies:?}");
    }
    server.write(USER, &json!({"token_policies": "a,default"})).unwrap();
    assert_eq!(renew(&server, &auth, 0), Ok(600));
    server.delete(USER).unwrap();
    let refused = "the user does not exist any more: the token cannot be renewed";
    assert_eq!(renew(&server, &auth, 0), Err(refused.into()));
    assert!(lives(&server, &auth.client_token), "until its time is over");
}

#[test]
fn role_s_token_is_renewed_as_long_as_the_role_is_there() {
    let server = with_role(&json!({"token_policies": "a", "token_ttl": "1h"}));
    let auth = program_s(&server);
    server.set_time(1800);
    assert_eq!(renew(&server, &auth, 0), Ok(3600));
    server.write(ROLE, &json!({"token_policies": "b", "token_ttl": "10m"})).unwrap();
    assert_eq!(renew(&server, &auth, 0), Ok(600), "as in Vault, whatever its policies are");
    server.delete(ROLE).unwrap();
    let refused = "role \"dev\" does not exist during renewal";
    assert_eq!(renew(&server, &auth, 0), Err(refused.into()));
    // Nothing in a secret id's metadata leads to another role.
    assert_eq!(auth.metadata["role_name"], "dev");
}

#[test]
fn one_short_increment_does_not_shorten_the_renewals_after_it() {
    for (server, auth) in [
        {
            let server = with_user(&json!({}));
            let auth = user_s(&server);
            (server, auth)
        },
        {
            let server = with_role(&json!({}));
            let auth = program_s(&server);
            (server, auth)
        },
    ] {
        let usual = auth.ttl.as_secs();
        assert_eq!(usual, 2_764_800);
        assert_eq!(renew(&server, &auth, 10), Ok(10));
        assert_eq!(renew(&server, &auth, 0), Ok(usual));
    }
}

#[test]
fn token_whose_user_has_no_period_any_more_comes_to_its_end() {
    let server = with_user(&json!({"token_period": "1h"}));
    let auth = user_s(&server);
    server.set_time(1800);
    assert_eq!(renew(&server, &auth, 60), Ok(3600), "a period is no wish of the caller's");
    server.write(USER, &json!({"token_period": 0, "token_max_ttl": "2h"})).unwrap();
    server.set_time(3600);
    assert_eq!(renew(&server, &auth, 90_000), Ok(3600), "up to its greatest age");
    server.set_time(7199);
    assert_eq!(renew(&server, &auth, 90_000), Ok(1));
    server.set_time(7200);
    assert!(renew(&server, &auth, 0).is_err());
    assert!(!lives(&server, &auth.client_token));
}

//! Tokens of auth methods, which have a say when they are renewed.

use std::sync::Arc;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use strongroom::framework::{Call, Engine, Login, LoginTerms, Mount, NoParams, Route};
use strongroom::request::{Auth, Error, Operation, Reply};

use super::*;
use crate::harness::{Server, data};
use crate::token::{lives, refusal};

#[derive(Clone, Default, Deserialize, JsonSchema, Serialize)]
#[serde(default)]
struct Role {
    policies: Vec<String>,
    ttl: i64,
    max_ttl: i64,
    period: i64,
}

fn method() -> Arc<dyn Mount> {
    let routes = [
        Route::new("role", "What a login is given.").write(write_role).delete(delete_role),
        Route::new("login", "Log in.").login().write(log_in),
    ];
    Engine::new("method", "", routes).unwrap().renew_login(check).mount(()).into()
}

async fn write_role(call: &mut Call<'_>, role: Role) -> Result<Reply, Error> {
    call.storage.put("role", &role)?;
    Ok(Reply::default())
}

async fn delete_role(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    call.storage.delete("role")?;
    Ok(Reply::default())
}

async fn log_in(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let role = call.storage.get::<Role>("role")?.unwrap_or_default();
    let Value::Object(internal) = json!({ "role": role }) else { panic!() };
    let auth = Auth {
        token_policies: role.policies.clone(),
        ttl: Duration::from_secs(role.ttl as u64),
        period: Duration::from_secs(role.period as u64),
        renewable: true,
        internal,
        ..Auth::default()
    };
    Ok(Reply { auth: Some(auth), ..Reply::default() })
}

#[derive(Deserialize)]
struct Kept {
    role: Role,
}

async fn check(call: &mut Call<'_>, login: Login<Kept>) -> Result<LoginTerms, Error> {
    let role = call.storage.get::<Role>("role")?;
    let role = role.ok_or_else(|| Error::bad_request("the role is gone"))?;
    if role.policies != login.internal.role.policies || role.policies != login.policies {
        return Err(Error::bad_request("policies have changed, not renewing"));
    }
    Ok(LoginTerms {
        ttl: role.ttl as u64,
        max_ttl: role.max_ttl as u64,
        period: role.period as u64,
        group_aliases: None,
    })
}

fn log_in_at(server: &Server) -> String {
    let reply = server.send(Operation::Update, "auth/method/login", &json!({}), "").unwrap();
    reply.auth.unwrap().client_token
}

fn renew_token(server: &Server, token: &str, increment: u64) -> Result<Auth, Error> {
    let body = json!({ "token": token, "increment": increment });
    server.write("auth/token/renew", &body).map(|reply| reply.auth.unwrap())
}

#[test]
fn a_method_decides_by_its_role_as_it_is_now() {
    let server = Server::with_mounts(vec![("auth/method/", method())]);
    let role = json!({"policies": ["default"], "ttl": 3600, "max_ttl": 7200});
    server.write("auth/method/role", &role).unwrap();
    let token = log_in_at(&server);
    server.set_time(1800);
    let renewed = renew_token(&server, &token, 0).unwrap();
    assert_eq!((renewed.ttl.as_secs(), renewed.client_token.as_str()), (3600, token.as_str()));
    assert_eq!(renew_token(&server, &token, 90_000).unwrap().ttl.as_secs(), 5400);
    server.write("auth/method/role", &json!({"policies": ["default"], "period": 600})).unwrap();
    assert_eq!(renew_token(&server, &token, 90_000).unwrap().ttl.as_secs(), 600);
    let own = server.send(Operation::Update, "auth/token/renew-self", &json!({}), &token);
    assert_eq!(own.unwrap().auth.unwrap().period.as_secs(), 600);
    server.write("auth/method/role", &json!({"policies": ["other"], "ttl": 60})).unwrap();
    let text = refusal(renew_token(&server, &token, 0));
    assert_eq!(text, "policies have changed, not renewing");
    server.delete("auth/method/role").unwrap();
    assert_eq!(refusal(renew_token(&server, &token, 0)), "the role is gone");
    assert!(lives(&server, &token));
}

#[test]
fn the_limits_are_those_of_the_method_s_mount() {
    let server = Server::with_mounts(vec![("auth/method/", method())]);
    server.write("auth/method/role", &json!({"policies": ["default"]})).unwrap();
    let tuning = json!({"default_lease_ttl": "30m", "max_lease_ttl": "40m"});
    server.write("sys/auth/method/tune", &tuning).unwrap();
    let token = log_in_at(&server);
    server.set_time(600);
    assert_eq!(renew_token(&server, &token, 7200).unwrap().ttl.as_secs(), 1800);
}

#[test]
fn logins_are_leases_of_their_mount_in_one_entry() {
    let server = Server::with_mounts(vec![("auth/method/", method())]);
    server.write("auth/method/role", &json!({"policies": ["default"]})).unwrap();
    let before = server.entries();
    let token = log_in_at(&server);
    assert_eq!(server.entries() - before, 1);
    let keys = data(server.list("sys/leases/lookup/auth/method/login").unwrap());
    assert_eq!(keys["keys"].as_array().unwrap().len(), 1);
    assert_eq!(states(&server, "test_method"), [1, 0, 0, 0]);
    let later = log_in_at(&server);
    server.set_time(1);
    server.write("sys/leases/revoke-prefix/auth/method", &json!({})).unwrap();
    assert!(!lives(&server, &token) && !lives(&server, &later));
    assert!(lives(&server, &log_in_at(&server)));
}

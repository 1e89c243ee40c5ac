//! Tokens as clients see them: creation, lookup, renewal, revocation, expiry.

mod create;
mod expiry;
mod lookup;
mod renew;
mod revoke;
mod roles;

use serde_json::{Map, Value, json};
use strongroom::request::{Auth, Error, Operation, Reply};

use crate::harness::{Server, data};

pub(crate) fn auth(reply: Reply) -> Auth {
    reply.auth.unwrap_or_else(|| panic!("no auth in the reply"))
}

/// As root.
pub(crate) fn create(server: &Server, params: &Value) -> String {
    auth(server.write("auth/token/create", params).unwrap()).client_token
}

pub(crate) fn create_as(server: &Server, token: &str, params: &Value) -> Result<Auth, Error> {
    server.send(Operation::Update, "auth/token/create", params, token).map(auth)
}

pub(crate) fn lookup_self(server: &Server, token: &str) -> Result<Map<String, Value>, Error> {
    server.send(Operation::Read, "auth/token/lookup-self", &Value::Null, token).map(data)
}

/// As root.
pub(crate) fn lookup(server: &Server, token: &str) -> Map<String, Value> {
    data(server.write("auth/token/lookup", &json!({ "token": token })).unwrap())
}

/// Whether the token is good for anything.
pub(crate) fn lives(server: &Server, token: &str) -> bool {
    match lookup_self(server, token) {
        Ok(_) => true,
        Err(Error::Denied) => false,
        Err(other) => panic!("{other:?}"),
    }
}

pub(crate) fn policy(server: &Server, name: &str, text: &str) {
    server.write(&format!("sys/policies/acl/{name}"), &json!({ "policy": text })).unwrap();
}

/// A policy that lets its owner do with tokens what needs no sudo.
pub(crate) fn admin(server: &Server) -> String {
    policy(
        server,
        "adm",
        r#"path "auth/token/*" { capabilities = ["create", "read", "update", "delete", "list"] }"#,
    );
    create(server, &json!({"policies": ["adm"]}))
}

pub(crate) fn refusal<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    match outcome {
        Err(Error::BadRequest(text) | Error::Forbidden(text)) => text,
        other => panic!("{other:?}"),
    }
}

/// Works off all that is left to do.
pub(crate) fn work_off(server: &Server) -> usize {
    let pipeline = server.pipeline.clone();
    server.block_on(async {
        let mut steps = 0;
        for name in pipeline.internal(strongroom::sys::jobs::jobs).await.unwrap() {
            loop {
                steps += 1;
                let step = |txn: &mut _| strongroom::sys::jobs::step(txn, &name);
                if !pipeline.internal(step).await.unwrap() {
                    break;
                }
            }
        }
        steps
    })
}

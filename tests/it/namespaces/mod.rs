//! Namespaces, as clients see them; above all, that none reaches another.

mod attacks;
mod deletion;
mod isolation;
mod leases;
mod locks;
mod quotas;
mod records;
mod tokens;

use serde_json::{Map, Value, json};
use strongroom::namespace;
use strongroom::request::{Auth, Error, Operation, Reply};
use strongroom::server::{end_leases_now, end_what_is_due};
use strongroom::txn::Txn;

use crate::harness::{Server, data};
use crate::token::auth;

/// As root. `path` ends in a slash.
pub(crate) fn make(server: &Server, path: &str) -> Map<String, Value> {
    let (above, name) = path.trim_end_matches('/').rsplit_once('/').unwrap_or(("", path));
    let above = if above.is_empty() { String::new() } else { format!("{above}/") };
    let name = name.trim_end_matches('/');
    data(write(server, &above, &format!("sys/namespaces/{name}"), &json!({})).unwrap())
}

/// As root.
fn write(server: &Server, namespace: &str, path: &str, params: &Value) -> Result<Reply, Error> {
    server.send_in(namespace, Operation::Update, path, params, &server.root)
}

fn read(server: &Server, namespace: &str, path: &str, token: &str) -> Result<Reply, Error> {
    server.send_in(namespace, Operation::Read, path, &Value::Null, token)
}

/// As root: a token of a namespace with a policy of this text there.
fn token(server: &Server, namespace: &str, policy: &str) -> String {
    let path = "sys/policies/acl/p";
    write(server, namespace, path, &json!({ "policy": policy })).unwrap();
    create(server, namespace, &json!({"policies": ["p"]}), &server.root).unwrap().client_token
}

fn create(server: &Server, namespace: &str, params: &Value, token: &str) -> Result<Auth, Error> {
    let path = "auth/token/create";
    server.send_in(namespace, Operation::Update, path, params, token).map(auth)
}

/// What the workers do in every namespace, until there is nothing left that can be done now.
fn work(server: &Server) {
    let pipeline = server.pipeline.clone();
    server.block_on(async {
        for _ in 0..3 {
            for place in pipeline.internal(namespace::places).await.unwrap() {
                let jobs = |txn: &mut Txn| {
                    txn.enter(&place);
                    strongroom::sys::jobs::jobs(txn)
                };
                for name in pipeline.internal(jobs).await.unwrap() {
                    let step = |txn: &mut Txn| {
                        txn.enter(&place);
                        strongroom::sys::jobs::step(txn, &name)
                    };
                    while pipeline.internal(step).await.unwrap() {}
                }
            }
            end_what_is_due(&pipeline).await.unwrap();
            end_leases_now(&pipeline).await.unwrap();
        }
    });
}

const ALL: &str =
    r#"path "*" { capabilities = ["create", "read", "update", "delete", "list", "sudo"] }"#;

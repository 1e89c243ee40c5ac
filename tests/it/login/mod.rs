//! Login methods, as clients see them.

mod approle;
mod lockout;
mod renewal;
mod userpass;

use std::sync::Arc;

use serde_json::{Map, Value};
use strongroom::request::{Auth, Error, Operation, Reply, Request};
use strongroom::rng::{Rng, SystemRng};
use strongroom::secret::Secret;

use crate::harness::Server;
use crate::token::auth;

/// With this auth method enabled at its name.
fn server(method: &str) -> Server {
    let server = Server::new();
    server.write(&format!("sys/auth/{method}"), &serde_json::json!({"type": method})).unwrap();
    server
}

/// Without a token, from an address.
fn login_from(server: &Server, address: &str, path: &str, params: &Value) -> Result<Auth, Error> {
    send_from(server, address, Operation::Update, path, params, "").map(auth)
}

fn login(server: &Server, path: &str, params: &Value) -> Result<Auth, Error> {
    login_from(server, "192.0.2.1", path, params)
}

fn send_from(
    server: &Server,
    address: &str,
    operation: Operation,
    path: &str,
    params: &Value,
    token: &str,
) -> Result<Reply, Error> {
    let request = Request {
        id: (&SystemRng as &dyn Rng).uuid(),
        operation,
        path: path.into(),
        params: params.as_object().cloned().unwrap_or_default(),
        token: (!token.is_empty()).then(|| Arc::new(Secret::new(token.to_owned()))),
        remote: Some(format!("{address}:1234").parse().unwrap()),
        ..Request::default()
    };
    server.block_on(server.pipeline.handle(&request))
}

/// Of what a read shows, the fields that are named.
fn fields<'m>(map: &'m Map<String, Value>, names: &str) -> Vec<&'m Value> {
    names.split(' ').map(|name| map.get(name).unwrap_or(&Value::Null)).collect()
}

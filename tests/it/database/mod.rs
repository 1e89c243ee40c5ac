//! The database engine: over a database of the tests' own that can fail at each step, and over
//! real ones.

mod dynamic;
mod fake;
mod postgres;
mod servers;
mod static_roles;

use std::sync::Arc;

use serde_json::{Map, Value, json};
use strongroom::engines::database::{State, engine};
use strongroom::server::{end_leases_now, end_what_is_due};

pub(crate) use fake::{Fake, Mode};

use crate::harness::{Server, data};
use crate::lease::core;

/// With a connection `db`, and a role `app`.
pub(crate) fn server() -> (Server, Arc<Fake>) {
    let fake = Arc::new(Fake::default());
    let state = State::with(Arc::new(fake::Fakes(fake.clone())));
    let mount = engine().unwrap().mount(state).into();
    let server = Server::with_mounts(vec![("database/", mount)]);
    // What it reaches is told by its type.
    server.mount("database/", "database", &[]);
    connect(&server);
    server
        .write("database/roles/app", &json!({ "db_name": "db", "creation_statements": "CREATE" }))
        .unwrap();
    (server, fake)
}

pub(crate) fn connect(server: &Server) {
    let config = json!({
        "plugin_name": "fake",
        "connection_url": "fake://{{username}}:{{password}}@host",
        "username": "root",
        "password": "first",
        "allowed_roles": "*",
    });
    server.write("database/config/db", &config).unwrap();
}

/// What the workers do, until there is nothing left that can be done now.
pub(crate) fn work(server: &Server) {
    for _ in 0..3 {
        server.block_on(end_what_is_due(&server.pipeline)).unwrap();
        server.block_on(end_leases_now(&server.pipeline)).unwrap();
    }
}

pub(crate) fn intents(server: &Server) -> usize {
    core(server, |core| core.list("lease/intent/test_database").unwrap().len())
}

pub(crate) fn read(server: &Server, path: &str) -> Map<String, Value> {
    data(server.read(path).unwrap_or_else(|error| panic!("{path}: {error}")))
}

/// Lets the log be changed before the entry after the next.
pub(crate) fn before_the_second_entry(
    server: &Server,
    event: impl FnOnce(&strongroom::log::MemoryLog) + Send + 'static,
) {
    let log = server.log.clone();
    server.log.before_next_proposal(move |_| log.before_next_proposal(event));
}

//! Leases, shown with an engine made for the tests, whose backend counts what is done outside and
//! can fail, hang, and stop half-way.

mod backend;
mod concurrency;
mod issue;
mod login;
mod outside;
mod revoke;
mod sys;

use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::lease::{LeaseStore, State};
use strongroom::record::{OriginId, RequestId};
use strongroom::request::{Error, Lease, Operation, Reply, Request};
use strongroom::secret::Secret;
use strongroom::server::{end_leases_now, end_what_is_due};
use strongroom::txn::{Scope, Txn};

pub(crate) use backend::{Backend, Mode, engine as backend_engine};

use crate::harness::Server;

pub(crate) fn core<T>(server: &Server, mut work: impl FnMut(&mut Scope<'_>) -> T) -> T {
    let pipeline = server.pipeline.clone();
    let work = |txn: &mut Txn| Ok(work(&mut txn.scope("root/core/")));
    server.block_on(pipeline.internal(work)).unwrap()
}

/// What the workers do, until there is nothing left that can be done now.
pub(crate) fn work(server: &Server) {
    crate::token::work_off(server);
    server.block_on(end_what_is_due(&server.pipeline)).unwrap();
    server.block_on(end_leases_now(&server.pipeline)).unwrap();
    crate::token::work_off(server);
}

pub(crate) fn lease(reply: Reply) -> Lease {
    reply.lease.unwrap_or_else(|| panic!("no lease in the reply"))
}

/// As root.
pub(crate) fn issue(server: &Server, path: &str) -> Lease {
    lease(server.read(path).unwrap())
}

pub(crate) fn issue_as(server: &Server, token: &str, path: &str) -> Result<Lease, Error> {
    server.send(Operation::Read, path, &Value::Null, token).map(lease)
}

pub(crate) fn renew(server: &Server, id: &str, increment: u64) -> Result<Lease, Error> {
    let body = json!({ "lease_id": id, "increment": increment });
    server.write("sys/leases/renew", &body).map(lease)
}

pub(crate) fn revoke(server: &Server, id: &str) -> Result<Reply, Error> {
    server.write("sys/leases/revoke", &json!({ "lease_id": id }))
}

pub(crate) fn exists(server: &Server, id: &str) -> bool {
    server.write("sys/leases/lookup", &json!({ "lease_id": id })).is_ok()
}

/// How many leases of a mount are in each state.
pub(crate) fn states(server: &Server, mount: &str) -> [u64; 4] {
    core(server, |core| State::ALL.map(|state| LeaseStore::new(core).count(state, mount).unwrap()))
}

/// Directories below `lease/` and `expiry/` that hold anything of leases.
pub(crate) fn leftovers(server: &Server) -> Vec<String> {
    core(server, |core| {
        let mut left = Vec::new();
        for directory in ["live", "ending", "waiting", "irrevocable", "token", "intent"] {
            for name in core.list(&format!("lease/{directory}")).unwrap() {
                // Tokens are no leftovers.
                let names = core.list(&format!("lease/{directory}/{name}")).unwrap();
                if names.iter().any(|name| !name.contains("%2Fh")) {
                    left.push(format!("{directory}/{name}"));
                }
            }
        }
        for minute in core.list("expiry").unwrap() {
            let names = core.list(&format!("expiry/{minute}")).unwrap();
            left.extend(names.into_iter().filter(|name| name.starts_with("lease.")));
        }
        left
    })
}

pub(crate) const ORIGIN: OriginId = OriginId([7; 16]);

/// As root, to be repeated.
pub(crate) fn numbered(
    server: &Server,
    number: u64,
    operation: Operation,
    path: &str,
    params: &Value,
) -> Request {
    Request {
        id: "id".into(),
        known_as: Some(RequestId::Numbered { origin: ORIGIN, number }),
        operation,
        path: path.into(),
        params: params.as_object().cloned().unwrap(),
        token: Some(Arc::new(Secret::new(server.root.clone()))),
        ..Request::default()
    }
}

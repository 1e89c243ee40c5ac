use std::time::Duration;

use serde::Serialize;
use serde_json::Value;

use super::{Error, Params};

/// What a handler says of a secret that expires, and what a client is told of it. The pipeline
/// registers it in the request's own transaction.
#[derive(Clone, Debug, Default)]
pub struct Lease {
    /// Empty until it is registered, and where nothing is, as in KV v1's reply.
    pub id: String,
    /// Of a handler: what it asks for, zero for the mount's default. Then what was granted.
    pub ttl: Duration,
    pub renewable: bool,
    /// Counted from issue, renewals included; zero: the mount's.
    pub max_ttl: Duration,
    /// Which of the engine's kinds of secret it is; empty: nothing is registered.
    pub kind: &'static str,
    /// What the kind's handlers are given again to renew and to revoke. Never shown.
    pub internal: Params,
}

impl Lease {
    /// A renewable lease of one of the engine's kinds of secret.
    ///
    /// # Errors
    /// Where `internal` does not serialize to an object.
    pub fn of<T: Serialize>(kind: &'static str, internal: &T) -> Result<Self, Error> {
        match serde_json::to_value(internal).map_err(Error::internal)? {
            Value::Object(internal) => {
                Ok(Self { kind, internal, renewable: true, ..Self::default() })
            }
            _ => Err(Error::internal("what a lease keeps for its engine is no object")),
        }
    }
}

/// What a handler of `sys/` or `auth/token/` leaves to the pipeline, which alone reaches other
/// mounts. A lease is named by its mount's accessor and its id.
#[derive(Clone, Debug)]
pub enum Then {
    /// Ask the lease's engine to renew it, within this transaction. Seconds; 0: as before.
    RenewLease { mount: String, id: String, increment: u64 },
    /// Ask the method that made a token to renew it, within this transaction. `token` is what
    /// the caller is shown as the token; it may be empty.
    RenewToken { name: String, token: String, increment: u64 },
    /// Once committed: wait until this lease has ended.
    AwaitLease { mount: String, id: String },
    /// Once committed: wait until a job that revokes a prefix is worked off, and what it found
    /// has ended.
    AwaitPrefix { job: String, prefix: String },
}

//! Who asked for what, and what came of it. Fails closed: a record that no enabled device takes
//! is a request that is not answered.

mod broker;
mod device;
mod entry;
mod filter;
mod hash;
mod jsonx;
mod options;
mod shared;
mod sink;
mod store;

pub use broker::{Broker, Counts, Devices, Rules};
pub use hash::Hasher;
pub use options::KINDS;
pub use shared::share_file;
pub use store::{AuditStore, StoredDevice, name_of, normalise};

use crate::log::BoxFuture;
use crate::mount::MountEntry;
use crate::request::{Caller, Error, Operation, Reply, Request};

/// One side of one request, as devices see it.
pub struct Record<'a> {
    pub request: &'a Request,
    /// Create is told from update here, where the route can.
    pub operation: Operation,
    /// `None` where no token was asked for, or it is not valid.
    pub caller: Option<&'a Caller>,
    pub mount: Option<&'a MountEntry>,
    /// What the caller's policies say; `None` where they were not asked.
    pub policies: Option<&'a PolicyResults>,
    /// It had taken effect before: the answer is the one of then, and nothing was done.
    pub is_repeated: bool,
    pub side: Side<'a>,
}

/// Which policies decided.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PolicyResults {
    pub allowed: bool,
    /// Names of those that grant what was asked for.
    pub granting: Vec<String>,
    /// The rule that decided, as written; beside Vault's fields.
    pub rule: Option<String>,
    /// Why not, for whoever writes policies; beside Vault's fields.
    pub refusal: Option<String>,
}

pub enum Side<'a> {
    /// Before it runs, with the refusal where it will not.
    Request(Option<&'a Error>),
    /// Before it is answered.
    Response(Result<&'a Reply, &'a Error>),
}

impl Side<'_> {
    /// As records name it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Response(_) => "response",
        }
    }
}

pub trait AuditDevice: Send + Sync {
    fn name(&self) -> &str;

    /// Whether the record is for this device at all.
    fn takes(&self, record: &Record<'_>) -> bool {
        let _ = record;
        true
    }

    /// Whether it takes only what no other device takes.
    fn is_fallback(&self) -> bool {
        false
    }

    /// The record is taken when this returns: nothing of it is lost where the future is dropped.
    /// Once that ends, the record is written.
    fn write<'a>(&'a self, record: &'a Record<'a>) -> BoxFuture<'a, Result<(), Error>>;
}

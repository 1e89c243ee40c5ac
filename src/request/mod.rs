//! The vocabulary that every layer speaks. Knows nothing of HTTP, raft or storage.

mod envelope;
mod error;
mod lease;
mod outside;
mod reply;
pub mod wire;

pub use envelope::envelope;
pub use error::Error;
pub use lease::{Lease, Then};
pub use outside::{Answer, Answers, Question};
pub use reply::{Auth, Body, RawBody, Reply, TokenType, WrapInfo};

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Map, Value};

use crate::clock::Timestamp;
use crate::record::RequestId;
use crate::secret::Secret;

/// A request's parameters: query, body and what the path captured, merged.
pub type Params = Map<String, Value>;

/// What a request asks for. HTTP's verbs become these; so do internal requests.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Operation {
    /// A write to what does not exist yet, where the route can tell.
    Create,
    Delete,
    /// HTTP's HEAD.
    Header,
    Help,
    List,
    Patch,
    Read,
    Update,
}

impl Operation {
    /// As in policies and audit records.
    pub fn name(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Delete => "delete",
            Self::Header => "header",
            Self::Help => "help",
            Self::List => "list",
            Self::Patch => "patch",
            Self::Read => "read",
            Self::Update => "update",
        }
    }
}

/// One request, decoded. The path has neither `/v1/` nor a leading slash; that of a list ends in
/// a slash.
#[derive(Clone, Debug, Default)]
pub struct Request {
    /// A version 4 UUID, made by the node that the client reached.
    pub id: String,
    /// By which the log knows it again. `None`: it is not repeated, and nothing is kept of it.
    pub known_as: Option<RequestId>,
    pub operation: Operation,
    /// Empty for the root namespace, else with a trailing slash. Before the pipeline has resolved
    /// it, what a header says; more may then be in the path.
    pub namespace: String,
    /// As its tokens end; empty for the root namespace, and before it is resolved.
    pub namespace_id: String,
    pub path: String,
    pub params: Params,
    pub token: Option<Arc<Secret<String>>>,
    /// From `X-Vault-Wrap-TTL`.
    pub wrap_ttl: Option<Duration>,
    /// Of the client, as far as proxies are trusted to tell.
    pub remote: Option<SocketAddr>,
    /// DER, the client's own first. Possession of its key was verified; nothing else was.
    pub client_certificates: Vec<Vec<u8>>,
    /// Names in lower case. Only mounts tuned to see them are shown any.
    pub headers: BTreeMap<String, Vec<String>>,
    /// The node that the client reached, where it is another.
    pub forwarded_from: Option<String>,
}

/// Whose request it is, once the token is known.
#[derive(Clone, Debug, Default)]
pub struct Caller {
    /// The name under which the token is stored: a digest, never the token. With `@` and its home
    /// where it is of another namespace than the request's, one above.
    pub token: String,
    /// The token's namespace, as storage names it, by its path, and by its id.
    pub home: String,
    pub namespace: String,
    pub namespace_id: String,
    pub accessor: String,
    pub display_name: String,
    /// Of token and identity together.
    pub policies: Vec<String>,
    /// Of the identity alone.
    pub identity_policies: Vec<String>,
    pub entity_id: String,
    pub token_type: TokenType,
    /// Their entity's policies are not theirs.
    pub is_confined: bool,
    /// Has the policy `root`.
    pub is_root: bool,
    /// A policy grants `sudo` on this very path.
    pub has_sudo: bool,
    pub facts: TokenFacts,
}

/// What audit tells of a token, beside what decides.
#[derive(Clone, Debug, Default)]
pub struct TokenFacts {
    /// Its own, without those of an identity.
    pub policies: Vec<String>,
    pub metadata: BTreeMap<String, String>,
    /// This one included; 0: without limit.
    pub remaining_uses: u64,
    /// Seconds, as of creation; 0: never expires.
    pub ttl: u64,
    pub issued: Timestamp,
}

impl Default for Operation {
    /// Asks for nothing to be changed.
    fn default() -> Self {
        Self::Read
    }
}

//! HTTP at the edge: listeners, TLS, limits, and the translation between Vault's wire format and
//! [`Request`], [`Reply`] and [`Error`].
//!
//! **Invariant:** what reaches the [`Handler`] is bounded and whole: its path is clean UTF-8, its
//! body was read to the end within its limits, and its client certificate's key was proven.
//! **Invariant:** no request is stopped half-way because its client hung up.

mod body;
mod client_certificate;
mod connection;
mod cors;
mod decode;
mod encode;
mod forwarded;
mod json;
mod listener;
mod path;
pub mod probe;
mod proxy_protocol;
mod request_id;
mod service;
mod settings;
mod status;
mod timeouts;
mod tls;
mod unix;

pub use body::Upload;
pub use cors::{Cors, CorsPolicy};
pub use listener::{BoundAddress, Listener, Prober, StartError};
pub use settings::{
    Address, ClientCertificates, ForwardedFor, JsonLimits, ListenerSettings, MetricsAccess,
    ProxyProtocol, ResponseHeaders, SettingsError, TlsSettings, TlsVersion, UnixSettings,
};
pub use status::status_of;
pub use tls::{Tls, TlsError};

use std::collections::BTreeMap;
use std::fmt;
use std::io;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream::BoxStream;

use crate::request::{Error, Reply, Request};

/// What stands behind a listener: the pipeline, or what forwards to the node that has it.
pub trait Handler: Send + Sync {
    /// How the body of a request for `path` (no `/v1/`, no leading slash) is to be read.
    fn body_rule(&self, path: &str) -> BodyRule;

    /// Runs in a task of its own: whoever waits may leave, the future still runs to its end.
    /// `upload` is there for [`BodyRule::Streamed`] and for bodies that are no parameters by their
    /// content type.
    fn handle(&self, request: Request, upload: Option<Upload>) -> BoxFuture<'static, Answer>;

    /// A request for `sys/metrics` on a listener that shows them to everyone.
    fn metrics(&self, request: Request) -> BoxFuture<'static, Answer> {
        self.handle(request, None)
    }
}

/// How a request's body is read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum BodyRule {
    /// Read whole, within the listener's limit, and decoded into parameters.
    Parameters,
    /// Handed over unread as an [`Upload`], with no limit of size and no deadline: snapshots.
    Streamed,
}

/// What a [`Handler`] answers.
#[derive(Debug)]
pub struct Answer {
    pub outcome: Result<Reply, Error>,
    /// Beside those of the reply, and also with an error, such as `x-vault-index` or
    /// `retry-after`. Names in lower case.
    pub headers: BTreeMap<String, String>,
    /// The whole answer is then a 307 to this URL: a standby that was asked not to forward.
    pub redirect: Option<String>,
    /// Stands in for the reply's body where the outcome is a reply.
    pub download: Option<Download>,
}

impl From<Result<Reply, Error>> for Answer {
    fn from(outcome: Result<Reply, Error>) -> Self {
        Self { outcome, headers: BTreeMap::new(), redirect: None, download: None }
    }
}

/// A body of unknown length: a snapshot, or a log as it is written.
pub struct Download {
    pub content_type: String,
    pub chunks: BoxStream<'static, io::Result<Bytes>>,
}

impl fmt::Debug for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Download({})", self.content_type)
    }
}

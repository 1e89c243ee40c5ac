use std::collections::BTreeMap;
use std::error::Error as StdError;

use super::Reply;

/// Variants say who must act, never which line failed. Status and public text of each are decided
/// in `http/status.rs` alone.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The caller: the text is shown to them. 400.
    #[error("{0}")]
    BadRequest(String),
    /// Of a login: whoever it is exists, and did not show what proves it. Counted; the text is
    /// shown. 400.
    #[error("{0}")]
    InvalidCredentials(String),
    /// Of a login: there is nobody of this name. Counted as [`Self::InvalidCredentials`], so that
    /// nobody learns who exists; the text is shown. 400.
    #[error("{0}")]
    UnknownUser(String),
    /// The pipeline: run the handler again.
    #[error("what the request read has changed")]
    Conflict,
    /// The caller, or whoever writes their policies. 403.
    #[error("permission denied")]
    Denied,
    /// As [`Self::Denied`], with a reason that may be told. 403.
    #[error("{0}")]
    Forbidden(String),
    /// The operator: the source goes to the log, never to the caller. 500.
    #[error("internal error")]
    Internal(#[source] Box<dyn StdError + Send + Sync>),
    /// An engine's own failure, whose text is shown. 500.
    #[error("{0}")]
    Failed(String),
    /// Whoever holds the request: it may have taken effect, and the next leader knows. 503 where
    /// there is none.
    #[error("leadership changed during the request: it may have taken effect or not")]
    LeadershipLost,
    /// The caller: as [`Self::LeadershipLost`], and asking again will not tell. 503.
    #[error("leadership changed during the request: it may have taken effect or not")]
    Unresolved,
    /// The node that was asked does not lead. Nothing was done: the next leader is to be asked.
    /// 503.
    #[error("no active node")]
    NotActive,
    /// No `errors` are told. 404.
    #[error("not found")]
    NotFound,
    /// 404 with a body that clients read.
    #[error("not found")]
    NotFoundWith(Box<Reply>),
    /// Nothing is mounted there. 404.
    #[error("no handler for route \"{0}\". route entry not found.")]
    NoRoute(String),
    /// 412.
    #[error("required index state not present")]
    StateNotPresent,
    /// 404 with this text.
    #[error("{0}")]
    Missing(String),
    /// Someone must type shares. 503.
    #[error("Vault is sealed")]
    Sealed,
    /// 503 with Retry-After: the text says what is awaited.
    #[error("{0}")]
    Unavailable(String),
    /// The disk's reserve is touched: reads go on. 507.
    #[error(
        "not enough free disk space to write: make room where the nodes keep their data; reads go on"
    )]
    DiskFull,
    /// 413.
    #[error("{0}")]
    TooLarge(String),
    /// 429.
    #[error("{0}")]
    TooMany(String),
    /// 429, with what the client is told of its rate. Names in lower case.
    #[error("{text}")]
    TooManyWith { text: String, headers: BTreeMap<String, String> },
    /// 501.
    #[error("Vault is not initialized")]
    Uninitialized,
    /// A path that no route of the mount claims. 404.
    #[error("unsupported path")]
    UnsupportedPath,
    /// 405.
    #[error("unsupported operation")]
    UnsupportedOperation,
}

impl Error {
    pub fn internal(source: impl Into<Box<dyn StdError + Send + Sync>>) -> Self {
        Self::Internal(source.into())
    }

    /// Whether it says something of the request, and nothing of the node or its store.
    pub fn is_callers(&self) -> bool {
        matches!(
            self,
            Self::BadRequest(_)
                | Self::Denied
                | Self::Forbidden(_)
                | Self::InvalidCredentials(_)
                | Self::Missing(_)
                | Self::NoRoute(_)
                | Self::NotFound
                | Self::NotFoundWith(_)
                | Self::TooLarge(_)
                | Self::UnknownUser(_)
                | Self::UnsupportedOperation
                | Self::UnsupportedPath
        )
    }

    /// Whether it is the node's alone, and says nothing of what was tried: all waits.
    pub fn is_of_node(&self) -> bool {
        matches!(self, Self::DiskFull | Self::LeadershipLost | Self::NotActive | Self::Sealed)
    }

    /// The same of a request that has committed or done something already: that nothing was done
    /// is not true of it.
    #[must_use]
    pub fn once_begun(self) -> Self {
        if matches!(self, Self::NotActive) { Self::LeadershipLost } else { self }
    }

    /// What kind of error it is, in words of this program alone: nothing of the request, of an
    /// engine's backend or of the store is repeated. For logs, and for audit.
    pub fn case(&self) -> &'static str {
        match self {
            Self::BadRequest(_) | Self::TooLarge(_) => "invalid request",
            Self::Conflict => "what the request read has changed",
            Self::Denied | Self::Forbidden(_) => "permission denied",
            Self::DiskFull => "not enough free disk space to write",
            Self::Failed(_) | Self::Internal(_) => "internal error",
            Self::InvalidCredentials(_) | Self::UnknownUser(_) => "invalid credentials",
            Self::LeadershipLost | Self::Unresolved => "leadership changed during the request",
            Self::Missing(_) | Self::NotFound | Self::NotFoundWith(_) => "not found",
            Self::NoRoute(_) | Self::UnsupportedPath => "unsupported path",
            Self::NotActive => "no active node",
            Self::Sealed => "Vault is sealed",
            Self::StateNotPresent => "required index state not present",
            Self::TooMany(_) | Self::TooManyWith { .. } => "request path quota exceeded",
            Self::Unavailable(_) => "unavailable",
            Self::Uninitialized => "Vault is not initialized",
            Self::UnsupportedOperation => "unsupported operation",
        }
    }

    /// A stored record is not what it was read as. Where, but not what: the source would repeat
    /// what it found, which is a secret.
    pub fn damaged(source: &serde_json::Error) -> Self {
        Self::internal(format!(
            "a stored record cannot be read: a {:?} error at line {}, column {}",
            source.classify(),
            source.line(),
            source.column()
        ))
    }

    pub fn bad_request(text: impl Into<String>) -> Self {
        Self::BadRequest(text.into())
    }
}

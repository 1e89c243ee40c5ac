//! Why there is no answer.

use std::fmt;

use hyper::Method;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::Response;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The address of the server is no address.
    #[error("invalid address `{address}`: {reason}")]
    Address { address: String, reason: String },
    /// A certificate, a key or a server name cannot be used.
    #[error("{0}")]
    Tls(String),
    /// Nothing, or not all, came back.
    #[error("{method} {url}: {reason}")]
    Unsent { method: Method, url: String, kind: Unsent, reason: String },
    /// A redirect that is not followed.
    #[error("{url}: {reason}")]
    Redirect { url: String, reason: String },
    /// The server refused.
    #[error("{0}")]
    Api(Box<ApiError>),
    /// The reply makes no sense.
    #[error("{url}: cannot read the reply: {reason}")]
    Reply { url: String, reason: String },
    /// The client only outlines requests; see [`super::Mode`].
    #[error("the request was not sent")]
    NotSent(Box<Outline>),
}

impl Error {
    pub(super) fn unsent(method: &Method, url: &str, kind: Unsent, reason: String) -> Self {
        Self::Unsent { method: method.clone(), url: url.to_owned(), kind, reason }
    }

    /// Whether the same request may succeed a moment later.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self, Self::Unsent { kind: Unsent::Connection | Unsent::Broken, .. })
    }

    /// The status of a refusal.
    pub fn status(&self) -> Option<u16> {
        match self {
            Self::Api(error) => Some(error.status),
            _ => None,
        }
    }
}

/// How far a request came.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Unsent {
    /// It cannot be put into HTTP.
    Malformed,
    /// There is no connection.
    Connection,
    /// The connection ended before the reply did.
    Broken,
    Timeout,
}

impl Unsent {
    pub(super) fn of(error: &hyper_util::client::legacy::Error) -> Self {
        if error.is_connect() { Self::Connection } else { Self::Broken }
    }
}

/// A reply of 400 or more.
#[derive(Debug)]
pub struct ApiError {
    pub method: Method,
    pub url: String,
    pub status: u16,
    /// Whether a token was sent.
    pub had_token: bool,
    pub namespace: Option<String>,
    /// What the server says, or `None` where the body is not Vault's.
    pub errors: Option<Vec<String>>,
    /// The body, where it is not Vault's.
    pub raw: String,
}

impl ApiError {
    pub(super) fn new(
        method: &Method,
        response: &Response,
        namespace: Option<&str>,
        had_token: bool,
    ) -> Self {
        #[derive(Deserialize)]
        struct Errors {
            errors: Vec<String>,
        }
        let errors = serde_json::from_slice(&response.body).ok().map(|body: Errors| body.errors);
        let raw = match &errors {
            Some(_) => String::new(),
            None => String::from_utf8_lossy(&response.body).into_owned(),
        };
        Self {
            method: method.clone(),
            url: response.url.clone(),
            status: response.status.as_u16(),
            had_token,
            namespace: namespace.map(str::to_owned),
            errors,
            raw,
        }
    }

    /// Whether the server says this, in any of its errors.
    pub fn says(&self, text: &str) -> bool {
        self.errors.iter().flatten().any(|error| error.contains(text))
    }
}

/// As Vault's Go client words it: scripts look for these lines.
impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Error making API request.\n\n")?;
        if let Some(namespace) = self.namespace.as_ref().filter(|name| !name.is_empty()) {
            writeln!(f, "Namespace: {namespace}")?;
        }
        writeln!(f, "URL: {} {}", self.method, self.url)?;
        match &self.errors {
            Some(errors) => {
                write!(f, "Code: {}. Errors:\n\n", self.status)?;
                for (index, error) in errors.iter().enumerate() {
                    if index > 0 {
                        f.write_str("\n")?;
                    }
                    write!(f, "* {error}")?;
                }
                Ok(())
            }
            None => write!(f, "Code: {}. Raw Message:\n\n{}", self.status, self.raw),
        }
    }
}

/// A request that was not sent, without its token.
#[derive(Debug)]
pub struct Outline {
    pub method: Method,
    pub url: String,
    /// As a policy names it.
    pub path: String,
    pub is_list: bool,
    pub headers: Vec<(String, String)>,
    pub has_token: bool,
    pub body: Zeroizing<String>,
}

/// What caused the error of the HTTP library, in one line.
pub(super) fn causes(error: &hyper_util::client::legacy::Error) -> String {
    // The library's own words, such as `client error (Connect)`, tell people nothing.
    let first = std::error::Error::source(error);
    let mut text = first.map_or_else(|| error.to_string(), ToString::to_string);
    let mut cause = first.and_then(std::error::Error::source);
    while let Some(error) = cause {
        let next = error.to_string();
        // Wrappers often repeat what they wrap.
        if !text.ends_with(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}

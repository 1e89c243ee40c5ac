//! Where the server is.

use std::path::PathBuf;

use hyper::Uri;

use super::{Error, Request};

/// A server's address: `http://`, `https://` or `unix://`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Address {
    /// Scheme, host, port and perhaps a path before `/v1`, without a slash at its end.
    Http(String),
    /// The path of a socket.
    Unix(PathBuf),
}

impl Address {
    /// # Errors
    /// [`Error::Address`] where the text is no such address.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let wrong =
            |reason: &str| Error::Address { address: text.to_owned(), reason: reason.to_owned() };
        if let Some(path) = text.strip_prefix("unix://") {
            if path.is_empty() {
                return Err(wrong("the path of the socket is missing"));
            }
            return Ok(Self::Unix(path.into()));
        }
        let uri: Uri = text.parse().map_err(|error| wrong(&format!("{error}")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) {
            return Err(wrong("it must start with `https://`, `http://` or `unix://`"));
        }
        if uri.host().is_none_or(str::is_empty) {
            return Err(wrong("the host is missing"));
        }
        Ok(Self::Http(text.trim_end_matches('/').to_owned()))
    }

    pub(super) fn url(&self, request: &Request) -> String {
        let base = match self {
            Self::Http(base) => base.as_str(),
            // The name is never looked up: the connector knows the socket.
            Self::Unix(_) => "http://localhost",
        };
        format!("{base}{}", request.path_and_query())
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Http(base) => f.write_str(base),
            Self::Unix(path) => write!(f, "unix://{}", path.display()),
        }
    }
}

//! Requests that scripts of other sites make from a browser.

use std::sync::{Arc, PoisonError, RwLock};

use hyper::header::{self, HeaderMap, HeaderValue};
use hyper::http::request::Parts;

use super::status::Refusal;

/// What `sys/config/cors` holds; listeners may share one. At first nothing is allowed, and nothing
/// looked at.
#[derive(Debug, Default)]
pub struct Cors {
    policy: RwLock<Arc<CorsPolicy>>,
}

/// Which other sites may ask.
#[derive(Clone, Debug, Default)]
pub struct CorsPolicy {
    /// Otherwise every origin is served, and told nothing that its browser would accept.
    pub enabled: bool,
    /// As `https://example.com`; `*` for all.
    pub allowed_origins: Vec<String>,
    /// All that a script may set, those of the API itself included.
    pub allowed_headers: Vec<String>,
}

impl Cors {
    /// For requests to come.
    pub fn set(&self, policy: CorsPolicy) {
        *self.policy.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
    }

    pub(super) fn judge(&self, parts: &Parts) -> Verdict {
        let policy = Arc::clone(&self.policy.read().unwrap_or_else(PoisonError::into_inner));
        let Some(origin) = parts.headers.get(header::ORIGIN).filter(|_| policy.enabled) else {
            return Verdict::Own;
        };
        if is_own(origin, parts) {
            return Verdict::Own;
        }
        let is_allowed = policy
            .allowed_origins
            .iter()
            .any(|allowed| allowed == "*" || allowed.as_bytes() == origin.as_bytes());
        if !is_allowed {
            return Verdict::Refused(Refusal::text(403, "origin not allowed"));
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.insert(header::VARY, HeaderValue::from_static("Origin"));
        if parts.method != hyper::Method::OPTIONS {
            return Verdict::Allowed(headers);
        }
        let asked = parts.headers.get(header::ACCESS_CONTROL_REQUEST_METHOD);
        if !asked.is_some_and(|asked| METHODS.iter().any(|method| asked == method)) {
            return Verdict::Refused(Refusal::new(405, []));
        }
        let methods = METHODS.join(",");
        let allowed = policy.allowed_headers.join(",");
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_METHODS, methods.as_str()),
            (header::ACCESS_CONTROL_ALLOW_HEADERS, allowed.as_str()),
            (header::ACCESS_CONTROL_MAX_AGE, PREFLIGHT_SECONDS),
        ] {
            if let Ok(value) = HeaderValue::from_str(value) {
                headers.insert(name, value);
            }
        }
        Verdict::Preflight(headers)
    }
}

/// What becomes of a request by its origin.
#[derive(Debug)]
pub(super) enum Verdict {
    /// No browser's, or from a page of this very server.
    Own,
    /// Served, with these headers added.
    Allowed(HeaderMap),
    /// Answered with these headers, and nothing more.
    Preflight(HeaderMap),
    Refused(Refusal),
}

/// A browser names the origin of our own pages too, in requests that write.
fn is_own(origin: &HeaderValue, parts: &Parts) -> bool {
    let authority = parts.uri.authority().map(|authority| authority.as_str().as_bytes());
    let host = authority.or(parts.headers.get(header::HOST).map(HeaderValue::as_bytes));
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    matches!((origin, host), (Some((_, own)), Some(host)) if own.as_bytes() == host)
}

const METHODS: &[&str] = &["DELETE", "GET", "HEAD", "LIST", "OPTIONS", "PATCH", "POST", "PUT"];

/// How long a browser may remember the answer.
const PREFLIGHT_SECONDS: &str = "300";

#[cfg(test)]
mod tests;

//! The HTTP client of the command line, the tests and the fault tester.
//!
//! It behaves as Vault's Go client: the same retries, redirects, headers and reading of replies.

mod address;
mod connect;
mod error;
mod plain;
mod request;
mod response;
mod tls;
mod web;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{self, HeaderMap, HeaderName, HeaderValue};
use hyper::{Method, StatusCode, Uri};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use zeroize::Zeroizing;

use crate::rng::{Rng, SystemRng};
use crate::secret::Secret;

pub use address::Address;
pub use error::{ApiError, Error, Outline, Unsent};
pub use plain::Plain;
pub use request::Request;
pub use response::{AuthBlock, Envelope, Response, WrapBlock};
pub use tls::{LenientVerifier, Tls, Verification};
pub use web::{Got, Web};

/// What every request of a client has in common.
pub struct Config {
    pub address: Address,
    pub tls: Tls,
    pub token: Option<Secret<String>>,
    /// Sent as `X-Vault-Namespace`.
    pub namespace: Option<String>,
    /// Sent as `X-Vault-Wrap-TTL` with each request.
    pub wrap_ttl: Option<String>,
    /// Further headers of each request.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// For one attempt, from the connection to the end of the reply.
    pub timeout: Duration,
    /// Further attempts after the first, for what may pass: no connection, 412, 5xx but 501.
    pub retries_max: u32,
    /// The shortest and the longest wait before the first retry; later ones wait in proportion.
    pub retry_wait: (Duration, Duration),
    pub redirects: Redirects,
    pub mode: Mode,
}

impl Config {
    /// As Vault's Go client starts out: 60 s, two retries after 1.0 to 1.5 s, one redirect.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            tls: Tls::default(),
            token: None,
            namespace: None,
            wrap_ttl: None,
            headers: Vec::new(),
            timeout: Duration::from_secs(60),
            retries_max: 2,
            retry_wait: (Duration::from_millis(1000), Duration::from_millis(1500)),
            redirects: Redirects::FollowOne,
            mode: Mode::Send,
        }
    }
}

/// Whether a 301, 302, 307 or 308 is followed: once, with the same method, token and body, and
/// never from https to http.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Redirects {
    FollowOne,
    Refuse,
}

/// What `send` does with a request that would change or reveal something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    Send,
    /// Answers [`Error::NotSent`] with what would have been sent.
    Outline,
}

/// Keeps connections open between requests; cheap to share by reference.
pub struct Client {
    config: Config,
    http: legacy::Client<connect::Connector, BoxBody<Bytes, std::io::Error>>,
}

impl Client {
    /// # Errors
    /// [`Error::Tls`] where a certificate or key cannot be read.
    pub fn new(config: Config) -> Result<Self, Error> {
        let tls = match &config.address {
            Address::Unix(_) => None,
            Address::Http(_) => Some(Arc::new(config.tls.client_config()?)),
        };
        let connector = connect::Connector::new(&config.address, tls, config.tls.server_name()?);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(Duration::from_secs(30))
            .build(connector);
        Ok(Self { config, http })
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn set_token(&mut self, token: Option<Secret<String>>) {
        self.config.token = token;
    }

    /// Sends and reads the whole reply.
    ///
    /// # Errors
    /// [`Error::Api`] where the server answers 400 or more, except those that
    /// [`Request::accept`] names.
    pub async fn send(&self, request: &Request) -> Result<Response, Error> {
        let (url, reply) = self.send_with_retries(request).await?;
        let (parts, body) = reply.into_parts();
        let unsent = |kind, reason: String| Error::unsent(request.method(), &url, kind, reason);
        let body =
            tokio::time::timeout(self.config.timeout, Limited::new(body, BODY_BYTES_MAX).collect())
                .await
                .map_err(|_| unsent(Unsent::Timeout, "timed out while reading the reply".into()))?
                .map_err(|error| unsent(Unsent::Broken, error.to_string()))?
                .to_bytes();
        let response = Response::new(url, parts.status, parts.headers, body);
        self.judge(request, response)
    }

    /// Sends and gives the body as it comes, for replies too large to hold.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn open(&self, request: &Request) -> Result<(HeaderMap, Incoming), Error> {
        let (url, reply) = self.send_with_retries(request).await?;
        let (parts, body) = reply.into_parts();
        if parts.status.as_u16() < 400 {
            return Ok((parts.headers, body));
        }
        let body = Limited::new(body, BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| {
                Error::unsent(request.method(), &url, Unsent::Broken, error.to_string())
            })?
            .to_bytes();
        let response = Response::new(url, parts.status, parts.headers, body);
        Err(self.refusal(request, &response))
    }

    /// Sends a body that is read as it goes, once and without retries; for snapshots.
    ///
    /// # Errors
    /// As [`Client::send`].
    pub async fn upload(
        &self,
        request: &Request,
        body: BoxBody<Bytes, std::io::Error>,
    ) -> Result<Response, Error> {
        let url = self.config.address.url(request);
        let built = self.build(request, &url, body)?;
        let reply = self.http.request(built).await.map_err(|error| {
            Error::unsent(request.method(), &url, Unsent::of(&error), error::causes(&error))
        })?;
        let (parts, body) = reply.into_parts();
        let body = Limited::new(body, BODY_BYTES_MAX)
            .collect()
            .await
            .map_err(|error| {
                Error::unsent(request.method(), &url, Unsent::Broken, error.to_string())
            })?
            .to_bytes();
        self.judge(request, Response::new(url, parts.status, parts.headers, body))
    }

    fn judge(&self, request: &Request, response: Response) -> Result<Response, Error> {
        if response.status.as_u16() < 400 || request.accepts(response.status) {
            return Ok(response);
        }
        Err(self.refusal(request, &response))
    }

    fn refusal(&self, request: &Request, response: &Response) -> Error {
        let namespace = self.config.namespace.as_deref();
        let had_token = request.token(self.config.token.as_ref()).is_some();
        Error::Api(Box::new(ApiError::new(request.method(), response, namespace, had_token)))
    }

    async fn send_with_retries(
        &self,
        request: &Request,
    ) -> Result<(String, hyper::Response<Incoming>), Error> {
        let url = self.config.address.url(request);
        if self.config.mode == Mode::Outline && !request.is_always_sent() {
            return Err(Error::NotSent(Box::new(self.outline(request, url))));
        }
        let mut attempt = 0;
        loop {
            let result = self.send_following(request, url.clone()).await;
            let passes = match &result {
                Ok((_, reply)) => may_pass(reply.status()) && !request.accepts(reply.status()),
                Err(error) => error.may_pass(),
            };
            if !passes || attempt >= self.config.retries_max {
                return result;
            }
            attempt += 1;
            tokio::time::sleep(self.retry_wait(attempt)).await;
        }
    }

    async fn send_following(
        &self,
        request: &Request,
        url: String,
    ) -> Result<(String, hyper::Response<Incoming>), Error> {
        let reply = self.send_once(request, &url).await?;
        if !is_redirect(reply.status()) || self.config.redirects == Redirects::Refuse {
            return Ok((url, reply));
        }
        let target = redirect_target(&url, reply.headers())
            .map_err(|reason| Error::Redirect { url: url.clone(), reason })?;
        let reply = self.send_once(request, &target).await?;
        if is_redirect(reply.status()) {
            return Err(Error::Redirect {
                url: target,
                reason: "redirected more than once".into(),
            });
        }
        Ok((target, reply))
    }

    async fn send_once(
        &self,
        request: &Request,
        url: &str,
    ) -> Result<hyper::Response<Incoming>, Error> {
        let body = Full::new(request.body().clone()).map_err(|never| match never {}).boxed();
        let built = self.build(request, url, body)?;
        tokio::time::timeout(self.config.timeout, self.http.request(built))
            .await
            .map_err(|_| {
                let reason = format!("no reply within {} s", self.config.timeout.as_secs());
                Error::unsent(request.method(), url, Unsent::Timeout, reason)
            })?
            .map_err(|error| {
                Error::unsent(request.method(), url, Unsent::of(&error), error::causes(&error))
            })
    }

    fn build(
        &self,
        request: &Request,
        url: &str,
        body: BoxBody<Bytes, std::io::Error>,
    ) -> Result<hyper::Request<BoxBody<Bytes, std::io::Error>>, Error> {
        let broken =
            |reason: String| Error::unsent(request.method(), url, Unsent::Malformed, reason);
        let uri: Uri = url.parse().map_err(|error| broken(format!("invalid URL: {error}")))?;
        let mut built = hyper::Request::new(body);
        *built.method_mut() = request.method().clone();
        *built.uri_mut() = uri;
        *built.headers_mut() = self.headers(request).map_err(|name| {
            broken(format!("the value of {name} holds characters that a header cannot"))
        })?;
        Ok(built)
    }

    /// Answers the name of a header whose value cannot be sent.
    fn headers(&self, request: &Request) -> Result<HeaderMap, HeaderName> {
        let mut headers = HeaderMap::new();
        headers.insert(X_VAULT_REQUEST, HeaderValue::from_static("true"));
        let token = request.token(self.config.token.as_ref());
        if let Some(token) = token {
            let mut value = sendable(&X_VAULT_TOKEN, token.expose())?;
            value.set_sensitive(true);
            headers.insert(X_VAULT_TOKEN, value);
        }
        if let Some(namespace) = &self.config.namespace {
            headers.insert(X_VAULT_NAMESPACE, sendable(&X_VAULT_NAMESPACE, namespace)?);
        }
        let wrap_ttl = self.config.wrap_ttl.as_ref().filter(|_| request.may_be_wrapped());
        if let Some(wrap_ttl) = wrap_ttl {
            headers.insert(X_VAULT_WRAP_TTL, sendable(&X_VAULT_WRAP_TTL, wrap_ttl)?);
        }
        for (name, value) in self.config.headers.iter().chain(request.headers()) {
            headers.append(name.clone(), value.clone());
        }
        Ok(headers)
    }

    fn outline(&self, request: &Request, url: String) -> Outline {
        let mut headers: Vec<(String, String)> = Vec::new();
        for (name, value) in self.headers(request).unwrap_or_default() {
            if let Some(name) = name.filter(|name| *name != X_VAULT_TOKEN) {
                headers.push((name.to_string(), value.to_str().unwrap_or_default().to_owned()));
            }
        }
        Outline {
            method: request.method().clone(),
            url,
            path: request.path().to_owned(),
            is_list: request.is_list(),
            headers,
            has_token: request.token(self.config.token.as_ref()).is_some(),
            body: Zeroizing::new(String::from_utf8_lossy(request.body()).into_owned()),
        }
    }

    /// Spread out, so that clients that failed together do not come back together.
    fn retry_wait(&self, attempt: u32) -> Duration {
        let (shortest, longest) = self.config.retry_wait;
        let rng: &dyn Rng = &SystemRng;
        let [share] = rng.bytes::<1>();
        let spread = longest.saturating_sub(shortest) * u32::from(share) / 255;
        (shortest + spread) * attempt
    }
}

fn may_pass(status: StatusCode) -> bool {
    status == StatusCode::PRECONDITION_FAILED
        || (status.is_server_error() && status != StatusCode::NOT_IMPLEMENTED)
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 307 | 308)
}

fn redirect_target(from: &str, headers: &HeaderMap) -> Result<String, String> {
    let location = headers
        .get(header::LOCATION)
        .and_then(|value| value.to_str().ok())
        .ok_or("redirected without a `Location`")?;
    let origin: Uri = from.parse().map_err(|_| "redirected from an unreadable URL")?;
    let target: Uri = location.parse().map_err(|_| format!("cannot read `{location}`"))?;
    if target.scheme().is_none() {
        // Relative to the same server.
        let scheme = origin.scheme_str().unwrap_or("http");
        let authority = origin.authority().map(ToString::to_string).unwrap_or_default();
        return Ok(format!("{scheme}://{authority}{location}"));
    }
    if origin.scheme_str() == Some("https") && target.scheme_str() != Some("https") {
        return Err(format!("redirected from https to `{location}`"));
    }
    Ok(location.to_owned())
}

fn sendable(name: &HeaderName, value: &str) -> Result<HeaderValue, HeaderName> {
    HeaderValue::from_str(value).map_err(|_| name.clone())
}

/// A GET, as a method constant for callers that do not name `hyper`.
pub const GET: Method = Method::GET;
/// Vault's clients write with PUT.
pub const PUT: Method = Method::PUT;
pub const POST: Method = Method::POST;
pub const PATCH: Method = Method::PATCH;
pub const DELETE: Method = Method::DELETE;

/// The largest reply that is held in memory.
const BODY_BYTES_MAX: usize = 256 << 20;

const X_VAULT_NAMESPACE: HeaderName = HeaderName::from_static("x-vault-namespace");
const X_VAULT_REQUEST: HeaderName = HeaderName::from_static("x-vault-request");
const X_VAULT_TOKEN: HeaderName = HeaderName::from_static("x-vault-token");
const X_VAULT_WRAP_TTL: HeaderName = HeaderName::from_static("x-vault-wrap-ttl");

#[cfg(test)]
mod tests;

//! One request, before it is sent.

use bytes::Bytes;
use hyper::header::{self, HeaderName, HeaderValue};
use hyper::{Method, StatusCode};
use serde_json::Value;

use crate::secret::Secret;
use crate::text::{PATH_KEPT, UNRESERVED, percent_encode};

/// A method, a path below `/v1/`, and what goes with them.
pub struct Request {
    method: Method,
    path: String,
    query: Vec<(String, String)>,
    headers: Vec<(HeaderName, HeaderValue)>,
    token: Token,
    body: Bytes,
    accepted: Vec<StatusCode>,
    is_always_sent: bool,
    may_be_wrapped: bool,
}

enum Token {
    OfClient,
    Given(Secret<String>),
    Absent,
}

impl Request {
    /// The path is as a policy names it, such as `secret/data/a b`: not encoded, without `/v1/`.
    pub fn new(method: Method, path: &str) -> Self {
        Self {
            method,
            path: clean(path),
            query: Vec::new(),
            headers: Vec::new(),
            token: Token::OfClient,
            body: Bytes::new(),
            accepted: Vec::new(),
            is_always_sent: false,
            may_be_wrapped: true,
        }
    }

    pub fn read(path: &str) -> Self {
        // As in Vault's Go client: a 404 may carry warnings, or the metadata of a deleted secret.
        Self::new(Method::GET, path).accept(StatusCode::NOT_FOUND)
    }

    /// As in Vault's Go client: GET with `list=true`, which passes where proxies refuse LIST.
    pub fn list(path: &str) -> Self {
        Self::read(path).query("list", "true")
    }

    pub fn write(path: &str, body: &Value) -> Self {
        Self::new(Method::PUT, path).json(body)
    }

    pub fn delete(path: &str) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// A JSON merge patch (RFC 7396).
    pub fn patch(path: &str, body: &Value) -> Self {
        Self::new(Method::PATCH, path)
            .json(body)
            .header(header::CONTENT_TYPE, HeaderValue::from_static("application/merge-patch+json"))
    }

    #[must_use]
    pub fn json(mut self, body: &Value) -> Self {
        self.body = body.to_string().into();
        self
    }

    #[must_use]
    pub fn query(mut self, name: &str, value: &str) -> Self {
        self.query.push((name.to_owned(), value.to_owned()));
        self
    }

    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// Instead of the client's own token.
    #[must_use]
    pub fn with_token(mut self, token: Secret<String>) -> Self {
        self.token = Token::Given(token);
        self
    }

    /// For logins: whoever has a token that ended must still be able to log in.
    #[must_use]
    pub fn without_token(mut self) -> Self {
        self.token = Token::Absent;
        self
    }

    /// Takes this status for an answer instead of an error, and does not retry it.
    #[must_use]
    pub fn accept(mut self, status: StatusCode) -> Self {
        self.accepted.push(status);
        self
    }

    /// Sends it even where the client only outlines: for what a command must know beforehand.
    /// Its answer is never wrapped.
    #[must_use]
    pub fn always_sent(mut self) -> Self {
        self.is_always_sent = true;
        self.may_be_wrapped = false;
        self
    }

    pub(super) fn method(&self) -> &Method {
        &self.method
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    pub(super) fn headers(&self) -> &[(HeaderName, HeaderValue)] {
        &self.headers
    }

    pub(super) fn token<'a>(
        &'a self,
        of_client: Option<&'a Secret<String>>,
    ) -> Option<&'a Secret<String>> {
        match &self.token {
            Token::OfClient => of_client,
            Token::Given(token) => Some(token),
            Token::Absent => None,
        }
    }

    pub(super) fn body(&self) -> &Bytes {
        &self.body
    }

    pub(super) fn accepts(&self, status: StatusCode) -> bool {
        self.accepted.contains(&status)
    }

    pub(super) fn is_always_sent(&self) -> bool {
        self.is_always_sent
    }

    pub(super) fn may_be_wrapped(&self) -> bool {
        self.may_be_wrapped
    }

    pub(super) fn is_list(&self) -> bool {
        self.query.iter().any(|(name, value)| name == "list" && value == "true")
    }

    /// `/v1/…`, percent-encoded.
    pub(super) fn path_and_query(&self) -> String {
        let mut text = String::from("/v1/");
        percent_encode(&self.path, PATH_KEPT, &mut text);
        for (index, (name, value)) in self.query.iter().enumerate() {
            text.push(if index == 0 { '?' } else { '&' });
            percent_encode(name, UNRESERVED, &mut text);
            text.push('=');
            percent_encode(value, UNRESERVED, &mut text);
        }
        text
    }
}

/// As Go's `path.Join` does: `a//b/./c/../d/` is `a/b/d`.
fn clean(path: &str) -> String {
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/') {
        match segment {
            "" | "." => {}
            ".." => {
                let _: Option<&str> = kept.pop();
            }
            segment => kept.push(segment),
        }
    }
    kept.join("/")
}

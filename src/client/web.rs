//! What the server itself asks of others by HTTP: identity providers and Kubernetes. Nothing of
//! Vault's protocol is in it, and everything has a bound.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Uri};

use super::{Error, Plain, Tls, Unsent, is_redirect};
use crate::secret::Secret;

/// Trusts one set of authorities; keeps connections open between requests.
pub struct Web {
    plain: Plain,
}

/// An answer, whatever its status.
#[derive(Debug)]
pub struct Got {
    pub status: u16,
    pub body: Bytes,
}

impl Web {
    /// Empty text: the authorities of the system.
    ///
    /// # Errors
    /// [`Error::Tls`] where the text holds no certificates.
    pub fn new(ca_pem: &str) -> Result<Self, Error> {
        let ca_cert_pem = (!ca_pem.trim().is_empty()).then(|| ca_pem.to_owned());
        let tls = Tls { ca_cert_pem, ..Tls::default() };
        Plain::new(&tls, TIME_MAX, BODY_BYTES_MAX).map(|plain| Self { plain })
    }

    /// Follows some redirects, but none from https to http.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn get(&self, url: &str) -> Result<Got, Error> {
        let asked = Asked { url, token: None, body: None };
        self.in_time(&asked).await
    }

    /// As [`Self::get`], with a bearer token; not redirected.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn get_as(&self, url: &str, token: &Secret<String>) -> Result<Got, Error> {
        let asked = Asked { url, token: Some(token), body: None };
        self.in_time(&asked).await
    }

    /// Not redirected.
    ///
    /// # Errors
    /// Where no answer comes.
    pub async fn post(
        &self,
        url: &str,
        authorization: Option<&Secret<String>>,
        content_type: &'static str,
        body: Bytes,
    ) -> Result<Got, Error> {
        let asked = Asked { url, token: authorization, body: Some((content_type, body)) };
        self.in_time(&asked).await
    }

    async fn in_time(&self, asked: &Asked<'_>) -> Result<Got, Error> {
        let slow =
            || asked.unsent(Unsent::Timeout, format!("no answer in {} s", TIME_MAX.as_secs()));
        tokio::time::timeout(TIME_MAX, self.follow(asked)).await.map_err(|_| slow())?
    }

    async fn follow(&self, asked: &Asked<'_>) -> Result<Got, Error> {
        let mut url = asked.url.to_owned();
        for _ in 0..=REDIRECTS_MAX {
            match self.once(asked, &url).await? {
                Step::Got(got) => return Ok(got),
                Step::Moved(to) => url = to,
            }
        }
        Err(Error::Redirect { url, reason: "redirected too often".into() })
    }

    async fn once(&self, asked: &Asked<'_>, url: &str) -> Result<Step, Error> {
        let answer = self.plain.send(asked.build(url)?).await?;
        let (parts, body) = answer.into_parts();
        if is_redirect(parts.status) && asked.token.is_none() && asked.body.is_none() {
            return super::redirect_target(url, &parts.headers)
                .map(Step::Moved)
                .map_err(|reason| Error::Redirect { url: url.to_owned(), reason });
        }
        Ok(Step::Got(Got { status: parts.status.as_u16(), body }))
    }
}

impl Got {
    /// # Errors
    /// Where it was refused.
    pub fn ok(self, url: &str) -> Result<Bytes, Error> {
        if (200..300).contains(&self.status) {
            return Ok(self.body);
        }
        Err(Error::Reply { url: url.to_owned(), reason: format!("its status is {}", self.status) })
    }
}

struct Asked<'a> {
    url: &'a str,
    /// A whole value of the header `Authorization`.
    token: Option<&'a Secret<String>>,
    body: Option<(&'static str, Bytes)>,
}

enum Step {
    Got(Got),
    Moved(String),
}

impl Asked<'_> {
    fn method(&self) -> Method {
        if self.body.is_some() { Method::POST } else { Method::GET }
    }

    fn unsent(&self, kind: Unsent, reason: String) -> Error {
        Error::unsent(&self.method(), self.url, kind, reason)
    }

    fn build(&self, url: &str) -> Result<hyper::Request<Full<Bytes>>, Error> {
        let malformed = |reason: String| self.unsent(Unsent::Malformed, reason);
        let uri: Uri = url.parse().map_err(|error| malformed(format!("invalid URL: {error}")))?;
        if !matches!(uri.scheme_str(), Some("http" | "https")) || uri.host().is_none() {
            return Err(malformed("the URL must begin with `https://` or `http://`".into()));
        }
        let body = self.body.as_ref().map(|(_, body)| body.clone()).unwrap_or_default();
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = self.method();
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        if let Some(token) = self.token {
            let value = HeaderValue::from_str(token.expose());
            let mut value = value.map_err(|_| malformed("the token cannot be sent".into()))?;
            value.set_sensitive(true);
            headers.insert(AUTHORIZATION, value);
        }
        if let Some((content_type, _)) = &self.body {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        }
        headers.insert(hyper::header::ACCEPT, HeaderValue::from_static("application/json"));
        Ok(request)
    }
}

/// For all of it, from the look-up of the name to the last byte.
const TIME_MAX: Duration = Duration::from_secs(10);

const REDIRECTS_MAX: usize = 3;

/// Key sets and discovery documents are some KiB.
const BODY_BYTES_MAX: usize = 1 << 20;

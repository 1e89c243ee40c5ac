//! Requests to services that do not speak Vault's API.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Request, Response};
use hyper_util::client::legacy;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use super::{Address, Error, Tls, Unsent, connect, error};

/// One attempt for each request, bounded in time and size; redirects are answers like others.
pub struct Plain {
    http: legacy::Client<connect::Connector, Full<Bytes>>,
    timeout: Duration,
    reply_bytes_max: usize,
}

impl Plain {
    /// # Errors
    /// [`Error::Tls`] where a certificate or key cannot be read.
    pub fn new(tls: &Tls, timeout: Duration, reply_bytes_max: usize) -> Result<Self, Error> {
        let config = Arc::new(tls.client_config()?);
        let anywhere = Address::Http(String::new());
        let connector = connect::Connector::new(&anywhere, Some(config), tls.server_name()?);
        let http = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_TIME)
            .pool_max_idle_per_host(IDLE_MAX)
            .build(connector);
        Ok(Self { http, timeout, reply_bytes_max })
    }

    /// The whole reply, whatever its status.
    ///
    /// # Errors
    /// [`Error::Unsent`] where none came in time, or one that is too large. The request's body and
    /// headers are in no error.
    pub async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, Error> {
        let (method, url) = (request.method().clone(), request.uri().to_string());
        let unsent = |kind, reason| Error::unsent(&method, &url, kind, reason);
        let exchange = async {
            let reply = self.http.request(request).await;
            let reply = reply.map_err(|error| unsent(Unsent::of(&error), error::causes(&error)))?;
            let (parts, body) = reply.into_parts();
            let body = Limited::new(body, self.reply_bytes_max).collect().await;
            let body = body.map_err(|error| unsent(Unsent::Broken, error.to_string()))?;
            Ok(Response::from_parts(parts, body.to_bytes()))
        };
        tokio::time::timeout(self.timeout, exchange).await.unwrap_or_else(|_| {
            let reason = format!("no reply within {} ms", self.timeout.as_millis());
            Err(unsent(Unsent::Timeout, reason))
        })
    }
}

const IDLE_TIME: Duration = Duration::from_secs(30);
const IDLE_MAX: usize = 8;

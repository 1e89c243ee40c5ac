//! One request: checks in their order, body, handler, answer.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::TryStreamExt as _;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::header::{self, HeaderValue};
use hyper::http::request::Parts;
use hyper::{Method, Request, Response, StatusCode, Version};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout};

use super::body::{self, BodyLimits, Budget, Share, Upload};
use super::cors::Verdict;
use super::decode::{BodyKind, Head, NAMESPACE, Origin};
use super::encode::{self, Asked, Encoded};
use super::forwarded;
use super::path::{self, Printable, Route};
use super::request_id;
use super::status::Refusal;
use super::timeouts::InFlight;
use super::{Answer, BodyRule, Download, Handler, ListenerSettings, MetricsAccess, Tls};
use crate::request::{self, Error, Operation};
use crate::rng::Rng;

/// What all connections of a listener share.
pub(super) struct Service {
    pub(super) settings: ListenerSettings,
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) rng: Arc<dyn Rng>,
    pub(super) requests: Arc<Semaphore>,
    pub(super) budget: Budget,
    /// Held by every task; the listener has ended when all are gone.
    pub(super) alive: mpsc::Sender<()>,
}

/// An answer's body. The request is at work until it is sent.
pub(super) struct AnswerBody {
    inner: UnsyncBoxBody<Bytes, io::Error>,
    _in_flight: InFlight,
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        Pin::new(&mut self.inner).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

impl Service {
    /// Answers one request. `in_flight` lives as long as the answer's body.
    pub(super) async fn serve(
        self: Arc<Self>,
        request: Request<Incoming>,
        origin: Origin,
        in_flight: InFlight,
    ) -> Result<Response<AnswerBody>, Infallible> {
        let form = Form {
            is_head: request.method() == Method::HEAD,
            is_http2: request.version() == Version::HTTP_2,
        };
        let (parts, body) = request.into_parts();
        let begun = Instant::now();
        let echoed = parts.headers.get(&NAMESPACE).cloned();
        let verdict = self.settings.cors.judge(&parts);
        let (answered, cross) = match verdict {
            Verdict::Own => (self.answer(parts, body, origin).await, None),
            Verdict::Allowed(headers) => (self.answer(parts, body, origin).await, Some(headers)),
            Verdict::Preflight(headers) => (Ok((encode::nothing(), None)), Some(headers)),
            Verdict::Refused(refusal) => (Err(refusal), None),
        };
        let (mut encoded, download) =
            answered.unwrap_or_else(|refusal| (encode::refusal(&refusal), None));
        encoded.headers.extend(cross.unwrap_or_default());
        if let Some(namespace) = echoed {
            encoded.headers.insert(NAMESPACE, namespace);
        }
        count(encoded.status, begun.elapsed());
        Ok(self.response(encoded, download, form, in_flight))
    }

    async fn answer(
        self: &Arc<Self>,
        parts: Parts,
        body: Incoming,
        origin: Origin,
    ) -> Result<(Encoded, Option<Download>), Refusal> {
        let printable =
            if self.settings.printable_check { Printable::Only } else { Printable::Any };
        let path = match path::route(parts.uri.path(), printable) {
            Route::Api(path) => path,
            Route::Redirect(mut location) => {
                if let Some(query) = parts.uri.query() {
                    location = format!("{location}?{query}");
                }
                return Ok((encode::redirect(&location), None));
            }
            Route::Refused(text) => return Err(Refusal::text(400, text)),
            Route::Robots => return Ok((encode::text(ROBOTS), None)),
            Route::Unknown => return Err(Refusal::new(404, [])),
        };
        // By who connects, not by whom the request is forwarded for.
        let known_as =
            request_id::of(&self.settings.request_ids_from, &parts.headers, origin.remote)?;
        self.check_metrics(&path)?;
        self.check_closed(&path)?;
        let origin = match &self.settings.forwarded_for {
            Some(rule) => forwarded::origin(rule, &parts.headers, origin)?,
            None => origin,
        };
        let rule = self.handler.body_rule(&path);
        let bytes_max = self.settings.body_bytes_max;
        if rule == BodyRule::Parameters
            && bytes_max.is_some_and(|max| body.size_hint().lower() > max)
        {
            return Err(body::too_large());
        }
        let head = Head::decode(&parts, path, origin)?;
        let Ok(permit) = Arc::clone(&self.requests).try_acquire_owned() else {
            let text = "too many requests are at work; try again".to_owned();
            return Err(Error::Unavailable(text).into());
        };
        let (mut request, upload, share) = self.read(head, rule, body).await?;
        request.known_as = known_as;
        let deadline = self.settings.request_deadline.filter(|_| rule == BodyRule::Parameters);
        Ok(self.run(request, upload, deadline, (permit, share)).await)
    }

    fn check_metrics(&self, path: &str) -> Result<(), Refusal> {
        match self.settings.metrics {
            MetricsAccess::Closed if is_of_metrics(path) => Err(Error::Denied.into()),
            MetricsAccess::Only | MetricsAccess::OnlyWithToken if !is_of_metrics(path) => {
                Err(Refusal::text(404, "this listener serves /v1/sys/metrics only"))
            }
            _ => Ok(()),
        }
    }

    /// What needs key shares and no token, where the configuration closes it; 405, as OpenBao.
    fn check_closed(&self, path: &str) -> Result<(), Refusal> {
        let mut parts = path.split('/').filter(|part| !part.is_empty());
        let (space, subject, step) = (parts.next(), parts.next(), parts.next());
        let closed = match (subject, step) {
            (Some("rekey" | "rekey-recovery-key"), Some("init" | "update" | "verify")) => self
                .settings
                .closes_rekey
                .then_some("rekey: sys/rotate/root or sys/rotate/recovery"),
            (Some("generate-root"), Some("attempt" | "update")) => self
                .settings
                .closes_generate_root
                .then_some("generate_root: sys/generate-root-token"),
            _ => None,
        };
        match closed.and_then(|text| text.split_once(": ")) {
            Some((name, instead)) if space == Some("sys") => Err(Refusal::text(
                405,
                format!(
                    "this listener's `disable_unauthed_{name}_endpoints` closes this path: use \
                     {instead}, which needs a token"
                ),
            )),
            _ => Ok(()),
        }
    }

    async fn read(
        &self,
        head: Head,
        rule: BodyRule,
        body: Incoming,
    ) -> Result<(request::Request, Option<Upload>, Share), Refusal> {
        let id = self.rng.uuid();
        if head.body() == BodyKind::Ignored {
            return Ok((head.into_request(id), None, None));
        }
        if rule == BodyRule::Streamed {
            let upload = Upload::streamed(body, self.settings.body_timeout);
            return Ok((head.into_request(id), Some(upload), None));
        }
        let limits = BodyLimits {
            bytes_max: self.settings.body_bytes_max,
            timeout: self.settings.body_timeout,
            budget: &self.budget,
        };
        let (bytes, mut share) = body::read(body, &limits).await?;
        if head.body() == BodyKind::Binary {
            return Ok((head.into_request(id), Some(Upload::whole(bytes)), share));
        }
        let parsed_bytes = head.weigh(&bytes, self.settings.json)?;
        self.budget.grow(&mut share, bytes.len().saturating_add(parsed_bytes))?;
        Ok((head.with_body(id, &bytes, self.settings.json)?, None, share))
    }

    /// Runs the handler in a task of its own, and waits for it as long as the deadline allows.
    async fn run(
        self: &Arc<Self>,
        request: request::Request,
        upload: Option<Upload>,
        deadline: Option<Duration>,
        held: (OwnedSemaphorePermit, Share),
    ) -> (Encoded, Option<Download>) {
        let asked = Asked {
            request_id: request.id.clone(),
            operation: request.operation,
            path: request.path.clone(),
        };
        let is_open = is_of_metrics(&request.path)
            && matches!(request.operation, Operation::Read | Operation::Header)
            && matches!(self.settings.metrics, MetricsAccess::Open | MetricsAccess::Only);
        let handler = Arc::clone(&self.handler);
        let alive = self.alive.clone();
        #[expect(clippy::disallowed_methods, reason = "ends by itself; shutdown waits for `alive`")]
        let mut task = tokio::spawn(async move {
            let answer = if is_open {
                handler.metrics(request).await
            } else {
                handler.handle(request, upload).await
            };
            drop((held, alive));
            answer
        });
        let ended = match deadline {
            None => (&mut task).await,
            Some(time) => match timeout(time, &mut task).await {
                Ok(ended) => ended,
                Err(_) => return (late(&asked), None),
            },
        };
        let answer = ended.unwrap_or_else(|error| Answer::from(Err(Error::internal(error))));
        if let Some(location) = &answer.redirect {
            let mut encoded = encode::redirect(location);
            encode::add_headers(&mut encoded.headers, answer.headers.iter());
            return (encoded, None);
        }
        let download = answer.download.filter(|_| answer.outcome.is_ok());
        let mut encoded = encode::outcome(answer.outcome, &asked);
        encode::add_headers(&mut encoded.headers, answer.headers.iter());
        if let Some(download) = &download {
            if encoded.status == StatusCode::NO_CONTENT || encoded.status == StatusCode::NOT_FOUND {
                encoded.status = StatusCode::OK;
            }
            if let Ok(value) = HeaderValue::from_str(&download.content_type) {
                encoded.headers.insert(header::CONTENT_TYPE, value);
            }
        }
        (encoded, download)
    }

    fn response(
        &self,
        encoded: Encoded,
        download: Option<Download>,
        form: Form,
        in_flight: InFlight,
    ) -> Response<AnswerBody> {
        let bytes = if form.is_head { Bytes::new() } else { encoded.body };
        let body = match download.filter(|_| !form.is_head) {
            Some(download) => StreamBody::new(download.chunks.map_ok(Frame::data)).boxed_unsync(),
            None => Full::new(bytes).map_err(|never| match never {}).boxed_unsync(),
        };
        let body = AnswerBody { inner: body, _in_flight: in_flight };
        let mut response = Response::new(body);
        *response.status_mut() = encoded.status;
        let headers = response.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        for (name, value) in self.settings.response_headers.of(encoded.status) {
            headers.insert(name.clone(), value.clone());
        }
        for (name, value) in &encoded.headers {
            headers.insert(name.clone(), value.clone());
        }
        if form.is_http2 {
            headers.remove(header::CONNECTION);
        }
        response
    }
}

/// What an answer's form depends on beside the request itself.
#[derive(Clone, Copy)]
struct Form {
    /// The body is left out.
    is_head: bool,
    /// A connection has no headers of its own.
    is_http2: bool,
}

/// Statuses are few, so that labels are.
fn count(status: StatusCode, time: Duration) {
    metrics::counter!("http.requests", "status" => status.as_str().to_owned()).increment(1);
    metrics::histogram!("http.request.duration_seconds").record(time);
}

/// Its outcome is unknown: the handler runs on, and only its client is told.
fn late(asked: &Asked) -> Encoded {
    // Not the path: names are as secret as what they name.
    tracing::warn!(request_id = asked.request_id, "request is over its deadline");
    let text =
        "the request did not finish within `max_request_duration`: context deadline exceeded";
    encode::refusal(&Refusal::from(&Error::Unavailable(text.to_owned())))
}

/// As routes do, with a slash at its end or none.
fn is_of_metrics(path: &str) -> bool {
    path.strip_suffix('/').unwrap_or(path) == METRICS
}

const METRICS: &str = "sys/metrics";

const ROBOTS: &str = "User-agent: *\nDisallow: /\n";

//! One connection, from its first byte to its last.

use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until, timeout};
use tokio_rustls::TlsAcceptor;

use super::decode::Origin;
use super::proxy_protocol;
use super::service::Service;
use super::timeouts::{Activity, Deadline, Watched};

/// What a listener asks of its connections.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Phase {
    Serve,
    /// Finish what is at work, take nothing new.
    Drain,
    /// End at once.
    Abort,
}

/// Serves `stream` until it ends, by either side.
pub(super) async fn run<T: AsyncRead + AsyncWrite + Send + Unpin + 'static>(
    service: Arc<Service>,
    stream: T,
    peer: Option<SocketAddr>,
    phase: watch::Receiver<Phase>,
) {
    let activity = Activity::new();
    let stream = Watched::new(stream, Arc::clone(&activity), service.settings.write_timeout);
    let served = async {
        let (stream, origin) = match limited(&service, open(&service, stream, peer)).await {
            Ok(Some(opened)) => opened,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(?peer, %error, "connection refused");
                return;
            }
        };
        match stream {
            Opened::Plain(stream) => {
                serve(&service, TokioIo::new(stream), origin, &activity, phase.clone()).await;
            }
            Opened::Tls(stream) => {
                if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
                    activity.multiplexed();
                }
                serve(&service, TokioIo::new(stream), origin, &activity, phase.clone()).await;
            }
        }
    };
    let mut aborted = phase.clone();
    tokio::select! {
        () = served => {}
        _ = aborted.wait_for(|phase| *phase == Phase::Abort) => {}
    }
}

enum Opened<T> {
    Plain(Watched<T>),
    Tls(Box<tokio_rustls::server::TlsStream<Watched<T>>>),
}

/// PROXY header and TLS handshake. `None`: nothing is to be served.
async fn open<T: AsyncRead + AsyncWrite + Send + Unpin>(
    service: &Service,
    mut stream: Watched<T>,
    mut peer: Option<SocketAddr>,
) -> io::Result<Option<(Opened<T>, Origin)>> {
    if let (Some(rule), Some(address)) = (&service.settings.proxy_protocol, peer) {
        peer = Some(proxy_protocol::accept(rule, &mut stream, address).await?);
    }
    let Some(tls) = &service.tls else {
        let origin = Origin { remote: peer, client_certificates: Vec::new() };
        return Ok(Some((Opened::Plain(stream), origin)));
    };
    match stream.peek().await? {
        None => return Ok(None),
        // No TLS record begins with a letter: this is plain HTTP, by mistake.
        Some(byte) if byte.is_ascii_uppercase() => {
            stream.write_all(PLAIN_ON_TLS).await?;
            stream.shutdown().await?;
            return Ok(None);
        }
        Some(_) => {}
    }
    let stream = TlsAcceptor::from(tls.current()).accept(stream).await?;
    let chain = stream.get_ref().1.peer_certificates().unwrap_or_default();
    let client_certificates = chain.iter().map(|der| der.to_vec()).collect();
    let origin = Origin { remote: peer, client_certificates };
    Ok(Some((Opened::Tls(Box::new(stream)), origin)))
}

async fn limited<T>(
    service: &Service,
    opening: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    match service.settings.header_timeout {
        None => opening.await,
        Some(time) => timeout(time, opening).await.map_err(io::Error::other)?,
    }
}

async fn serve<I: Read + Write + Send + Unpin + 'static>(
    service: &Arc<Service>,
    stream: I,
    origin: Origin,
    activity: &Arc<Activity>,
    mut phase: watch::Receiver<Phase>,
) {
    let settings = &service.settings;
    let answer = service_fn(|request: hyper::Request<Incoming>| {
        let in_flight = activity.begin();
        if request.version() == hyper::Version::HTTP_2 {
            activity.multiplexed();
        }
        Arc::clone(service).serve(request, origin.clone(), in_flight)
    });
    let builder = builder(settings.header_bytes_max);
    let mut connection = pin!(builder.serve_connection(stream, answer));
    let mut closing = false;
    loop {
        let deadline = activity.deadline(settings.header_timeout, settings.idle_timeout);
        let until = match deadline {
            Deadline::Head(until) => Some(until),
            Deadline::Idle(until) if closing => Some(until + LAST_WORDS),
            Deadline::Idle(until) => Some(until),
            Deadline::None => None,
        };
        tokio::select! {
            result = connection.as_mut() => {
                if let Err(error) = result {
                    tracing::debug!(remote = ?origin.remote, %error, "connection failed");
                }
                return;
            }
            () = reached(until) => match deadline {
                // What has come since moves it.
                _ if deadline != activity.deadline(settings.header_timeout, settings.idle_timeout) => {}
                Deadline::Idle(_) if !closing => {
                    closing = true;
                    connection.as_mut().graceful_shutdown();
                }
                _ => return,
            },
            () = activity.changed() => {}
            changed = phase.changed() => {
                if changed.is_err() || *phase.borrow_and_update() != Phase::Serve {
                    connection.as_mut().graceful_shutdown();
                    // The listener's own deadline ends it from here on.
                    let _ended = connection.as_mut().await;
                    return;
                }
            }
        }
    }
}

async fn reached(until: Option<Instant>) {
    match until {
        Some(until) => sleep_until(until).await,
        None => std::future::pending().await,
    }
}

fn builder(header_bytes_max: usize) -> auto::Builder<TokioExecutor> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(None)
        // hyper refuses buffers below 8 KiB by panicking.
        .max_buf_size(header_bytes_max.max(HEADER_BYTES_MIN));
    builder
        .http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT)
        .max_concurrent_streams(STREAMS_MAX)
        .max_header_list_size(u32::try_from(header_bytes_max).unwrap_or(u32::MAX));
    builder
}

const HEADER_BYTES_MIN: usize = 8192;

/// Of one HTTP/2 connection, at one time.
const STREAMS_MAX: u32 = 128;

/// A peer of HTTP/2 that does not answer for so long is gone.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// What an idle peer has to confirm that the connection ends.
const LAST_WORDS: Duration = Duration::from_secs(5);

const PLAIN_ON_TLS: &[u8] = b"HTTP/1.0 400 Bad Request\r\nContent-Type: text/plain\r\n\
    Connection: close\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";

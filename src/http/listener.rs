//! Sockets, and the connections that come from them.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, UnixListener};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot, watch};
use tokio::time::{sleep, timeout};

use super::body::Budget;
use super::connection::{self, Phase};
use super::service::Service;
use super::tls::{Tls, TlsError};
use super::unix::{self, SocketFile};
use super::{Address, Handler, ListenerSettings};
use crate::clock::Clock;
use crate::rng::Rng;

/// A listener at work. Dropping it ends it at once, connections included.
pub struct Listener {
    address: BoundAddress,
    tls: Option<Arc<Tls>>,
    phase: watch::Sender<Phase>,
    probes: mpsc::Sender<oneshot::Sender<()>>,
    /// Closed when the last task is gone.
    ended: mpsc::Receiver<()>,
}

/// Asks a listener's loop whether it turns.
#[derive(Clone)]
pub struct Prober {
    address: BoundAddress,
    probes: mpsc::Sender<oneshot::Sender<()>>,
}

impl Prober {
    /// `false` once the loop has ended. Waits for as long as it is there and does not answer.
    pub async fn answers(&self) -> bool {
        let (answer, answered) = oneshot::channel();
        self.probes.send(answer).await.is_ok() && answered.await.is_ok()
    }

    pub fn address(&self) -> &BoundAddress {
        &self.address
    }
}

/// Where a listener can be reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum BoundAddress {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

impl fmt::Display for BoundAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Why a listener did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("cannot listen on {address}")]
    Bind {
        address: String,
        #[source]
        source: io::Error,
    },
    #[error(transparent)]
    Tls(#[from] TlsError),
}

enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// Binds, reads the certificates, and serves from then on.
    ///
    /// # Errors
    /// An address that cannot be had, or TLS files that do not work.
    pub async fn start(
        settings: ListenerSettings,
        handler: Arc<dyn Handler>,
        clock: Arc<dyn Clock>,
        rng: Arc<dyn Rng>,
    ) -> Result<Self, StartError> {
        let tls = settings.tls.clone().map(|tls| Tls::load(tls, clock)).transpose()?.map(Arc::new);
        let (socket, address) = bind(&settings.address).await?;
        let (alive, ended) = mpsc::channel(1);
        let (phase, phases) = watch::channel(Phase::Serve);
        let connections = settings.connections_max.clamp(1, Semaphore::MAX_PERMITS);
        let service = Service {
            tls: tls.clone(),
            handler,
            rng,
            requests: Arc::new(Semaphore::new(
                settings.requests_max.clamp(1, Semaphore::MAX_PERMITS),
            )),
            budget: Budget::new(BODIES_BYTES_MAX),
            alive,
            settings,
        };
        let (probes, probed) = mpsc::channel(1);
        let connections = Arc::new(Semaphore::new(connections));
        let accepting = accept(socket, Arc::new(service), connections, phases, probed);
        #[expect(clippy::disallowed_methods, reason = "ends with the listener, by its phase")]
        let _accepting = tokio::spawn(accepting);
        tracing::info!(%address, tls = tls.is_some(), "listening");
        Ok(Self { address, tls, phase, probes, ended })
    }

    /// With the port that was given where the settings said 0.
    pub fn address(&self) -> &BoundAddress {
        &self.address
    }

    /// `None` where the listener speaks plain HTTP.
    pub fn tls(&self) -> Option<&Arc<Tls>> {
        self.tls.as_ref()
    }

    pub fn prober(&self) -> Prober {
        Prober { address: self.address.clone(), probes: self.probes.clone() }
    }

    /// Reads certificates, key and client CAs again, for connections to come.
    ///
    /// # Errors
    /// What is wrong with the files; what was served before is served on.
    pub fn reload(&self) -> Result<(), TlsError> {
        self.tls.as_ref().map_or(Ok(()), |tls| tls.reload())
    }

    /// Accepts no more, lets requests finish for as long as `grace`, then closes what is left.
    /// Handlers that are still at work then run on.
    pub async fn shutdown(mut self, grace: Duration) {
        self.phase.send_replace(Phase::Drain);
        if timeout(grace, self.ended.recv()).await.is_err() {
            tracing::warn!(address = %self.address, "closing connections that did not finish");
            self.phase.send_replace(Phase::Abort);
        }
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.phase.send_replace(Phase::Abort);
    }
}

async fn bind(address: &Address) -> Result<(Socket, BoundAddress), StartError> {
    match address {
        Address::Tcp(address) => {
            let failed = |source| StartError::Bind { address: address.to_string(), source };
            let socket = TcpListener::bind(address).await.map_err(failed)?;
            let bound = socket.local_addr().map_err(failed)?;
            Ok((Socket::Tcp(socket), BoundAddress::Tcp(bound)))
        }
        Address::Unix(settings) => {
            let failed =
                |source| StartError::Bind { address: settings.path.display().to_string(), source };
            let (socket, file) = unix::bind(settings).await.map_err(failed)?;
            Ok((Socket::Unix(socket, file), BoundAddress::Unix(settings.path.clone())))
        }
    }
}

async fn accept(
    socket: Socket,
    service: Arc<Service>,
    connections: Arc<Semaphore>,
    mut phase: watch::Receiver<Phase>,
    mut probes: mpsc::Receiver<oneshot::Sender<()>>,
) {
    loop {
        let accepted = tokio::select! {
            _ = phase.wait_for(|phase| *phase != Phase::Serve) => return,
            Some(probe) = probes.recv() => {
                // Whoever asked may no longer wait.
                let _answered = probe.send(());
                continue;
            }
            accepted = next(&socket) => accepted,
        };
        let accepted = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, or a connection that was gone again: neither ends the
                // listener, and the first gets better only by waiting.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        match Arc::clone(&connections).try_acquire_owned() {
            Ok(permit) => spawn(accepted, &service, permit, phase.clone()),
            Err(_) => refuse(accepted, &service),
        }
    }
}

enum Accepted {
    Tcp(tokio::net::TcpStream, SocketAddr),
    Unix(tokio::net::UnixStream),
}

async fn next(socket: &Socket) -> io::Result<Accepted> {
    match socket {
        Socket::Tcp(socket) => {
            let (stream, peer) = socket.accept().await?;
            stream.set_nodelay(true)?;
            Ok(Accepted::Tcp(stream, peer))
        }
        Socket::Unix(socket, _file) => Ok(Accepted::Unix(socket.accept().await?.0)),
    }
}

fn spawn(
    accepted: Accepted,
    service: &Arc<Service>,
    permit: OwnedSemaphorePermit,
    phase: watch::Receiver<Phase>,
) {
    let service = Arc::clone(service);
    let alive = service.alive.clone();
    let serving = async move {
        match accepted {
            Accepted::Tcp(stream, peer) => {
                connection::run(service, stream, Some(peer), phase).await;
            }
            Accepted::Unix(stream) => connection::run(service, stream, None, phase).await,
        }
        drop((permit, alive));
    };
    #[expect(clippy::disallowed_methods, reason = "ends with the listener, by its phase")]
    let _serving = tokio::spawn(serving);
}

/// Whoever speaks TLS could not read it: then the connection is just closed.
fn refuse(accepted: Accepted, service: &Service) {
    tracing::warn!(max = service.settings.connections_max, "too many connections: one is closed");
    if service.tls.is_some() {
        return;
    }
    // Fits into the socket's empty buffer, so that nothing has to wait for this client.
    let text = match accepted {
        Accepted::Tcp(stream, _) => stream.try_write(TOO_MANY),
        Accepted::Unix(stream) => stream.try_write(TOO_MANY),
    };
    if let Err(error) = text {
        tracing::debug!(%error, "the refused connection was not told");
    }
}

/// Of all request bodies that are being read or worked on, together.
const BODIES_BYTES_MAX: u64 = 512 * 1024 * 1024;

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

const TOO_MANY: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\n\
    Cache-Control: no-store\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 36\r\n\r\n\
    {\"errors\":[\"too many connections\"]}\n";

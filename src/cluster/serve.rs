//! Connections from other nodes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::{Semaphore, broadcast, watch};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::dial::{KEEP_ALIVE, KEEP_ALIVE_TIMEOUT, exporter};
use super::hello::{self, Ends, Hello, Purpose, Refusal, Role, UnsealedProof};
use super::identity::Identity;
use super::route::Routes;
use super::tls::{self, Trust};
use crate::raft::PeerId;

/// Whose certificates are good but who may not come back.
pub trait RemovedNodes: Send + Sync + 'static {
    fn is_removed(&self, node: u64) -> bool;
}

/// What is served, by purpose.
pub(super) struct Offered {
    pub(super) replication: Routes,
    pub(super) forwarding: Option<Routes>,
    pub(super) joining: Option<Routes>,
    /// Where forwarded requests and joins run: not where raft does.
    pub(super) requests: Handle,
}

pub(super) struct Server {
    pub(super) identity: Arc<Identity>,
    pub(super) trust: Arc<Trust>,
    pub(super) proof: Arc<dyn UnsealedProof>,
    pub(super) removed: Arc<dyn RemovedNodes>,
    pub(super) open: Arc<Open>,
    pub(super) handshake_timeout: Duration,
    /// Nodes whose connection for replication has ended.
    pub(super) lost: broadcast::Sender<u64>,
}

/// The connections there are, so that they can be ended.
#[derive(Default)]
pub(super) struct Open(Mutex<Connections>);

#[derive(Default)]
struct Connections {
    next: u64,
    open: BTreeMap<u64, Connection>,
}

struct Connection {
    peer: Option<u64>,
    purpose: Purpose,
    /// Dropped to end it.
    _end: watch::Sender<()>,
}

impl Open {
    pub(super) fn close_forwarding(&self) {
        self.lock().open.retain(|_, connection| connection.purpose != Purpose::Forwarding);
    }

    pub(super) fn close_node(&self, node: u64) {
        self.lock().open.retain(|_, connection| connection.peer != Some(node));
    }

    /// `None` where there are too many.
    fn enter(self: &Arc<Self>, peer: Option<u64>, purpose: Purpose) -> Option<Entered> {
        let mut connections = self.lock();
        let joining = |connection: &&Connection| connection.purpose == Purpose::Joining;
        let full = connections.open.len() >= CONNECTIONS_MAX
            || purpose == Purpose::Joining
                && connections.open.values().filter(joining).count() >= JOINING_MAX;
        if full {
            return None;
        }
        let (end, ended) = watch::channel(());
        let key = connections.next;
        connections.next += 1;
        connections.open.insert(key, Connection { peer, purpose, _end: end });
        Some(Entered { open: self.clone(), key, ended })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Connections> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leaves the list when it is dropped.
struct Entered {
    open: Arc<Open>,
    key: u64,
    ended: watch::Receiver<()>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        self.open.lock().open.remove(&self.key);
    }
}

impl Server {
    /// Accepts connections until `stop`; they end with it. Must run on raft's runtime.
    pub(super) async fn run(
        self: Arc<Self>,
        listener: TcpListener,
        offered: Arc<Offered>,
        mut stop: watch::Receiver<bool>,
    ) {
        let handshakes = Arc::new(Semaphore::new(HANDSHAKES_MAX));
        let mut connections = tokio::task::JoinSet::new();
        loop {
            let permit = handshakes.clone().acquire_owned().await;
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let (tcp, from) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    // Out of file descriptors: connections that end give some back.
                    tracing::warn!(%error, "no connection from a node can be accepted");
                    tokio::time::sleep(ACCEPT_RETRY).await;
                    continue;
                }
            };
            let (server, offered) = (self.clone(), offered.clone());
            connections.spawn(async move {
                let greeted = server.greet(tcp).await;
                drop(permit);
                match greeted {
                    Ok(Some(greeted)) => greeted.serve(&offered).await,
                    Ok(None) => {}
                    Err(error) => tracing::debug!(%from, %error, "a node could not connect"),
                }
            });
            while connections.try_join_next().is_some() {}
        }
        connections.shutdown().await;
    }

    async fn greet(&self, tcp: TcpStream) -> io::Result<Option<Greeted>> {
        tcp.set_nodelay(true)?;
        let from = tcp.peer_addr()?;
        let config = tls::server_config(&self.trust, &self.identity).map_err(io::Error::other)?;
        // A node without a cluster has nothing to say.
        let Some(config) = config else { return Ok(None) };
        let handshake = async {
            let mut stream = TlsAcceptor::from(config).accept(tcp).await?;
            let said = hello::hear(&mut stream).await?;
            self.judge(stream, said, from).await
        };
        tokio::time::timeout(self.handshake_timeout, handshake).await?
    }

    async fn judge(
        &self,
        mut stream: TlsStream<TcpStream>,
        said: Hello,
        from: SocketAddr,
    ) -> io::Result<Option<Greeted>> {
        let verdict = self.verdict(&stream, &said);
        match verdict {
            Ok((peer, entered, own)) => {
                hello::welcome(&mut stream, own).await?;
                let (purpose, lost) = (said.purpose, self.lost.clone());
                Ok(Some(Greeted { stream, purpose, peer, entered, lost }))
            }
            Err(refusal) => {
                tracing::warn!(%from, %refusal, "a node was refused");
                hello::refuse(&mut stream, refusal).await?;
                Ok(None)
            }
        }
    }

    #[expect(clippy::type_complexity, reason = "who it is, its place, and this node's own proof")]
    fn verdict(
        &self,
        stream: &TlsStream<TcpStream>,
        said: &Hello,
    ) -> Result<(Option<u64>, Entered, Option<[u8; 32]>), Refusal> {
        let connection = stream.get_ref().1;
        let certificate = connection.peer_certificates().and_then(<[_]>::first);
        let peer = certificate
            .map(|certificate| self.trust.name(certificate).map(|name| name.node))
            .transpose()
            .map_err(|_| Refusal::NoCertificate)?;
        // On the list before anything is judged, so that a seal or a removal in between ends it.
        let entered = self.open.enter(peer, said.purpose);
        if peer.is_some_and(|peer| self.removed.is_removed(peer)) {
            return Err(Refusal::Removed);
        }
        let entered = entered.ok_or(Refusal::Busy)?;
        let own = match (said.purpose, peer) {
            (Purpose::Joining, _) | (Purpose::Replication, Some(_)) => None,
            (Purpose::Replication | Purpose::Forwarding, None) => {
                return Err(Refusal::NoCertificate);
            }
            (Purpose::Forwarding, Some(dialler)) => {
                let ends = Ends { dialler, listener: self.identity.id() };
                let exporter = exporter(connection).map_err(|_| Refusal::Protocol)?;
                let theirs = said.proof.ok_or(Refusal::Protocol)?;
                if !self.proof.verify(&exporter, Role::Dialler, ends, &theirs) {
                    return Err(Refusal::Sealed);
                }
                let own = self.proof.prove(&exporter, Role::Listener, ends);
                Some(own.ok_or(Refusal::Sealed)?)
            }
        };
        Ok((peer, entered, own))
    }
}

/// A connection that may be used.
struct Greeted {
    stream: TlsStream<TcpStream>,
    purpose: Purpose,
    peer: Option<u64>,
    entered: Entered,
    lost: broadcast::Sender<u64>,
}

impl Greeted {
    async fn serve(self, offered: &Offered) {
        let (routes, elsewhere) = match self.purpose {
            Purpose::Replication => (Some(&offered.replication), None),
            Purpose::Forwarding => (offered.forwarding.as_ref(), Some(&offered.requests)),
            Purpose::Joining => (offered.joining.as_ref(), Some(&offered.requests)),
        };
        let Some(routes) = routes.cloned() else { return };
        let serving = self.run(routes);
        match elsewhere {
            None => serving.await,
            Some(requests) => {
                // Ends with this task, too.
                let mut task = tokio::task::JoinSet::new();
                task.spawn_on(serving, requests);
                while task.join_next().await.is_some() {}
            }
        }
    }

    async fn run(self, routes: Routes) {
        let Self { stream, peer, entered, purpose, lost } = self;
        let service = hyper::service::service_fn(move |mut request: hyper::Request<Incoming>| {
            if let Some(peer) = peer {
                request.extensions_mut().insert(PeerId(peer));
            }
            let routes = routes.clone();
            async move { Ok::<_, Infallible>(routes.call(request).await) }
        });
        let mut builder = http2::Builder::new(TokioExecutor::new());
        builder
            .timer(TokioTimer::new())
            .keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(KEEP_ALIVE_TIMEOUT)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_concurrent_streams(STREAMS_MAX);
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        let mut ended = entered.ended.clone();
        let over = async {
            match purpose {
                Purpose::Joining => tokio::time::sleep(JOINING_TIMEOUT).await,
                Purpose::Replication | Purpose::Forwarding => std::future::pending().await,
            }
        };
        tokio::select! {
            // Nothing was ever sent: it is an error once the sender is gone.
            _ = ended.changed() => {}
            () = over => {}
            result = connection => {
                if let Err(error) = result {
                    tracing::debug!(?peer, %error, "a node's connection broke");
                }
                if let (Some(peer), Purpose::Replication) = (peer, purpose) {
                    // Nobody need listen.
                    drop(lost.send(peer));
                }
            }
        }
    }
}

const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Of all nodes together, and while they are made.
const CONNECTIONS_MAX: usize = 512;
const HANDSHAKES_MAX: usize = 64;

/// Anyone may try to join: few at a time, and not for long.
const JOINING_MAX: usize = 8;
const JOINING_TIMEOUT: Duration = Duration::from_secs(30);

/// Requests at once on one connection.
const STREAMS_MAX: u32 = 2048;
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

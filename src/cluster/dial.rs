//! Connections to other nodes.

use std::collections::BTreeMap;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt as _;
use hyper_util::rt::TokioIo;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tonic::codegen::Service;
use tonic::codegen::http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::hello::{self, Ends, Purpose, Refusal, UnsealedProof};
use super::identity::Identity;
use super::tls::{self, Trust};
use crate::log::BoxFuture;
use crate::raft::{Lane, NodeInfo, Peers};

/// Makes and keeps the connections to other nodes.
pub(super) struct Dialler {
    maker: Arc<Maker>,
    channels: Mutex<Channels>,
    /// Which of a node's connections for forwarding is next.
    turn: AtomicUsize,
}

/// By node, lane and, where there are several, number.
type Channels = BTreeMap<(u64, Lane, usize), Dialled>;

struct Dialled {
    address: String,
    channel: Channel,
}

/// What one connection needs to be made.
struct Maker {
    identity: Arc<Identity>,
    trust: Arc<Trust>,
    proof: Arc<dyn UnsealedProof>,
    connect_timeout: Duration,
    /// Raised when all connections for forwarding must end.
    forwarding: watch::Sender<u64>,
    /// A member has said that this node is none.
    removed: watch::Sender<bool>,
}

impl Dialler {
    pub(super) fn new(
        identity: Arc<Identity>,
        trust: Arc<Trust>,
        proof: Arc<dyn UnsealedProof>,
        connect_timeout: Duration,
    ) -> Self {
        let maker = Maker {
            identity,
            trust,
            proof,
            connect_timeout,
            forwarding: watch::Sender::new(0),
            removed: watch::Sender::new(false),
        };
        Self { maker: Arc::new(maker), channels: Mutex::default(), turn: AtomicUsize::new(0) }
    }

    /// Whether that node refuses this one as removed, on a connection made for the question.
    pub(super) async fn says_removed(&self, node: u64, info: &NodeInfo) -> bool {
        let connector = Connector {
            maker: self.maker.clone(),
            node,
            address: info.cluster_address.clone(),
            lane: Lane::Control,
        };
        let greeted = tokio::time::timeout(self.maker.connect_timeout, connector.connect()).await;
        matches!(greeted, Ok(Err(error)) if hello::refusal(&error) == Some(Refusal::Removed))
    }

    pub(super) fn removed(&self) -> watch::Receiver<bool> {
        self.maker.removed.subscribe()
    }

    /// Ends every connection on which requests are forwarded.
    pub(super) fn close_forwarding(&self) {
        self.channels().retain(|(_, lane, _), _| *lane != Lane::Forward);
        self.maker.forwarding.send_modify(|generation| *generation += 1);
    }

    pub(super) fn forget(&self, node: u64) {
        self.channels().retain(|(of, _, _), _| *of != node);
    }

    fn channels(&self) -> std::sync::MutexGuard<'_, Channels> {
        self.channels.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One of several connections: one alone would be one task, on one core.
    pub(super) fn forward_channel(&self, node: u64, info: &NodeInfo) -> Channel {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed) % FORWARD_CONNECTIONS;
        self.numbered(node, info, Lane::Forward, turn)
    }

    fn numbered(&self, node: u64, info: &NodeInfo, lane: Lane, number: usize) -> Channel {
        let mut channels = self.channels();
        let key = (node, lane, number);
        if let Some(known) = channels.get(&key)
            && known.address == info.cluster_address
        {
            return known.channel.clone();
        }
        let channel = self.dial(node, &info.cluster_address, lane);
        let dialled = Dialled { address: info.cluster_address.clone(), channel: channel.clone() };
        channels.insert(key, dialled);
        channel
    }

    fn dial(&self, node: u64, address: &str, lane: Lane) -> Channel {
        // The address is the connector's; nothing is looked up by this name.
        let endpoint = Endpoint::from_static("http://node")
            .tcp_nodelay(true)
            .connect_timeout(self.maker.connect_timeout)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .http2_keep_alive_interval(KEEP_ALIVE)
            .keep_alive_timeout(self.maker.connect_timeout.max(KEEP_ALIVE_TIMEOUT))
            .keep_alive_while_idle(true);
        let connector =
            Connector { maker: self.maker.clone(), node, address: address.into(), lane };
        endpoint.connect_with_connector_lazy(connector)
    }
}

impl Peers for Dialler {
    fn channel(&self, node: u64, info: &NodeInfo, lane: Lane) -> Channel {
        self.numbered(node, info, lane, 0)
    }
}

/// Connects to one node, or to nobody.
#[derive(Clone)]
struct Connector {
    maker: Arc<Maker>,
    node: u64,
    address: String,
    lane: Lane,
}

impl Service<Uri> for Connector {
    type Response = TokioIo<NodeStream>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let connector = self.clone();
        Box::pin(async move {
            let limit = connector.maker.connect_timeout;
            let connected = tokio::time::timeout(limit, connector.connect()).await;
            connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?.map(TokioIo::new)
        })
    }
}

impl Connector {
    async fn connect(&self) -> io::Result<NodeStream> {
        let maker = &self.maker;
        let config = tls::client_config(&maker.trust, &maker.identity).map_err(io::Error::other)?;
        let config = config.ok_or_else(|| hello::refused(Refusal::NoCertificate))?;
        // Before anything is proven, so that a seal in between is not missed.
        let mut forwarding = maker.forwarding.subscribe();
        let tcp = TcpStream::connect(&self.address).await?;
        tcp.set_nodelay(true)?;
        let name = ServerName::try_from("node").map_err(io::Error::other)?;
        let mut stream = TlsConnector::from(config).connect(name, tcp).await?;
        self.check(&stream)?;
        let exporter = exporter(stream.get_ref().1)?;
        let purpose = match self.lane {
            Lane::Append | Lane::Control | Lane::Snapshot => Purpose::Replication,
            Lane::Forward => Purpose::Forwarding,
        };
        let ends = Ends { dialler: maker.identity.id(), listener: self.node };
        let greeted = hello::greet(&mut stream, purpose, &exporter, ends, &*maker.proof).await;
        if let Err(error) = greeted {
            if hello::refusal(&error) == Some(Refusal::Removed) {
                tracing::warn!(by = self.node, "a member says that this node was removed");
                maker.removed.send_replace(true);
            }
            return Err(error);
        }
        let closed = async move {
            match purpose {
                Purpose::Forwarding => drop(forwarding.changed().await),
                Purpose::Replication | Purpose::Joining => std::future::pending().await,
            }
        };
        Ok(NodeStream { stream, closed: closed.boxed() })
    }

    /// Whether the node that answered is the one that was meant.
    fn check(&self, stream: &TlsStream<TcpStream>) -> io::Result<()> {
        let certificates = stream.get_ref().1.peer_certificates().unwrap_or_default();
        let certificate = certificates.first().ok_or_else(|| io::Error::other("no certificate"))?;
        let name = self.maker.trust.name(certificate).map_err(io::Error::other)?;
        if name.node != self.node {
            return Err(io::Error::other(format!(
                "`{}` is node {}, not {}",
                self.address, name.node, self.node
            )));
        }
        Ok(())
    }
}

/// A connection without a certificate of this node's own, to whoever shows one of the authority
/// with this fingerprint.
pub(super) fn token_channel(address: &str, fingerprint: [u8; 32]) -> Channel {
    let endpoint = Endpoint::from_static("http://node").connect_timeout(TOKEN_CONNECT);
    let connector = TokenConnector { address: address.into(), fingerprint };
    endpoint.connect_with_connector_lazy(connector)
}

#[derive(Clone)]
struct TokenConnector {
    address: String,
    fingerprint: [u8; 32],
}

impl Service<Uri> for TokenConnector {
    type Response = TokioIo<TlsStream<TcpStream>>;
    type Error = io::Error;
    type Future = BoxFuture<'static, io::Result<Self::Response>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let Self { address, fingerprint } = self.clone();
        let connect = async move {
            let config = tls::token_config(fingerprint).map_err(io::Error::other)?;
            let tcp = TcpStream::connect(&address).await?;
            tcp.set_nodelay(true)?;
            let name = ServerName::try_from("node").map_err(io::Error::other)?;
            let mut stream = TlsConnector::from(config).connect(name, tcp).await?;
            hello::ask_to_join(&mut stream).await?;
            Ok(TokioIo::new(stream))
        };
        Box::pin(async move {
            let connected = tokio::time::timeout(TOKEN_CONNECT, connect).await;
            connected.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
        })
    }
}

/// A connection that ends when it must.
pub(super) struct NodeStream {
    stream: TlsStream<TcpStream>,
    closed: Pin<Box<dyn Future<Output = ()> + Send>>,
}

impl NodeStream {
    fn ends(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.closed.as_mut().poll(cx) {
            Poll::Ready(()) => Err(io::ErrorKind::ConnectionAborted.into()),
            Poll::Pending => Ok(()),
        }
    }
}

impl AsyncRead for NodeStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if let Err(error) = self.ends(cx) {
            // Polled again it would panic: it is over for good.
            self.closed = std::future::ready(()).boxed();
            return Poll::Ready(Err(error));
        }
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for NodeStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Key material that only the two ends of this connection have.
pub(super) fn exporter<Data>(connection: &rustls::ConnectionCommon<Data>) -> io::Result<[u8; 32]> {
    connection.export_keying_material([0; 32], EXPORTER, None).map_err(io::Error::other)
}

const EXPORTER: &[u8] = b"EXPORTER-strongroom-unsealed";
const TOKEN_CONNECT: Duration = Duration::from_secs(5);
const FORWARD_CONNECTIONS: usize = 2;
const WINDOW_BYTES: u32 = 4 * 1024 * 1024;

/// A node whose host has gone is noticed after both.
pub(super) const KEEP_ALIVE: Duration = Duration::from_secs(1);
pub(super) const KEEP_ALIVE_TIMEOUT: Duration = Duration::from_secs(2);

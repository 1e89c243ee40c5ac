//! A connection to PostgreSQL, with TLS by rustls. Nothing runs beside it: it moves while it is
//! used, and goes when it is dropped.

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use rustls::ClientConfig;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, MakeTlsConnect, TlsConnect, TlsStream};
use tokio_postgres::{Client, Config, Error, NoTls, SimpleQueryMessage, Socket};
use tokio_rustls::TlsConnector;

use crate::crypto::Algorithm;
use crate::log::BoxFuture;

pub(super) struct Session {
    client: Client,
    /// `None`: it has ended.
    connection: Option<BoxFuture<'static, Result<(), Error>>>,
}

/// # Errors
/// What the database or the network says.
pub(super) async fn connect(config: &Config, tls: Option<&MakeTls>) -> Result<Session, Error> {
    match tls {
        Some(tls) => with(config, tls.clone()).await,
        None => with(config, NoTls).await,
    }
}

async fn with<T>(config: &Config, tls: T) -> Result<Session, Error>
where
    T: MakeTlsConnect<Socket>,
    T::Stream: Send + 'static,
{
    let (client, connection) = config.connect(tls).await?;
    Ok(Session { client, connection: Some(Box::pin(connection)) })
}

impl Session {
    /// One statement, or several.
    ///
    /// # Errors
    /// What the database says, or that the connection has ended.
    pub(super) async fn execute(&mut self, statement: &str) -> Result<(), Error> {
        drive(&mut self.connection, self.client.batch_execute(statement)).await
    }

    /// # Errors
    /// As [`Self::execute`].
    pub(super) async fn query(&mut self, query: &str) -> Result<Vec<SimpleQueryMessage>, Error> {
        drive(&mut self.connection, self.client.simple_query(query)).await
    }

    pub(super) fn is_over(&self) -> bool {
        self.connection.is_none() || self.client.is_closed()
    }

    /// Whether it answers: it may have ended while nobody looked.
    pub(super) async fn is_alive(&mut self, within: Duration) -> bool {
        let asked = tokio::time::timeout(within, self.execute("")).await;
        matches!(asked, Ok(Ok(()))) && !self.is_over()
    }
}

/// Moves the connection while something is asked over it.
async fn drive<T>(
    connection: &mut Option<BoxFuture<'static, Result<(), Error>>>,
    asked: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let mut asked = std::pin::pin!(asked);
    poll_fn(|context| {
        if let Some(moving) = connection
            && moving.as_mut().poll(context).is_ready()
        {
            *connection = None;
        }
        asked.as_mut().poll(context)
    })
    .await
}

#[derive(Clone)]
pub(super) struct MakeTls {
    pub(super) config: Arc<ClientConfig>,
    /// In the database's certificate; empty: the host of the URL.
    pub(super) server_name: String,
}

pub(super) struct ConnectTls(TlsConnector, ServerName<'static>);

pub(super) struct Tls<S>(tokio_rustls::client::TlsStream<S>);

impl<S> MakeTlsConnect<S> for MakeTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Tls<S>;
    type TlsConnect = ConnectTls;
    type Error = rustls::pki_types::InvalidDnsNameError;

    fn make_tls_connect(&mut self, domain: &str) -> Result<ConnectTls, Self::Error> {
        let name = if self.server_name.is_empty() { domain } else { &self.server_name };
        let name = ServerName::try_from(name.to_owned())?;
        Ok(ConnectTls(TlsConnector::from(self.config.clone()), name))
    }
}

impl<S> TlsConnect<S> for ConnectTls
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    type Stream = Tls<S>;
    type Error = std::io::Error;
    type Future = BoxFuture<'static, Result<Tls<S>, std::io::Error>>;

    fn connect(self, stream: S) -> Self::Future {
        Box::pin(async move { self.0.connect(self.1, stream).await.map(Tls) })
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Tls<S> {
    /// RFC 5929, section 4.1: the certificate's hash, by the function it is signed with.
    fn channel_binding(&self) -> ChannelBinding {
        let (_, session) = self.0.get_ref();
        let certificate = session.peer_certificates().and_then(<[_]>::first);
        match certificate.and_then(|certificate| hash_of(certificate)) {
            Some(hash) => ChannelBinding::tls_server_end_point(hash),
            None => ChannelBinding::none(),
        }
    }
}

fn hash_of(certificate: &[u8]) -> Option<Vec<u8>> {
    let (_, parsed) = x509_parser::parse_x509_certificate(certificate).ok()?;
    let function = match parsed.signature_algorithm.algorithm.to_id_string().as_str() {
        // MD5 and SHA-1 count as SHA-256.
        "1.2.840.113549.1.1.4"
        | "1.2.840.113549.1.1.5"
        | "1.2.840.113549.1.1.11"
        | "1.2.840.10045.4.1"
        | "1.2.840.10045.4.3.2" => Algorithm::Sha2_256,
        "1.2.840.113549.1.1.12" | "1.2.840.10045.4.3.3" => Algorithm::Sha2_384,
        "1.2.840.113549.1.1.13" | "1.2.840.10045.4.3.4" => Algorithm::Sha2_512,
        _ => return None,
    };
    Some(function.digest(certificate))
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncRead for Tls<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Tls<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &[u8],
    ) -> Poll<std::io::Result<usize>> {
        Pin::new(&mut self.0).poll_write(context, buffer)
    }

    fn poll_flush(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_flush(context)
    }

    fn poll_shutdown(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<std::io::Result<()>> {
        Pin::new(&mut self.0).poll_shutdown(context)
    }
}

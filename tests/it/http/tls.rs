//! TLS: versions, files, and their exchange while serving.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::Value;
use strongroom::http::{ClientCertificates, TlsError, TlsSettings, TlsVersion};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use super::harness::Server;

pub(super) const BOTH: [&SupportedProtocolVersion; 2] =
    [&rustls::version::TLS12, &rustls::version::TLS13];

/// A CA, and what it signed.
pub(super) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl Authority {
    pub(super) fn new() -> Self {
        let mut params = CertificateParams::new([]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(super) fn sign(&self, params: &CertificateParams, key: &KeyPair) -> rcgen::Certificate {
        params.signed_by(key, &self.issuer).unwrap()
    }
}

/// A folder with a server's files, renewable.
pub(super) struct Files {
    pub(super) authority: Authority,
    folder: TempDir,
}

impl Files {
    pub(super) fn new() -> Self {
        let files = Self { authority: Authority::new(), folder: tempfile::tempdir().unwrap() };
        files.renew();
        files
    }

    /// A new pair; returns the certificate.
    pub(super) fn renew(&self) -> CertificateDer<'static> {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        let certificate = self.authority.sign(&params, &key);
        std::fs::write(self.path("server.crt"), certificate.pem()).unwrap();
        std::fs::write(self.path("server.key"), key.serialize_pem()).unwrap();
        certificate.der().clone()
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).unwrap();
        path
    }

    fn path(&self, name: &str) -> PathBuf {
        Path::join(self.folder.path(), name)
    }

    pub(super) fn settings(&self) -> TlsSettings {
        TlsSettings::new(self.path("server.crt"), self.path("server.key"))
    }

    /// Serves with these files.
    pub(super) async fn server(&self, adjust: impl FnOnce(&mut TlsSettings)) -> Server {
        let mut tls = self.settings();
        adjust(&mut tls);
        Server::start(|settings| settings.tls = Some(tls)).await
    }

    /// A client that trusts the authority and presents what `identity` gives.
    pub(super) fn client(
        &self,
        version: &'static SupportedProtocolVersion,
        identity: Option<Arc<dyn ResolvesClientCert>>,
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.issuer.der().clone()).unwrap();
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(&[version])
            .unwrap()
            .with_root_certificates(roots);
        match identity {
            Some(identity) => builder.with_client_cert_resolver(identity),
            None => builder.with_no_client_auth(),
        }
    }
}

/// One request over TLS: what the handler was asked, or why not.
pub(super) async fn ask(server: &Server, config: ClientConfig) -> Result<Value, String> {
    let exchanged = exchange(server, config).await?;
    let (_, body) = exchanged.text.split_once("\r\n\r\n").ok_or("no answer")?;
    let mut body: Value = serde_json::from_str(body).map_err(|error| error.to_string())?;
    let mut told = body["data"].take();
    told["resumed"] = Value::from(exchanged.resumed);
    Ok(told)
}

/// What came of a connection.
struct Exchanged {
    certificate: CertificateDer<'static>,
    resumed: bool,
    text: String,
}

async fn exchange(server: &Server, config: ClientConfig) -> Result<Exchanged, String> {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let name = ServerName::try_from("localhost").unwrap();
    let mut stream = TlsConnector::from(Arc::new(config))
        .connect(name, stream)
        .await
        .map_err(|error| error.to_string())?;
    let certificate = stream.get_ref().1.peer_certificates().unwrap()[0].clone().into_owned();
    let request = b"GET /v1/a HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    stream.write_all(request).await.map_err(|error| error.to_string())?;
    let mut text = String::new();
    // In TLS 1.3 the server refuses only after the client has finished its handshake.
    stream.read_to_string(&mut text).await.map_err(|error| error.to_string())?;
    let resumed = stream.get_ref().1.handshake_kind() == Some(rustls::HandshakeKind::Resumed);
    Ok(Exchanged { certificate, resumed, text })
}

#[tokio::test]
async fn both_versions_are_served_and_bounded_by_the_settings() {
    use TlsVersion::{V1_2, V1_3};
    let files = Files::new();
    for (min, max, serves) in
        [(V1_2, V1_3, [true, true]), (V1_2, V1_2, [true, false]), (V1_3, V1_3, [false, true])]
    {
        let server = files
            .server(|tls| {
                tls.version_min = min;
                tls.version_max = max;
            })
            .await;
        for (version, served) in BOTH.into_iter().zip(serves) {
            let result = ask(&server, files.client(version, None)).await;
            assert_eq!(result.is_ok(), served, "{min:?}-{max:?} {version:?}: {result:?}");
        }
    }
}

#[tokio::test]
async fn the_protocol_is_negotiated() {
    let files = Files::new();
    let server = files.server(|_| {}).await;
    for (offered, chosen) in
        [(vec!["h2", "http/1.1"], Some("h2")), (vec!["http/1.1"], Some("http/1.1")), (vec![], None)]
    {
        let mut config = files.client(&rustls::version::TLS13, None);
        config.alpn_protocols = offered.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let stream = TlsConnector::from(Arc::new(config))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap();
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
    }
}

#[tokio::test]
async fn cipher_suites_are_chosen_by_name() {
    let files = Files::new();
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    // CBC is passed over; 1.3 keeps its own.
    let server = files
        .server(|tls| {
            tls.cipher_suites = names(&[
                "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305",
                "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
            ]);
        })
        .await;
    for (version, expected) in BOTH
        .into_iter()
        .zip([Some(rustls::CipherSuite::TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256), None])
    {
        let stream = TcpStream::connect(server.address()).await.unwrap();
        let stream = TlsConnector::from(Arc::new(files.client(version, None)))
            .connect(ServerName::try_from("localhost").unwrap(), stream)
            .await
            .unwrap();
        let suite = stream.get_ref().1.negotiated_cipher_suite().unwrap().suite();
        assert!(expected.is_none_or(|expected| suite == expected), "{version:?}: {suite:?}");
    }
    let clock = || Arc::new(strongroom::clock::SystemClock);
    let mut tls = files.settings();
    tls.cipher_suites = names(&["TLS_NONSENSE"]);
    let result = strongroom::http::Tls::load(tls, clock());
    assert!(matches!(result, Err(TlsError::CipherSuite { .. })));
    let mut tls = files.settings();
    tls.cipher_suites = names(&["TLS_RSA_WITH_AES_128_CBC_SHA"]);
    tls.version_max = TlsVersion::V1_2;
    assert!(matches!(strongroom::http::Tls::load(tls, clock()), Err(TlsError::Nothing(_))));
}

#[tokio::test]
async fn a_reload_takes_a_new_pair_and_refuses_a_bad_one() {
    let files = Files::new();
    let server = files.server(|_| {}).await;
    let serves = async || {
        let config = files.client(&rustls::version::TLS13, None);
        exchange(&server, config).await.unwrap().certificate
    };
    let tls = server.listener.tls().unwrap();
    let first = serves().await;
    assert_eq!(tls.certificate(), first.as_ref());

    let second = files.renew();
    assert_eq!(serves().await, first, "not before the reload");
    server.listener.reload().unwrap();
    assert_eq!(serves().await, second);
    assert_eq!(tls.certificate(), second.as_ref());

    // A key that belongs to no certificate here, nonsense, an encrypted key, nothing.
    let other = KeyPair::generate().unwrap().serialize_pem();
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    for (name, text) in [("server.key", other.as_str()), ("server.key", encrypted)] {
        files.write(name, text);
        let error = server.listener.reload().unwrap_err();
        let is_expected = match error {
            TlsError::Pair { .. } => text == other,
            TlsError::EncryptedKey { .. } => text == encrypted,
            _ => false,
        };
        assert!(is_expected, "{error:?}");
        assert_eq!(serves().await, second);
    }
    files.write("server.crt", "nonsense");
    assert!(matches!(server.listener.reload(), Err(TlsError::NoCertificate { .. })));
    assert_eq!(serves().await, second);

    let third = files.renew();
    server.listener.reload().unwrap();
    assert_eq!(serves().await, third);
}

#[tokio::test]
async fn plain_http_is_told_that_this_is_tls() {
    let files = Files::new();
    let server = files.server(|_| {}).await;
    let mut client = server.connect();
    let text = super::harness::blocking(move || {
        client.send(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n");
        client.rest()
    })
    .await;
    assert!(text.starts_with("HTTP/1.0 400 Bad Request"), "{text}");
    assert!(text.ends_with("Client sent an HTTP request to an HTTPS server.\n"), "{text}");
}

#[tokio::test]
async fn clients_may_be_left_unasked() {
    let files = Files::new();
    let server = files.server(|tls| tls.client_certificates = ClientCertificates::Off).await;
    for version in BOTH {
        let identity = super::client_certificates::own(&files.authority);
        let told = ask(&server, files.client(version, Some(identity))).await.unwrap();
        assert_eq!(told["certificates"], serde_json::json!([]));
    }
}

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use hyper::StatusCode;
use hyper::header::{HeaderName, HeaderValue};

use super::cors::Cors;
use crate::network::Network;

/// One `listener` stanza. The defaults are Vault's where Vault has them.
#[derive(Clone, Debug)]
pub struct ListenerSettings {
    pub address: Address,
    /// Without it the listener speaks plain HTTP (`tls_disable`).
    pub tls: Option<TlsSettings>,
    /// `max_request_size`. `None`: without limit.
    pub body_bytes_max: Option<u64>,
    pub json: JsonLimits,
    /// `http_read_header_timeout`: for a TLS handshake, and from a request's first byte to the end
    /// of its headers. `None` as everywhere here: without limit.
    pub header_timeout: Option<Duration>,
    /// `http_read_timeout`: for the body, whole; for an upload, from chunk to chunk.
    pub body_timeout: Option<Duration>,
    /// `http_idle_timeout`: between requests of a connection.
    pub idle_timeout: Option<Duration>,
    /// `http_write_timeout`: how long a client may accept no byte of what is written to it.
    pub write_timeout: Option<Duration>,
    /// `max_request_duration`: after it the client gets 503; the request itself runs on.
    pub request_deadline: Option<Duration>,
    /// Those beyond are closed at once, plain ones with a 503.
    pub connections_max: usize,
    /// Requests at work at one time, those whose clients have left included. 503 beyond.
    pub requests_max: usize,
    /// Of request line and headers together; at least 8192. 431 beyond.
    pub header_bytes_max: usize,
    /// `disable_printable_check` turns it off.
    pub printable_check: bool,
    pub response_headers: ResponseHeaders,
    /// `x_forwarded_for_*`.
    pub forwarded_for: Option<ForwardedFor>,
    /// `x_strongroom_request_id_authorized_addrs`.
    pub request_ids_from: Vec<Network>,
    /// `sys/config/cors`, which changes while the listener serves.
    pub cors: Arc<Cors>,
    /// `proxy_protocol_*`.
    pub proxy_protocol: Option<ProxyProtocol>,
    pub metrics: MetricsAccess,
    /// `disable_unauthed_rekey_endpoints`
    pub closes_rekey: bool,
    /// `disable_unauthed_generate_root_endpoints`
    pub closes_generate_root: bool,
}

impl ListenerSettings {
    pub fn new(address: Address) -> Self {
        Self {
            address,
            tls: None,
            body_bytes_max: Some(32 * 1024 * 1024),
            json: JsonLimits::default(),
            header_timeout: Some(Duration::from_secs(10)),
            body_timeout: Some(Duration::from_secs(30)),
            idle_timeout: Some(Duration::from_secs(300)),
            write_timeout: Some(Duration::from_secs(60)),
            request_deadline: Some(Duration::from_secs(90)),
            connections_max: 8192,
            requests_max: 4096,
            header_bytes_max: 64 * 1024,
            printable_check: true,
            response_headers: ResponseHeaders::default(),
            forwarded_for: None,
            request_ids_from: Vec::new(),
            cors: Arc::default(),
            proxy_protocol: None,
            metrics: MetricsAccess::default(),
            closes_rekey: false,
            closes_generate_root: false,
        }
    }
}

/// `telemetry` of a listener: who sees `sys/metrics` there.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum MetricsAccess {
    /// Whoever has a token that may.
    #[default]
    Token,
    /// `unauthenticated_metrics_access`: everyone, sealed or not.
    Open,
    /// `disallow_metrics`: nobody.
    Closed,
    /// `metrics_only`: everyone, and nothing else is served.
    Only,
    /// `metrics_only` without `unauthenticated_metrics_access`.
    OnlyWithToken,
}

#[derive(Clone, Debug)]
pub enum Address {
    /// Port 0 lets the system choose; [`super::Listener::address`] tells which.
    Tcp(SocketAddr),
    Unix(UnixSettings),
}

#[derive(Clone, Debug)]
pub struct UnixSettings {
    pub path: PathBuf,
    /// Permission bits, such as 0o660. `None`: as the umask leaves them.
    pub mode: Option<u32>,
    /// Name or number. `None`: the process's own.
    pub user: Option<String>,
    /// Name or number. `None`: the process's own.
    pub group: Option<String>,
}

/// What a JSON body may cost to parse: a few bytes of text make a value of some eighty.
#[derive(Clone, Copy, Debug)]
pub struct JsonLimits {
    pub depth_max: usize,
    /// Keys and values that are strings.
    pub strings_max: usize,
    /// Members of objects and arrays, all levels together. What a body's members take in memory
    /// counts against the same total as the bodies themselves.
    pub members_max: usize,
}

impl Default for JsonLimits {
    fn default() -> Self {
        Self { depth_max: 300, strings_max: 200_000, members_max: 400_000 }
    }
}

#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// PEM: the server's certificate, then its intermediates.
    pub certificate_file: PathBuf,
    /// PEM, not encrypted: PKCS#8, PKCS#1 or SEC1.
    pub key_file: PathBuf,
    pub version_min: TlsVersion,
    pub version_max: TlsVersion,
    /// Names as in IANA's registry. Empty: all that are offered, which are good ones only. As in
    /// Vault they choose among those of TLS 1.2; those of 1.3 are narrowed where one is named.
    pub cipher_suites: Vec<String>,
    pub client_certificates: ClientCertificates,
}

impl TlsSettings {
    pub fn new(certificate_file: PathBuf, key_file: PathBuf) -> Self {
        Self {
            certificate_file,
            key_file,
            version_min: TlsVersion::V1_2,
            version_max: TlsVersion::V1_3,
            cipher_suites: Vec::new(),
            client_certificates: ClientCertificates::Ask,
        }
    }
}

#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

#[derive(Clone, Debug)]
pub enum ClientCertificates {
    /// Asked for, not needed; only possession of the key is judged. Chain and dates are the cert
    /// auth method's to judge, against the CAs of its roles.
    Ask,
    /// `tls_disable_client_certs`.
    Off,
    /// `tls_require_and_verify_client_cert`, by the CAs in this PEM file.
    Require { ca_file: PathBuf },
}

/// `x_forwarded_for_*`.
#[derive(Clone, Debug)]
pub struct ForwardedFor {
    /// Proxies that may say who their client is. Must not be empty.
    pub authorized: Vec<Network>,
    /// Entries to skip from the right: proxies of ours before the last.
    pub hop_skips: usize,
    pub reject_not_present: bool,
    pub reject_not_authorized: bool,
    /// Header in which an authorised proxy passes on the client certificate that it verified:
    /// PEM or base64 of DER, percent-encoded or not.
    pub client_certificate_header: Option<HeaderName>,
}

/// `proxy_protocol_*`: HAProxy's PROXY header, version 1 or 2, before anything else.
#[derive(Clone, Debug)]
pub enum ProxyProtocol {
    /// `use_always`: every connection begins with it and is believed.
    Always,
    /// `allow_authorized`: read from these; others are served under their own address, and one
    /// that sends the header fails.
    Allow(Vec<Network>),
    /// `deny_unauthorized`: read from these; others are closed.
    Deny(Vec<Network>),
}

/// Headers of every answer: `custom_response_headers` and those that name the node.
#[derive(Clone, Debug)]
pub struct ResponseHeaders {
    always: Vec<(HeaderName, HeaderValue)>,
    /// By class, 2 for `2xx`.
    classes: BTreeMap<u16, Vec<(HeaderName, HeaderValue)>>,
    statuses: BTreeMap<u16, Vec<(HeaderName, HeaderValue)>>,
}

impl Default for ResponseHeaders {
    fn default() -> Self {
        let always = vec![(
            hyper::header::STRICT_TRANSPORT_SECURITY,
            HeaderValue::from_static("max-age=31536000; includeSubDomains"),
        )];
        Self { always, classes: BTreeMap::new(), statuses: BTreeMap::new() }
    }
}

impl ResponseHeaders {
    /// Adds headers for `scope`: `default`, a class as `2xx`, or a status as `404`.
    ///
    /// # Errors
    /// Unknown scopes, invalid names and values, and names that begin with `X-Vault-`.
    pub fn custom(
        mut self,
        scope: &str,
        headers: &BTreeMap<String, String>,
    ) -> Result<Self, SettingsError> {
        for (name, value) in headers {
            if name.to_ascii_lowercase().starts_with("x-vault-") {
                return Err(SettingsError::ReservedHeader { name: name.clone() });
            }
            let list = match scope.as_bytes() {
                b"default" => &mut self.always,
                [class @ b'1'..=b'5', b'x', b'x'] => {
                    self.classes.entry(u16::from(class - b'0')).or_default()
                }
                _ => match scope.parse() {
                    Ok(status @ 100..=599) => self.statuses.entry(status).or_default(),
                    _ => return Err(SettingsError::HeaderScope { scope: scope.to_owned() }),
                },
            };
            let (name, value) = header(name, value)?;
            list.retain(|(present, _)| *present != name);
            list.push((name, value));
        }
        Ok(self)
    }

    /// Adds one that names this node, such as `X-Vault-Hostname`.
    ///
    /// # Errors
    /// Invalid names and values.
    pub fn constant(mut self, name: &str, value: &str) -> Result<Self, SettingsError> {
        self.always.push(header(name, value)?);
        Ok(self)
    }

    /// In the order in which they are to be set, the most particular last.
    pub(super) fn of(
        &self,
        status: StatusCode,
    ) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        let class = self.classes.get(&(status.as_u16() / 100)).into_iter().flatten();
        let exact = self.statuses.get(&status.as_u16()).into_iter().flatten();
        self.always.iter().chain(class).chain(exact)
    }
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), SettingsError> {
    let invalid = || SettingsError::Header { name: name.to_owned() };
    let parsed = HeaderName::from_bytes(name.as_bytes()).map_err(|_| invalid())?;
    Ok((parsed, HeaderValue::from_str(value).map_err(|_| invalid())?))
}

/// What the operator must correct.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    #[error("`custom_response_headers`: `{name}` or its value is no valid header")]
    Header { name: String },
    #[error("`custom_response_headers`: `{scope}` is neither `default` nor a status")]
    HeaderScope { scope: String },
    #[error("`custom_response_headers`: names that begin with `X-Vault-` are reserved: `{name}`")]
    ReservedHeader { name: String },
}

//! `listener "tcp" { … }` and `listener "unix" { … }`

mod headers;

pub use headers::ResponseHeaders;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::stanza::{
    Body, Check, Found, KeyDoc, Reader, Setting, labelled, more_than_zero, stanza,
};
use super::value::{Mode, Networks, SizeLimit, choice};

/// Where clients connect.
#[derive(Debug)]
pub enum Listener {
    Tcp(Box<TcpListener>),
    Unix(Box<UnixListener>),
}

stanza! {
    /// An address for clients, and one beside it for the other nodes.
    pub struct TcpListener in "listener \"tcp\"" {
        /// Where clients connect.
        pub address: SocketAddr = "127.0.0.1:8200",
        /// Where the other nodes connect; `address` with the next port if not set.
        cluster_address: Option<SocketAddr>,
        /// Whether clients speak plain HTTP: secrets travel in clear.
        pub tls_disable: bool = "false",
        /// File with the certificate (PEM), and those between it and its CA.
        tls_cert_file: Option<PathBuf>,
        /// File with the certificate's key (PEM).
        tls_key_file: Option<PathBuf>,
        /// Oldest version of TLS that is spoken.
        pub tls_min_version: TlsVersion = "tls12",
        /// Latest version of TLS that is spoken.
        pub tls_max_version: TlsVersion = "tls13",
        /// File with the CA certificates (PEM) that clients' certificates must come from.
        pub tls_client_ca_file: Option<PathBuf>,
        /// Whether a client without such a certificate is refused.
        pub tls_require_and_verify_client_cert: bool = "false",
        /// Whether clients are not asked for a certificate at all.
        pub tls_disable_client_certs: bool = "false",
        /// How long a connection may wait for the next request; 0 is without limit.
        pub http_idle_timeout: Duration = "5m",
        /// How long the head of a request may take to arrive.
        pub http_read_header_timeout: Duration = "10s",
        /// How long a whole request may take to arrive; 0 is without limit.
        pub http_read_timeout: Duration = "30s",
        /// How long a response may take to be sent; 0 is without limit.
        pub http_write_timeout: Duration = "0",
        /// Largest body of a request; -1 is without limit. Snapshots are exempt.
        pub max_request_size: SizeLimit = "32MiB",
        /// How many connections are served at one time; those beyond are closed.
        pub max_connections: u32 = "8192",
        /// How long a request may run; `default_max_request_duration` if not set.
        pub max_request_duration: Option<Duration>,
        /// Whether, and from whom, the PROXY protocol tells the client's address.
        pub proxy_protocol_behavior: Option<ProxyProtocol>,
        /// Proxies that may use the PROXY protocol.
        pub proxy_protocol_authorized_addrs: Networks = "",
        /// Proxies whose `X-Forwarded-For` is believed; without any the header is ignored.
        pub x_forwarded_for_authorized_addrs: Networks = "",
        /// How many of the header's last addresses are proxies, too.
        pub x_forwarded_for_hop_skips: u32 = "0",
        /// Whether a request without the header is refused.
        pub x_forwarded_for_reject_not_present: bool = "true",
        /// Whether a request with the header from anyone else is refused.
        pub x_forwarded_for_reject_not_authorized: bool = "true",
        /// Proxies whose `X-Strongroom-Request-Id` is believed: a request that one sends again takes
        /// effect once.
        pub x_strongroom_request_id_authorized_addrs: Networks = "",
        /// Whether sys/rekey and sys/rekey-recovery-key are closed here; sys/rotate/root and
        /// sys/rotate/recovery, which need a token, do the same.
        pub disable_unauthed_rekey_endpoints: bool = "false",
        /// Whether sys/generate-root is closed here; sys/generate-root-token, which needs a token,
        /// does the same.
        pub disable_unauthed_generate_root_endpoints: bool = "false",
        /// Who may read the metrics here.
        pub telemetry: ListenerTelemetry,
        /// Headers that responses get, by status.
        pub custom_response_headers: ResponseHeaders,
    }
    no_effect {
        role: "it is an option of Vault Agent",
        require_request_header: "it is an option of Vault Agent",
        tls_cipher_suites: "only suites without known weaknesses are offered",
        tls_prefer_server_cipher_suites: "the server's order always goes first",
        tls_acme_domains: NO_ACME,
        tls_acme_email: NO_ACME,
        tls_acme_ca_directory: NO_ACME,
        tls_acme_ca_root: NO_ACME,
        tls_acme_cache_path: NO_ACME,
        max_json_depth: JSON_LIMITS,
        max_json_string_value_length: JSON_LIMITS,
        max_json_object_entry_count: JSON_LIMITS,
        max_json_array_element_count: JSON_LIMITS,
        x_forwarded_for_client_cert_header: NO_CERT_HEADER,
        x_forwarded_for_client_cert_header_decoders: NO_CERT_HEADER,
        profiling: "there are no profiling endpoints",
        inflight_requests_logging: "sys/in-flight-req always needs a token",
        cors_enabled: CORS,
        cors_allowed_origins: CORS,
        cors_allowed_headers: CORS,
        redact_addresses: NO_REDACTION,
        redact_cluster_name: NO_REDACTION,
        redact_version: NO_REDACTION,
        chroot_namespace: "a listener serves every namespace",
        disable_replication_status_endpoints: "there is no replication between clusters",
        disable_request_limiter: "there is no adaptive limit",
        disable_printable_check: PRINTABLE,
    }
}

stanza! {
    /// A socket in the file system.
    pub struct UnixListener in "listener \"unix\"" {
        /// Path of the socket.
        pub address: PathBuf,
        /// Its permissions; those that the process's umask leaves if not set.
        pub socket_mode: Option<Mode>,
        /// Its owner, by name or number.
        pub socket_user: Option<String>,
        /// Its group, by name or number.
        pub socket_group: Option<String>,
        /// Largest body of a request; -1 is without limit. Snapshots are exempt.
        pub max_request_size: SizeLimit = "32MiB",
        /// How many connections are served at one time; those beyond are closed.
        pub max_connections: u32 = "8192",
        /// How long a request may run; `default_max_request_duration` if not set.
        pub max_request_duration: Option<Duration>,
        /// Headers that responses get, by status.
        pub custom_response_headers: ResponseHeaders,
    }
    no_effect {
        role: "it is an option of Vault Agent",
        tls_disable: "a socket has no TLS",
    }
}

stanza! {
    /// Who may read the metrics of a listener.
    pub struct ListenerTelemetry in "listener \"tcp\" telemetry" {
        /// Whether sys/metrics needs no token.
        pub unauthenticated_metrics_access: bool = "false",
        /// Whether sys/metrics is closed here.
        pub disallow_metrics: bool = "false",
        /// Whether this listener serves nothing but sys/metrics.
        pub metrics_only: bool = "false",
    }
    no_effect {
    }
}

choice! {
    /// Versions of TLS; those before 1.2 are broken and not offered.
    pub enum TlsVersion: "\"tls12\" or \"tls13\"" {
        Tls12 = "tls12",
        Tls13 = "tls13",
    }
}

choice! {
    /// From whom a PROXY protocol header is taken.
    pub enum ProxyProtocol: "\"use_always\", \"allow_authorized\" or \"deny_unauthorized\"" {
        /// From everyone.
        UseAlways = "use_always",
        /// From the authorised; others' headers are read over.
        AllowAuthorized = "allow_authorized",
        /// From the authorised; others' connections are closed.
        DenyUnauthorized = "deny_unauthorized",
    }
}

/// The certificate that a listener shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TlsFiles<'a> {
    pub certificate: &'a Path,
    pub key: &'a Path,
}

impl TcpListener {
    /// `None` exactly if `tls_disable` is set.
    pub fn tls(&self) -> Option<TlsFiles<'_>> {
        if self.tls_disable {
            return None;
        }
        let (certificate, key) = (self.tls_cert_file.as_deref()?, self.tls_key_file.as_deref()?);
        Some(TlsFiles { certificate, key })
    }

    /// Where the other nodes connect. Port 0, which the system chooses, stays 0.
    pub fn cluster_address(&self) -> SocketAddr {
        self.cluster_address.unwrap_or_else(|| {
            let port = match self.address.port() {
                0 => 0,
                port => port.saturating_add(1),
            };
            SocketAddr::new(self.address.ip(), port)
        })
    }

    fn check_tls(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        match (self.tls_disable, &self.tls_cert_file, &self.tls_key_file) {
            (true, ..) | (false, Some(_), Some(_)) => {}
            (false, None, None) => {
                let text =
                    "`tls_cert_file` and `tls_key_file` must be set, or `tls_disable` be true";
                reader.problem(&body.place, text.to_owned());
            }
            (false, certificate, _) => {
                let given = if certificate.is_some() { "tls_cert_file" } else { "tls_key_file" };
                let text = "`tls_cert_file` and `tls_key_file` must be set together";
                reader.problem(body.place_of(given), text.to_owned());
            }
        }
        if self.tls_min_version > self.tls_max_version {
            let text = "`tls_min_version` must not be later than `tls_max_version`";
            reader.problem(body.place_of("tls_min_version"), text.to_owned());
        }
        if self.tls_require_and_verify_client_cert {
            let key = "tls_require_and_verify_client_cert";
            let text = if self.tls_disable {
                format!("`{key}` needs TLS, which `tls_disable` turns off")
            } else if self.tls_disable_client_certs {
                format!("`{key}` and `tls_disable_client_certs` must not both be true")
            } else if self.tls_client_ca_file.is_none() {
                format!("`{key}` needs `tls_client_ca_file`")
            } else {
                return;
            };
            reader.problem(body.place_of(key), text);
        }
    }
}

impl Check for TcpListener {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        self.check_tls(body, reader);
        if self.cluster_address.is_none() && self.address.port() == u16::MAX {
            let text = "`cluster_address` must be set: `address` has the last port";
            reader.problem(body.place_of("address"), text.to_owned());
        } else if self.cluster_address() == self.address && self.address.port() != 0 {
            let text = "`cluster_address` must not be `address`";
            reader.problem(body.place_of("cluster_address"), text.to_owned());
        }
        if self.proxy_protocol_behavior.is_some_and(|behavior| behavior != ProxyProtocol::UseAlways)
            && self.proxy_protocol_authorized_addrs.0.is_empty()
        {
            let text = "`proxy_protocol_authorized_addrs` must be set with this \
                        `proxy_protocol_behavior`";
            reader.problem(body.place_of("proxy_protocol_behavior"), text.to_owned());
        }
        check_connections(self.max_connections, body, reader);
        more_than_zero("http_read_header_timeout", self.http_read_header_timeout, body, reader);
        if let Some(longest) = self.max_request_duration {
            more_than_zero("max_request_duration", longest, body, reader);
        }
        if self.tls_disable && !self.address.ip().is_loopback() {
            let text = format!(
                "`tls_disable` on {}: secrets and tokens travel in clear unless a proxy adds TLS",
                self.address,
            );
            reader.warn(body.place_of("tls_disable"), text);
        }
    }
}

impl Check for UnixListener {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        check_connections(self.max_connections, body, reader);
        if let Some(longest) = self.max_request_duration {
            more_than_zero("max_request_duration", longest, body, reader);
        }
    }
}

impl Check for ListenerTelemetry {}

fn check_connections(max: u32, body: &Body<'_>, reader: &mut Reader<'_>) {
    if max == 0 {
        let text = "`max_connections` must be more than 0".to_owned();
        reader.problem(body.place_of("max_connections"), text);
    }
}

impl Setting for Vec<Listener> {
    fn kind() -> String {
        "a block `listener \"tcp\"` or `listener \"unix\"`, repeatable".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let mut listeners = Self::new();
        let mut all = true;
        for block in labelled(found, reader) {
            let listener = match block.label {
                "tcp" => TcpListener::read_body(&block.body, reader)
                    .map(|listener| Listener::Tcp(Box::new(listener))),
                "unix" => UnixListener::read_body(&block.body, reader)
                    .map(|listener| Listener::Unix(Box::new(listener))),
                other => {
                    let text = format!("`listener` must be \"tcp\" or \"unix\", found {other:?}");
                    reader.problem(&block.body.place, text);
                    None
                }
            };
            all &= listener.is_some();
            listeners.extend(listener);
        }
        all.then_some(listeners)
    }

    fn document(into: &mut Vec<KeyDoc>) {
        TcpListener::document(into);
        UnixListener::document(into);
    }
}

const CORS: &str = "CORS is set through sys/config/cors, for all nodes";
const JSON_LIMITS: &str = "`max_request_size` bounds a body, and JSON nests 128 levels at most";
const NO_ACME: &str = "certificates come from files";
const NO_CERT_HEADER: &str = "a client's certificate is taken from its own connection only";
const NO_REDACTION: &str = "sys/health, sys/leader and sys/seal-status answer in full";
const PRINTABLE: &str = "paths with characters that cannot be printed are always refused";

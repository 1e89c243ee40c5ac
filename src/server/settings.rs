//! From the configuration to what listeners are made of.

use std::net::SocketAddr;

use crate::config::{self, Listener, Settings, TcpListener, UnixListener};
use crate::http::{
    Address, ClientCertificates, ForwardedFor, ListenerSettings, MetricsAccess, ProxyProtocol,
    ResponseHeaders, SettingsError, TlsSettings, TlsVersion, UnixSettings,
};

/// One listener's settings, as its stanza and the top of the file say.
///
/// # Errors
/// Where a header cannot be used.
pub fn listener_settings(
    listener: &Listener,
    settings: &Settings,
    node: &NodeHeaders,
) -> Result<ListenerSettings, SettingsError> {
    let mut made = match listener {
        Listener::Tcp(tcp) => of_tcp(tcp, settings),
        Listener::Unix(unix) => of_unix(unix, settings),
    }?;
    for (name, value) in
        [("X-Vault-Hostname", &node.host_name), ("X-Vault-Raft-Node-ID", &node.raft_node_id)]
    {
        if let Some(value) = value {
            made.response_headers = made.response_headers.constant(name, value)?;
        }
    }
    Ok(made)
}

/// Which node answers, where responses are to tell.
#[derive(Clone, Debug, Default)]
pub struct NodeHeaders {
    /// `enable_response_header_hostname`
    pub host_name: Option<String>,
    /// `enable_response_header_raft_node_id`
    pub raft_node_id: Option<String>,
}

fn of_tcp(tcp: &TcpListener, settings: &Settings) -> Result<ListenerSettings, SettingsError> {
    let mut made = ListenerSettings::new(Address::Tcp(tcp.address));
    made.tls = tcp.tls().map(|files| {
        let mut tls = TlsSettings::new(files.certificate.into(), files.key.into());
        tls.version_min = version(tcp.tls_min_version);
        tls.version_max = version(tcp.tls_max_version);
        tls.client_certificates = client_certificates(tcp);
        tls
    });
    made.body_bytes_max = tcp.max_request_size.0;
    made.connections_max = connections(tcp.max_connections);
    made.idle_timeout = limit(tcp.http_idle_timeout);
    made.header_timeout = limit(tcp.http_read_header_timeout);
    made.body_timeout = limit(tcp.http_read_timeout);
    // Vault's 0 would let a client that reads nothing hold its request for ever.
    made.write_timeout = limit(tcp.http_write_timeout).or(made.write_timeout);
    made.request_deadline =
        limit(tcp.max_request_duration.unwrap_or(settings.default_max_request_duration));
    made.response_headers = headers(&tcp.custom_response_headers)?;
    made.forwarded_for = forwarded_for(tcp);
    made.request_ids_from = tcp.x_strongroom_request_id_authorized_addrs.0.clone();
    made.proxy_protocol = proxy_protocol(tcp);
    made.metrics = metrics(&tcp.telemetry);
    made.closes_rekey = tcp.disable_unauthed_rekey_endpoints;
    made.closes_generate_root = tcp.disable_unauthed_generate_root_endpoints;
    Ok(made)
}

fn of_unix(unix: &UnixListener, settings: &Settings) -> Result<ListenerSettings, SettingsError> {
    let mut made = ListenerSettings::new(Address::Unix(UnixSettings {
        path: unix.address.clone(),
        mode: unix.socket_mode.as_ref().map(|mode| mode.0),
        user: unix.socket_user.clone(),
        group: unix.socket_group.clone(),
    }));
    made.body_bytes_max = unix.max_request_size.0;
    made.connections_max = connections(unix.max_connections);
    made.request_deadline =
        limit(unix.max_request_duration.unwrap_or(settings.default_max_request_duration));
    made.response_headers = headers(&unix.custom_response_headers)?;
    Ok(made)
}

fn metrics(telemetry: &config::ListenerTelemetry) -> MetricsAccess {
    let open = telemetry.unauthenticated_metrics_access;
    match (telemetry.disallow_metrics, telemetry.metrics_only) {
        (true, _) => MetricsAccess::Closed,
        (false, true) if open => MetricsAccess::Only,
        (false, true) => MetricsAccess::OnlyWithToken,
        (false, false) if open => MetricsAccess::Open,
        (false, false) => MetricsAccess::Token,
    }
}

fn connections(max: u32) -> usize {
    usize::try_from(max).unwrap_or(usize::MAX)
}

fn limit(duration: std::time::Duration) -> Option<std::time::Duration> {
    (!duration.is_zero()).then_some(duration)
}

fn version(version: config::TlsVersion) -> TlsVersion {
    match version {
        config::TlsVersion::Tls12 => TlsVersion::V1_2,
        config::TlsVersion::Tls13 => TlsVersion::V1_3,
    }
}

fn client_certificates(tcp: &TcpListener) -> ClientCertificates {
    if tcp.tls_disable_client_certs {
        return ClientCertificates::Off;
    }
    match &tcp.tls_client_ca_file {
        Some(ca_file) if tcp.tls_require_and_verify_client_cert => {
            ClientCertificates::Require { ca_file: ca_file.clone() }
        }
        _ => ClientCertificates::Ask,
    }
}

fn headers(configured: &config::ResponseHeaders) -> Result<ResponseHeaders, SettingsError> {
    let mut headers = ResponseHeaders::default();
    for (scope, values) in configured.scopes() {
        headers = headers.custom(&scope, values)?;
    }
    Ok(headers)
}

fn forwarded_for(tcp: &TcpListener) -> Option<ForwardedFor> {
    let authorized = tcp.x_forwarded_for_authorized_addrs.0.clone();
    if authorized.is_empty() {
        return None;
    }
    Some(ForwardedFor {
        authorized,
        hop_skips: usize::try_from(tcp.x_forwarded_for_hop_skips).unwrap_or(usize::MAX),
        reject_not_present: tcp.x_forwarded_for_reject_not_present,
        reject_not_authorized: tcp.x_forwarded_for_reject_not_authorized,
        client_certificate_header: None,
    })
}

fn proxy_protocol(tcp: &TcpListener) -> Option<ProxyProtocol> {
    let authorized = tcp.proxy_protocol_authorized_addrs.0.clone();
    Some(match tcp.proxy_protocol_behavior? {
        config::ProxyProtocol::UseAlways => ProxyProtocol::Always,
        config::ProxyProtocol::AllowAuthorized => ProxyProtocol::Allow(authorized),
        config::ProxyProtocol::DenyUnauthorized => ProxyProtocol::Deny(authorized),
    })
}

/// Where `api_addr` said port 0 because the listener did, the port that was given.
pub fn with_port(endpoint: &config::Endpoint, bound: SocketAddr) -> String {
    let mut endpoint = endpoint.clone();
    if endpoint.port == 0 {
        endpoint.port = bound.port();
    }
    endpoint.to_string()
}

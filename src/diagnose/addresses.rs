//! `api_addr` and `cluster_addr`: where others will be sent.

use std::net::IpAddr;

use super::check::Check;
use crate::config::{Config, Endpoint, Listener, RaftStorage, Scheme, Storage, TcpListener};

pub(super) fn look(config: &Config) -> Check {
    let raft = match &config.settings.storage {
        Storage::Raft(raft) => Some(raft.as_ref()),
        Storage::Inmem(_) => None,
    };
    let listeners = || {
        config.settings.listener.iter().filter_map(|listener| match listener {
            Listener::Tcp(tcp) => Some(tcp.as_ref()),
            Listener::Unix(_) => None,
        })
    };
    let mut parts = vec![advertised("api_addr", &config.api_addr, raft)];
    parts.push(api(&config.api_addr, listeners()));
    if raft.is_some() {
        parts.push(advertised("cluster_addr", &config.cluster_addr, raft));
    }
    Check::group("Check Addresses", parts)
}

fn is_loopback(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

/// A node among others tells them where it is; what only this machine can reach misleads them.
fn advertised(key: &str, endpoint: &Endpoint, raft: Option<&RaftStorage>) -> Check {
    let name = format!("Check {key} ({endpoint})");
    let others = raft.map(|raft| raft.retry_join.as_slice()).unwrap_or_default();
    let joins = !others.is_empty() || raft.is_some_and(|raft| raft.join_token_file.is_some());
    let all_here = others.iter().all(|other| is_loopback(&other.leader_api_addr.host));
    let host = endpoint.host.parse::<IpAddr>();
    if host.is_ok_and(|ip| ip.is_unspecified()) {
        let advice = format!("Set `{key}` to an address at which the others reach this machine.");
        return Check::fail(&name, "That is every address, which nobody can connect to.", &advice);
    }
    if is_loopback(&endpoint.host) && joins && (others.is_empty() || !all_here) {
        let advice = format!(
            "Set `{key}` to this machine's name or address, such as {}://node1.example.com:{}.",
            if endpoint.scheme == Scheme::Https { "https" } else { "http" },
            endpoint.port,
        );
        let text = "Only this machine reaches it, and the node is to join others.";
        return Check::fail(&name, text, &advice);
    }
    Check::ok(&name, "")
}

fn api<'a>(endpoint: &Endpoint, mut tcp: impl Iterator<Item = &'a TcpListener>) -> Check {
    const NAME: &str = "Check Listener Of api_addr";
    let Some(listener) = tcp.find(|listener| listener.address.port() == endpoint.port) else {
        return Check::warn(
            NAME,
            &format!("No listener has the port {}.", endpoint.port),
            "Correct `api_addr`, unless a proxy of this node takes that port.",
        );
    };
    match (endpoint.scheme, listener.tls_disable) {
        (Scheme::Https, true) => Check::warn(
            NAME,
            "It begins with https://, and the listener there speaks plain HTTP.",
            "Write http:// in `api_addr`, or give the listener a certificate, unless a proxy of \
             this node adds TLS.",
        ),
        (Scheme::Http, false) => Check::fail(
            NAME,
            "It begins with http://, and the listener there speaks TLS.",
            "Write https:// in `api_addr`.",
        ),
        _ => Check::ok(NAME, ""),
    }
}

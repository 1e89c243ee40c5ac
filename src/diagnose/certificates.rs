//! Listeners: their certificates, and whether their addresses can be had.

use std::net::{IpAddr, SocketAddr, TcpListener as Socket};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::Arc;

use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::check::Check;
use super::words;
use crate::clock::{Clock as _, SystemClock};
use crate::config::{Config, Endpoint, Listener, Storage, TcpListener};
use crate::http::Tls;
use crate::server::{NodeHeaders, listener_settings};

pub(super) fn look(config: &Config, holder: Option<u32>) -> Check {
    let mut parts = Vec::new();
    for listener in &config.settings.listener {
        match listener {
            Listener::Tcp(tcp) => {
                parts.push(tls(listener, tcp, config));
                parts.push(bindable("Check Address", tcp.address, holder));
            }
            Listener::Unix(unix) => parts.push(socket(&unix.address, holder)),
        }
    }
    let first = config.settings.listener.iter().find_map(|listener| match listener {
        Listener::Tcp(tcp) => Some(tcp.cluster_address()),
        Listener::Unix(_) => None,
    });
    if let (Some(address), Storage::Raft(_)) = (first, &config.settings.storage) {
        parts.push(bindable("Check Cluster Address", address, holder));
    }
    Check::group("Check Listeners", parts)
}

/// Bound for a moment, and let go.
fn bindable(name: &str, address: SocketAddr, holder: Option<u32>) -> Check {
    let name = format!("{name} {address}");
    match (Socket::bind(address), holder) {
        (Ok(_), _) => Check::ok(&name, "It can be listened on."),
        (Err(error), Some(process)) if error.kind() == std::io::ErrorKind::AddrInUse => {
            Check::skipped(&name, &format!("In use, while process {process} runs this node."))
        }
        (Err(error), _) if error.kind() == std::io::ErrorKind::AddrInUse => Check::fail(
            &name,
            "Another process listens there.",
            &format!(
                "`ss -ltnp 'sport = :{}'` names it. End it, or change the address.",
                address.port()
            ),
        ),
        (Err(error), _) => Check::fail(
            &name,
            &format!("It cannot be listened on: {}.", words(error)),
            "Use an address of this machine (`ip address`); a port below 1024 needs the right to it \
             (systemd: `AmbientCapabilities=CAP_NET_BIND_SERVICE`).",
        ),
    }
}

fn socket(path: &Path, holder: Option<u32>) -> Check {
    let name = format!("Check Socket {}", path.display());
    if UnixStream::connect(path).is_ok() {
        return match holder {
            Some(process) => {
                Check::skipped(&name, &format!("In use, while process {process} runs this node."))
            }
            None => {
                Check::fail(&name, "Another process listens there.", "End it, or change the path.")
            }
        };
    }
    let above = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let above = above.unwrap_or(Path::new("."));
    match rustix::fs::access(above, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK) {
        Ok(()) => Check::ok(&name, "It can be made."),
        Err(error) => Check::fail(
            &name,
            &format!("{}: {}.", above.display(), words(error)),
            "Make the folder, owned by the user that the server runs as (systemd: `RuntimeDirectory`).",
        ),
    }
}

fn tls(listener: &Listener, tcp: &TcpListener, config: &Config) -> Check {
    let name = format!("Check TLS Of {}", tcp.address);
    let Some(files) = tcp.tls() else {
        return match tcp.address.ip().is_loopback() {
            true => Check::ok(&name, "Plain HTTP, within this machine."),
            false => Check::warn(
                &name,
                "Plain HTTP: secrets and tokens travel in clear, unless a proxy adds TLS.",
                "Set `tls_cert_file` and `tls_key_file`, and remove `tls_disable`.",
            ),
        };
    };
    let settings = listener_settings(listener, &config.settings, &NodeHeaders::default());
    let loaded = settings.map_err(|error| error.to_string()).and_then(|settings| {
        settings.tls.map_or(Ok(()), |tls| {
            Tls::load(tls, Arc::new(SystemClock)).map(drop).map_err(|error| error.to_string())
        })
    });
    let loaded = match loaded {
        Ok(()) => Check::ok("Read Files", "The key is that of the certificate."),
        Err(text) => Check::fail(
            "Read Files",
            &text,
            "Give the listener a PEM certificate with those between it and its CA behind it, and \
             its key, unencrypted, both readable by the user that the server runs as.",
        ),
    };
    let mut parts = vec![loaded, key_permissions(files.key)];
    let pem = std::fs::read(files.certificate).unwrap_or_default();
    let chain: Vec<Vec<u8>> = pem::parse_many(&pem)
        .unwrap_or_default()
        .into_iter()
        .filter(|block| block.tag() == "CERTIFICATE")
        .map(pem::Pem::into_contents)
        .collect();
    let mut parsed = Vec::new();
    for der in &chain {
        match X509Certificate::from_der(der) {
            Ok((_, certificate)) => parsed.push(certificate),
            Err(error) => {
                let advice = "Have the certificate issued anew.";
                parts.push(Check::fail("Read Chain", &error.to_string(), advice));
            }
        }
    }
    if let Some(leaf) = parsed.first() {
        parts.extend(parsed.iter().map(dates));
        parts.extend(links(&parsed));
        parts.push(names(leaf, &config.api_addr));
    }
    Check::group(&name, parts)
}

fn key_permissions(key: &Path) -> Check {
    const NAME: &str = "Check Key File";
    match key.metadata() {
        Ok(found) if found.mode() & 0o007 != 0 => Check::warn(
            NAME,
            &format!("{} can be used by every user of this machine.", key.display()),
            &format!("chmod 600 {}", key.display()),
        ),
        Ok(_) => Check::ok(NAME, ""),
        Err(error) => Check::skipped(NAME, &words(error)),
    }
}

fn dates(certificate: &X509Certificate<'_>) -> Check {
    let name = format!("Check Dates Of {}", certificate.subject());
    let now = i64::try_from(SystemClock.now().seconds()).unwrap_or(i64::MAX);
    let (begin, end) = (certificate.validity().not_before, certificate.validity().not_after);
    let days = end.timestamp().saturating_sub(now).div_euclid(DAY_SECONDS);
    let advice = "Have it issued anew, put it in place, and send the server SIGHUP, or wait 10 s \
                  (deploy/runbooks/certificate-expired.md).";
    if begin.timestamp() > now {
        let advice = "Check this machine's clock, and when it was issued.";
        return Check::fail(&name, &format!("It is valid from {begin} on, not yet."), advice);
    }
    match days {
        ..0 => Check::fail(&name, &format!("It ended on {end}."), advice),
        0..DAYS_MIN => Check::warn(&name, &format!("It ends on {end}, in {days} days."), advice),
        _ => Check::ok(&name, &format!("It ends on {end}, in {days} days.")),
    }
}

/// Each must be signed by the next: whoever connects is sent them in this order.
fn links(chain: &[X509Certificate<'_>]) -> Option<Check> {
    const NAME: &str = "Check Chain";
    let [leaf, ..] = chain else { return None };
    for pair in chain.windows(2) {
        let [certificate, issuer] = pair else { continue };
        if certificate.verify_signature(Some(issuer.public_key())).is_err() {
            return Some(Check::fail(
                NAME,
                &format!("{} was not signed by {}.", certificate.subject(), issuer.subject()),
                "Put the certificate first, then the one that signed it, and so on, without others.",
            ));
        }
    }
    if leaf.is_ca() {
        return Some(Check::warn(
            NAME,
            "The server's certificate is an authority's: clients refuse that.",
            "Have a certificate for this server issued by it, with basicConstraints CA:FALSE.",
        ));
    }
    Some(match leaf.subject() == leaf.issuer() {
        true => Check::ok(NAME, "It is signed by itself: clients need it as their VAULT_CACERT."),
        false => {
            Check::ok(NAME, &format!("{} certificate(s), each signed by the next.", chain.len()))
        }
    })
}

/// Others are sent to `api_addr`, and refuse a certificate without its host.
fn names(leaf: &X509Certificate<'_>, api: &Endpoint) -> Check {
    const NAME: &str = "Check Names";
    let found = leaf.subject_alternative_name().ok().flatten();
    let names = found.map(|names| names.value.general_names.as_slice()).unwrap_or_default();
    let host = api.host.trim_matches(['[', ']']).to_ascii_lowercase();
    let address: Option<IpAddr> = host.parse().ok();
    let is_named = names.iter().any(|name| match (name, address) {
        (GeneralName::IPAddress(bytes), Some(IpAddr::V4(ip))) => *bytes == ip.octets(),
        (GeneralName::IPAddress(bytes), Some(IpAddr::V6(ip))) => *bytes == ip.octets(),
        (GeneralName::DNSName(name), None) => {
            let name = name.to_ascii_lowercase();
            let one_label = host.split_once('.').map(|(_, rest)| rest);
            name == host || name.strip_prefix("*.").is_some_and(|rest| one_label == Some(rest))
        }
        _ => false,
    });
    match is_named {
        true => Check::ok(NAME, &format!("It is for {host}, the host of `api_addr`.")),
        false => Check::fail(
            NAME,
            &format!("It is not for {host}, the host of `api_addr`: clients and nodes refuse it."),
            &format!(
                "Have it issued with {}:{host} among its subjectAltNames, or correct `api_addr`.",
                if address.is_some() { "IP" } else { "DNS" },
            ),
        ),
    }
}

const DAY_SECONDS: i64 = 24 * 60 * 60;
const DAYS_MIN: i64 = 30;

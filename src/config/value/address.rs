//! Where to listen, and where others reach us.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::config::sockaddr;
use crate::config::stanza::{Reader, Scalar, Wrong};
use crate::config::syntax::Value;

/// `127.0.0.1:8200`, `[::]:8200`, `:8200` (every address), `localhost:8200`.
impl Scalar for SocketAddr {
    const EXPECTED: &'static str = "an IP address and port such as \"127.0.0.1:8200\"";

    fn parse(value: &Value, reader: &Reader<'_>) -> Result<Self, Wrong> {
        let text = expanded(value, reader)?;
        let shown = || Wrong::Because(format!("must be {}, found {text:?}", Self::EXPECTED));
        if let Some(port) = text.strip_prefix(':') {
            // As Go listens: on IPv6 and IPv4 at once, or on IPv4 alone where there is no IPv6.
            let has_ipv6 = reader.interfaces.iter().any(|interface| interface.address.is_ipv6());
            let every: IpAddr =
                if has_ipv6 { Ipv6Addr::UNSPECIFIED.into() } else { Ipv4Addr::UNSPECIFIED.into() };
            return port.parse().map(|port| Self::new(every, port)).map_err(|_| shown());
        }
        if let Some(port) = text.strip_prefix("localhost:") {
            let local = Ipv4Addr::LOCALHOST.into();
            return port.parse().map(|port| Self::new(local, port)).map_err(|_| shown());
        }
        text.parse().map_err(|_| shown())
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

/// A URL of a server without a path, as in `https://vault-0.vault-internal:8201`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    pub scheme: Scheme,
    /// A name or an address; IPv6 without brackets.
    pub host: String,
    /// As written, or 80 or 443 by the scheme.
    pub port: u16,
}

impl Endpoint {
    /// `host:port` for connecting, IPv6 in brackets.
    pub fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }

    /// `None` if `text` is no such URL. Without a scheme it is `https`.
    pub fn parse(text: &str) -> Option<Self> {
        Self::parse_or_port(text, None)
    }

    fn parse_or_port(text: &str, port_if_absent: Option<u16>) -> Option<Self> {
        let (scheme, rest) = match text.split_once("://") {
            Some(("http", rest)) => (Scheme::Http, rest),
            Some(("https", rest)) => (Scheme::Https, rest),
            Some(_) => return None,
            None => (Scheme::Https, text),
        };
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        let (host, port) = match rest.strip_prefix('[') {
            Some(rest) => {
                let (host, after) = rest.split_once(']')?;
                host.parse::<Ipv6Addr>().ok()?;
                (host, if after.is_empty() { None } else { Some(after.strip_prefix(':')?) })
            }
            None => match rest.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (rest, None),
            },
        };
        let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
        if host.is_empty() || !(host.contains(':') || host.chars().all(is_name)) {
            return None;
        }
        let port = match port {
            Some(port) => port.parse().ok().filter(|port| *port > 0)?,
            None => port_if_absent.unwrap_or(if scheme == Scheme::Http { 80 } else { 443 }),
        };
        Some(Self { scheme, host: host.to_owned(), port })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.scheme {
            Scheme::Http => "http",
            Scheme::Https => "https",
        };
        write!(f, "{scheme}://{}", self.authority())
    }
}

impl Scalar for Endpoint {
    const EXPECTED: &'static str = "a URL such as \"https://10.0.0.5:8200\"";

    fn parse(value: &Value, reader: &Reader<'_>) -> Result<Self, Wrong> {
        let text = expanded(value, reader)?;
        Self::parse(&text)
            .ok_or_else(|| Wrong::Because(format!("must be {}, found {text:?}", Self::EXPECTED)))
    }
}

/// Where the other nodes reach this one: always TLS, whatever the scheme says, as in Vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClusterEndpoint(pub Endpoint);

impl Scalar for ClusterEndpoint {
    const EXPECTED: &'static str = "a URL such as \"https://10.0.0.5:8201\"";

    fn parse(value: &Value, reader: &Reader<'_>) -> Result<Self, Wrong> {
        let text = expanded(value, reader)?;
        let endpoint = Endpoint::parse_or_port(&text, Some(CLUSTER_PORT))
            .ok_or_else(|| Wrong::Because(format!("must be {}, found {text:?}", Self::EXPECTED)))?;
        Ok(Self(Endpoint { scheme: Scheme::Https, ..endpoint }))
    }
}

const CLUSTER_PORT: u16 = 8201;

/// The text with its templates replaced.
fn expanded(value: &Value, reader: &Reader<'_>) -> Result<String, Wrong> {
    let Value::Text(text) = value else {
        return Err(Wrong::Kind);
    };
    sockaddr::expand(text, reader.interfaces)
        .map_err(|reason| Wrong::Because(format!("has a wrong template: {reason}")))
}

//! HAProxy's PROXY header, versions 1 and 2: whose connection a proxy passes on.
//!
//! Its specification is HAProxy's `doc/proxy-protocol.txt`.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::settings::ProxyProtocol;
use super::timeouts::Watched;
use crate::network::Network;

/// The client's address. Without a header, where none is needed, it is `peer` itself.
pub(super) async fn accept<T: AsyncRead + AsyncWrite + Unpin>(
    rule: &ProxyProtocol,
    stream: &mut Watched<T>,
    peer: SocketAddr,
) -> io::Result<SocketAddr> {
    let is_in = |networks: &[Network]| networks.iter().any(|network| network.contains(peer.ip()));
    match rule {
        ProxyProtocol::Always => {}
        ProxyProtocol::Allow(networks) if is_in(networks) => {}
        ProxyProtocol::Allow(_) => return Ok(peer),
        ProxyProtocol::Deny(networks) if is_in(networks) => {}
        ProxyProtocol::Deny(_) => return Err(invalid("this proxy is not authorized")),
    }
    Ok(read(stream).await?.unwrap_or(peer))
}

/// Reads exactly the header. `None` where there is none, or it names no address.
async fn read<T: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Watched<T>,
) -> io::Result<Option<SocketAddr>> {
    let mut begin = Vec::new();
    loop {
        let Some(byte) = stream.peek().await? else {
            stream.put_back(begin);
            return Ok(None);
        };
        let mut next = begin.clone();
        next.push(byte);
        if !V1.starts_with(&next) && !V2.starts_with(&next) {
            stream.put_back(begin);
            return Ok(None);
        }
        let _byte = stream.read_u8().await?;
        begin = next;
        if begin == V1 {
            return version_1(stream).await;
        }
        if begin == V2 {
            return version_2(stream).await;
        }
    }
}

async fn version_1<T: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Watched<T>,
) -> io::Result<Option<SocketAddr>> {
    let mut line = Vec::new();
    while !line.ends_with(b"\r\n") {
        if line.len() >= V1_BYTES_MAX {
            return Err(invalid("the PROXY line does not end"));
        }
        line.push(stream.read_u8().await?);
    }
    let text = std::str::from_utf8(&line).map_err(|_| invalid("the PROXY line is not text"))?;
    let mut fields = text.trim_end().split(' ');
    let (family, source, _, port) = (fields.next(), fields.next(), fields.next(), fields.next());
    match family {
        Some("UNKNOWN") => Ok(None),
        Some("TCP4" | "TCP6") => {
            let address: Option<IpAddr> = source.and_then(|text| text.parse().ok());
            let port: Option<u16> = port.and_then(|text| text.parse().ok());
            match (address, port) {
                (Some(address), Some(port)) => Ok(Some(SocketAddr::new(address, port))),
                _ => Err(invalid("the PROXY line names no address")),
            }
        }
        _ => Err(invalid("the PROXY line is of an unknown family")),
    }
}

async fn version_2<T: AsyncRead + AsyncWrite + Unpin>(
    stream: &mut Watched<T>,
) -> io::Result<Option<SocketAddr>> {
    let version_and_command = stream.read_u8().await?;
    let family = stream.read_u8().await?;
    let length = usize::from(stream.read_u16().await?);
    if length > V2_BYTES_MAX {
        return Err(invalid("the PROXY header is too long"));
    }
    let mut rest = vec![0; length];
    stream.read_exact(&mut rest).await?;
    match version_and_command {
        // A health check of the proxy's own.
        0x20 => Ok(None),
        0x21 => address(family, &rest),
        _ => Err(invalid("the PROXY header has an unknown version or command")),
    }
}

fn address(family: u8, addresses: &[u8]) -> io::Result<Option<SocketAddr>> {
    let short = || invalid("the PROXY header is too short");
    let port = |at: usize| -> io::Result<u16> {
        let bytes = addresses.get(at..at + 2).ok_or_else(short)?;
        Ok(u16::from_be_bytes(bytes.try_into().map_err(|_| short())?))
    };
    match family {
        0x11 => {
            let bytes = addresses.first_chunk::<4>().ok_or_else(short)?;
            Ok(Some(SocketAddr::new(Ipv4Addr::from(*bytes).into(), port(8)?)))
        }
        0x21 => {
            let bytes = addresses.first_chunk::<16>().ok_or_else(short)?;
            Ok(Some(SocketAddr::new(Ipv6Addr::from(*bytes).into(), port(32)?)))
        }
        _ => Ok(None),
    }
}

fn invalid(text: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, text)
}

const V1: &[u8] = b"PROXY ";

/// The longest line that the specification allows, without `PROXY `.
const V1_BYTES_MAX: usize = 107 - 6;

const V2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// Addresses and additional fields. Far more than any proxy sends.
const V2_BYTES_MAX: usize = 4096;

#[cfg(test)]
mod tests;

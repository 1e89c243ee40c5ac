use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex};

use super::super::settings::ProxyProtocol;
use super::super::timeouts::{Activity, Watched};
use super::accept;

const PEER: &str = "10.0.0.1:99";

/// The address that results, and what is left to be read.
async fn accepted(rule: &ProxyProtocol, sent: &[u8]) -> std::io::Result<(String, Vec<u8>)> {
    let (mut client, server) = duplex(8192);
    client.write_all(sent).await?;
    drop(client);
    let mut stream: Watched<DuplexStream> = Watched::new(server, Activity::new(), None);
    let peer: SocketAddr = PEER.parse().unwrap();
    let address = accept(rule, &mut stream, peer).await?;
    let mut rest = Vec::new();
    let _length = stream.read_to_end(&mut rest).await?;
    Ok((address.to_string(), rest))
}

fn version_2(command: u8, family: u8, body: &[u8]) -> Vec<u8> {
    let length = u16::try_from(body.len()).unwrap().to_be_bytes();
    [b"\r\n\r\n\0\r\nQUIT\n", &[command, family][..], &length, body].concat()
}

#[tokio::test]
async fn both_versions_tell_the_client_and_leave_the_rest() {
    let v4 = [192, 0, 2, 1, 10, 0, 0, 2, 0x1f, 0x90, 0x20, 0x08];
    let mut v6 = [0; 36 + 5];
    v6[..4].copy_from_slice(&[0x20, 1, 0x0d, 0xb8]);
    v6[15] = 1;
    v6[33] = 80;
    for (header, address) in [
        (b"PROXY TCP4 192.0.2.1 10.0.0.2 8080 8200\r\n".to_vec(), "192.0.2.1:8080"),
        (b"PROXY TCP6 2001:db8::1 ::1 80 8200\r\n".to_vec(), "[2001:db8::1]:80"),
        (b"PROXY UNKNOWN anything at all\r\n".to_vec(), PEER),
        (version_2(0x21, 0x11, &v4), "192.0.2.1:8080"),
        (version_2(0x21, 0x21, &v6), "[2001:db8::1]:80"),
        (version_2(0x20, 0x00, b""), PEER),
        (version_2(0x21, 0x31, &[0; 216]), PEER),
        (Vec::new(), PEER),
    ] {
        let sent = [header.as_slice(), b"GET / HTTP/1.1\r\n"].concat();
        let result = accepted(&ProxyProtocol::Always, &sent).await.unwrap();
        assert_eq!(result, (address.to_owned(), b"GET / HTTP/1.1\r\n".to_vec()), "{sent:?}");
    }
    // What merely begins alike stays whole.
    for sent in ["PRI * HTTP/2.0\r\n", "PROX", "PUT / HTTP/1.1", "\r\n\r\nGET", ""] {
        let result = accepted(&ProxyProtocol::Always, sent.as_bytes()).await.unwrap();
        assert_eq!(result, (PEER.to_owned(), sent.as_bytes().to_vec()), "{sent}");
    }
}

#[tokio::test]
async fn broken_headers_end_the_connection() {
    for sent in [
        b"PROXY TCP4 nowhere 10.0.0.2 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 10.0.0.2 65536 2\r\n".to_vec(),
        b"PROXY SCTP 192.0.2.1 10.0.0.2 1 2\r\n".to_vec(),
        b"PROXY TCP4 192.0.2.1 10.0.0.2 1 2\n".to_vec(),
        [b"PROXY ".as_slice(), &[b'x'; 200]].concat(),
        version_2(0x21, 0x11, &[192, 0, 2, 1]),
        version_2(0x11, 0x11, &[0; 12]),
        version_2(0x22, 0x11, &[0; 12]),
        version_2(0x21, 0x11, &[0; 5000]),
        version_2(0x21, 0x11, &[0; 12])[..20].to_vec(),
    ] {
        assert!(accepted(&ProxyProtocol::Always, &sent).await.is_err(), "{sent:?}");
    }
}

#[tokio::test]
async fn only_authorized_proxies_are_read() {
    let header = b"PROXY TCP4 192.0.2.1 10.0.0.2 8080 8200\r\n";
    let own = vec!["10.0.0.0/8".parse().unwrap()];
    let other = vec!["172.16.0.0/12".parse().unwrap()];
    for (rule, address) in [
        (ProxyProtocol::Allow(own.clone()), Some("192.0.2.1:8080")),
        (ProxyProtocol::Deny(own), Some("192.0.2.1:8080")),
        (ProxyProtocol::Allow(other.clone()), Some(PEER)),
        (ProxyProtocol::Deny(other), None),
    ] {
        let result = accepted(&rule, header).await.ok().map(|(address, _)| address);
        assert_eq!(result.as_deref(), address, "{rule:?}");
    }
}

//! SIGHUP, SIGTERM and SIGINT, and files that change.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;

use rustix::process::Signal;
use strongroom::clock::SystemClock;
use strongroom::http::{BoundAddress, Tls, TlsSettings};
use strongroom::server::CertificateWatch;

use super::process::{DEADLINE, Process};

fn write_pair(folder: &Path) {
    let key = rcgen::KeyPair::generate().unwrap();
    let params = rcgen::CertificateParams::new(["localhost".to_owned()]).unwrap();
    fs::write(folder.join("a.crt"), params.self_signed(&key).unwrap().pem()).unwrap();
    fs::write(folder.join("a.key"), key.serialize_pem()).unwrap();
}

#[test]
fn hang_up_reloads_certificates_level_and_log_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_pair(folder.path());
    let text = |level: &str| {
        format!(
            "storage \"inmem\" {{}}\nlistener \"tcp\" {{\n  address = \"127.0.0.1:0\"\n  \
             tls_cert_file = {:?}\n  tls_key_file = {:?}\n}}\nlog_file = {:?}\nlog_level = {level:?}",
            path("a.crt"),
            path("a.key"),
            path("log"),
        )
    };
    let mut server = Process::configured(folder.path(), &text("info"));
    server.address();
    fs::rename(path("log"), path("moved")).unwrap();
    write_pair(folder.path());
    server.signal(Signal::HUP);
    server.line_with(" reloaded ");
    // In the file that was opened again, not in the one that was moved.
    assert!(fs::read_to_string(path("log")).unwrap().contains(" reloaded "));
    assert!(!fs::read_to_string(path("moved")).unwrap().contains(" reloaded "));

    fs::write(path("a.key"), rcgen::KeyPair::generate().unwrap().serialize_pem()).unwrap();
    fs::write(path("config.hcl"), text("error")).unwrap();
    server.signal(Signal::HUP);
    let line = server.line_with("not reloaded");
    assert!(line.contains("is not the key of the certificate"), "{line}");
    assert!(line.contains("ERROR"), "{line}");

    fs::write(path("config.hcl"), "storage").unwrap();
    server.signal(Signal::HUP);
    let line = server.line_with("not read again");
    assert!(line.contains("config.hcl:1: "), "{line}");

    // At level error it says nothing about its end.
    let before = server.said.len();
    server.signal(Signal::TERM);
    assert_eq!(server.ended().code(), Some(0), "{}", server.said);
    assert!(!server.said[before..].contains("told to end"), "{}", server.said);
}

#[test]
fn certificates_are_read_again_when_their_files_change() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    write_pair(folder.path());
    let settings = TlsSettings::new(path("a.crt"), path("a.key"));
    let tls = Arc::new(Tls::load(settings, Arc::new(SystemClock)).unwrap());
    let address = BoundAddress::Unix(path("socket"));
    let mut watch = CertificateWatch::new([(address, tls.clone())]);
    let first = tls.certificate();
    watch.look();
    assert_eq!(tls.certificate(), first);

    write_pair(folder.path());
    watch.look();
    let second = tls.certificate();
    assert_ne!(second, first);

    // Half of a pair, as while a tool writes both; then the rest of it.
    let key = fs::read(path("a.key")).unwrap();
    write_pair(folder.path());
    let other = fs::read(path("a.key")).unwrap();
    fs::write(path("a.key"), key).unwrap();
    watch.look();
    assert_eq!(tls.certificate(), second);
    fs::write(path("a.key"), other).unwrap();
    watch.look();
    assert_ne!(tls.certificate(), second);
    // Files that are away for a moment change nothing.
    let third = tls.certificate();
    fs::remove_file(path("a.key")).unwrap();
    watch.look();
    assert_eq!(tls.certificate(), third);
}

/// A connection whose request never gets whole keeps the server waiting for it.
fn hanging(address: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let head = "PUT /v1/sys/unseal HTTP/1.1\r\nHost: h\r\nContent-Length: 16\r\n\
                Expect: 100-continue\r\n\r\n";
    stream.write_all(head.as_bytes()).unwrap();
    // It has been read: the server asks for the body.
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"HTTP/1.1 100");
    stream
}

#[test]
fn requests_under_way_finish_before_the_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let folder = tempfile::tempdir().unwrap();
        let mut server = Process::configured(folder.path(), PLAIN);
        let address = server.address();
        let mut stream = hanging(&address);
        server.signal(signal);
        server.line_with("told to end");
        stream.write_all(b"{\"reset\": true }").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.contains("HTTP/1.1 200 OK"), "{answer}");
        assert_eq!(server.ended().code(), Some(0), "{}", server.said);
    }
}

#[test]
fn a_second_interrupt_ends_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut server = Process::configured(folder.path(), PLAIN);
    let address = server.address();
    let _stream = hanging(&address);
    server.signal(Signal::INT);
    server.line_with("told to end");
    server.signal(Signal::INT);
    assert_eq!(server.ended().code(), Some(1), "{}", server.said);
    assert!(server.said.contains("ended without waiting for requests"), "{}", server.said);
}

const PLAIN: &str =
    "storage \"inmem\" {}\nlistener \"tcp\" { address = \"127.0.0.1:0\", tls_disable = true }";

//! Whom the client trusts.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::PrivateKeyDer;
use rustls::{ServerConfig, ServerConnection, Stream};
use strongroom::client::{Address, Client, Config, Request, Verification};

/// A server that answers each TLS connection with `{}`, and its certificate in PEM.
fn start() -> (String, String) {
    let signed = rcgen::generate_simple_self_signed(vec!["vault.test".to_owned()]).unwrap();
    let pem = signed.cert.pem();
    let key = PrivateKeyDer::try_from(signed.signing_key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("https://{}", listener.local_addr().unwrap());
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut tcp = stream.unwrap();
            let mut connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut tls = Stream::new(&mut connection, &mut tcp);
            // A client that does not trust the certificate hangs up.
            if tls.read(&mut [0; 4096]).is_ok() {
                tls.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
            }
        }
    });
    (address, pem)
}

fn send(address: &str, change: impl FnOnce(&mut Config)) -> Result<(), String> {
    let mut config = Config::new(Address::parse(address).unwrap());
    config.retries_max = 0;
    change(&mut config);
    let client = Client::new(config).map_err(|error| error.to_string())?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let response = runtime.block_on(client.send(&Request::read("x")));
    response.map(|_| ()).map_err(|error| error.to_string())
}

#[test]
fn a_certificate_must_be_signed_by_a_given_authority_for_the_name() {
    let (address, pem) = start();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, &pem).unwrap();
    std::fs::write(folder.path().join("note.txt"), "no certificate").unwrap();
    let named = |config: &mut Config| config.tls.server_name = Some("vault.test".into());

    let error = send(&address, |_| ()).unwrap_err();
    assert!(error.contains("UnknownIssuer"), "{error}");
    let error = send(&address, |config| config.tls.ca_cert = Some(file.clone())).unwrap_err();
    assert!(error.contains("not valid for name"), "{error}");

    for source in 0..3 {
        send(&address, |config| {
            named(config);
            match source {
                0 => config.tls.ca_cert = Some(file.clone()),
                1 => config.tls.ca_cert_pem = Some(pem.clone()),
                _ => config.tls.ca_path = Some(folder.path().into()),
            }
        })
        .unwrap();
    }
    send(&address, |config| config.tls.verification = Verification::Skip).unwrap();
}

#[test]
fn what_is_no_certificate_is_refused_before_anything_is_sent() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, "no certificate").unwrap();
    let address = "https://127.0.0.1:1";
    let holds_none = |error: String| assert!(error.contains("holds no PEM"), "{error}");
    holds_none(send(address, |config| config.tls.ca_cert = Some(file.clone())).unwrap_err());
    holds_none(
        send(address, |config| config.tls.ca_path = Some(folder.path().into())).unwrap_err(),
    );
    holds_none(send(address, |config| config.tls.ca_cert_pem = Some("x".into())).unwrap_err());
    let error = send(address, |config| config.tls.client_cert = Some(file.clone())).unwrap_err();
    assert!(error.contains("both"), "{error}");
    let error = send(address, |config| {
        config.tls.ca_cert = Some(Path::new("/nowhere/at/all").into());
    })
    .unwrap_err();
    assert!(error.contains("/nowhere/at/all"), "{error}");
}

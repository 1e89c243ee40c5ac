//! Who presents a certificate must hold its key.

use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair, PublicKeyData as _, RsaKeySize, date_time_ymd};
use rustls::client::ResolvesClientCert;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::CertifiedKey;
use rustls::{SignatureScheme, SupportedProtocolVersion};
use serde_json::json;
use strongroom::http::ClientCertificates;

use super::tls::{Authority, BOTH, Files, ask};

/// Presents this certificate and signs with this key, whether they belong together or not.
#[derive(Debug)]
struct Identity(Arc<CertifiedKey>);

impl ResolvesClientCert for Identity {
    fn resolve(&self, _hints: &[&[u8]], _schemes: &[SignatureScheme]) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0))
    }

    fn has_certs(&self) -> bool {
        true
    }
}

fn identity(certificate: Vec<u8>, key: &KeyPair) -> Arc<dyn ResolvesClientCert> {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let key = any_supported_type(&key).unwrap();
    Arc::new(Identity(Arc::new(CertifiedKey::new(vec![CertificateDer::from(certificate)], key))))
}

/// A good identity that `authority` has signed.
pub(super) fn own(authority: &Authority) -> Arc<dyn ResolvesClientCert> {
    let key = KeyPair::generate().unwrap();
    identity(good(authority, &key), &key)
}

fn good(authority: &Authority, key: &KeyPair) -> Vec<u8> {
    let params = CertificateParams::new(["client".to_owned()]).unwrap();
    authority.sign(&params, key).der().to_vec()
}

fn expired(authority: &Authority, key: &KeyPair) -> Vec<u8> {
    let mut params = CertificateParams::new(["client".to_owned()]).unwrap();
    params.not_before = date_time_ymd(2000, 1, 1);
    params.not_after = date_time_ymd(2001, 1, 1);
    authority.sign(&params, key).der().to_vec()
}

/// Version 1, which has no extensions. Its signature is nonsense: nobody judges it here.
fn version_one(key: &KeyPair) -> Vec<u8> {
    // ecdsa-with-SHA256
    let algorithm = der(0x30, &der(0x06, &[0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
    let common_name = [der(0x06, &[0x55, 0x04, 0x03]), der(0x0c, b"one")].concat();
    let name = der(0x30, &der(0x31, &der(0x30, &common_name)));
    let validity = [der(0x17, b"260101000000Z"), der(0x17, b"460101000000Z")].concat();
    let body = [
        der(0x02, &[1]),
        algorithm.clone(),
        name.clone(),
        der(0x30, &validity),
        name,
        key.subject_public_key_info(),
    ]
    .concat();
    der(0x30, &[der(0x30, &body), algorithm, der(0x03, &[0, 1, 2, 3])].concat())
}

fn der(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = content.len();
    let [high, low] = u16::try_from(length).unwrap().to_be_bytes();
    let head = match length {
        0..128 => vec![tag, low],
        128..256 => vec![tag, 0x81, low],
        _ => vec![tag, 0x82, high, low],
    };
    [head, content.to_vec()].concat()
}

/// One key of each kind.
fn keys() -> Vec<(&'static str, KeyPair)> {
    vec![
        ("P-256", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap()),
        ("P-384", KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap()),
        ("Ed25519", KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap()),
        ("RSA", KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()),
    ]
}

#[tokio::test]
async fn whoever_holds_the_key_is_told_to_the_handler_whatever_the_certificate() {
    let files = Files::new();
    let unknown = Authority::new();
    let server = files.server(|_| {}).await;
    for (kind, key) in keys() {
        for (what, certificate) in [
            ("good", good(&files.authority, &key)),
            ("of an unknown CA", good(&unknown, &key)),
            ("expired", expired(&files.authority, &key)),
            ("version 1", version_one(&key)),
        ] {
            for version in BOTH {
                let client = files.client(version, Some(identity(certificate.clone(), &key)));
                let told = ask(&server, client).await;
                let told =
                    told.unwrap_or_else(|error| panic!("{kind} {what} {version:?}: {error}"));
                assert_eq!(told["certificates"], json!([certificate]), "{kind} {what}");
            }
        }
    }
}

/// Taking either signature check out of the verifier makes this fail.
#[tokio::test]
async fn somebody_elses_certificate_is_refused() {
    let files = Files::new();
    let server = files.server(|_| {}).await;
    for ((kind, victim), (_, thief)) in keys().into_iter().zip(keys()) {
        for (what, certificate) in
            [("version 3", good(&files.authority, &victim)), ("version 1", version_one(&victim))]
        {
            for version in BOTH {
                let client = files.client(version, Some(identity(certificate.clone(), &thief)));
                let error = ask(&server, client).await.unwrap_err();
                let row = format!("{kind} {what} {version:?}");
                assert!(error.contains("DecryptError"), "{row}: {error}");
            }
        }
    }
}

#[tokio::test]
async fn a_key_of_another_kind_than_the_certificates_is_refused() {
    let files = Files::new();
    let server = files.server(|_| {}).await;
    let keys = keys();
    for (at, (kind, victim)) in keys.iter().enumerate() {
        let (other, thief) = &keys[(at + 1) % keys.len()];
        for certificate in [good(&files.authority, victim), version_one(victim)] {
            for version in BOTH {
                let client = files.client(version, Some(identity(certificate.clone(), thief)));
                let result = ask(&server, client).await;
                assert!(result.is_err(), "{kind} with {other}, {version:?}: {result:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_certificate_that_cannot_be_read_is_refused() {
    let files = Files::new();
    let server = files.server(|_| {}).await;
    let key = KeyPair::generate().unwrap();
    let mut trailing = good(&files.authority, &key);
    trailing.push(0);
    for certificate in [vec![1, 2, 3], trailing] {
        for version in BOTH {
            let client = files.client(version, Some(identity(certificate.clone(), &key)));
            assert!(ask(&server, client).await.is_err(), "{version:?}");
        }
    }
}

#[tokio::test]
async fn none_is_needed_unless_required() {
    let files = Files::new();
    let server = files.server(|_| {}).await;
    for version in BOTH {
        let told = ask(&server, files.client(version, None)).await.unwrap();
        assert_eq!(told["certificates"], json!([]));
    }
}

#[tokio::test]
async fn where_they_are_required_they_are_judged() {
    let files = Files::new();
    let clients = Authority::new();
    let ca_file = files.write("clients.pem", &clients.pem());
    let server =
        files.server(|tls| tls.client_certificates = ClientCertificates::Require { ca_file }).await;
    let key = KeyPair::generate().unwrap();
    let thief = KeyPair::generate().unwrap();
    let asks = async |version: &'static SupportedProtocolVersion, certificate: &[u8], key| {
        let client = files.client(version, Some(identity(certificate.to_vec(), key)));
        ask(&server, client).await
    };
    for version in BOTH {
        let certificate = good(&clients, &key);
        let told = asks(version, &certificate, &key).await.unwrap();
        assert_eq!(told["certificates"], json!([certificate]));
        for (what, certificate, key) in [
            ("of another CA", good(&files.authority, &key), &key),
            ("expired", expired(&clients, &key), &key),
            ("version 1", version_one(&key), &key),
            ("stolen", certificate, &thief),
        ] {
            let result = asks(version, &certificate, key).await;
            assert!(result.is_err(), "{what} {version:?}: {result:?}");
        }
        assert!(ask(&server, files.client(version, None)).await.is_err(), "none, {version:?}");
    }
    // The file with the CAs is read again too.
    files.write("clients.pem", &files.authority.pem());
    server.listener.reload().unwrap();
    for version in BOTH {
        assert!(asks(version, &good(&files.authority, &key), &key).await.is_ok());
        assert!(asks(version, &good(&clients, &key), &key).await.is_err());
    }
    files.write("clients.pem", "nonsense");
    assert!(server.listener.reload().is_err());
}

#[tokio::test]
async fn no_session_is_resumed_where_certificates_are_judged() {
    let files = Files::new();
    let ca_file = files.write("clients.pem", &files.authority.pem());
    for (rule, resumes) in
        [(ClientCertificates::Ask, true), (ClientCertificates::Require { ca_file }, false)]
    {
        let server = files.server(|tls| tls.client_certificates = rule.clone()).await;
        for version in BOTH {
            // Clones share their sessions.
            let config = files.client(version, Some(own(&files.authority)));
            let first = ask(&server, config.clone()).await.unwrap();
            assert_eq!(first["resumed"], false);
            let second = ask(&server, config).await.unwrap();
            assert_eq!(second["resumed"], resumes, "{rule:?} {version:?}");
            assert_eq!(second["certificates"], first["certificates"]);
        }
    }
}

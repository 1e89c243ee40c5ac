//! Requests and certificates that were made elsewhere, with what is seldom seen in them.

use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, IsCa, KeyPair, OtherNameValue, SanType,
    SerialNumber,
};
use serde_json::json;
use strongroom::request::Error;

use super::pki::{der, raw, read, ready, refused, server, write};

/// A request with one extension of this object identifier.
fn request(oid: &[u64]) -> String {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(["a.example.com".to_owned()]).unwrap();
    let extension = CustomExtension::from_oid_content(oid, vec![5, 0]);
    params.custom_extensions.push(extension);
    params.serialize_request(&key).unwrap().pem().unwrap()
}

#[test]
fn object_identifiers_that_cannot_be_written_again_are_refused() {
    let server = ready();
    for oid in [&[2, 40, 1][..], &[2, 47], &[2, 48, 3], &[2, 999, 3], &[2, 16_000, 1]] {
        let ask = json!({ "csr": request(oid), "common_name": "a.example.com", "ttl": "1h" });
        for path in ["sign-verbatim", "sign/web", "root/sign-intermediate"] {
            let why = refused(&server, path, &ask);
            assert!(why.contains("object identifier"), "{path} {oid:?}: {why}");
        }
    }
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    let value = OtherNameValue::Utf8String("x".into());
    params.subject_alt_names.push(SanType::OtherName((vec![2, 999], value)));
    let csr = params.serialize_request(&key).unwrap().pem().unwrap();
    let why = refused(&server, "sign-verbatim", &json!({ "csr": csr, "ttl": "1h" }));
    assert!(why.contains("object identifier"), "{why}");
    for oid in [&[2, 39, 1][..], &[0, 39, 1], &[1, 3, 6, 1, 4, 1, 99_999, 1]] {
        write(&server, "sign-verbatim", &json!({ "csr": request(oid), "ttl": "1h" }));
    }
}

#[test]
fn a_serial_number_is_found_however_its_zeros_are_written() {
    let server = server();
    let key = KeyPair::generate().unwrap();
    let made = |serial: &[u8]| {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.serial_number = Some(SerialNumber::from_slice(serial));
        params.self_signed(&key).unwrap()
    };
    for (serial, shown) in [
        (&[0][..], &["00", "00:00"][..]),
        (&[0, 0x9a, 1], &["9a:01", "00:9a:01", "00-9a-01"]),
        (&[7], &["07", "00:07"]),
    ] {
        let certificate = made(serial);
        write(&server, "issuers/import/cert", &json!({ "certificate": certificate.pem() }));
        for text in shown {
            assert_eq!(raw(&server, &format!("cert/{text}/raw")).1, certificate.der().as_ref());
            let told = read(&server, &format!("cert/{text}"));
            assert_eq!(der(&told["certificate"]), certificate.der().as_ref());
        }
    }
    for none in ["", "0", "000", ":", "00:0", "zz"] {
        let outcome = server.read(&format!("pki/cert/{none}"));
        assert!(
            matches!(
                outcome,
                Err(Error::NotFound | Error::UnsupportedPath | Error::UnsupportedOperation)
            ),
            "{none}: {outcome:?}"
        );
    }
}

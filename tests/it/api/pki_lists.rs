//! Lists of revoked certificates, over what becomes of issuers and of time.

use serde_json::{Value, json};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::pki::{data, der, raw, read, ready, server, write};
use crate::harness::Server;

/// The list's number, and the serial numbers that are on it, sorted.
fn list(server: &Server, path: &str) -> (u64, Vec<String>) {
    let (_, list) = raw(server, path);
    let (_, list) = CertificateRevocationList::from_der(&list).unwrap();
    let issuer = if path == "crl" { "ca".to_owned() } else { path.replace("crl/", "") };
    let (_, root) = raw(server, &issuer);
    let (_, root) = X509Certificate::from_der(&root).unwrap();
    list.verify_signature(root.public_key()).unwrap();
    let number = list.extensions().iter().find_map(|one| match one.parsed_extension() {
        ParsedExtension::CRLNumber(number) => Some(number.to_string().parse().unwrap()),
        _ => None,
    });
    let revoked = list.iter_revoked_certificates();
    let mut serials: Vec<String> = revoked.map(|one| one.raw_serial_as_string()).collect();
    serials.sort();
    (number.unwrap(), serials)
}

/// The serial number.
fn issued(server: &Server) -> String {
    let issued = write(server, "issue/web", &json!({ "common_name": "a.example.com" }));
    issued["serial_number"].as_str().unwrap().to_owned()
}

fn issued_and_revoked(server: &Server) -> String {
    let serial = issued(server);
    write(server, "revoke", &json!({ "serial_number": serial }));
    serial
}

fn role(server: &Server) {
    let role = json!({ "allow_any_name": true, "key_type": "ec", "ttl": "1h" });
    write(server, "roles/web", &role);
}

#[test]
fn an_authority_that_is_deleted_and_comes_back_has_forgotten_no_revocation() {
    let server = server();
    let root = json!({ "common_name": "r", "key_type": "ec", "ttl": "700h" });
    let root = write(&server, "root/generate/exported", &root);
    role(&server);
    let first = issued_and_revoked(&server);
    let (number, serials) = list(&server, "crl");
    assert_eq!((number, &serials), (2, &vec![first.clone()]));
    let bundle = format!(
        "{}\n{}",
        root["certificate"].as_str().unwrap(),
        root["private_key"].as_str().unwrap()
    );
    let take_out: [&dyn Fn(); 2] = [
        &|| {
            server.delete("pki/issuer/default").unwrap();
            server.delete("pki/key/default").unwrap();
        },
        &|| drop(server.delete("pki/root").unwrap()),
    ];
    let mut last = number;
    for take_out in take_out {
        take_out();
        write(&server, "config/ca", &json!({ "pem_bundle": bundle }));
        let (number, serials) = list(&server, "crl");
        assert!(number > last, "{number}");
        assert_eq!(serials, [first.as_str()]);
        last = number;
    }
    // Another of the same name and key: whoever checks a certificate sees no difference.
    let again = json!({ "common_name": "r", "ttl": "600h", "issuer_name": "again" });
    write(&server, "root/generate/existing", &again);
    let second = issued_and_revoked(&server);
    let mut both = vec![first, second];
    both.sort();
    let (number, serials) = list(&server, "issuer/again/crl/der");
    assert_eq!(serials, both);
    assert_eq!(list(&server, "crl"), (number, both.clone()));
    // Another key under the same name has a list of its own.
    let other = json!({ "common_name": "r", "key_type": "ec", "issuer_name": "other" });
    write(&server, "root/generate/internal", &other);
    assert_eq!(list(&server, "issuer/other/crl/der"), (1, Vec::new()));
}

#[test]
fn a_long_list_names_all_and_lets_go_of_what_is_over() {
    let server = ready();
    // More than one piece holds.
    let mut all: Vec<String> = (0..520).map(|_| issued_and_revoked(&server)).collect();
    all.sort();
    assert_eq!(list(&server, "crl"), (521, all.clone()));
    write(&server, "config/crl", &json!({ "disable": true }));
    assert_eq!(list(&server, "crl").1, Vec::<String>::new());
    write(&server, "config/crl", &json!({ "disable": false }));
    assert_eq!(list(&server, "crl").1, all);
    server.set_time(3601);
    let late = issued_and_revoked(&server);
    let mut whole = all.clone();
    whole.push(late.clone());
    whole.sort();
    // A list of after their end names them once (RFC 5280, section 3.3).
    assert_eq!(list(&server, "crl").1, whole);
    write(&server, "config/crl", &json!({ "allow_expired_cert_revocation": true }));
    assert_eq!(list(&server, "crl").1, whole);
    write(&server, "config/crl", &json!({ "allow_expired_cert_revocation": false }));
    assert_eq!(list(&server, "crl").1, [late.as_str()]);
    let more = issued_and_revoked(&server);
    let mut left = vec![late, more];
    left.sort();
    assert_eq!(list(&server, "crl").1, left);
    // Of what is no longer listed it is known that it was revoked.
    let told = read(&server, &format!("cert/{}", all[0]));
    assert_eq!(told["revocation_time"], 1_700_000_000);
}

#[test]
fn what_is_revoked_while_its_issuers_key_is_elsewhere_is_listed_once_that_comes() {
    let away = server();
    let root = json!({ "common_name": "r", "key_type": "ec", "ttl": "700h" });
    let root = write(&away, "root/generate/exported", &root);
    role(&away);
    let leaf = write(&away, "issue/web", &json!({ "common_name": "a.b" }));

    let here = server();
    let certificate = json!({ "certificate": root["certificate"] });
    let imported = write(&here, "issuers/import/cert", &certificate);
    let issuer = imported["imported_issuers"][0].as_str().unwrap().to_owned();
    write(&here, "revoke", &json!({ "certificate": leaf["certificate"] }));
    let path = format!("issuer/{issuer}/crl/der");
    assert!(here.read(&format!("pki/{path}")).is_err());
    write(&here, "issuers/import/bundle", &json!({ "pem_bundle": root["private_key"] }));
    assert_eq!(list(&here, &path), (1, vec![leaf["serial_number"].as_str().unwrap().to_owned()]));
    // Once its key is gone again, nothing is shown that does not fit its signature.
    assert!(here.delete("pki/key/default").is_err());
    here.delete(&format!("pki/issuer/{issuer}")).unwrap();
    here.delete("pki/key/default").unwrap();
    let imported = write(&here, "issuers/import/cert", &certificate);
    let issuer = imported["imported_issuers"][0].as_str().unwrap().to_owned();
    let path = format!("issuer/{issuer}/crl/der");
    assert_eq!(list(&here, &path).0, 1);
    let second = write(&away, "issue/web", &json!({ "common_name": "a.b" }));
    write(&here, "revoke", &json!({ "certificate": second["certificate"] }));
    assert!(here.read(&format!("pki/{path}")).is_err());
    write(&here, "issuers/import/bundle", &json!({ "pem_bundle": root["private_key"] }));
    let (number, serials) = list(&here, &path);
    assert_eq!((number, serials.len()), (2, 2));
}

#[test]
fn a_list_is_the_same_in_every_form() {
    let server = ready();
    issued_and_revoked(&server);
    let (_, binary) = raw(&server, "crl");
    let pem = Value::from(String::from_utf8(raw(&server, "crl/pem").1).unwrap());
    assert_eq!(der(&pem), binary);
    assert_eq!(der(&read(&server, "cert/crl")["certificate"]), binary);
    assert_eq!(der(&read(&server, "issuer/default/crl")["crl"]), binary);
    let rotated = data(server.read("pki/crl/rotate").unwrap());
    assert_eq!(rotated, json!({ "success": true }));
    assert_ne!(raw(&server, "crl").1, binary);
}

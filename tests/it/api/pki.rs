use serde_json::{Value, json};
use strongroom::request::{Body, Error, Operation, Reply};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::harness::Server;

pub(super) fn server() -> Server {
    let server = Server::new();
    server.mount("pki/", "pki", &[]);
    server
}

/// With a root of EC and a role for `example.com`, whose keys are fast to make.
pub(super) fn ready() -> Server {
    let server = server();
    let root = json!({ "common_name": "root", "key_type": "ec", "ttl": "700h" });
    write(&server, "root/generate/internal", &root);
    let role = json!({
        "allowed_domains": "example.com",
        "allow_subdomains": true,
        "key_type": "ec",
        "max_ttl": "300h",
        "ttl": "1h",
    });
    write(&server, "roles/web", &role);
    server
}

pub(super) fn data(reply: Reply) -> Value {
    match reply.body {
        Body::Data(data) => Value::Object(data),
        Body::Empty => Value::Null,
        other => panic!("{other:?}"),
    }
}

pub(super) fn write(server: &Server, path: &str, body: &Value) -> Value {
    data(server.write(&format!("pki/{path}"), body).unwrap_or_else(|e| panic!("{path}: {e:?}")))
}

pub(super) fn read(server: &Server, path: &str) -> Value {
    data(server.read(&format!("pki/{path}")).unwrap())
}

/// As one without a token.
pub(super) fn raw(server: &Server, path: &str) -> (Option<u16>, Vec<u8>) {
    let reply = server.send(Operation::Read, &format!("pki/{path}"), &Value::Null, "").unwrap();
    match reply.body {
        Body::Raw(raw) => (reply.status, raw.bytes.to_vec()),
        other => panic!("{path}: {other:?}"),
    }
}

pub(super) fn refused(server: &Server, path: &str, body: &Value) -> String {
    match server.write(&format!("pki/{path}"), body) {
        Err(Error::BadRequest(text)) => text,
        other => panic!("{path} {body}: {other:?}"),
    }
}

pub(super) fn der(pem: &Value) -> Vec<u8> {
    pem::parse(pem.as_str().unwrap()).unwrap().into_contents()
}

/// Whether one certificate was signed by the key of another; of P-521, which x509-parser does not
/// verify, whether it says so.
fn signed_by(der: &[u8], issuer: &[u8]) -> bool {
    let (_, own) = X509Certificate::from_der(der).unwrap();
    let (_, above) = X509Certificate::from_der(issuer).unwrap();
    let of_p521 = above.public_key().subject_public_key.data.len() == 133;
    own.issuer().as_raw() == above.subject().as_raw()
        && (of_p521 || own.verify_signature(Some(above.public_key())).is_ok())
}

#[test]
fn a_role_issues_what_its_root_signed_and_what_was_asked_for() {
    let server = ready();
    let issued = write(
        &server,
        "issue/web",
        &json!({ "common_name": "a.example.com", "alt_names": "b.example.com", "ip_sans": "::1" }),
    );
    let (_, root) = raw(&server, "ca");
    let leaf = der(&issued["certificate"]);
    assert!(signed_by(&leaf, &root));
    let (_, read_back) = X509Certificate::from_der(&leaf).unwrap();
    assert_eq!(read_back.subject().to_string(), "CN=a.example.com");
    let validity = read_back.validity();
    // 30 s earlier than now, as in Vault, and an hour long.
    assert_eq!(validity.not_before.timestamp(), 1_700_000_000 - 30);
    assert_eq!(validity.not_after.timestamp(), 1_700_000_000 + 3600);
    assert_eq!(issued["expiration"], 1_700_000_000 + 3600);
    let names = read_back.subject_alternative_name().unwrap().unwrap();
    let names: Vec<String> = names.value.general_names.iter().map(ToString::to_string).collect();
    assert_eq!(names.len(), 3, "{names:?}");
    let usage = read_back.key_usage().unwrap().unwrap().value;
    assert!(usage.digital_signature() && usage.key_encipherment() && !usage.key_cert_sign());
    let purposes = read_back.extended_key_usage().unwrap().unwrap().value;
    assert!(purposes.server_auth && purposes.client_auth && !purposes.code_signing);
    assert!(!read_back.is_ca());
    let serial = issued["serial_number"].as_str().unwrap();
    assert_eq!(read_back.raw_serial_as_string(), serial);
    assert_eq!(der(&read(&server, &format!("cert/{serial}"))["certificate"]), leaf);
    assert_eq!(raw(&server, &format!("cert/{serial}/raw")).1, leaf);
    assert!(issued["private_key"].as_str().unwrap().starts_with("-----BEGIN EC PRIVATE KEY-----"));
}

#[test]
fn every_type_of_key_makes_a_root_and_leaves_that_it_signed() {
    for (kind, bits) in [("rsa", 2048), ("ec", 256), ("ec", 384), ("ec", 521), ("ed25519", 0)] {
        let server = server();
        let root = write(
            &server,
            "root/generate/exported",
            &json!({ "common_name": "r", "key_type": kind, "key_bits": bits }),
        );
        let root_der = der(&root["certificate"]);
        assert!(signed_by(&root_der, &root_der), "{kind} {bits}");
        assert!(X509Certificate::from_der(&root_der).unwrap().1.is_ca());
        let role = json!({ "allow_any_name": true, "key_type": kind, "key_bits": bits });
        write(&server, "roles/r", &role);
        let leaf = write(&server, "issue/r", &json!({ "common_name": "a.b", "ttl": "1h" }));
        assert!(signed_by(&der(&leaf["certificate"]), &root_der), "{kind} {bits}");
        assert_eq!(leaf["private_key_type"], kind);
        // Of what is exported another mount makes the same issuer.
        server.mount("other/", "pki", &[]);
        let bundle = format!(
            "{}\n{}",
            root["certificate"].as_str().unwrap(),
            root["private_key"].as_str().unwrap()
        );
        let imported = server.write("other/config/ca", &json!({ "pem_bundle": bundle })).unwrap();
        assert_eq!(data(imported)["imported_issuers"].as_array().unwrap().len(), 1);
        server.write("other/roles/r", &role).unwrap();
        let ask = json!({ "common_name": "a.b", "ttl": "1h" });
        let leaf = data(server.write("other/issue/r", &ask).unwrap());
        assert!(signed_by(&der(&leaf["certificate"]), &root_der), "{kind} {bits}");
    }
}

#[test]
fn an_intermediate_is_signed_by_the_root_and_issues_in_its_turn() {
    let server = ready();
    server.mount("int/", "pki", &[]);
    let ask = json!({ "common_name": "intermediate", "key_type": "ec" });
    let made = data(server.write("int/intermediate/generate/internal", &ask).unwrap());
    let signed = write(
        &server,
        "root/sign-intermediate",
        &json!({ "csr": made["csr"], "common_name": "intermediate", "max_path_length": 0 }),
    );
    let set = json!({ "certificate": format!(
        "{}\n{}",
        signed["certificate"].as_str().unwrap(),
        signed["issuing_ca"].as_str().unwrap()
    ) });
    server.write("int/intermediate/set-signed", &set).unwrap();
    let role = json!({ "allow_any_name": true, "key_type": "ec", "ttl": "1h" });
    server.write("int/roles/r", &role).unwrap();
    let leaf = data(server.write("int/issue/r", &json!({ "common_name": "a.b" })).unwrap());
    let chain: Vec<Vec<u8>> = leaf["ca_chain"].as_array().unwrap().iter().map(der).collect();
    assert_eq!(chain.len(), 2, "{leaf}");
    assert!(signed_by(&der(&leaf["certificate"]), &chain[0]));
    assert!(signed_by(&chain[0], &chain[1]));
    // Nothing may follow a path length of 0.
    let ask = json!({ "common_name": "below", "key_type": "ec" });
    let below = data(server.write("int/intermediate/generate/internal", &ask).unwrap());
    let ask = json!({ "csr": below["csr"], "common_name": "below" });
    let refusal = server.write("int/root/sign-intermediate", &ask).unwrap_err();
    assert!(matches!(refusal, Error::BadRequest(text) if text.contains("path length of zero")));
}

#[test]
fn a_request_is_signed_by_the_roles_rules_or_as_it_is() {
    let server = ready();
    server.mount("int/", "pki", &[]);
    let ask = json!({ "common_name": "evil.org", "alt_names": "c.org", "key_type": "ec" });
    let evil = data(server.write("int/intermediate/generate/internal", &ask).unwrap());
    let csr = evil["csr"].clone();
    assert_eq!(
        refused(&server, "sign/web", &json!({ "csr": csr })),
        "common name evil.org not allowed by this role"
    );
    let as_it_is = write(&server, "sign-verbatim", &json!({ "csr": csr, "ttl": "1h" }));
    let leaf = der(&as_it_is["certificate"]);
    let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
    assert_eq!(leaf.subject().to_string(), "CN=evil.org");
    assert!(leaf.subject_alternative_name().unwrap().is_some());
    // A request does not make itself an authority.
    let ask = json!({ "common_name": "x", "key_type": "ec", "add_basic_constraints": true });
    let made = data(server.write("int/intermediate/generate/internal", &ask).unwrap());
    let signed = write(&server, "sign-verbatim", &json!({ "csr": made["csr"], "ttl": "1h" }));
    let leaf = der(&signed["certificate"]);
    assert!(!X509Certificate::from_der(&leaf).unwrap().1.is_ca());
    // One that was bent after it was signed is none.
    let mut bent = der(&csr);
    let at = bent.windows(8).position(|part| part == b"evil.org").unwrap();
    bent[at] = b'a';
    let bent = pem::encode(&pem::Pem::new("CERTIFICATE REQUEST", bent));
    assert!(refused(&server, "sign-verbatim", &json!({ "csr": bent })).contains("signature"));
}

#[test]
fn what_is_revoked_is_listed_until_it_is_over_and_tidied() {
    let server = ready();
    let issued = write(&server, "issue/web", &json!({ "common_name": "a.example.com" }));
    let serial = issued["serial_number"].as_str().unwrap();
    let listed = |server: &Server| {
        let (_, list) = raw(server, "crl");
        let (_, list) = CertificateRevocationList::from_der(&list).unwrap();
        let (_, root) = raw(server, "ca");
        let (_, root) = X509Certificate::from_der(&root).unwrap();
        list.verify_signature(root.public_key()).unwrap();
        let numbers: Vec<String> =
            list.iter_revoked_certificates().map(|one| one.raw_serial_as_string()).collect();
        numbers
    };
    assert_eq!(listed(&server), Vec::<String>::new());
    let revoked = write(&server, "revoke", &json!({ "serial_number": serial }));
    assert_eq!(revoked["state"], "revoked");
    assert_eq!(listed(&server), [serial]);
    assert_eq!(write(&server, "revoke", &json!({ "serial_number": serial })), revoked);
    assert_eq!(read(&server, &format!("cert/{serial}"))["revocation_time"], 1_700_000_000);
    let keys = data(server.list("pki/certs/revoked").unwrap());
    assert_eq!(keys, json!({ "keys": [serial] }));
    let tidy = json!({ "tidy_cert_store": true, "tidy_revoked_certs": true, "safety_buffer": 60 });
    write(&server, "tidy", &tidy);
    assert_eq!(listed(&server), [serial]);
    server.set_time(3600 + 61);
    write(&server, "tidy", &tidy);
    assert_eq!(listed(&server), Vec::<String>::new());
    assert_eq!(read(&server, "tidy-status")["revoked_cert_deleted_count"], 1);
    assert!(matches!(server.read(&format!("pki/cert/{serial}")), Err(Error::NotFound)));
}

#[test]
fn a_list_that_is_about_to_end_is_signed_anew_where_that_is_wanted() {
    let server = ready();
    let end = |server: &Server| {
        let (_, list) = raw(server, "crl");
        let (_, list) = CertificateRevocationList::from_der(&list).unwrap();
        list.next_update().unwrap().timestamp()
    };
    let first = end(&server);
    assert_eq!(first, 1_700_000_000 + 72 * 3600);
    server.set_time(71 * 3600);
    assert_eq!(end(&server), first);
    write(&server, "config/crl", &json!({ "auto_rebuild": true }));
    assert_eq!(end(&server), first + 71 * 3600);
    server.set_time(140 * 3600);
    assert_eq!(end(&server), 1_700_000_000 + (140 + 72) * 3600);
}

#[test]
fn a_common_name_that_nothing_validates_is_no_alternative_name_that_is_not_allowed() {
    let server = ready();
    let role = json!({
        "allowed_domains": "example.com",
        "allow_subdomains": true,
        "cn_validations": "disabled",
        "key_type": "ec",
        "ttl": "1h",
    });
    write(&server, "roles/loose", &role);
    let why = refused(&server, "issue/loose", &json!({ "common_name": "bank.com" }));
    assert!(why.contains("bank.com not allowed by this role"), "{why}");
    // A name of no host, and one that is no alternative name, may be anything.
    for body in [
        json!({ "common_name": "The Bank" }),
        json!({ "common_name": "bank.com", "exclude_cn_from_sans": true }),
    ] {
        let issued = write(&server, "issue/loose", &body);
        let leaf = der(&issued["certificate"]);
        let (_, leaf) = X509Certificate::from_der(&leaf).unwrap();
        assert!(leaf.subject_alternative_name().unwrap().is_none(), "{body}");
    }
}

#[test]
fn a_time_that_is_asked_for_is_within_what_the_role_allows() {
    let server = ready();
    let now = 1_700_000_000;
    let role = |not_after: &str, max_ttl: &str| {
        let role = json!({
            "allow_any_name": true,
            "key_type": "ec",
            "max_ttl": max_ttl,
            "not_after": not_after,
        });
        write(&server, "roles/timed", &role);
    };
    let issue = |body: Value| {
        let reply = server.write("pki/issue/timed", &body).unwrap();
        let warned = reply.warnings.iter().any(|warning| warning.contains("maxTTL"));
        (data(reply)["expiration"].as_u64().unwrap() - now, warned)
    };
    // 2023-11-15T22:13:20Z is a day later than now.
    let (day, days) = ("2023-11-15T22:13:20Z", "2023-11-20T22:13:20Z");
    role("", "48h");
    assert_eq!(issue(json!({ "common_name": "a.b", "not_after": day })), (86_400, false));
    assert_eq!(issue(json!({ "common_name": "a.b", "not_after": days })), (2 * 86_400, true));
    role(day, "12h");
    assert_eq!(issue(json!({ "common_name": "a.b" })), (86_400, false));
    assert_eq!(issue(json!({ "common_name": "a.b", "not_after": days })), (86_400, false));
    for body in [
        json!({ "common_name": "a.b", "ttl": "1h" }),
        json!({ "common_name": "a.b", "ttl": "1h", "not_after": day }),
    ] {
        let why = refused(&server, "issue/timed", &body);
        assert!(why.contains("Either ttl or not_after"), "{body}: {why}");
    }
    // A root's owner sets its end.
    let root = json!({ "common_name": "r", "key_type": "ec", "not_after": "2099-01-01T00:00:00Z" });
    let root = write(&server, "root/generate/internal", &root);
    assert_eq!(root["expiration"], 4_070_908_800_u64);
}

#[test]
fn without_an_issuer_there_is_nothing_to_read() {
    let server = server();
    for path in ["ca", "ca/pem", "ca_chain", "crl", "crl/pem"] {
        assert_eq!(raw(&server, path), (Some(204), Vec::new()), "{path}");
    }
}

#[test]
#[expect(clippy::too_many_lines, reason = "a table")]
fn what_is_wrong_is_said_and_changes_nothing() {
    let server = ready();
    let role = json!({ "allow_any_name": true, "key_type": "ec", "max_ttl": "9000h" });
    write(&server, "roles/long", &role);
    let entries = server.entries();
    let name = "a.example.com";
    for (path, body, told) in [
        ("issue/none", json!({}), "unknown role: none"),
        ("issue/web", json!({}), "the common_name field is required"),
        ("issue/web", json!({ "common_name": "example.com" }), "not allowed by this role"),
        ("issue/web", json!({ "common_name": "evil.org" }), "not allowed by this role"),
        (
            "issue/web",
            json!({ "common_name": name, "alt_names": "evil.org" }),
            "subject alternate name evil.org not allowed by this role",
        ),
        (
            "issue/web",
            json!({ "common_name": name, "alt_names": "a@evil.org" }),
            "email address a@evil.org not allowed by this role",
        ),
        ("issue/web", json!({ "common_name": name, "alt_names": "a b" }), "neither a host's name"),
        ("issue/web", json!({ "common_name": name, "ip_sans": "1.2.3" }), "not a valid IP"),
        ("issue/web", json!({ "common_name": name, "uri_sans": "a:b" }), "URI Subject"),
        ("issue/web", json!({ "common_name": name, "uri_sans": "x" }), "is not valid"),
        ("issue/web", json!({ "common_name": name, "other_sans": "1.2;utf8:x" }), "OID 1.2"),
        ("issue/web", json!({ "common_name": name, "other_sans": "x" }), "semicolon"),
        ("issue/web", json!({ "common_name": name, "user_ids": "x" }), "user_id x"),
        ("issue/web", json!({ "common_name": name, "serial_number": "x" }), "serial_number x"),
        ("issue/web", json!({ "common_name": name, "ttl": "-1h" }), "must not be negative"),
        ("issue/web", json!({ "common_name": name, "ttl": "x" }), "\"ttl\""),
        ("issue/web", json!({ "common_name": name, "not_after": "x" }), "parsing time"),
        (
            "issue/web",
            json!({ "common_name": name, "not_after": "2001-01-01T00:00:00Z" }),
            "end before it begins",
        ),
        (
            "issue/long",
            json!({ "common_name": name, "not_after": "2090-01-01T00:00:00Z" }),
            "beyond the expiration of the CA certificate at 2023-12-14T02:13:20Z",
        ),
        (
            "issue/web",
            json!({ "common_name": name, "ttl": 1, "not_after": "2090-01-01T00:00:00Z" }),
            "Either ttl or not_after",
        ),
        ("issue/web", json!({ "common_name": name, "format": "x" }), "\"format\""),
        (
            "issue/web",
            json!({ "common_name": name, "private_key_format": "x" }),
            "\"private_key_format\"",
        ),
        ("sign/web", json!({}), "\"csr\" is empty"),
        ("sign/web", json!({ "csr": "x" }), "csr contains no data"),
        (
            "sign/web",
            json!({ "csr": "-----BEGIN A-----\nAAAA\n-----END A-----" }),
            "could not be parsed",
        ),
        ("sign-verbatim", json!({ "csr": "x" }), "csr contains no data"),
        ("sign-verbatim", json!({ "csr": "x", "signature_bits": 1 }), "signature_bits"),
        ("root/generate/odd", json!({ "common_name": "r" }), "\"exported\""),
        ("root/generate/internal", json!({ "key_type": "dsa" }), "unknown key type dsa"),
        ("root/generate/internal", json!({ "key_bits": 1024 }), "unsafe"),
        ("root/generate/internal", json!({ "key_bits": 2050 }), "unsupported bit length"),
        ("root/generate/internal", json!({ "key_type": "ec", "key_bits": 5 }), "unsupported bit"),
        ("root/generate/internal", json!({ "issuer_name": "default" }), "reserved keyword"),
        ("root/generate/internal", json!({ "issuer_name": "a/b" }), "invalid characters"),
        ("root/generate/internal", json!({ "key_name": "a b" }), "invalid characters"),
        ("root/generate/internal", json!({ "max_path_length": -2 }), "max_path_length"),
        ("root/generate/internal", json!({ "permitted_dns_domains": "a b" }), "no domain's name"),
        ("root/generate/internal", json!({ "signature_bits": 7 }), "signature_bits"),
        ("root/generate/internal", json!({ "not_before_duration": -1 }), "not_before_duration"),
        ("root/generate/existing", json!({ "key_ref": "none" }), "unable to find PKI key"),
        ("root/sign-intermediate", json!({}), "\"csr\" is empty"),
        ("config/ca", json!({}), "parameters were empty"),
        ("config/ca", json!({ "pem_bundle": "/tmp/x" }), "not a path"),
        ("intermediate/set-signed", json!({ "certificate": "x" }), "not a path"),
        ("revoke", json!({}), "must be provided"),
        ("revoke", json!({ "serial_number": "11:22" }), "with serial 11:22 not found"),
        ("revoke", json!({ "serial_number": "../x" }), "not found"),
        ("revoke", json!({ "certificate": "x" }), "no certificate in PEM"),
        ("revoke", json!({ "certificate": "x", "serial_number": "11" }), "not both"),
        ("config/urls", json!({ "ocsp_servers": "no url" }), "invalid URL"),
        ("config/crl", json!({ "expiry": "x" }), "expiry could not be decoded"),
        ("config/crl", json!({ "enable_delta": true }), "enable_delta is not supported"),
        (
            "config/crl",
            json!({ "auto_rebuild": true, "expiry": "1h" }),
            "must be shorter than expiry",
        ),
        ("config/issuers", json!({}), "Invalid issuer specification"),
        ("config/issuers", json!({ "default": "none" }), "unable to find PKI issuer"),
        ("config/keys", json!({ "default": "none" }), "unable to find PKI key"),
        ("issuer/default", json!({ "leaf_not_after_behavior": "x" }), "leaf_not_after_behavior"),
        ("issuer/none", json!({}), "unable to find PKI issuer"),
        ("key/none", json!({}), "unable to find PKI key"),
        ("tidy", json!({ "safety_buffer": 0 }), "safety_buffer"),
        ("roles/x", json!({ "key_type": "x" }), "unknown key type x"),
        ("roles/x", json!({ "key_bits": 1 }), "unsafe"),
        ("roles/x", json!({ "key_type": "any", "key_bits": 2048 }), "key_bits must be 0"),
        ("roles/x", json!({ "ttl": "2h", "max_ttl": "1h" }), "must be less than"),
        ("roles/x", json!({ "ttl": "-2h" }), "ttl must not be negative"),
        ("roles/x", json!({ "signature_bits": 1 }), "signature_bits"),
        ("roles/x", json!({ "ext_key_usage_oids": "x" }), "valid oid"),
        ("roles/x", json!({ "policy_identifiers": "x" }), "policy identifier"),
        ("roles/x", json!({ "cn_validations": "x" }), "cn_validations"),
        ("roles/x", json!({ "not_after": "x" }), "parsing time"),
        ("roles/x", json!({ "allowed_other_sans": "x" }), "allowed_other_sans"),
        ("roles/x", json!({ "generate_lease": true }), "generate_lease is not supported"),
        ("roles/x", json!({ "allowed_domains_template": true }), "not supported"),
        ("roles/x", json!({ "allow_any_name": "x" }), "\"allow_any_name\""),
    ] {
        let text = refused(&server, path, &body);
        assert!(text.contains(told), "{path} {body}: {text}");
    }
    assert_eq!(server.entries(), entries);
}

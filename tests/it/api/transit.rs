use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use strongroom::request::{Body, Error, Operation, Reply};

use crate::harness::Server;

pub(super) fn server() -> Server {
    let server = Server::new();
    server.mount("transit/", "transit", &[]);
    server
}

pub(super) fn data(reply: Reply) -> Value {
    match reply.body {
        Body::Data(data) => Value::Object(data),
        other => panic!("{other:?}"),
    }
}

pub(super) fn write(server: &Server, path: &str, body: &Value) -> Result<Value, Error> {
    server.write(&format!("transit/{path}"), body).map(|reply| match reply.body {
        Body::Data(data) => Value::Object(data),
        _ => Value::Null,
    })
}

pub(super) fn read(server: &Server, path: &str) -> Value {
    data(server.read(&format!("transit/{path}")).unwrap())
}

pub(super) fn refused(server: &Server, path: &str, body: &Value) -> String {
    match write(server, path, body) {
        Err(Error::BadRequest(text)) => text,
        other => panic!("{path} {body}: {other:?}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[test]
fn a_key_encrypts_in_every_version_and_is_rewrapped_to_the_newest() {
    let server = server();
    let plain = BASE64.encode("secret");
    let first = write(&server, "encrypt/a", &json!({ "plaintext": plain })).unwrap();
    assert!(text(&first["ciphertext"]).starts_with("vault:v1:"), "{first}");
    let made = read(&server, "keys/a");
    assert_eq!(made["type"], "aes256-gcm96");
    assert_eq!(made["keys"], json!({ "1": 1_700_000_000 }));
    write(&server, "keys/a/rotate", &json!({})).unwrap();
    let second = write(&server, "encrypt/a", &json!({ "plaintext": plain })).unwrap();
    assert_eq!(second["key_version"], 2);
    let old =
        write(&server, "encrypt/a", &json!({ "plaintext": plain, "key_version": 1 })).unwrap();
    assert!(text(&old["ciphertext"]).starts_with("vault:v1:"));
    for sealed in [&first, &second, &old] {
        let opened = write(&server, "decrypt/a", &json!({ "ciphertext": sealed["ciphertext"] }));
        assert_eq!(opened.unwrap(), json!({ "plaintext": plain }));
    }
    let wrapped =
        write(&server, "rewrap/a", &json!({ "ciphertext": first["ciphertext"] })).unwrap();
    assert!(text(&wrapped["ciphertext"]).starts_with("vault:v2:"));
    write(&server, "keys/a/config", &json!({ "min_decryption_version": 2 })).unwrap();
    assert_eq!(
        refused(&server, "decrypt/a", &json!({ "ciphertext": first["ciphertext"] })),
        "ciphertext or signature version is disallowed by policy (too old)"
    );
    write(&server, "decrypt/a", &json!({ "ciphertext": wrapped["ciphertext"] })).unwrap();
}

#[test]
fn what_is_wrong_is_said_and_changes_nothing() {
    let server = server();
    write(&server, "keys/a", &json!({})).unwrap();
    write(&server, "keys/d", &json!({ "derived": true })).unwrap();
    write(&server, "keys/s", &json!({ "type": "ed25519" })).unwrap();
    let entries = server.entries();
    for (path, body, told) in [
        ("encrypt/a", json!({}), "missing plaintext to encrypt"),
        ("encrypt/a", json!({ "plaintext": "?" }), "failed to base64-decode plaintext"),
        ("encrypt/a", json!({ "plaintext": "", "key_version": 2 }), "higher than the latest"),
        ("encrypt/a", json!({ "plaintext": "", "key_version": -1 }), "negative"),
        ("encrypt/a", json!({ "plaintext": "", "nonce": "AAAA" }), "nonce not allowed"),
        ("encrypt/d", json!({ "plaintext": "" }), "missing 'context' for key derivation"),
        ("encrypt/s", json!({ "plaintext": "" }), "does not support encryption"),
        ("encrypt/a", json!({ "batch_input": [] }), "missing batch input to process"),
        ("encrypt/a", json!({ "batch_input": [1] }), "must be a list of objects"),
        ("encrypt/n", json!({ "plaintext": "", "type": "x" }), "unknown key type"),
        ("decrypt/n", json!({ "ciphertext": "vault:v1:AAAA" }), "encryption key not found"),
        ("decrypt/a", json!({}), "missing ciphertext to decrypt"),
        ("decrypt/a", json!({ "ciphertext": "x" }), "invalid ciphertext: no prefix"),
        ("decrypt/a", json!({ "ciphertext": "vault:v1" }), "wrong number of fields"),
        ("decrypt/a", json!({ "ciphertext": "vault:vx:AA" }), "could not be decoded"),
        ("decrypt/a", json!({ "ciphertext": "vault:v9:AAAA" }), "version is too new"),
        ("decrypt/a", json!({ "ciphertext": "vault:v1:?" }), "could not decode base64"),
        (
            "decrypt/a",
            json!({ "ciphertext": format!("vault:v1:{}", BASE64.encode([0; 40])) }),
            "cipher: message authentication failed",
        ),
        ("sign/a", json!({ "input": "" }), "does not support signing"),
        ("sign/s", json!({}), "missing input"),
        ("sign/s/md5", json!({ "input": "" }), "unsupported algorithm"),
        ("sign/s", json!({ "input": "", "marshaling_algorithm": "x" }), "asn1 or jws"),
        ("verify/s", json!({ "input": "" }), "neither a 'signature' nor an 'hmac' were given"),
        ("hmac/a/sha1", json!({ "input": "" }), "sha1"),
        ("datakey/none/a", json!({}), "must be 'plaintext' or 'wrapped'"),
        ("datakey/wrapped/a", json!({ "bits": 1 }), "invalid bit length"),
        ("keys/n", json!({ "type": "des" }), "unknown key type"),
        ("keys/n", json!({ "convergent_encryption": true }), "requires derivation"),
        (
            "keys/n",
            json!({ "type": "rsa-2048", "derived": true }),
            "not supported for keys of type",
        ),
        ("keys/n", json!({ "auto_rotate_period": "5m" }), "at least an hour"),
        ("keys/n", json!({ "type": "hmac", "key_size": 8 }), "key_size"),
        ("keys/a/config", json!({ "min_decryption_version": 9 }), "from 0 to the newest version"),
        (
            "keys/a/trim",
            json!({ "min_available_version": 1 }),
            "minimum encryption version is not set",
        ),
        ("restore", json!({ "backup": "AAAA" }), "cannot be read"),
        ("keys/n/import", json!({ "ciphertext": "?" }), "no base64"),
        ("random/1000000", json!({}), "from 1 to"),
        ("random/moon", json!({}), "entropy source"),
        ("hash/md5", json!({ "input": "" }), "unsupported algorithm"),
    ] {
        let said = refused(&server, path, &body);
        assert!(said.contains(told), "{path} {body}: {said}");
    }
    assert_eq!(server.entries(), entries);
    assert!(matches!(server.read("transit/keys/n"), Err(Error::NotFound)));
}

#[test]
fn a_batch_answers_each_item_and_400_where_one_fails() {
    let server = server();
    write(&server, "keys/a", &json!({})).unwrap();
    let batch = json!({ "batch_input": [
        { "plaintext": "YQ==", "reference": "one" }, { "plaintext": "?" }, { "plaintext": "Yg==" },
    ] });
    let reply = server.write("transit/encrypt/a", &batch).unwrap();
    assert_eq!(reply.status, Some(400));
    let results = data(reply)["batch_results"].clone();
    assert_eq!(results[0]["reference"], "one");
    assert!(text(&results[1]["error"]).contains("base64-decode"), "{results}");
    let back = json!({ "batch_input": [
        { "ciphertext": results[0]["ciphertext"] }, { "ciphertext": results[2]["ciphertext"] },
    ] });
    let reply = server.write("transit/decrypt/a", &back).unwrap();
    assert_eq!(reply.status, None);
    let opened = data(reply);
    assert_eq!(opened["batch_results"][1], json!({ "plaintext": "Yg==", "reference": "" }));
    let mut partial = batch.clone();
    partial["partial_failure_response_code"] = 207.into();
    assert_eq!(server.write("transit/encrypt/a", &partial).unwrap().status, Some(207));
}

#[test]
fn signatures_and_hmacs_verify_and_derived_keys_tell_their_public_key() {
    let server = server();
    for kind in ["ecdsa-p256", "ed25519", "rsa-2048"] {
        write(&server, &format!("keys/{kind}"), &json!({ "type": kind })).unwrap();
        let signed = write(&server, &format!("sign/{kind}"), &json!({ "input": "YQ==" })).unwrap();
        for (input, valid) in [("YQ==", true), ("Yg==", false)] {
            let body = json!({ "input": input, "signature": signed["signature"] });
            let answer = write(&server, &format!("verify/{kind}"), &body).unwrap();
            assert_eq!(answer["valid"], valid, "{kind}");
        }
        let hmac = write(&server, &format!("hmac/{kind}/sha2-512"), &json!({ "input": "YQ==" }));
        let body = json!({ "input": "YQ==", "hmac": hmac.unwrap()["hmac"] });
        let path = format!("verify/{kind}/sha2-512");
        assert_eq!(write(&server, &path, &body).unwrap()["valid"], true, "{kind}");
    }
    write(&server, "keys/d", &json!({ "type": "ed25519", "derived": true })).unwrap();
    let signed = write(&server, "sign/d", &json!({ "input": "YQ==", "context": "YQ==" })).unwrap();
    assert_eq!(text(&signed["public_key"]).len(), 44);
    let body = json!({ "input": "YQ==", "context": "Yg==", "signature": signed["signature"] });
    assert_eq!(write(&server, "verify/d", &body).unwrap()["valid"], false);
}

#[test]
fn who_may_only_update_makes_no_key_by_encrypting() {
    let server = server();
    let policy = "path \"transit/encrypt/*\" { capabilities = [\"update\"] }";
    server.write("sys/policies/acl/p", &json!({ "policy": policy })).unwrap();
    let made = server.write("auth/token/create", &json!({ "policies": ["p"] })).unwrap();
    let token = made.auth.unwrap().client_token;
    let body = json!({ "plaintext": "YQ==" });
    let outcome = server.send(Operation::Update, "transit/encrypt/a", &body, &token);
    assert!(matches!(outcome, Err(Error::Denied)), "{outcome:?}");
    write(&server, "keys/a", &json!({})).unwrap();
    server.send(Operation::Update, "transit/encrypt/a", &body, &token).unwrap();
    write(&server, "config/keys", &json!({ "disable_upsert": true })).unwrap();
    assert_eq!(refused(&server, "encrypt/b", &body), "encryption key not found");
}

#[test]
fn keys_rotate_by_themselves_when_they_are_next_used() {
    let server = server();
    write(&server, "keys/a", &json!({ "auto_rotate_period": "1h" })).unwrap();
    server.set_time(3599);
    assert_eq!(read(&server, "keys/a")["latest_version"], 1);
    server.set_time(3600);
    let sealed = write(&server, "encrypt/a", &json!({ "plaintext": "YQ==" })).unwrap();
    assert_eq!(sealed["key_version"], 2);
    assert_eq!(read(&server, "keys/a")["latest_version"], 2);
    server.set_time(3 * 3600);
    assert_eq!(read(&server, "keys/a")["latest_version"], 3);
}

#[test]
fn a_key_leaves_only_where_it_may_and_comes_back_as_it_was() {
    let server = server();
    write(&server, "keys/a", &json!({})).unwrap();
    for (path, told) in [
        ("export/encryption-key/a", "private key material is not exportable"),
        ("backup/a", "exporting is disallowed on the policy"),
    ] {
        let outcome = server.read(&format!("transit/{path}"));
        assert!(matches!(&outcome, Err(Error::BadRequest(said)) if said == told), "{outcome:?}");
    }
    let config =
        json!({ "exportable": true, "allow_plaintext_backup": true, "deletion_allowed": true });
    write(&server, "keys/a/config", &config).unwrap();
    write(&server, "keys/a/rotate", &json!({})).unwrap();
    let sealed = write(&server, "encrypt/a", &json!({ "plaintext": "YQ==" })).unwrap();
    let exported = read(&server, "export/encryption-key/a");
    assert_eq!(exported["keys"].as_object().unwrap().len(), 2);
    assert_eq!(BASE64.decode(text(&exported["keys"]["1"])).unwrap().len(), 32);
    let latest = read(&server, "export/encryption-key/a/latest");
    assert_eq!(latest["keys"], json!({ "2": exported["keys"]["2"] }));
    let backup = read(&server, "backup/a");
    assert!(refused(&server, "restore", &backup).contains("already exists"));
    server.delete("transit/keys/a").unwrap();
    write(&server, "restore/b", &backup).unwrap();
    let opened =
        write(&server, "decrypt/b", &json!({ "ciphertext": sealed["ciphertext"] })).unwrap();
    assert_eq!(opened["plaintext"], "YQ==");
    assert_eq!(read(&server, "export/encryption-key/b")["keys"], exported["keys"]);
}

#[test]
fn old_versions_can_be_trimmed_for_good() {
    let server = server();
    write(&server, "keys/a", &json!({})).unwrap();
    for _ in 0..3 {
        write(&server, "keys/a/rotate", &json!({})).unwrap();
    }
    let config = json!({ "min_decryption_version": 3, "min_encryption_version": 3 });
    write(&server, "keys/a/config", &config).unwrap();
    let trimmed = write(&server, "keys/a/trim", &json!({ "min_available_version": 3 })).unwrap();
    assert_eq!(trimmed["min_available_version"], 3);
    let back = refused(&server, "keys/a/config", &json!({ "min_decryption_version": 1 }));
    assert!(back.contains("min available version"), "{back}");
    write(&server, "encrypt/a", &json!({ "plaintext": "YQ==", "key_version": 3 })).unwrap();
}

#[test]
fn a_key_is_carried_to_another_mount_without_being_seen() {
    let server = server();
    let wrapping = read(&server, "wrapping_key");
    assert!(text(&wrapping["public_key"]).starts_with("-----BEGIN PUBLIC KEY-----"));
    assert_eq!(read(&server, "wrapping_key"), wrapping);
    write(&server, "keys/rsa", &json!({ "type": "rsa-2048", "exportable": true })).unwrap();
    write(&server, "keys/a", &json!({ "exportable": true })).unwrap();
    let carried = read(&server, "byok-export/rsa/a");
    assert!(text(&carried["keys"]["1"]).len() > 300);
    let config = json!({ "ciphertext": carried["keys"]["1"] });
    assert!(refused(&server, "keys/b/import", &config).contains("cannot be unwrapped"));
}

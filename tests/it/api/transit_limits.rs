//! What bounds keys of transit: their versions, their batches, and what a backup may say.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use strongroom::request::{Error, Operation};

use super::transit::{read, refused, server, write};
use crate::harness::Server;

/// Of a key `a` that may be taken out.
fn backup(server: &Server, settings: &Value) -> Value {
    write(server, "keys/a", settings).unwrap();
    let config = json!({ "exportable": true, "allow_plaintext_backup": true });
    write(server, "keys/a/config", &config).unwrap();
    let backup = read(server, "backup/a");
    let json = BASE64.decode(backup["backup"].as_str().unwrap()).unwrap();
    serde_json::from_slice(&json).unwrap()
}

fn text_of(backup: &Value) -> Value {
    json!({ "backup": BASE64.encode(backup.to_string()) })
}

/// A key whose version is the same so many times.
fn with_versions(server: &Server, count: u64) {
    let mut many = backup(server, &json!({ "auto_rotate_period": "1h" }));
    let version = many["versions"][0].clone();
    many["versions"] = (0..count).map(|_| version.clone()).collect();
    many["key"]["latest"] = count.into();
    write(server, "restore/full", &text_of(&many)).unwrap();
}

#[test]
fn a_key_that_has_no_room_for_a_version_stays_in_use() {
    let server = server();
    with_versions(&server, 4096);
    server.set_time(7200);
    let body = json!({ "plaintext": "YQ==" });
    let sealed = write(&server, "encrypt/full", &body).unwrap();
    assert_eq!(sealed["key_version"], 4096);
    write(&server, "decrypt/full", &json!({ "ciphertext": sealed["ciphertext"] })).unwrap();
    assert!(refused(&server, "keys/full/rotate", &json!({})).contains("trim it first"));
    let config = json!({ "min_decryption_version": 4096, "min_encryption_version": 4096 });
    write(&server, "keys/full/config", &config).unwrap();
    write(&server, "keys/full/trim", &json!({ "min_available_version": 4096 })).unwrap();
    // Now it is due.
    assert_eq!(write(&server, "encrypt/full", &body).unwrap()["key_version"], 4097);
}

#[test]
#[expect(clippy::type_complexity, reason = "a table")]
fn a_backup_that_says_what_no_key_can_be_is_refused() {
    let server = server();
    let good = backup(&server, &json!({}));
    let entries = server.entries();
    let cases: &[(&str, &dyn Fn(&mut Value))] = &[
        ("a newest version beyond all", &|b| b["key"]["latest"] = u32::MAX.into()),
        ("more versions than it has", &|b| b["key"]["latest"] = 2.into()),
        ("no version", &|b| b["versions"] = json!([])),
        ("the last version there can be", &|b| {
            b["key"]["latest"] = u32::MAX.into();
            b["key"]["min_available"] = u32::MAX.into();
            b["key"]["min_decryption"] = u32::MAX.into();
        }),
        ("too many versions", &|b| {
            let version = b["versions"][0].clone();
            b["versions"] = (0..4097).map(|_| version.clone()).collect();
            b["key"]["latest"] = 4097.into();
        }),
        ("decrypts with what is gone", &|b| {
            b["key"]["latest"] = 5.into();
            b["key"]["min_available"] = 5.into();
        }),
        ("decrypts with none", &|b| b["key"]["min_decryption"] = 2.into()),
        ("decrypts with version 0", &|b| b["key"]["min_decryption"] = 0.into()),
        ("encrypts with none", &|b| b["key"]["min_encryption"] = 2.into()),
        ("convergent alone", &|b| b["key"]["convergent"] = true.into()),
        ("rotates every second", &|b| b["key"]["auto_rotate_period"] = 1.into()),
        ("rotates never", &|b| b["key"]["auto_rotate_period"] = u64::MAX.into()),
        ("a size of another type", &|b| b["key"]["hmac_bytes"] = 64.into()),
        ("versions of another type", &|b| b["key"]["kind"] = "hmac".into()),
        ("a short HMAC key", &|b| b["versions"][0]["hmac"] = "YQ==".into()),
        ("no HMAC key", &|b| b["versions"][0]["hmac"] = "".into()),
        ("a short key", &|b| b["versions"][0]["secret"] = "YQ==".into()),
        ("a name that is none", &|b| b["key"]["name"] = "".into()),
    ];
    for (what, bend) in cases {
        let mut bent = good.clone();
        bend(&mut bent);
        let mut restore = text_of(&bent);
        if *what != "a name that is none" {
            restore["name"] = "b".into();
        }
        refused(&server, "restore", &restore);
        assert_eq!(server.entries(), entries, "{what}");
    }
    let hmac = json!({ "type": "hmac", "key_size": 32 });
    server.mount("other/", "transit", &[]);
    let mut hmac = {
        server.write("other/keys/a", &hmac).unwrap();
        let config = json!({ "exportable": true, "allow_plaintext_backup": true });
        server.write("other/keys/a/config", &config).unwrap();
        let Ok(reply) = server.read("other/backup/a") else { panic!("no backup") };
        let backup = super::transit::data(reply);
        let json = BASE64.decode(backup["backup"].as_str().unwrap()).unwrap();
        serde_json::from_slice::<Value>(&json).unwrap()
    };
    for bytes in [8, 5_000_000_000_u64] {
        hmac["key"]["hmac_bytes"] = bytes.into();
        refused(&server, "restore/b", &text_of(&hmac));
    }
    // A time to come would put off every rotation.
    let mut late = backup(&server, &json!({}));
    late["key"]["rotated"] = u64::MAX.into();
    late["key"]["auto_rotate_period"] = 3600.into();
    late["versions"][0]["created"] = u64::MAX.into();
    write(&server, "restore/b", &text_of(&late)).unwrap();
    assert_eq!(read(&server, "keys/b")["keys"], json!({ "1": 1_700_000_000 }));
    server.set_time(3600);
    assert_eq!(read(&server, "keys/b")["latest_version"], 2);
}

#[test]
fn who_may_not_encrypt_does_not_rotate_a_key_by_trying() {
    let server = server();
    write(&server, "keys/a", &json!({ "auto_rotate_period": "1h", "type": "rsa-4096" })).unwrap();
    server.set_time(3600);
    let made = server.write("auth/token/create", &json!({ "policies": ["default"] })).unwrap();
    let token = made.auth.unwrap().client_token;
    let entries = server.entries();
    let body = json!({ "plaintext": "YQ==" });
    for _ in 0..20 {
        let outcome = server.send(Operation::Update, "transit/encrypt/a", &body, &token);
        assert!(matches!(outcome, Err(Error::Denied)), "{outcome:?}");
    }
    assert_eq!(server.entries(), entries);
}

#[test]
fn a_key_is_no_longer_an_imported_one_once_it_rotates_by_itself() {
    let server = server();
    let mut imported = backup(&server, &json!({ "auto_rotate_period": "1h" }));
    imported["key"]["imported"] = true.into();
    imported["key"]["allow_imported_rotation"] = true.into();
    write(&server, "restore/b", &text_of(&imported)).unwrap();
    assert_eq!(read(&server, "keys/b")["imported_key"], true);
    server.set_time(3600);
    let key = read(&server, "keys/b");
    assert_eq!((&key["latest_version"], &key["imported_key"]), (&2.into(), &false.into()));
}

#[test]
fn a_batch_of_rsa_is_shorter() {
    let server = server();
    write(&server, "keys/r", &json!({ "type": "rsa-2048" })).unwrap();
    write(&server, "keys/a", &json!({})).unwrap();
    let items = |count: usize| {
        let items: Vec<Value> = (0..count).map(|_| json!({ "input": "YQ==" })).collect();
        json!({ "batch_input": items })
    };
    for path in ["sign/r", "verify/r", "encrypt/r", "decrypt/r", "rewrap/r"] {
        let why = refused(&server, path, &items(1001));
        assert!(why.contains("more than 1000 items"), "{path}: {why}");
    }
    for path in ["hmac/r", "hmac/a"] {
        let done = write(&server, path, &items(1001)).unwrap();
        assert_eq!(done["batch_results"].as_array().unwrap().len(), 1001, "{path}");
    }
}

#[test]
fn nothing_is_unwrapped_before_the_wrapping_key_was_read() {
    let server = server();
    let import = json!({ "ciphertext": BASE64.encode([7; 600]) });
    let why = refused(&server, "keys/b/import", &import);
    assert!(why.contains("read wrapping_key first"), "{why}");
    read(&server, "wrapping_key");
    let why = refused(&server, "keys/b/import", &import);
    assert!(why.contains("cannot be unwrapped"), "{why}");
}

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::harness::{Server, data, line};

fn drawn(server: &Server, path: &str, params: &Value) -> Vec<u8> {
    let data = data(server.write(path, params).unwrap());
    STANDARD.decode(data["random_bytes"].as_str().unwrap()).unwrap()
}

#[test]
fn so_many_random_bytes_are_drawn() {
    let server = Server::new();
    for (path, params, length) in [
        ("sys/tools/random", json!({}), 32),
        ("sys/tools/random", json!({"bytes": 5}), 5),
        ("sys/tools/random", json!({"bytes": "5"}), 5),
        ("sys/tools/random/8", json!({}), 8),
        ("sys/tools/random/8", json!({"bytes": 5}), 8),
        ("sys/tools/random/platform", json!({}), 32),
        ("sys/tools/random/all", json!({"bytes": 5}), 5),
        ("sys/tools/random/platform/7", json!({"bytes": 5}), 7),
        ("sys/tools/random/131072", json!({}), 131_072),
    ] {
        assert_eq!(drawn(&server, path, &params).len(), length, "{path} {params}");
    }
    let first = drawn(&server, "sys/tools/random", &json!({}));
    assert_ne!(first, drawn(&server, "sys/tools/random", &json!({})));
    let hex =
        data(server.write("sys/tools/random", &json!({"format": "hex", "bytes": 4})).unwrap());
    assert_eq!(hex["random_bytes"].as_str().unwrap().len(), 8);
    let of_seal = server.write("sys/tools/random/seal/8", &json!({})).unwrap();
    assert_eq!(of_seal.warnings.len(), 1);
    assert_eq!(server.entries(), 1, "nothing is written");
}

#[test]
fn what_cannot_be_drawn_or_hashed_is_refused() {
    let server = Server::new();
    for (path, params, expected) in [
        ("sys/tools/random/0", json!({}), "400 'bytes' cannot be less than 1"),
        ("sys/tools/random", json!({"bytes": -4}), "400 'bytes' cannot be less than 1"),
        ("sys/tools/random/131073", json!({}), "400 'bytes' should be less than 131072"),
        (
            "sys/tools/random",
            json!({"format": "x"}),
            "400 unsupported encoding format \"x\"; must be \"hex\" or \"base64\"",
        ),
        (
            "sys/tools/random/foo/8",
            json!({}),
            "400 unsupported entropy source \"foo\"; must be \"platform\" or \"seal\", or \"all\"",
        ),
        (
            "sys/tools/random/foo",
            json!({}),
            "400 error parsing url-set byte count: \"foo\" is no number",
        ),
        (
            "sys/tools/random/99999999999999999999",
            json!({}),
            "400 error parsing url-set byte count: \"99999999999999999999\" is no number",
        ),
        ("sys/tools/hash/sha1", json!({"input": ""}), "400 unsupported algorithm sha1"),
    ] {
        assert_eq!(line(server.write(path, &params)), expected, "{path} {params}");
    }
    let refused = line(server.write("sys/tools/hash", &json!({"input": "***"})));
    assert!(refused.starts_with("400 unable to decode input as base64"), "{refused}");
}

#[test]
fn bytes_are_hashed() {
    let server = Server::new();
    let sum = |path: &str, params: &Value| {
        data(server.write(path, params).unwrap())["sum"].as_str().unwrap().to_owned()
    };
    let of_hello = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
    let input = "aGVsbG8=";
    assert_eq!(sum("sys/tools/hash", &json!({"input": input})), of_hello);
    assert_eq!(sum("sys/tools/hash/sha2-256", &json!({"input": input})), of_hello);
    let in_path = sum("sys/tools/hash/sha3-512", &json!({"input": input, "algorithm": "sha2-256"}));
    assert_eq!(in_path, sum("sys/tools/hash", &json!({"input": input, "algorithm": "sha3-512"})));
    let base64 = sum("sys/tools/hash", &json!({"input": input, "format": "base64"}));
    assert_eq!(base64, "LPJNul+wow4m6DsqxbninhsWHlwfp0JecwQzYpOLmCQ=");
}

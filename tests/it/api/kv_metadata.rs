use serde_json::{Map, Value, json};
use strongroom::engines::kv;
use strongroom::request::Operation::{self, Delete, List, Patch, Read, Update};

use crate::harness::{START, Server, data, line};

fn server() -> Server {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    server
}

fn send(server: &Server, operation: Operation, path: &str, params: &Value) -> String {
    line(server.send(operation, path, params, &server.root))
}

#[test]
fn settings_are_written_patched_and_told() {
    let server = server();
    let settings = r#"{"max_versions":"3","cas_required":"true","delete_version_after":"90m","custom_metadata":{"k":"v","n":5,"t":true}}"#;
    let told = |server: &Server| line(server.read("kv/metadata/m"));
    let settings: Value = serde_json::from_str(settings).unwrap();
    server.write("kv/metadata/m", &settings).unwrap();
    assert_eq!(
        told(&server),
        r#"200 {"cas_required":true,"created_time":"2023-11-14T22:13:20Z","current_version":0,"custom_metadata":{"k":"v","n":"5","t":"1"},"delete_version_after":"1h30m0s","max_versions":3,"oldest_version":0,"updated_time":"2023-11-14T22:13:20Z","versions":{}}"#
    );
    server.set_time(1);
    let cas = json!({"data": {}, "options": {"cas": 0}});
    let reply = data(server.write("kv/data/m", &cas).unwrap());
    assert_eq!(reply["custom_metadata"], json!({"k": "v", "n": "5", "t": "1"}));
    server.set_time(2);
    let patch = json!({"custom_metadata": {"k": null, "q": "w"}, "max_versions": 4});
    assert_eq!(send(&server, Patch, "kv/metadata/m", &patch), "204");
    assert_eq!(
        told(&server),
        r#"200 {"cas_required":true,"created_time":"2023-11-14T22:13:20Z","current_version":1,"custom_metadata":{"n":"5","q":"w","t":"1"},"delete_version_after":"1h30m0s","max_versions":4,"oldest_version":0,"updated_time":"2023-11-14T22:13:22Z","versions":{"1":{"created_time":"2023-11-14T22:13:21Z","deletion_time":"2023-11-14T23:43:21Z","destroyed":false}}}"#
    );
    // A write replaces all custom metadata, and leaves what it does not name.
    server.write("kv/metadata/m", &json!({"custom_metadata": {"only": "one"}})).unwrap();
    let metadata = data(server.read("kv/metadata/m").unwrap());
    assert_eq!(metadata["custom_metadata"], json!({"only": "one"}));
    assert_eq!(metadata["max_versions"], 4);
    for (operation, cleared) in [(Update, json!(null)), (Update, json!({})), (Patch, json!(null))] {
        server.write("kv/metadata/m", &json!({"custom_metadata": {"a": "b"}})).unwrap();
        send(&server, operation, "kv/metadata/m", &json!({"custom_metadata": cleared}));
        let metadata = data(server.read("kv/metadata/m").unwrap());
        assert_eq!(metadata["custom_metadata"], Value::Null, "{operation:?} {cleared}");
    }
    let nulls = json!({"max_versions": null, "cas_required": null, "delete_version_after": null});
    send(&server, Patch, "kv/metadata/m", &nulls);
    let metadata = data(server.read("kv/metadata/m").unwrap());
    let reset = (json!(0), json!(false), json!("0s"));
    let told = ["max_versions", "cas_required", "delete_version_after"].map(|f| &metadata[f]);
    assert_eq!(told, [&reset.0, &reset.1, &reset.2]);
}

#[test]
fn custom_metadata_is_bounded() {
    const FAILED: &str = "400 1 error occurred:\n\t* custom_metadata validation failed: ";
    let server = server();
    let long = |length: usize| "a".repeat(length);
    let many = |count: usize| {
        Value::Object(Map::from_iter((0..count).map(|i| (format!("k{i}"), json!("v")))))
    };
    let (key, value) = (long(129), long(513));
    for (custom, wrong) in [
        (json!({ long(128): long(512) }), String::new()),
        (many(64), String::new()),
        (json!({"é": "日 本"}), String::new()),
        (many(65), format!("{FAILED}payload must contain at most 64 keys, provided 65\n\n")),
        (
            json!({ key.clone(): "v" }),
            format!("{FAILED}length of key {key:?} is 129 but must be 0 < len(key) <= 128\n\n"),
        ),
        (
            json!({"": "v"}),
            format!("{FAILED}length of key \"\" is 0 but must be 0 < len(key) <= 128\n\n"),
        ),
        (
            json!({"a": value}),
            format!(
                "{FAILED}length of value for key \"a\" is 513 but must be 0 < len(value) <= 512\n\n"
            ),
        ),
        (
            json!({"a": ""}),
            format!(
                "{FAILED}length of value for key \"a\" is 0 but must be 0 < len(value) <= 512\n\n"
            ),
        ),
        (
            json!({"a": "x\u{7}y"}),
            format!("{FAILED}value for key \"a\" contains unprintable characters\n\n"),
        ),
        (
            json!({"a": [1]}),
            "400 custom_metadata validation failed: value for key \"a\" is not a string".into(),
        ),
        (
            json!("zz"),
            "400 error converting input for field \"custom_metadata\": expected a map of strings"
                .into(),
        ),
    ] {
        let answer = if wrong.is_empty() { "204".into() } else { wrong };
        let body = json!({ "custom_metadata": custom });
        assert_eq!(send(&server, Update, "kv/metadata/m", &body), answer, "{custom}");
    }
    // Added to what is there, a patch may not pass the limit either.
    server.write("kv/metadata/m", &json!({"custom_metadata": many(64)})).unwrap();
    let patch = json!({"custom_metadata": {"more": "v"}});
    assert!(send(&server, Patch, "kv/metadata/m", &patch).contains("at most 64 keys, provided 65"));
    let negative = json!({"delete_version_after": "-1s"});
    let answer = "400 error converting input for field \"delete_version_after\": cannot provide \
                  negative value '-1'";
    assert_eq!(send(&server, Update, "kv/metadata/m", &negative), answer);
}

#[test]
fn list_can_be_read_in_parts_and_in_detail() {
    let server = server();
    for path in ["a", "b", "b/c", "d/e"] {
        server.write(&format!("kv/data/{path}"), &json!({"data": {}})).unwrap();
    }
    for (params, keys) in [
        (json!({}), r#"["a","b","b/","d/"]"#),
        (json!({"after": "b"}), r#"["b/","d/"]"#),
        (json!({"after": "a", "limit": "2"}), r#"["b","b/"]"#),
        (json!({"limit": -1}), r#"["a","b","b/","d/"]"#),
    ] {
        let answer = format!("200 {{\"keys\":{keys}}}");
        assert_eq!(send(&server, List, "kv/metadata/", &params), answer, "{params}");
    }
    assert_eq!(send(&server, List, "kv/metadata/", &json!({"after": "d/"})), "204");
    let reply = server.send(List, "kv/detailed-metadata/", &json!({"after": "a"}), &server.root);
    let detailed = data(reply.unwrap());
    assert_eq!(detailed["keys"], json!(["b", "b/", "d/"]));
    assert_eq!(detailed["key_info"]["b/"], json!({}));
    assert_eq!(
        detailed["key_info"]["b"],
        Value::Object(data(server.read("kv/metadata/b").unwrap()))
    );
    let reply = server.send(List, "kv/detailed-metadata/b/", &json!({}), &server.root);
    let detailed = data(reply.unwrap());
    assert_eq!(
        detailed["key_info"]["c"],
        Value::Object(data(server.read("kv/metadata/b/c").unwrap()))
    );
    assert_eq!(send(&server, List, "kv/detailed-metadata/x/", &json!({})), "204");
}

/// A version 1 mount with three secrets, upgraded a minute after the start.
fn upgraded() -> Server {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    for (path, value) in [("a", 1), ("a/b", 2), ("c", 3)] {
        server.write(&format!("kv/{path}"), &json!({ "v": value })).unwrap();
    }
    server.set_time(60);
    server.change("root/logical/uuid-kv/", |scope| {
        kv::upgrade(scope, strongroom::clock::Timestamp(START.0 + 60_000)).unwrap();
    });
    server.mount("kv/", "kv", &[("version", "2")]);
    server
}

#[test]
fn upgraded_mount_shows_each_secret_as_its_first_version() {
    let server = upgraded();
    let first = r#"{"created_time":"2023-11-14T22:14:20Z","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}"#;
    let read = format!(r#"200 {{"data":{{"v":1}},"metadata":{first}}}"#);
    assert_eq!(line(server.read("kv/data/a")), read);
    assert_eq!(line(server.list("kv/metadata/")), r#"200 {"keys":["a","a/","c"]}"#);
    assert_eq!(line(server.list("kv/metadata/a/")), r#"200 {"keys":["b"]}"#);
    let metadata = data(server.read("kv/metadata/a").unwrap());
    assert_eq!(metadata["current_version"], 1);
    assert_eq!(line(server.read("kv/data/none")), "404");
    let cas = json!({"data": {"v": 9}, "options": {"cas": 0}});
    assert!(line(server.write("kv/data/a", &cas)).contains("did not match"));
    assert_eq!(line(server.read("kv/data/a")), read, "a refused write leaves it in place");
    for version in 2..=3 {
        let reply = server.write("kv/data/a", &json!({"data": {"v": version * 10}})).unwrap();
        assert_eq!(data(reply)["version"], version);
    }
    let old = server.send(Read, "kv/data/a", &json!({"version": 1}), &server.root);
    assert_eq!(line(old), read);
    assert_eq!(line(server.list("kv/metadata/")), r#"200 {"keys":["a","a/","c"]}"#);
}

#[test]
fn whatever_writes_first_moves_an_upgraded_secret() {
    let states = ["kv/data/c", "kv/metadata/c"].map(String::from);
    for (operation, path, body, then) in [
        (Delete, "kv/data/c", json!({}), "404 {\"data\":null"),
        (Update, "kv/delete/c", json!({"versions": 1}), "404 {\"data\":null"),
        (Update, "kv/destroy/c", json!({"versions": 1}), "404 {\"data\":null"),
        (Update, "kv/metadata/c", json!({"max_versions": 1}), "200 {\"data\":{\"v\":3}"),
        (Patch, "kv/metadata/c", json!({"max_versions": 1}), "200 {\"data\":{\"v\":3}"),
        (Patch, "kv/data/c", json!({"data": {"w": 4}}), "200 {\"data\":{\"v\":3,\"w\":4}"),
        (Update, "kv/data/c", json!({"data": {"w": 4}}), "200 {\"data\":{\"w\":4}"),
        (Delete, "kv/metadata/c", json!({}), "404"),
    ] {
        let server = upgraded();
        server.send(operation, path, &body, &server.root).unwrap();
        let [read, metadata] = states.each_ref().map(|path| line(server.read(path)));
        assert!(read.starts_with(then), "{operation:?} {path}: {read}");
        assert_eq!(metadata.starts_with("200"), then != "404", "{operation:?} {path}");
        server.change("root/logical/uuid-kv/", |scope| {
            assert!(!scope.list("secrets").unwrap().contains(&"c".to_owned()), "{path}");
            scope.put("probe", &()).unwrap();
        });
        server.delete("kv/metadata/c").unwrap();
        assert_eq!(line(server.read("kv/data/c")), "404", "{operation:?} {path}");
    }
}

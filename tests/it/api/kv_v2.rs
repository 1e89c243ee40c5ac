use std::fmt::Write as _;

use serde_json::{Value, json};
use strongroom::request::Operation::{self, Delete, List, Patch, Read, Update};

use crate::harness::{Server, data, line};

fn server() -> Server {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    server
}

/// Runs rows of operation, path below `kv/`, body and answer. In answers `@20` is the time of the
/// start, `@21` a second later.
fn run(server: &Server, rows: &[(Operation, &str, &str, &str)]) {
    for (operation, path, body, answer) in rows {
        let params: Value = serde_json::from_str(body).unwrap_or_default();
        let outcome = server.send(*operation, &format!("kv/{path}"), &params, &server.root);
        let got = line(outcome).replace("2023-11-14T22:13:", "@").replace("Z\"", "\"");
        assert_eq!(got, *answer, "{operation:?} {path} {body}");
    }
}

#[test]
fn write_read_list_and_delete() {
    let server = server();
    run(
        &server,
        &[
            (Read, "data/a", "", "404"),
            (
                Update,
                "data/a",
                r#"{"data":{"x":1.10,"n":12345678901234567890}}"#,
                r#"200 {"created_time":"@20","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}"#,
            ),
            (
                Read,
                "data/a",
                "",
                r#"200 {"data":{"x":1.10,"n":12345678901234567890},"metadata":{"created_time":"@20","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}}"#,
            ),
            (Read, "data/a", r#"{"version":"2"}"#, "404"),
            (List, "metadata", "", r#"200 {"keys":["a"]}"#),
            (List, "metadata/", "", r#"200 {"keys":["a"]}"#),
            (List, "metadata/b/", "", "204"),
            (Delete, "data/a", "", "204"),
            (
                Read,
                "data/a",
                "",
                r#"404 {"data":null,"metadata":{"created_time":"@20","custom_metadata":null,"deletion_time":"@20","destroyed":false,"version":1}}"#,
            ),
            (Delete, "data/a", "", "204"),
            (Delete, "data/none", "", "204"),
            (List, "metadata/", "", r#"200 {"keys":["a"]}"#),
            (Delete, "metadata/a", "", "204"),
            (Delete, "metadata/a", "", "204"),
            (Read, "metadata/a", "", "404"),
            (List, "metadata/", "", "204"),
        ],
    );
}

/// As told by OpenBao 2.7.2, but for the program's name.
#[test]
fn wrong_input_is_told_as_vault_tells_it() {
    const SLASH: &str = "400 cannot write to a path ending in '/'";
    const ROOT: &str =
        "404 ! Non-listing operations on the root of a K/V v2 mount are not supported.";
    const NO_OBJECT: &str = "400 error converting input for field \"data\": expected an object";
    let server = server();
    run(
        &server,
        &[
            (Update, "data/a", "", "400 no data provided"),
            (Update, "data/a", r#"{"options":{"cas":0}}"#, "400 no data provided"),
            (Update, "data/a", r#"{"data":"x"}"#, NO_OBJECT),
            (Update, "data/a", r#"{"data":"{\"q\":1}"}"#, NO_OBJECT),
            (Update, "data/a", r#"{"data":[1]}"#, NO_OBJECT),
            (
                Update,
                "data/a",
                r#"{"data":{},"options":"cas"}"#,
                "400 error converting input for field \"options\": expected an object",
            ),
            (Update, "data/a/", r#"{"data":{}}"#, SLASH),
            (Update, "data/", r#"{"data":{}}"#, SLASH),
            (Patch, "data/", r#"{"data":{}}"#, SLASH),
            (Update, "metadata/", r#"{"max_versions":1}"#, SLASH),
            (Update, "metadata/a/", r#"{"max_versions":1}"#, SLASH),
            (Update, "delete/", r#"{"versions":[1]}"#, SLASH),
            (Read, "data/", "", "404"),
            (Read, "data/a/", "", "404"),
            (Read, "metadata/", "", "404"),
            (Read, "subkeys/", "", "404"),
            (Delete, "data/", "", "204"),
            (Delete, "metadata/", "", "204"),
            (Read, "data", "", ROOT),
            (Update, "data", r#"{"data":{}}"#, ROOT),
            (Patch, "data", r#"{"data":{}}"#, ROOT),
            (Delete, "data", "", ROOT),
            (Read, "metadata", "", ROOT),
            (Update, "undelete", r#"{"versions":[1]}"#, ROOT),
            (Update, "delete/a", "{}", "400 No version number provided"),
            (Update, "undelete/a", r#"{"versions":[]}"#, "400 No version number provided"),
            (Update, "destroy/a", r#"{"versions":""}"#, "400 No version number provided"),
            (
                Update,
                "destroy/a",
                r#"{"versions":["x"]}"#,
                "400 Field validation failed: error converting input for field \"versions\": \
                 expected a list of integers",
            ),
            (Update, "delete/a", r#"{"versions":[1]}"#, "204"),
            (Update, "undelete/a", r#"{"versions":[1]}"#, "204"),
            (Update, "destroy/a", r#"{"versions":[1]}"#, "204"),
            (Patch, "data/a", r#"{"data":{"a":1}}"#, "404"),
            (Patch, "metadata/a", r#"{"max_versions":1}"#, "404"),
            (List, "data/", "", "405"),
            (List, "subkeys/a/", "", "405"),
            (Read, "delete/a", "", "405"),
            (Delete, "destroy/a", "", "405"),
            (Read, "detailed-metadata/a", "", "405"),
            (Delete, "config", "", "405"),
            (
                Update,
                "metadata/a",
                r#"{"other":1}"#,
                "200 ! Endpoint ignored these unrecognized parameters: [other]",
            ),
            (Read, "metadata/a", "", "404"),
        ],
    );
}

#[test]
fn who_takes_the_mount_for_version_1_is_told_the_path() {
    let server = server();
    for (operation, path, command, right) in [
        (Read, "kv/foo/bar", "get", "kv/data/foo/bar"),
        (Read, "kv/config/x", "get", "kv/data/config/x"),
        (Read, "kv", "get", "kv/data/"),
        (Update, "kv/foo", "put", "kv/data/foo"),
        (Patch, "kv/foo", "patch", "kv/data/foo"),
        (Delete, "kv/foo", "delete", "kv/data/foo"),
        (List, "kv/foo/", "list", "kv/metadata/foo/"),
        (List, "kv/", "list", "kv/metadata/"),
    ] {
        let answer = format!(
            "404 ! Invalid path for a versioned K/V secrets engine. See the API docs for the \
             appropriate API endpoints to use. If using the Vault CLI, use 'vault kv {command}' \
             for this operation. ! The path on this mount is \"{right}\"."
        );
        let outcome = server.send(operation, path, &json!({"a": 1}), &server.root);
        assert_eq!(line(outcome), answer, "{operation:?} {path}");
    }
}

#[test]
fn check_and_set() {
    const MISMATCH: &str = "400 check-and-set parameter did not match the current version";
    const REQUIRED: &str = "400 check-and-set parameter required for this call";
    const UNREADABLE: &str = "400 error parsing check-and-set parameter";
    let server = server();
    let write = |path: &str, options: &str| {
        let body = format!(r#"{{"data":{{"a":1}},"options":{options}}}"#);
        let body: Value = serde_json::from_str(&body).unwrap();
        match server.write(&format!("kv/data/{path}"), &body) {
            Ok(reply) => data(reply)["version"].to_string(),
            error => line(error),
        }
    };
    for (path, options, answer) in [
        ("a", r#"{"cas":1}"#, MISMATCH),
        ("a", r#"{"cas":0}"#, "1"),
        ("a", r#"{"cas":0}"#, MISMATCH),
        ("a", r#"{"cas":null}"#, MISMATCH),
        ("a", r#"{"cas":"1"}"#, "2"),
        ("a", r#"{"cas":-1}"#, MISMATCH),
        ("a", r#"{"cas":1.5}"#, UNREADABLE),
        ("a", r#"{"cas":"two"}"#, UNREADABLE),
        ("a", r#"{"cas":[2]}"#, UNREADABLE),
        ("a", "{}", "3"),
    ] {
        assert_eq!(write(path, options), answer, "{path} {options}");
    }
    server.delete("kv/data/a").unwrap();
    assert_eq!(write("a", r#"{"cas":0}"#), MISMATCH, "a deleted version is still the current one");
    server.write("kv/metadata/b", &json!({"cas_required": "true"})).unwrap();
    assert_eq!(write("b", "{}"), REQUIRED);
    assert_eq!(write("b", r#"{"cas":0}"#), "1");
    let patched = server.send(Patch, "kv/data/b", &json!({"data": {"a": 2}}), &server.root);
    assert_eq!(line(patched), REQUIRED);
    assert_eq!(write("c", "{}"), "1");
    server.write("kv/config", &json!({"cas_required": true})).unwrap();
    assert_eq!(write("c", "{}"), REQUIRED);
    assert_eq!(write("c", r#"{"cas":1}"#), "2");
}

#[test]
fn two_writers_with_the_same_cas_cannot_both_win() {
    let server = server();
    let body = json!({"data": {"a": 1}, "options": {"cas": 0}});
    let writers = (0..8).map(|_| server.start(Update, "kv/data/a", &body, &server.root));
    let outcomes = server.block_on(futures_util::future::join_all(writers));
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
}

#[test]
fn versions_come_and_go() {
    let server = server();
    for version in 1..=4 {
        server.write("kv/data/a", &json!({"data": {"v": version}})).unwrap();
    }
    let states = |server: &Server| {
        let metadata = data(server.read("kv/metadata/a").unwrap());
        let mut states = String::new();
        for (number, version) in metadata["versions"].as_object().unwrap() {
            let deleted = if version["deletion_time"] == "" { "" } else { "-" };
            let destroyed = if version["destroyed"] == false { "" } else { "x" };
            let read = server.send(Read, "kv/data/a", &json!({"version": number}), &server.root);
            let value = read.map_or(Value::Null, |reply| data(reply)["data"]["v"].clone());
            write!(states, "{number}{deleted}{destroyed}={value} ").unwrap();
        }
        states.trim_end().to_owned()
    };
    for (path, versions, after) in [
        ("delete", json!([1, "2", 99, -1, 0]), "1-=null 2-=null 3=3 4=4"),
        ("undelete", json!("1,3"), "1=1 2-=null 3=3 4=4"),
        ("destroy", json!(3), "1=1 2-=null 3x=null 4=4"),
        ("undelete", json!([2, 3]), "1=1 2=2 3x=null 4=4"),
        ("delete", json!(["3", "4"]), "1=1 2=2 3x=null 4-=null"),
        ("destroy", json!("4"), "1=1 2=2 3x=null 4-x=null"),
        ("undelete", json!("4"), "1=1 2=2 3x=null 4-x=null"),
    ] {
        let outcome = server.write(&format!("kv/{path}/a"), &json!({ "versions": versions }));
        assert_eq!(line(outcome), "204", "{path} {versions}");
        assert_eq!(states(&server), after, "{path} {versions}");
    }
}

#[test]
fn what_changes_nothing_writes_nothing() {
    let server = server();
    server.write("kv/data/a", &json!({"data": {}})).unwrap();
    server.delete("kv/data/a").unwrap();
    server.write("kv/data/b", &json!({"data": {}})).unwrap();
    let entries = server.entries();
    run(
        &server,
        &[
            (Delete, "data/a", "", "204"),
            (Update, "delete/a", r#"{"versions":[1]}"#, "204"),
            (Update, "undelete/a", r#"{"versions":[7]}"#, "204"),
            (Update, "destroy/a", r#"{"versions":[7]}"#, "204"),
            (Update, "metadata/a", "{}", "204"),
            (Patch, "metadata/a", "{}", "204"),
            (Delete, "metadata/none", "", "204"),
        ],
    );
    assert_eq!(server.entries(), entries);
}

#[test]
fn oldest_versions_are_pruned() {
    let server = server();
    let numbers = |path: &str| {
        let metadata = data(server.read(&format!("kv/metadata/{path}")).unwrap());
        let versions = metadata["versions"].as_object().unwrap();
        let numbers: Vec<&str> = versions.keys().map(String::as_str).collect();
        format!("{} from {}", numbers.join(","), metadata["oldest_version"])
    };
    let write = |path: &str, times: usize| {
        for _ in 0..times {
            server.write(&format!("kv/data/{path}"), &json!({"data": {}})).unwrap();
        }
    };
    write("a", 9);
    assert_eq!(numbers("a"), "1,2,3,4,5,6,7,8,9 from 0");
    write("a", 1);
    assert_eq!(numbers("a"), "1,2,3,4,5,6,7,8,9,10 from 1");
    write("a", 2);
    assert_eq!(numbers("a"), "3,4,5,6,7,8,9,10,11,12 from 3");
    server.write("kv/config", &json!({"max_versions": 4})).unwrap();
    write("a", 1);
    assert_eq!(numbers("a"), "10,11,12,13 from 10");
    server.write("kv/metadata/a", &json!({"max_versions": "2"})).unwrap();
    assert_eq!(numbers("a"), "10,11,12,13 from 10", "pruned with the next write");
    write("a", 1);
    assert_eq!(numbers("a"), "13,14 from 13");
    server.write("kv/metadata/a", &json!({"max_versions": 6})).unwrap();
    write("a", 6);
    assert_eq!(numbers("a"), "15,16,17,18,19,20 from 15", "a secret's own limit may be larger");
    for max in [-1, 100_001] {
        let answer = "400 max_versions must be from 0 to 100000";
        for path in ["kv/config", "kv/metadata/a"] {
            assert_eq!(line(server.write(path, &json!({ "max_versions": max }))), answer);
        }
    }
}

#[test]
fn data_of_pruned_destroyed_and_purged_versions_is_gone() {
    let server = server();
    let records = || {
        let mut names = Vec::new();
        server.change("root/logical/uuid-kv/", |scope| {
            names = scope.list("versions").unwrap();
            scope.put("probe", &names.len()).unwrap();
        });
        names.len()
    };
    server.write("kv/metadata/a", &json!({"max_versions": 3})).unwrap();
    for _ in 0..5 {
        server.write("kv/data/a", &json!({"data": {}})).unwrap();
    }
    assert_eq!(records(), 3);
    server.write("kv/destroy/a", &json!({"versions": [4]})).unwrap();
    assert_eq!(records(), 2);
    server.write("kv/delete/a", &json!({"versions": [5]})).unwrap();
    assert_eq!(records(), 2);
    server.delete("kv/metadata/a").unwrap();
    assert_eq!(records(), 0);
}

#[test]
fn versions_delete_themselves() {
    let server = server();
    let write = |path: &str| {
        let reply = server.write(&format!("kv/data/{path}"), &json!({"data": {"a": 1}}));
        data(reply.unwrap())["deletion_time"].as_str().unwrap().replace("2023-11-14T22:", "")
    };
    for (mount, secret, deletion) in [
        (json!("0s"), json!(0), ""),
        (json!("0s"), json!("10s"), "13:30Z"),
        (json!(20), json!(0), "13:40Z"),
        (json!(20), json!("10"), "13:30Z"),
        (json!(20), json!("1m"), "13:40Z"),
        (json!("-1s"), json!("10s"), ""),
    ] {
        server.write("kv/config", &json!({ "delete_version_after": mount })).unwrap();
        server.write("kv/metadata/a", &json!({ "delete_version_after": secret })).unwrap();
        assert_eq!(write("a"), deletion, "mount {mount}, secret {secret}");
    }
    server.write("kv/config", &json!({"delete_version_after": "5s"})).unwrap();
    assert_eq!(write("b"), "13:25Z");
    server.set_time(4);
    assert!(line(server.read("kv/data/b")).starts_with("200 {\"data\":{\"a\":1},"));
    server.set_time(5);
    assert!(line(server.read("kv/data/b")).starts_with("404 {\"data\":null,"));
    assert!(line(server.read("kv/subkeys/b")).starts_with("404 {\"subkeys\":null,"));
    // Restored, it has as long again.
    server.write("kv/undelete/b", &json!({"versions": 1})).unwrap();
    let metadata = data(server.read("kv/metadata/b").unwrap());
    assert_eq!(metadata["versions"]["1"]["deletion_time"], "2023-11-14T22:13:30Z");
    assert!(line(server.read("kv/data/b")).starts_with("200 "));
    // One that will delete itself can be deleted before.
    server.delete("kv/data/b").unwrap();
    assert!(line(server.read("kv/data/b")).starts_with("404 "));
}

#[test]
fn config_keeps_what_is_not_given() {
    run(
        &server(),
        &[
            (
                Read,
                "config",
                "",
                r#"200 {"cas_required":false,"delete_version_after":"0s","max_versions":0}"#,
            ),
            (Update, "config", r#"{"max_versions":"5","delete_version_after":"90m"}"#, "204"),
            (Update, "config", r#"{"cas_required":"true"}"#, "204"),
            (Update, "config", "{}", "204"),
            (
                Read,
                "config",
                "",
                r#"200 {"cas_required":true,"delete_version_after":"1h30m0s","max_versions":5}"#,
            ),
            (Update, "config", r#"{"delete_version_after":90}"#, "204"),
            (
                Read,
                "config",
                "",
                r#"200 {"cas_required":true,"delete_version_after":"1m30s","max_versions":5}"#,
            ),
            (Update, "config", r#"{"delete_version_after":"-3s","cas_required":0}"#, "204"),
            (
                Read,
                "config",
                "",
                r#"200 {"cas_required":false,"delete_version_after":"-1s","max_versions":5}"#,
            ),
        ],
    );
}

#[test]
fn patch_merges_into_the_newest_version() {
    let server = server();
    let stored = r#"{"a":{"b":1.10,"c":[1],"e":{}},"z":12345678901234567890}"#;
    let body = format!(r#"{{"data":{stored}}}"#);
    run(
        &server,
        &[
            (
                Update,
                "data/a",
                &body,
                r#"200 {"created_time":"@20","custom_metadata":null,"deletion_time":"","destroyed":false,"version":1}"#,
            ),
            (Patch, "data/a", "{}", "400 no data provided"),
            (
                Patch,
                "data/a",
                r#"{"data":{"a":{"c":null,"n":1.0}},"options":{"cas":1}}"#,
                r#"200 {"created_time":"@20","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}"#,
            ),
            (
                Read,
                "data/a",
                "",
                r#"200 {"data":{"a":{"b":1.10,"e":{},"n":1.0},"z":12345678901234567890},"metadata":{"created_time":"@20","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}}"#,
            ),
            (
                Patch,
                "data/a",
                r#"{"data":{},"options":{"cas":1}}"#,
                "400 check-and-set parameter did not match the current version",
            ),
            (
                Read,
                "subkeys/a",
                r#"{"depth":1}"#,
                r#"200 {"subkeys":{"a":null,"z":null},"metadata":{"created_time":"@20","custom_metadata":null,"deletion_time":"","destroyed":false,"version":2}}"#,
            ),
            (Read, "subkeys/a", r#"{"version":3}"#, "404"),
            (Delete, "data/a", "", "204"),
            (
                Patch,
                "data/a",
                r#"{"data":{"a":1}}"#,
                r#"404 {"created_time":"@20","custom_metadata":null,"deletion_time":"@20","destroyed":false,"version":2}"#,
            ),
            (Update, "metadata/empty", r#"{"max_versions":1}"#, "204"),
            (Patch, "data/empty", r#"{"data":{"a":1}}"#, "404"),
            (Read, "data/empty", "", "404"),
        ],
    );
}

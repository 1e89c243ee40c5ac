use serde_json::{Value, json};
use strongroom::request::{Operation, Reply};

use crate::harness::{Server, data, line};

fn server() -> Server {
    let server = Server::new();
    server.mount("kv/", "kv", &[]);
    server
}

#[test]
fn every_operation_answers_as_vault() {
    use Operation::{Delete, List, Patch, Read, Update};
    let server = server();
    let exact = r#"{"x":1.10,"n":12345678901234567890,"o":{"b":[null,true]}}"#;
    for (operation, path, body, answer) in [
        (Read, "kv/a", "", "404".to_owned()),
        (Update, "kv/a", exact, "204".to_owned()),
        (Read, "kv/a", "", format!("200 {exact}")),
        (Update, "kv/a", "{}", "400 missing data fields".to_owned()),
        (Update, "kv/a/", r#"{"a":1}"#, "400 cannot write to a path ending in '/'".to_owned()),
        (Update, "kv/", r#"{"a":1}"#, "400 cannot write to a path ending in '/'".to_owned()),
        (Read, "kv/a/", "", "404".to_owned()),
        (Read, "kv", "", "404".to_owned()),
        (Read, "kv/", "", "404".to_owned()),
        (Update, "kv/a/b", r#"{"path":"own","":1}"#, "204".to_owned()),
        (Read, "kv/a/b", "", r#"200 {"path":"own","":1}"#.to_owned()),
        (List, "kv/", "", r#"200 {"keys":["a","a/"]}"#.to_owned()),
        (List, "kv/a/", "", r#"200 {"keys":["b"]}"#.to_owned()),
        (List, "kv/none/", "", "204".to_owned()),
        (Patch, "kv/a", r#"{"a":1}"#, "405".to_owned()),
        (Delete, "kv/a/", "", "204".to_owned()),
        (Delete, "kv/a", "", "204".to_owned()),
        (Delete, "kv/a", "", "204".to_owned()),
        (Read, "kv/a", "", "404".to_owned()),
        (List, "kv/", "", r#"200 {"keys":["a/"]}"#.to_owned()),
    ] {
        let params: Value = serde_json::from_str(body).unwrap_or_default();
        let outcome = server.send(operation, path, &params, &server.root);
        assert_eq!(line(outcome), answer, "{operation:?} {path} {body}");
    }
}

#[test]
fn secret_may_tell_how_long_it_lives() {
    let server = server();
    for (secret, seconds) in [
        (json!({"a": 1}), 2_764_800),
        (json!({"ttl": "1h"}), 3600),
        (json!({"ttl": 60}), 60),
        (json!({"lease": "30"}), 30),
        (json!({"ttl": "soon"}), 2_764_800),
        (json!({"ttl": "-5"}), 2_764_800),
    ] {
        server.write("kv/a", &secret).unwrap();
        let Reply { lease, .. } = server.read("kv/a").unwrap();
        let lease = lease.unwrap();
        assert_eq!(lease.ttl.as_secs(), seconds, "{secret}");
        assert!(lease.id.is_empty() && !lease.renewable, "{secret}");
    }
}

#[test]
fn first_write_is_a_create() {
    let server = server();
    for _ in 0..2 {
        server.write("kv/a", &json!({"a": 1})).unwrap();
    }
    let lines = server.audited();
    assert_eq!(
        lines,
        ["create kv/a: allowed", "replied", "update kv/a: allowed", "replied"].map(String::from)
    );
}

#[test]
fn mounts_do_not_see_each_other() {
    let server = server();
    server.mount("other/", "kv", &[("version", "1")]);
    server.write("kv/a", &json!({"a": 1})).unwrap();
    assert_eq!(line(server.read("other/a")), "404");
    assert_eq!(line(server.list("other/")), "204");
}

#[test]
fn numbers_come_back_as_they_were_written_down_to_the_sign_of_zero() {
    let server = Server::new();
    server.mount("one/", "kv", &[]);
    server.mount("two/", "kv", &[("version", "2")]);
    let numbers = r#"{"a":-0,"b":-0.0,"c":1.10,"d":1e+400,"e":12345678901234567890123,"f":[-0]}"#;
    let given: Value = serde_json::from_str(numbers).unwrap();
    assert_eq!(given.to_string(), numbers, "the test itself loses none");
    server.write("one/n", &given).unwrap();
    server.write("two/data/n", &json!({ "data": given })).unwrap();
    let read = data(server.read("one/n").unwrap());
    assert_eq!(Value::Object(read).to_string(), numbers);
    assert_eq!(data(server.read("two/data/n").unwrap())["data"].to_string(), numbers);
}

use serde_json::Value;
use strongroom::request::Operation::{self, Delete, List, Read, Update};

use crate::harness::{Server, line};

fn server() -> Server {
    let server = Server::new();
    server.mount("kv/", "kv", &[("version", "2")]);
    server
}

/// Runs rows of operation, path below `kv/`, body and answer. `@N` stands for the time N seconds
/// after the start.
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

use serde_json::json;

use crate::harness::{Server, data, line};

#[test]
fn cors_is_switched_on_by_writing_and_off_by_deleting() {
    let server = Server::new();
    let path = "sys/config/cors";
    assert_eq!(line(server.read(path)), r#"200 {"enabled":false}"#);
    let written = json!({"allowed_origins": "http://a.example, http://b.example"});
    assert_eq!(line(server.write(path, &written)), "204");
    let read = data(server.read(path).unwrap());
    assert_eq!(read["enabled"], true);
    assert_eq!(read["allowed_origins"], json!(["http://a.example", "http://b.example"]));
    let headers = read["allowed_headers"].as_array().unwrap();
    assert!(headers.contains(&json!("X-Vault-Token")), "{headers:?}");
    let written = json!({"allowed_origins": ["*"], "allowed_headers": ["X-Custom"]});
    assert_eq!(line(server.write(path, &written)), "204");
    let read = data(server.read(path).unwrap());
    assert!(read["allowed_headers"].as_array().unwrap().contains(&json!("X-Custom")));
    assert_eq!(line(server.delete(path)), "204");
    assert_eq!(line(server.read(path)), r#"200 {"enabled":false}"#);
}

#[test]
fn origins_and_headers_that_no_browser_sends_are_refused() {
    let server = Server::new();
    for (params, expected) in [
        (json!({}), "400 at least one origin or the wildcard must be provided"),
        (json!({"allowed_origins": ["", " "]}), "400 at least one origin"),
        (json!({"allowed_origins": ["*", "http://a.example"]}), "400 to allow all origins"),
        (json!({"allowed_origins": ["a.example"]}), "400 \"a.example\" is no origin"),
        (json!({"allowed_origins": ["http://a\nb"]}), "400 \"http://a\\nb\" is no origin"),
        (
            json!({"allowed_origins": "*", "allowed_headers": ["a b"]}),
            "400 \"a b\" is no name of a header",
        ),
        (json!({"allowed_origins": vec!["http://a"; 101]}), "400 more than 100"),
    ] {
        let refused = line(server.write("sys/config/cors", &params));
        assert!(refused.starts_with(expected), "{params}: {refused}");
    }
    assert_eq!(server.entries(), 1);
}

#[test]
fn headers_of_the_user_interface_are_kept() {
    let server = Server::new();
    let path = "sys/config/ui/headers/X-A";
    assert_eq!(line(server.list("sys/config/ui/headers")), "204");
    assert_eq!(line(server.read(path)), "404");
    let written = server.write(path, &json!({"values": ["a", "b"]})).unwrap();
    assert_eq!(written.status, Some(200), "as in OpenBao");
    assert_eq!(line(server.read("sys/config/ui/headers/x-a")), r#"200 {"value":"a"}"#);
    let all = server.send(
        strongroom::request::Operation::Read,
        path,
        &json!({"multivalue": "true"}),
        &server.root,
    );
    assert_eq!(line(all), r#"200 {"values":["a","b"]}"#);
    assert_eq!(line(server.list("sys/config/ui/headers")), r#"200 {"keys":["X-A"]}"#);
    let policy = "sys/config/ui/headers/Content-Security-Policy";
    let written = server.write(policy, &json!({"values": "default-src 'none'"})).unwrap();
    assert_eq!(written.warnings.len(), 1);
    for _ in 0..2 {
        assert_eq!(line(server.delete(path)), "204");
    }
    assert_eq!(line(server.read(path)), "404");
    for (name, params, expected) in [
        ("X-B", json!({}), "400 header and values must be specified"),
        ("X-Vault-A", json!({"values": "a"}), "400 X-Vault headers cannot be set"),
        ("a b", json!({"values": "a"}), "400 \"a b\" is no name of a header"),
        ("X-B", json!({"values": "a\r\nSet-Cookie: b"}), "400 the values of a header"),
        ("X-B", json!({"values": "a".repeat(9000)}), "400 the values of a header"),
    ] {
        let refused = line(server.write(&format!("sys/config/ui/headers/{name}"), &params));
        assert!(refused.starts_with(expected), "{name} {params}: {refused}");
    }
}

//! What stands on the wire.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};
use strongroom::http::{Cors, CorsPolicy, ResponseHeaders};

use super::harness::Server;

#[tokio::test]
async fn every_answer_has_the_common_headers() {
    let server = Server::start(|_| {}).await;
    for (target, status) in [
        ("/v1/a", 200),
        ("/v1/denied", 403),
        ("/v1/empty", 404),
        ("/nowhere", 404),
        ("/", 404),
        ("/ui", 404),
        ("/v1", 404),
        ("/v1/a//b", 307),
        ("/v1/a?list=maybe", 400),
        ("/v1/%00", 400),
    ] {
        let response = server.get(target).await;
        assert_eq!(response.status, status, "{target}");
        for (name, value) in [
            ("cache-control", "no-store"),
            ("content-type", "application/json"),
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
        ] {
            assert_eq!(response.header(name), Some(value), "{target}: {response:?}");
        }
        if status == 404 {
            assert_eq!(response.body, "{\"errors\":[]}\n", "{target}");
        }
    }
    let response =
        server.raw("POST /v1/empty HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").await;
    assert_eq!((response.status, response.body.as_str()), (204, ""));
    assert_eq!(response.header("content-type"), Some("application/json"));
    let response = server.get("/robots.txt").await;
    assert_eq!((response.status, response.body.as_str()), (200, "User-agent: *\nDisallow: /\n"));
}

#[tokio::test]
async fn a_request_reaches_the_handler_and_its_answer_the_client() {
    let server = Server::start(|_| {}).await;
    let body = r#"{"n":12345678901234567890}"#;
    let response = server
        .raw(format!(
            "POST /v1/kv/a%20b HTTP/1.1\r\nHost: x\r\nX-Vault-Token: t\r\nContent-Length: {}\r\n\
             X-Vault-Namespace: /root/\r\n\r\n{body}",
            body.len()
        ))
        .await;
    assert_eq!(response.status, 200);
    assert_eq!(response.header("x-vault-index"), Some("7"));
    assert_eq!(response.header("x-vault-namespace"), Some("/root/"));
    assert!(response.body.contains("12345678901234567890"), "{response:?}");
    let told = response.told();
    assert_eq!(told["operation"], "update");
    assert_eq!(told["path"], "kv/a b");
    assert_eq!(told["token"], "t");
    assert_eq!(told["certificates"], json!([]));
    assert_eq!(told["headers"]["x-vault-token"], Value::Null);
    assert!(told["remote"].as_str().unwrap().starts_with("127.0.0.1:"));
    assert_eq!(response.json()["request_id"].as_str().unwrap().len(), 36);

    let response = server.raw("LIST /v1/kv HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert_eq!(response.status, 404, "a list without keys: {response:?}");
    let response =
        server.raw("GET /v1/x HTTP/1.1\r\nHost: x\r\nX-Vault-Namespace: a\r\n\r\n").await;
    assert_eq!(response.told()["path"], "x");
    assert_eq!(response.header("x-vault-namespace"), Some("a"));
    let response =
        server.raw("GET /v1/x HTTP/1.1\r\nHost: x\r\nX-Vault-Namespace: ..\r\n\r\n").await;
    assert_eq!(response.json(), json!({ "errors": ["namespace not found"] }));
}

#[tokio::test]
async fn redirects_keep_the_query_and_the_leaders_is_told() {
    let server = Server::start(|_| {}).await;
    let response = server.get("/v1/a/../b//c?x=%2e&y").await;
    assert_eq!((response.status, response.header("location")), (307, Some("/v1/b/c?x=%2e&y")));
    let response = server.get("/v1/redirect").await;
    let expected = (307, Some("https://leader:8200/v1/redirect"), "");
    assert_eq!((response.status, response.header("location"), response.body.as_str()), expected);
}

#[tokio::test]
async fn a_handler_that_panics_is_an_internal_error_that_tells_nothing() {
    let server = Server::start(|_| {}).await;
    let response = server.get("/v1/panic").await;
    assert_eq!((response.status, response.json()), (500, json!({ "errors": ["internal error"] })));
    assert_eq!(server.get("/v1/a").await.status, 200);
}

#[tokio::test]
async fn what_passes_by_itself_says_when_to_come_back() {
    let server = Server::start(|_| {}).await;
    let response = server.get("/v1/unavailable").await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
}

#[tokio::test]
async fn a_head_has_no_body() {
    let server = Server::start(|_| {}).await;
    let mut client = server.connect();
    let text = super::harness::blocking(move || {
        client.send(b"HEAD /v1/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.rest()
    })
    .await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn custom_headers_go_by_status() {
    let one = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
    let headers = ResponseHeaders::default()
        .custom("default", &one("Strict-Transport-Security", "max-age=1"))
        .and_then(|headers| headers.custom("4xx", &one("X-Class", "client")))
        .and_then(|headers| headers.custom("404", &one("X-Class", "lost")))
        .and_then(|headers| headers.constant("X-Vault-Hostname", "node1"))
        .unwrap();
    let server = Server::start(|settings| settings.response_headers = headers).await;
    for (target, class) in
        [("/v1/a", None), ("/v1/denied", Some("client")), ("/nowhere", Some("lost"))]
    {
        let response = server.get(target).await;
        assert_eq!(response.header("x-class"), class, "{target}");
        assert_eq!(response.header("x-vault-hostname"), Some("node1"));
        assert_eq!(response.header("strict-transport-security"), Some("max-age=1"));
    }
    for (scope, name) in [("default", "X-Vault-Token"), ("6xx", "a"), ("99", "a"), ("404", "a b")] {
        let result = ResponseHeaders::default().custom(scope, &one(name, "v"));
        assert!(result.is_err(), "{scope} {name}");
    }
}

#[tokio::test]
async fn scripts_of_allowed_sites_may_ask() {
    let cors = Arc::new(Cors::default());
    let own = Arc::clone(&cors);
    let server = Server::start(|settings| settings.cors = own).await;
    let asks = async |method: &str, path: &str, headers: &str| {
        server.raw(format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}\r\n\r\n")).await
    };
    let origin = "Origin: https://a.example";
    let preflight = format!("{origin}\r\nAccess-Control-Request-Method: PUT");
    assert_eq!(asks("OPTIONS", "/v1/a", &preflight).await.status, 400);
    cors.set(CorsPolicy {
        enabled: true,
        allowed_origins: vec!["https://a.example".to_owned()],
        allowed_headers: vec!["X-Vault-Token".to_owned()],
    });
    let response = asks("OPTIONS", "/v1/a", &preflight).await;
    assert_eq!((response.status, response.body.as_str()), (200, ""));
    assert_eq!(response.header("access-control-allow-headers"), Some("X-Vault-Token"));
    // An error is readable by the script too.
    for (path, status) in [("/v1/a", 200), ("/v1/denied", 403)] {
        let response = asks("GET", path, origin).await;
        assert_eq!(response.status, status);
        assert_eq!(response.header("access-control-allow-origin"), Some("https://a.example"));
    }
    let response = asks("GET", "/v1/a", "Origin: https://b.example").await;
    assert_eq!(response.json(), json!({ "errors": ["origin not allowed"] }));
}

#[tokio::test]
async fn a_download_is_sent_as_it_comes() {
    let server = Server::start(|_| {}).await;
    let mut client = server.connect();
    let text = super::harness::blocking(move || {
        client.send(b"GET /v1/download HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        client.rest()
    })
    .await;
    assert!(text.starts_with("HTTP/1.1 200 OK\r\n"), "{text}");
    assert!(text.contains("content-type: application/gzip\r\n"), "{text}");
    assert!(text.ends_with("\r\n\r\n2\r\na,\r\n1\r\nb\r\n0\r\n\r\n"), "{text}");
}

#[tokio::test]
async fn a_body_that_is_no_parameters_is_handed_over_as_bytes() {
    let server = Server::start(|settings| settings.body_bytes_max = Some(4)).await;
    for (body, status) in [("[\x01{", 200), ("[\x01{}}", 413)] {
        let length = body.len();
        let response = server
            .raw(format!(
                "POST /v1/ocsp HTTP/1.1\r\nHost: x\r\nContent-Type: application/ocsp-request\r\n\
                 Content-Length: {length}\r\n\r\n{body}"
            ))
            .await;
        assert_eq!(response.status, status, "{response:?}");
        if status == 200 {
            assert_eq!(response.json(), json!({ "bytes": 3 }));
        }
    }
}

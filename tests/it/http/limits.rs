//! Size, time and number.

use std::time::Duration;

use serde_json::json;

use super::harness::{Server, blocking};

#[tokio::test]
async fn a_body_beyond_the_limit_is_refused_by_its_length_or_as_it_comes() {
    let server = Server::start(|settings| settings.body_bytes_max = Some(10)).await;
    let too_large = json!({ "errors": ["http: request body too large"] });
    for (request, status) in [
        ("POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n{\"a\":1234}", 200),
        ("POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 11\r\n\r\n", 413),
        (
            "POST /v1/a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n{\"a\":12345}\r\n",
            413,
        ),
        (
            "POST /v1/upload HTTP/1.1\r\nHost: x\r\nContent-Length: 20\r\n\r\n12345678901234567890",
            200,
        ),
    ] {
        let response = server.raw(request).await;
        assert_eq!(response.status, status, "{request}");
        if status == 413 {
            assert_eq!(response.json(), too_large);
            assert_eq!(response.header("connection"), Some("close"));
        }
    }
}

#[tokio::test]
async fn an_upload_is_handed_over_unread() {
    let server = Server::start(|_| {}).await;
    let response = server
        .raw(
            "PUT /v1/upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n\
              3\r\n{[x\r\n2\r\nab\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!((response.status, response.body.as_str()), (200, "{\"bytes\":5}\n"));
}

#[tokio::test]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let server =
        Server::start(|settings| settings.body_timeout = Some(Duration::from_millis(50))).await;
    let response = server.raw("POST /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n{").await;
    assert_eq!((response.status, response.header("connection")), (408, Some("close")));
}

#[tokio::test]
async fn a_head_that_does_not_come_ends_the_connection() {
    let server = Server::start(|settings| {
        settings.header_timeout = Some(Duration::from_millis(50));
        settings.idle_timeout = None;
    })
    .await;
    for begun in ["", "G", "GET /v1/a HTTP/1.1\r\nHost:"] {
        let mut client = server.connect();
        let rest = blocking(move || {
            client.send(begun.as_bytes());
            client.rest()
        })
        .await;
        assert_eq!(rest, "", "{begun}");
    }
    // And so does the second head of a connection.
    let mut client = server.connect();
    let rest = blocking(move || {
        client.send(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().status, 200);
        client.send(b"GET /v1/a HT");
        client.rest()
    })
    .await;
    assert_eq!(rest, "");
}

#[tokio::test]
async fn idling_has_its_own_clock() {
    let server = Server::start(|settings| {
        settings.header_timeout = Some(Duration::from_secs(600));
        settings.idle_timeout = Some(Duration::from_millis(50));
    })
    .await;
    let mut client = server.connect();
    let rest = blocking(move || {
        client.send(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(client.response().status, 200);
        client.rest()
    })
    .await;
    assert_eq!(rest, "");
}

#[tokio::test]
async fn a_request_at_work_is_not_idle() {
    let mut server = Server::start(|settings| {
        settings.header_timeout = Some(Duration::from_millis(20));
        settings.idle_timeout = Some(Duration::from_millis(20));
    })
    .await;
    let mut client = server.connect();
    client.send(b"GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(server.events.recv().await, Some("begun"));
    // Connections that came later are closed: the limits have passed.
    for _ in 0..2 {
        let mut later = server.connect();
        assert_eq!(blocking(move || later.rest()).await, "");
    }
    server.gate.add_permits(1);
    assert_eq!(blocking(move || client.response().status).await, 200);
}

#[tokio::test]
async fn a_head_beyond_the_limit_is_refused() {
    let server = Server::start(|settings| settings.header_bytes_max = 8192).await;
    let long = "x".repeat(9000);
    let response =
        server.raw(format!("GET /v1/a HTTP/1.1\r\nHost: x\r\nX-Long: {long}\r\n\r\n")).await;
    assert_eq!(response.status, 431);
}

#[tokio::test]
async fn connections_beyond_the_limit_are_refused_clearly() {
    let server = Server::start(|settings| settings.connections_max = 1).await;
    let mut first = server.connect();
    let first = blocking(move || {
        first.send(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(first.response().status, 200);
        first
    })
    .await;
    let mut second = server.connect();
    let (response, rest) = blocking(move || (second.response(), second.rest())).await;
    assert_eq!((response.status, rest.as_str()), (503, ""));
    assert_eq!(response.json(), json!({ "errors": ["too many connections"] }));
    assert_eq!(response.header("retry-after"), Some("1"));
    drop(first);
}

#[tokio::test]
async fn requests_beyond_the_limit_are_refused_clearly() {
    let mut server = Server::start(|settings| settings.requests_max = 1).await;
    let mut first = server.connect();
    first.send(b"GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(server.events.recv().await, Some("begun"));
    let response = server.get("/v1/a").await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    server.gate.add_permits(1);
    assert_eq!(blocking(move || first.response().status).await, 200);
    assert_eq!(server.get("/v1/a").await.status, 200);
}

#[tokio::test]
async fn a_request_beyond_its_deadline_is_answered_and_runs_on() {
    let mut server =
        Server::start(|settings| settings.request_deadline = Some(Duration::from_millis(20))).await;
    let response = server.get("/v1/wait").await;
    assert_eq!((response.status, response.header("retry-after")), (503, Some("1")));
    assert!(response.body.contains("deadline"), "{response:?}");
    assert_eq!(server.events.recv().await, Some("begun"));
    server.gate.add_permits(1);
    assert_eq!(server.events.recv().await, Some("ended"));
}

#[tokio::test]
async fn json_beyond_its_limits_is_refused() {
    let server = Server::start(|settings| settings.json.strings_max = 3).await;
    for (body, status) in [(r#"{"a":"b","c":1}"#, 200), (r#"{"a":"b","c":"d"}"#, 400)] {
        let length = body.len();
        let response = server
            .raw(format!("PUT /v1/a HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n{body}"))
            .await;
        assert_eq!(response.status, status, "{body}");
    }
}

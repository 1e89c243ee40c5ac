//! HTTP/2, with a client that is not ours.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http2::{self, SendRequest};
use hyper::{Request, Response};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::harness::Server;

type Sender = SendRequest<Full<Bytes>>;

/// A client, and the end of its connection.
async fn connect(server: &Server) -> (Sender, JoinHandle<hyper::Result<()>>) {
    let stream = TcpStream::connect(server.address()).await.unwrap();
    let (sender, connection) =
        http2::handshake(TokioExecutor::new(), TokioIo::new(stream)).await.unwrap();
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    let ended = tokio::spawn(connection);
    (sender, ended)
}

fn request(method: &str, path: &str, body: &str) -> Request<Full<Bytes>> {
    Request::builder()
        .method(method)
        .uri(format!("http://localhost{path}"))
        .body(Full::new(Bytes::copy_from_slice(body.as_bytes())))
        .unwrap()
}

async fn text(response: Response<hyper::body::Incoming>) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[tokio::test]
async fn requests_share_a_connection() {
    let mut server = Server::start(|_| {}).await;
    let (mut sender, _ended) = connect(&server).await;
    let slow = sender.send_request(request("GET", "/v1/wait", ""));
    let quick = sender.clone().send_request(request("PUT", "/v1/a", r#"{"x":1}"#)).await.unwrap();
    assert_eq!(quick.status(), 200);
    assert!(text(quick).await.contains(r#""params":{"x":1}"#));
    server.gate.add_permits(1);
    assert_eq!(slow.await.unwrap().status(), 200);
    assert_eq!(server.events.recv().await, Some("begun"));
}

#[tokio::test]
async fn a_refusal_has_no_header_of_the_connection() {
    let server = Server::start(|settings| settings.body_bytes_max = Some(1)).await;
    let (mut sender, _ended) = connect(&server).await;
    // The larger is refused while it is still being sent.
    for body in ["{}".to_owned(), " ".repeat(5_000_000)] {
        let response = sender.send_request(request("PUT", "/v1/a", &body)).await.unwrap();
        assert_eq!(response.status(), 413);
        assert_eq!(response.headers().get("connection"), None);
        assert!(text(response).await.contains("too large"));
    }
    // Only this stream was refused.
    let response = sender.send_request(request("GET", "/v1/a", "")).await.unwrap();
    assert_eq!(response.status(), 200);
}

#[tokio::test]
async fn shutdown_says_goodbye_and_finishes_what_is_at_work() {
    let mut server = Server::start(|_| {}).await;
    let (mut sender, ended) = connect(&server).await;
    let slow = sender.send_request(request("GET", "/v1/wait", ""));
    let (gate, address) = (server.gate.clone(), server.address());
    #[expect(clippy::disallowed_methods, reason = "ends with the test")]
    let slow = tokio::spawn(slow);
    assert_eq!(server.events.recv().await, Some("begun"));
    let finish = async {
        // The listener is gone, its connection not yet.
        while TcpStream::connect(address).await.is_ok() {}
        gate.add_permits(1);
        assert_eq!(slow.await.unwrap().unwrap().status(), 200);
    };
    tokio::join!(server.listener.shutdown(Duration::from_secs(600)), finish);
    // By the server, in order: the client still holds its end.
    ended.await.unwrap().unwrap();
    assert!(sender.ready().await.is_err());
}

#[tokio::test]
async fn an_idle_connection_ends_in_order() {
    let server = Server::start(|settings| {
        settings.header_timeout = Some(Duration::from_secs(600));
        settings.idle_timeout = Some(Duration::from_millis(50));
    })
    .await;
    let (mut sender, ended) = connect(&server).await;
    let response = sender.send_request(request("GET", "/v1/a", "")).await.unwrap();
    assert!(!text(response).await.is_empty());
    ended.await.unwrap().unwrap();
}

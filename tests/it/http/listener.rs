//! Beginning and end of listeners and their connections.

use std::io::{Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use strongroom::http::{Address, BoundAddress, UnixSettings};

use super::harness::{Server, blocking};

#[tokio::test]
async fn a_client_that_hangs_up_stops_nothing() {
    let mut server = Server::start(|_| {}).await;
    let mut client = server.connect();
    client.send(b"POST /v1/wait HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n");
    assert_eq!(server.events.recv().await, Some("begun"));
    drop(client);
    // The server has seen it once it serves another.
    assert_eq!(server.get("/v1/a").await.status, 200);
    server.gate.add_permits(1);
    assert_eq!(server.events.recv().await, Some("ended"));
}

#[tokio::test]
async fn shutdown_finishes_what_is_at_work_and_takes_nothing_new() {
    let mut server = Server::start(|_| {}).await;
    let address = server.address();
    let mut idle = server.connect();
    let idle = blocking(move || {
        idle.send(b"GET /v1/a HTTP/1.1\r\nHost: x\r\n\r\n");
        assert_eq!(idle.response().status, 200);
        idle
    })
    .await;
    let mut busy = server.connect();
    busy.send(b"GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(server.events.recv().await, Some("begun"));

    let prober = server.listener.prober();
    assert!(prober.answers().await);
    let stopping = server.listener.shutdown(Duration::from_secs(600));
    let gate = server.gate;
    let finish = async move {
        // The idle one is closed at once; then no new one is taken.
        let mut idle = idle;
        assert_eq!(blocking(move || idle.rest()).await, "");
        assert!(std::net::TcpStream::connect(address).is_err());
        gate.add_permits(1);
        let response = blocking(move || {
            let response = busy.response();
            assert_eq!(busy.rest(), "");
            response
        })
        .await;
        assert_eq!((response.status, response.header("connection")), (200, Some("close")));
    };
    tokio::join!(stopping, finish);
}

#[tokio::test]
async fn shutdown_closes_what_does_not_finish() {
    let mut server = Server::start(|_| {}).await;
    let mut busy = server.connect();
    busy.send(b"GET /v1/wait HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_eq!(server.events.recv().await, Some("begun"));
    server.listener.shutdown(Duration::from_millis(20)).await;
    assert_eq!(blocking(move || busy.rest()).await, "");
    // Its handler was not stopped.
    server.gate.add_permits(1);
    assert_eq!(server.events.recv().await, Some("ended"));
}

#[tokio::test]
async fn a_unix_socket_serves_with_its_mode_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("api.sock");
    // Left by a server that was killed.
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    let own = path.clone();
    let server = Server::start(move |settings| {
        settings.address = Address::Unix(UnixSettings {
            path: own,
            mode: Some(0o620),
            user: Some("0".to_owned()).filter(|_| is_root()),
            group: Some("root".to_owned()).filter(|_| is_root()),
        });
    })
    .await;
    assert_eq!(*server.listener.address(), BoundAddress::Unix(path.clone()));
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o620);
    let target = path.clone();
    let text = blocking(move || {
        let mut stream = UnixStream::connect(target).unwrap();
        stream.write_all(b"GET /v1/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        text
    })
    .await;
    assert!(text.starts_with("HTTP/1.1 200 OK"), "{text}");
    assert!(text.contains("\"remote\":null"), "{text}");
    server.listener.shutdown(Duration::from_secs(600)).await;
    assert!(!path.exists());
}

fn is_root() -> bool {
    std::fs::metadata("/proc/self")
        .is_ok_and(|entry| std::os::unix::fs::MetadataExt::uid(&entry) == 0)
}

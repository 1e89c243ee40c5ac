//! The client alone: retries, redirects, sockets, limits.

use std::time::Duration;

use strongroom::client::{Address, Client, Config, Error, PUT, Redirects, Request, Response};
use strongroom::secret::Secret;

use super::server::{Answer, Server};

fn client(address: &str, change: impl FnOnce(&mut Config)) -> Client {
    let mut config = Config::new(Address::parse(address).unwrap());
    config.token = Some(Secret::new("token".to_owned()));
    config.retry_wait = (Duration::ZERO, Duration::ZERO);
    change(&mut config);
    Client::new(config).unwrap()
}

fn send(client: &Client, request: &Request) -> Result<Response, Error> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(client.send(request))
}

#[test]
fn what_may_pass_is_sent_again_and_the_rest_is_not() {
    for (status, sent) in [(503, 3), (500, 3), (412, 3), (501, 1), (429, 1), (400, 1)] {
        let server = Server::json(&[("GET /v1/x", status, r#"{"errors":["e"]}"#)]);
        let error = send(&client(server.address(), |_| ()), &Request::read("x")).err().unwrap();
        assert_eq!(error.status(), Some(status));
        assert_eq!(server.seen().len(), sent, "{status}");
    }
    let server = Server::json(&[
        ("PUT /v1/x", 503, r#"{"errors":["Vault is sealed"]}"#),
        ("PUT /v1/x", 204, ""),
    ]);
    let request = Request::write("x", &serde_json::json!({ "a": 1 }));
    send(&client(server.address(), |_| ()), &request).unwrap();
    assert_eq!(server.seen(), [r#"PUT /v1/x x-vault-token=token {"a":1}"#; 2]);
}

#[test]
fn one_redirect_is_followed_with_token_and_body() {
    let leader = Server::json(&[("PUT /v1/x", 204, "")]);
    let target = format!("{}/v1/x", leader.address());
    let redirect = Answer::new(307, "").header("location", target);
    let standby = Server::start(&[("PUT /v1/x", redirect.clone())]);
    let request = Request::write("x", &serde_json::json!({}));
    send(&client(standby.address(), |_| ()), &request).unwrap();
    assert_eq!(leader.seen(), ["PUT /v1/x x-vault-token=token {}"]);

    let response =
        send(&client(standby.address(), |config| config.redirects = Redirects::Refuse), &request);
    assert_eq!(response.unwrap().status, 307);
    assert!(leader.seen().is_empty());

    let lost = Answer::new(307, "").header("location", format!("{}/v1/x", standby.address()));
    let circle = Server::start(&[("PUT /v1/x", lost)]);
    let error = send(&client(circle.address(), |_| ()), &request).err().unwrap();
    assert!(matches!(error, Error::Redirect { .. }), "{error}");
}

#[test]
fn no_connection_is_an_error_that_names_the_url() {
    // Bound and dropped: nobody listens there.
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let error = send(&client(&address, |_| ()), &Request::new(PUT, "x")).err().unwrap();
    assert!(error.to_string().starts_with(&format!("PUT {address}/v1/x: ")), "{error}");
}

#[test]
fn a_server_that_says_nothing_times_out() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let quick = client(&address, |config| config.timeout = Duration::from_millis(20));
    let error = send(&quick, &Request::read("x")).err().unwrap();
    assert!(error.to_string().contains("no reply"), "{error}");
}

#[test]
fn a_token_that_is_no_header_is_refused_without_showing_it() {
    let server = Server::json(&[]);
    let bad = client(server.address(), |config| {
        config.token = Some(Secret::new("hidden\nvalue".to_owned()));
    });
    let error = send(&bad, &Request::read("x")).err().unwrap().to_string();
    assert!(error.contains("x-vault-token") && !error.contains("hidden"), "{error}");
    assert!(server.seen().is_empty());
}

#[test]
fn a_socket_is_an_address() {
    use std::io::{Read as _, Write as _};
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("vault.sock");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    let serving = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut start = [0; 8];
        stream.read_exact(&mut start).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").unwrap();
        start
    });
    let client = client(&format!("unix://{}", path.display()), |_| ());
    let response = send(&client, &Request::read("sys/health")).unwrap();
    assert_eq!(response.body, "{}");
    assert_eq!(&serving.join().unwrap(), b"GET /v1/");
}

//! A listener with a handler that shows what it was asked, and a client that hides nothing.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, stream};
use serde_json::{Value, json};
use strongroom::clock::SystemClock;
use strongroom::http::{
    Address, Answer, BodyRule, BoundAddress, Download, Handler, Listener, ListenerSettings, Upload,
};
use strongroom::request::{Error, Reply, Request};
use strongroom::rng::SystemRng;
use tokio::sync::{Semaphore, mpsc};

/// Answers by what the path says; anything else is told back.
pub(super) struct Echo {
    /// `wait` takes a permit before it answers.
    pub(super) gate: Arc<Semaphore>,
    /// What `wait` has come to: `begun`, then `ended`.
    pub(super) events: mpsc::UnboundedSender<&'static str>,
}

impl Handler for Echo {
    fn body_rule(&self, path: &str) -> BodyRule {
        if path == "upload" { BodyRule::Streamed } else { BodyRule::Parameters }
    }

    fn handle(&self, request: Request, upload: Option<Upload>) -> BoxFuture<'static, Answer> {
        let gate = Arc::clone(&self.gate);
        let events = self.events.clone();
        Box::pin(async move {
            let outcome = match request.path.as_str() {
                "empty" => Ok(Reply::default()),
                "denied" => Err(Error::Denied),
                "panic" => panic!("on purpose"),
                "unavailable" => Err(Error::Unavailable("no leader".to_owned())),
                "redirect" => {
                    let mut answer = Answer::from(Ok(Reply::default()));
                    answer.redirect = Some("https://leader:8200/v1/redirect".to_owned());
                    return answer;
                }
                "upload" | "ocsp" => received(upload).await,
                "download" => {
                    let mut answer = Answer::from(Ok(Reply::default()));
                    let chunks = ["a,", "b"].map(|chunk| Ok(Bytes::from_static(chunk.as_bytes())));
                    answer.download = Some(Download {
                        content_type: "application/gzip".to_owned(),
                        chunks: stream::iter(chunks).boxed(),
                    });
                    return answer;
                }
                "wait" => {
                    let _ = events.send("begun");
                    let _permit = gate.acquire().await;
                    let _ = events.send("ended");
                    Ok(told(&request))
                }
                _ => Ok(told(&request)),
            };
            let mut answer = Answer::from(outcome);
            answer.headers.insert("x-vault-index".to_owned(), "7".to_owned());
            answer
        })
    }
}

async fn received(upload: Option<Upload>) -> Result<Reply, Error> {
    let Some(mut upload) = upload else {
        return Err(Error::bad_request("no upload"));
    };
    let mut bytes = 0;
    while let Some(chunk) = upload.chunk().await.map_err(Error::internal)? {
        bytes += chunk.len();
    }
    Reply::bare(&json!({ "bytes": bytes }))
}

fn told(request: &Request) -> Reply {
    let Value::Object(data) = json!({
        "operation": request.operation.name(),
        "path": request.path,
        "params": request.params,
        "token": request.token.as_ref().map(|token| token.expose().clone()),
        "remote": request.remote.map(|remote| remote.to_string()),
        "certificates": request.client_certificates,
        "headers": request.headers,
    }) else {
        unreachable!()
    };
    Reply::data(data)
}

pub(super) struct Server {
    pub(super) listener: Listener,
    pub(super) gate: Arc<Semaphore>,
    pub(super) events: mpsc::UnboundedReceiver<&'static str>,
}

impl Server {
    /// On a port that the system chooses.
    pub(super) async fn start(adjust: impl FnOnce(&mut ListenerSettings)) -> Self {
        let mut settings =
            ListenerSettings::new(Address::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))));
        adjust(&mut settings);
        let gate = Arc::new(Semaphore::new(0));
        let (sender, events) = mpsc::unbounded_channel();
        let handler = Echo { gate: Arc::clone(&gate), events: sender };
        let listener = Listener::start(
            settings,
            Arc::new(handler),
            Arc::new(SystemClock),
            Arc::new(SystemRng),
        )
        .await
        .unwrap();
        Self { listener, gate, events }
    }

    pub(super) fn address(&self) -> SocketAddr {
        match self.listener.address() {
            BoundAddress::Tcp(address) => *address,
            BoundAddress::Unix(path) => panic!("on {}", path.display()),
        }
    }

    pub(super) fn connect(&self) -> Client {
        Client::new(TcpStream::connect(self.address()).unwrap())
    }

    /// Sends `text` on a connection of its own, and reads one answer.
    pub(super) async fn raw(&self, text: impl Into<Vec<u8>>) -> Response {
        let mut client = self.connect();
        let text = text.into();
        blocking(move || {
            client.send(&text);
            client.response()
        })
        .await
    }

    /// A request without a body.
    pub(super) async fn get(&self, target: &str) -> Response {
        self.raw(format!("GET {target} HTTP/1.1\r\nHost: x\r\n\r\n")).await
    }
}

/// Runs what would block the runtime.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Bytes out, bytes in.
pub(super) struct Client {
    stream: TcpStream,
    read: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct Response {
    pub(super) status: u16,
    /// Names in lower case.
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: String,
}

impl Response {
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// What [`Echo`] was asked.
    pub(super) fn told(&self) -> Value {
        self.json()["data"].clone()
    }
}

impl Client {
    pub(super) fn new(stream: TcpStream) -> Self {
        // A server that never answers fails the test instead of hanging it.
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        Self { stream, read: Vec::new() }
    }

    pub(super) fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    pub(super) fn response(&mut self) -> Response {
        let head_end = loop {
            if let Some(at) = find(&self.read, b"\r\n\r\n") {
                break at;
            }
            assert!(self.more() > 0, "closed before an answer: {:?}", self.read);
        };
        let head = String::from_utf8(self.read.drain(..head_end + 4).collect()).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<_> = lines
            .map(|line| line.split_once(": ").unwrap())
            .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
            .collect();
        let length = headers
            .iter()
            .find(|(name, _)| name == "content-length")
            .map_or(0, |(_, value)| value.parse().unwrap());
        while self.read.len() < length {
            assert!(self.more() > 0, "closed within an answer");
        }
        let body = String::from_utf8(self.read.drain(..length).collect()).unwrap();
        Response { status, headers, body }
    }

    /// Waits until the server closes, and returns what it sent before.
    pub(super) fn rest(&mut self) -> String {
        while self.more() > 0 {}
        String::from_utf8(std::mem::take(&mut self.read)).unwrap()
    }

    fn more(&mut self) -> usize {
        let mut buffer = [0; 4096];
        let length = match self.stream.read(&mut buffer) {
            Ok(length) => length,
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => 0,
            Err(error) => panic!("{error}"),
        };
        self.read.extend_from_slice(&buffer[..length]);
        length
    }
}

fn find(text: &[u8], what: &[u8]) -> Option<usize> {
    text.windows(what.len()).position(|window| window == what)
}

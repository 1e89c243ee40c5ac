//! A small HTTP server with answers by method and path.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;

/// A status, headers and a body.
#[derive(Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(&'static str, String)>,
    pub(super) body: String,
}

impl Answer {
    pub(super) fn new(status: u16, body: &str) -> Self {
        Self { status, headers: Vec::new(), body: body.to_owned() }
    }

    pub(super) fn header(mut self, name: &'static str, value: String) -> Self {
        self.headers.push((name, value));
        self
    }
}

pub(super) struct Server {
    address: String,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// The first that fits answers; it is taken away unless it is the last that fits.
    answers: Mutex<Vec<(String, Answer)>>,
    seen: Mutex<Vec<String>>,
}

impl Server {
    /// Listens on a free port until the process ends. `answers` go by `GET /v1/path?query`; what is
    /// not among them is Vault's plain "not found".
    pub(super) fn start(answers: &[(&str, Answer)]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let local: SocketAddr = listener.local_addr().unwrap();
        let server = Self { address: format!("http://{local}"), state: Arc::default() };
        for (request, answer) in answers {
            server.answer(request, answer.clone());
        }
        let state = Arc::clone(&server.state);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                let (state, stream) = (Arc::clone(&state), stream.unwrap());
                std::thread::spawn(move || serve(stream, &state));
            }
        });
        server
    }

    pub(super) fn json(answers: &[(&str, u16, &str)]) -> Self {
        let answers: Vec<(&str, Answer)> = answers
            .iter()
            .map(|(request, status, body)| (*request, Answer::new(*status, body)))
            .collect();
        Self::start(&answers)
    }

    pub(super) fn answer(&self, request: &str, answer: Answer) {
        self.state.answers.lock().unwrap().push((request.to_owned(), answer));
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// What came, a request a line: method, path, the headers of Vault, and the body.
    pub(super) fn seen(&self) -> Vec<String> {
        std::mem::take(&mut *self.state.seen.lock().unwrap())
    }
}

fn serve(stream: TcpStream, state: &State) {
    stream.set_nonblocking(true).unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let stream = TokioIo::new(tokio::net::TcpStream::from_std(stream).unwrap());
        let service = service_fn(|request| answer(request, state));
        // A client that hangs up is no failure of the server.
        drop(http1::Builder::new().serve_connection(stream, service).await);
    });
}

async fn answer(
    request: Request<Incoming>,
    state: &State,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (parts, body) = request.into_parts();
    let line = format!("{} {}", parts.method, parts.uri);
    let mut seen = line.clone();
    for (name, value) in &parts.headers {
        let name = name.as_str();
        if (name.starts_with("x-") && name != "x-vault-request") || name == "content-type" {
            seen.push_str(&format!(" {name}={}", value.to_str().unwrap()));
        }
    }
    let body = body.collect().await.unwrap().to_bytes();
    if !body.is_empty() {
        seen.push_str(&format!(" {}", String::from_utf8_lossy(&body)));
    }
    state.seen.lock().unwrap().push(seen);
    let answer = next_answer(&mut state.answers.lock().unwrap(), &line);
    let mut response = Response::new(Full::new(Bytes::from(answer.body)));
    *response.status_mut() = answer.status.try_into().unwrap();
    for (name, value) in answer.headers {
        response.headers_mut().insert(name, value.parse().unwrap());
    }
    Ok(response)
}

fn next_answer(answers: &mut Vec<(String, Answer)>, line: &str) -> Answer {
    let fitting: Vec<usize> =
        (0..answers.len()).filter(|index| answers[*index].0 == line).collect();
    match fitting.as_slice() {
        [] => Answer::new(404, r#"{"errors":[]}"#),
        [only] => answers[*only].1.clone(),
        [first, ..] => answers.remove(*first).1,
    }
}

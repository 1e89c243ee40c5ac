//! A web server of a test's own, in a thread: what it answers, and who has asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use rustls::pki_types::PrivateKeyDer;
use serde_json::Value;

/// Gives status and body to a request.
type Answer = Box<dyn Fn(&Asked) -> (u16, String) + Send + Sync>;

/// A request, as it came.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) path: String,
    pub(super) authorization: String,
    pub(super) body: String,
}

pub(super) struct Site {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    /// Of its certificate, where it has one.
    pub(super) ca_pem: String,
}

#[derive(Default)]
struct Shared {
    answers: Mutex<BTreeMap<String, Answer>>,
    asked: Mutex<Vec<Asked>>,
    is_over: AtomicBool,
}

impl Site {
    pub(super) fn plain() -> Self {
        Self::start(None, String::new())
    }

    pub(super) fn with_tls() -> Self {
        let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
        let config = rustls::ServerConfig::builder_with_provider(Arc::new(
            rustls::crypto::aws_lc_rs::default_provider(),
        ))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
        Self::start(Some(Arc::new(config)), made.cert.pem())
    }

    fn start(tls: Option<Arc<rustls::ServerConfig>>, ca_pem: String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if tls.is_some() { "https" } else { "http" };
        let shared = Arc::new(Shared::default());
        let theirs = shared.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if theirs.is_over.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is no matter of the test.
                let _gone = serve(&theirs, tls.clone(), stream.unwrap());
            }
        });
        Self { address, scheme, shared, ca_pem }
    }

    pub(super) fn url(&self, path: &str) -> String {
        format!("{}://{}{path}", self.scheme, self.address)
    }

    /// From now on.
    pub(super) fn answer(&self, path: &str, body: &Value) {
        let body = body.to_string();
        self.answer_by(path, move |_| (200, body.clone()));
    }

    pub(super) fn answer_by(
        &self,
        path: &str,
        answer: impl Fn(&Asked) -> (u16, String) + Send + Sync + 'static,
    ) {
        self.shared.answers.lock().unwrap().insert(path.to_owned(), Box::new(answer));
    }

    /// Who has asked since this was asked last.
    pub(super) fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut *self.shared.asked.lock().unwrap())
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    shared: &Shared,
    tls: Option<Arc<rustls::ServerConfig>>,
    stream: TcpStream,
) -> std::io::Result<()> {
    match tls {
        None => converse(shared, stream),
        Some(tls) => {
            let session = rustls::ServerConnection::new(tls).map_err(std::io::Error::other)?;
            converse(shared, rustls::StreamOwned::new(session, stream))
        }
    }
}

fn converse(shared: &Shared, stream: impl Read + Write) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    stream.read_line(&mut line)?;
    let path = line.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut length, mut authorization) = (0, String::new());
    loop {
        let mut header = String::new();
        stream.read_line(&mut header)?;
        let header = header.trim();
        let Some((name, value)) = header.split_once(": ") else { break };
        match name.to_lowercase().as_str() {
            "content-length" => length = value.parse().unwrap_or(0),
            "authorization" => authorization = value.to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let asked = Asked { path: path.clone(), authorization, body };
    shared.asked.lock().unwrap().push(asked.clone());
    let (status, body) = match shared.answers.lock().unwrap().get(&path) {
        Some(answer) => answer(&asked),
        None => (404, String::new()),
    };
    let location =
        if (300..400).contains(&status) { format!("location: {body}\r\n") } else { String::new() };
    let stream = stream.get_mut();
    write!(
        stream,
        "HTTP/1.1 {status} -\r\nconnection: close\r\n{location}content-length: {}\r\n\r\n{body}",
        body.len()
    )?;
    stream.flush()
}

//! `login -method=oidc`: a browser logs in with the provider, which sends it back to a listener
//! on this machine.

use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Duration, timeout};

use super::failure::Failure;
use super::session::Session;
use crate::client::{Envelope, Request};
use crate::rng::{Rng, SystemRng};

/// What was given as key=value, as Vault's command line has it.
struct Options {
    role: String,
    listen_address: String,
    port: String,
    callback_method: String,
    callback_host: String,
    callback_port: String,
    opens_browser: bool,
}

pub(super) async fn log_in(
    session: &mut Session<'_, '_>,
    mount: &str,
    given: &Map<String, Value>,
) -> Result<Envelope, Failure> {
    let options = Options::of(given)?;
    let failed = |error| Failure::during("Error authenticating", error);
    let wrong = |reason: String| Failure::remote(format!("Error authenticating: {reason}"));
    let at = format!("{}:{}", options.listen_address, options.port);
    let listener = TcpListener::bind(&at).await;
    let listener = listener.map_err(|error| wrong(format!("cannot listen on {at}: {error}")))?;
    let port = listener.local_addr().map_err(|error| wrong(error.to_string()))?.port();
    let redirect = options.redirect(port);
    let rng: &dyn Rng = &SystemRng;
    let client_nonce = rng.base62(20);
    let body = json!({
        "role": options.role, "redirect_uri": redirect, "client_nonce": client_nonce,
    });
    let path = format!("auth/{mount}/oidc/auth_url");
    let request = Request::write(&path, &body).without_token();
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let url = envelope.data().and_then(|data| data.get("auth_url")).and_then(Value::as_str);
    let url = url.filter(|url| !url.is_empty()).ok_or_else(|| {
        wrong(format!(
            "unable to authorize role {:?} with redirect_uri {redirect:?}: check that the role \
             is one for OIDC, and allows it",
            options.role
        ))
    })?;
    if options.opens_browser && open_browser(url).await {
        session.io.warn(&format!(
            "Complete the login via your OIDC provider. Launching browser to:\n\n    {url}\n\n"
        ));
    } else {
        session.io.warn(&format!("Complete the login via your OIDC provider:\n\n    {url}\n\n"));
    }
    session.io.warn("Waiting for OIDC authentication to complete...\n");
    let waited = timeout(WAIT_MAX, first_callback(&listener)).await;
    let (stream, query) = waited.map_err(|_| wrong("nobody logged in within 5 min".into()))?;
    let mut request = Request::read(&format!("auth/{mount}/oidc/callback")).without_token();
    for name in ["state", "code", "error"] {
        if let Some(value) = value_of(&query, name) {
            request = request.query(name, &value);
        }
    }
    request = request.query("client_nonce", &client_nonce);
    let answer = match session.client()?.send(&request).await {
        Ok(response) => response.envelope().map_err(failed),
        Err(error) => Err(failed(error)),
    };
    answer_browser(stream, answer.is_ok()).await;
    Ok(answer?.unwrap_or_default())
}

impl Options {
    fn of(given: &Map<String, Value>) -> Result<Self, Failure> {
        let text = |name: &str, usual: &str| {
            let value = given.get(name).map(|value| match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            });
            value.unwrap_or_else(|| usual.to_owned())
        };
        if let Some(name) = given.keys().find(|name| !KNOWN.contains(&name.as_str())) {
            let known = KNOWN.join(", ");
            return Err(Failure::local(format!("{name:?} is not known to OIDC: {known}")));
        }
        let port = text("port", "8250");
        Ok(Self {
            role: text("role", ""),
            listen_address: text("listenaddress", "localhost"),
            callback_method: text("callbackmethod", "http"),
            callback_host: text("callbackhost", "localhost"),
            callback_port: text("callbackport", ""),
            opens_browser: !matches!(text("skip_browser", "false").as_str(), "true" | "1"),
            port,
        })
    }

    fn redirect(&self, listening: u16) -> String {
        let port = match self.callback_port.as_str() {
            "" => listening.to_string(),
            port => port.to_owned(),
        };
        format!("{}://{}:{port}/oidc/callback", self.callback_method, self.callback_host)
    }
}

/// Waits for the browser; whatever else asks is sent away.
async fn first_callback(listener: &TcpListener) -> (TcpStream, String) {
    loop {
        let Ok((mut stream, _)) = listener.accept().await else {
            // Too many open files, or a connection that is gone: not at once again.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let line = timeout(LINE_WAIT_MAX, request_line(&mut stream)).await.unwrap_or_default();
        let target = line.split(' ').nth(1).unwrap_or_default();
        if let Some(query) = target.strip_prefix("/oidc/callback?") {
            let query = query.to_owned();
            return (stream, query);
        }
        let answer = b"HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";
        drop(stream.write_all(answer).await);
    }
}

async fn request_line(stream: &mut TcpStream) -> String {
    let mut read = Vec::new();
    let mut chunk = [0; 1024];
    while read.len() < LINE_BYTES_MAX && !read.windows(4).any(|end| end == b"\r\n\r\n") {
        match stream.read(&mut chunk).await {
            Ok(0) | Err(_) => break,
            Ok(count) => read.extend(chunk.iter().take(count)),
        }
    }
    let text = String::from_utf8_lossy(&read);
    text.lines().next().unwrap_or_default().to_owned()
}

async fn answer_browser(mut stream: TcpStream, succeeded: bool) {
    let text = if succeeded {
        "Signed in. You can close this window and return to the command line."
    } else {
        "The login failed. The command line says why."
    };
    let answer = format!(
        "HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\nconnection: close\r\n\
         content-length: {}\r\n\r\n{text}",
        text.len()
    );
    // Whoever has closed the window does not need it.
    drop(stream.write_all(answer.as_bytes()).await);
    drop(stream.shutdown().await);
}

/// False where there is none.
async fn open_browser(url: &str) -> bool {
    let command = if cfg!(target_os = "macos") { "open" } else { "xdg-open" };
    let mut command = tokio::process::Command::new(command);
    command.arg(url).stdin(std::process::Stdio::null());
    command.stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    command.spawn().is_ok()
}

/// Of a query, decoded.
fn value_of(query: &str, name: &str) -> Option<String> {
    let pair = query.split('&').filter_map(|pair| pair.split_once('='));
    let (_, value) = pair.into_iter().find(|(of, _)| *of == name)?;
    let mut bytes = Vec::new();
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'+' => bytes.push(b' '),
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                let digits = std::str::from_utf8(&digits).ok()?.to_owned();
                bytes.push(u8::from_str_radix(&digits, 16).ok()?);
            }
            byte => bytes.push(byte),
        }
    }
    String::from_utf8(bytes).ok()
}

const KNOWN: &[&str] = &[
    "role",
    "listenaddress",
    "port",
    "callbackmethod",
    "callbackhost",
    "callbackport",
    "skip_browser",
];

/// For a person to log in.
const WAIT_MAX: Duration = Duration::from_secs(300);

const LINE_WAIT_MAX: Duration = Duration::from_secs(10);

const LINE_BYTES_MAX: usize = 32 << 10;

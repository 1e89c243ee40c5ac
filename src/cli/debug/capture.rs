//! What is asked, and what of the answers is kept.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use http_body_util::BodyExt as _;
use serde_json::{Map, Value, json};

use crate::client::{Client, GET, Request};
use crate::clock::{Clock as _, SystemClock};

/// All that has been gathered.
#[derive(Default)]
pub(super) struct Captures(Mutex<Gathered>);

#[derive(Default)]
pub(super) struct Gathered {
    /// By target, each with its time.
    pub(super) answers: BTreeMap<&'static str, Vec<Value>>,
    pub(super) log: Vec<u8>,
    /// `target`, `error` and `timestamp` each.
    pub(super) errors: Vec<Value>,
    bytes: usize,
}

impl Captures {
    /// Asks, and keeps the answer's data, or else why there are none.
    pub(super) async fn take(&self, client: &Client, target: &'static str, request: Request) {
        match ask(client, &request).await {
            Ok(answer) => self.keep(target, &answer),
            Err(text) => self.error(target, &text),
        }
    }

    pub(super) async fn replication(&self, client: &Client) {
        let mut state = Map::new();
        for (name, path) in [
            ("ha_status", "sys/ha-status"),
            ("raft_configuration", "sys/storage/raft/configuration"),
            ("autopilot", "sys/storage/raft/autopilot/state"),
        ] {
            match ask(client, &Request::new(GET, path)).await {
                Ok(answer) => drop(state.insert(name.to_owned(), answer)),
                Err(text) => self.error("replication-status", &text),
            }
        }
        self.keep("replication-status", &Value::Object(state));
    }

    pub(super) async fn server(&self, client: &Client) {
        let mut state = Map::new();
        let questions = [
            ("health", health()),
            ("seal", Request::new(GET, "sys/seal-status")),
            ("leader", Request::new(GET, "sys/leader")),
        ];
        for (name, request) in questions {
            match ask(client, &request).await {
                Ok(answer) => drop(state.insert(name.to_owned(), answer)),
                Err(text) => self.error("server-status", &text),
            }
        }
        self.keep("server-status", &Value::Object(state));
    }

    /// Of each path only what names the endpoint: the rest may name a token.
    pub(super) async fn requests(&self, client: &Client) {
        match ask(client, &Request::new(GET, "sys/in-flight-req")).await {
            Ok(Value::Object(mut requests)) => {
                for request in requests.values_mut() {
                    if let Some(path) = request.get_mut("request_path") {
                        *path = Value::from(beginning(path.as_str().unwrap_or_default()));
                    }
                }
                self.keep("requests", &Value::Object(requests));
            }
            Ok(_) => self.error("requests", "the answer is no object"),
            Err(text) => self.error("requests", &text),
        }
    }

    fn keep(&self, target: &'static str, answer: &Value) {
        let mut gathered = self.lock();
        gathered.bytes = gathered.bytes.saturating_add(answer.to_string().len());
        if gathered.bytes > BYTES_MAX {
            drop(gathered);
            return self.error(target, "it has grown too large: what follows is missing");
        }
        let timed = json!({ "timestamp": SystemClock.now().rfc3339(), "data": answer });
        gathered.answers.entry(target).or_default().push(timed);
    }

    fn log(&self, bytes: &[u8]) {
        let mut gathered = self.lock();
        if gathered.log.len().saturating_add(bytes.len()) <= BYTES_MAX {
            gathered.log.extend_from_slice(bytes);
        }
    }

    /// Each text once a target: an endpoint that refuses does so every time.
    pub(super) fn error(&self, target: &str, text: &str) {
        let mut gathered = self.lock();
        let is_known = gathered.errors.iter().any(|error| {
            error.get("target") == Some(&json!(target)) && error.get("error") == Some(&json!(text))
        });
        if !is_known && gathered.errors.len() < ERRORS_MAX {
            let timestamp = SystemClock.now().rfc3339();
            let error = json!({ "timestamp": timestamp, "target": target, "error": text });
            gathered.errors.push(error);
        }
    }

    /// In words.
    pub(super) fn errors(&self) -> Vec<String> {
        let text = |error: &Value, key: &str| {
            error.get(key).and_then(Value::as_str).unwrap_or_default().replace('\n', " ")
        };
        let gathered = self.lock();
        let errors = gathered.errors.iter();
        errors.map(|error| format!("{}: {}", text(error, "target"), text(error, "error"))).collect()
    }

    pub(super) fn into_inner(self) -> Gathered {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn lock(&self) -> MutexGuard<'_, Gathered> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Until the server ends it.
pub(super) async fn follow_log(client: &Client, format: &str, captures: &Captures) {
    let request =
        Request::new(GET, "sys/monitor").query("log_level", "debug").query("log_format", format);
    let mut body = match client.open(&request).await {
        Ok((_, body)) => body,
        Err(error) => return captures.error("log", &error.to_string()),
    };
    while let Some(frame) = body.frame().await {
        match frame {
            // An empty line only shows that the server is there.
            Ok(frame) => match frame.data_ref() {
                Some(bytes) if bytes.as_ref() != b"\n" => captures.log(bytes),
                _ => {}
            },
            Err(error) => return captures.error("log", &error.to_string()),
        }
    }
}

/// With status 200, whatever state the node is in.
pub(super) fn health() -> Request {
    let codes = ["standbycode", "sealedcode", "uninitcode", "removedcode", "haunhealthycode"];
    let request = Request::new(GET, "sys/health");
    codes.iter().fold(request, |request, code| request.query(code, "200"))
}

/// The `data` of an envelope, or else the whole answer.
async fn ask(client: &Client, request: &Request) -> Result<Value, String> {
    let answer = client.send(request).await.and_then(|answer| answer.json());
    let mut answer = answer.map_err(|error| error.to_string())?;
    match answer.get_mut("data") {
        Some(data) if data.is_object() => Ok(data.take()),
        _ => Ok(answer),
    }
}

/// `/v1/auth/token/lookup/hvs.…` becomes `/v1/auth/token/…`.
fn beginning(path: &str) -> String {
    let parts: Vec<&str> = path.split('/').collect();
    match parts.get(..PARTS_KEPT) {
        Some(kept) if parts.len() > PARTS_KEPT => format!("{}/…", kept.join("/")),
        _ => path.to_owned(),
    }
}

pub(super) const CAPTURED: [&str; 7] =
    ["config", "host", "metrics", "replication-status", "server-status", "requests", "log"];
/// `/v1/` and two more.
const PARTS_KEPT: usize = 4;
const BYTES_MAX: usize = 256 << 20;
const ERRORS_MAX: usize = 1000;

#[cfg(test)]
mod tests;

//! What a node tells of its process: see [`sys::Process`].

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use serde_json::{Map, Value, json};
use tokio::sync::Notify;

use super::host;
use super::log::log;
use crate::clock::Timestamp;
use crate::request::{Error, Operation, Request};
use crate::sys;

/// The process that a node runs in.
#[derive(Default)]
pub struct NodeProcess {
    /// Without secrets.
    configuration: Map<String, Value>,
    in_flight: Arc<Mutex<BTreeMap<String, Value>>>,
    /// Asks whoever runs the node to do what SIGHUP does.
    reload: Notify,
}

/// A request at work, until it is dropped.
pub struct AtWork {
    id: String,
    requests: Arc<Mutex<BTreeMap<String, Value>>>,
}

impl NodeProcess {
    pub fn new(configuration: Map<String, Value>) -> Self {
        Self { configuration, ..Self::default() }
    }

    /// Shows the request among those under way. What it holds is what the listener let in.
    pub fn enter(&self, request: &Request, now: Timestamp) -> AtWork {
        let remote = request.remote.map(|remote| remote.to_string()).unwrap_or_default();
        let shown = json!({
            "start_time": now.rfc3339(),
            "client_remote_address": remote,
            "request_path": format!("/v1/{}", request.path),
            "request_method": method(request.operation),
            "client_id": "",
        });
        let requests = self.in_flight.clone();
        requests.lock().unwrap_or_else(PoisonError::into_inner).insert(request.id.clone(), shown);
        AtWork { id: request.id.clone(), requests }
    }

    /// Returns once a reload is asked for.
    pub async fn reload_asked(&self) {
        self.reload.notified().await;
    }
}

impl Drop for AtWork {
    fn drop(&mut self) {
        self.requests.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.id);
    }
}

impl sys::Process for NodeProcess {
    fn log_levels(&self) -> BTreeMap<String, String> {
        log().levels()
    }

    fn set_log_level(&self, logger: Option<&str>, level: Option<&str>) -> Result<(), Error> {
        log().set(logger, level)
    }

    fn check_monitor(&self, level: &str, format: &str) -> Result<(), Error> {
        log().check(level, format).map(drop)
    }

    fn host_info(&self) -> Map<String, Value> {
        host::host_info()
    }

    fn in_flight(&self) -> Map<String, Value> {
        let requests = self.in_flight.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().map(|(id, shown)| (id.clone(), shown.clone())).collect()
    }

    fn configuration(&self) -> Map<String, Value> {
        self.configuration.clone()
    }

    fn reload(&self, subsystem: &str) -> bool {
        let known = RELOADED.contains(&subsystem);
        if known {
            self.reload.notify_one();
        }
        known
    }
}

fn method(operation: Operation) -> &'static str {
    match operation {
        Operation::Create | Operation::Update => "POST",
        Operation::Delete => "DELETE",
        Operation::Header => "HEAD",
        Operation::Help | Operation::Read => "GET",
        Operation::List => "LIST",
        Operation::Patch => "PATCH",
    }
}

/// They are read together.
const RELOADED: &[&str] = &["log", "tls"];

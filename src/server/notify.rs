//! What is told to the service manager, as `sd_notify(3)` describes it: datagrams of `NAME=value`
//! lines to the socket that `NOTIFY_SOCKET` names.
//!
//! Written here and not taken from a crate: it is one datagram, and those that there are set or
//! unset variables of the environment, which other threads may be reading.

use std::io;
use std::os::linux::net::SocketAddrExt as _;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{Instant, sleep, timeout};

use super::consensus::Role;
use super::control::Control;
use super::tasks::Pulses;
use crate::config::env::Env;
use crate::http::Prober;

/// The service manager; nobody where none asked to be told.
#[derive(Debug, Default)]
pub struct Notify {
    manager: Option<(UnixDatagram, SocketAddr)>,
    /// How long it waits for a sign of life.
    watchdog: Option<Duration>,
    has_failed: AtomicBool,
}

impl Notify {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    ///
    /// # Errors
    /// Where one of them cannot be used, with its name.
    pub fn of(env: Env<'_>) -> Result<Self, String> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let Some(name) = set("NOTIFY_SOCKET") else { return Ok(Self::default()) };
        let wrong = |reason: String| format!("the variable NOTIFY_SOCKET, {name:?}: {reason}");
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest),
            [b'/', ..] => SocketAddr::from_pathname(&name),
            _ => return Err(wrong("neither a path nor @ and a name".to_owned())),
        };
        let socket = address.and_then(|address| {
            let socket = UnixDatagram::unbound()?;
            // A manager that does not read must not stop the server.
            socket.set_write_timeout(Some(SEND_TIME_MAX))?;
            Ok((socket, address))
        });
        let manager = Some(socket.map_err(|error| wrong(error.to_string()))?);
        let own = std::process::id().to_string();
        let watchdog = match set("WATCHDOG_USEC") {
            Some(_) if set("WATCHDOG_PID").is_some_and(|id| id != own) => None,
            Some(text) => match text.parse() {
                Ok(0) | Err(_) => {
                    return Err(format!("the variable WATCHDOG_USEC, {text:?}: no time"));
                }
                Ok(microseconds) => Some(Duration::from_micros(microseconds)),
            },
            None => None,
        };
        Ok(Self { manager, watchdog, has_failed: AtomicBool::new(false) })
    }

    pub fn is_wanted(&self) -> bool {
        self.manager.is_some()
    }

    /// It has started, or has reloaded.
    pub fn ready(&self) {
        self.send("READY=1");
    }

    pub fn reloading(&self) {
        let now = clock_gettime(ClockId::Monotonic);
        let microseconds = i128::from(now.tv_sec) * 1_000_000 + i128::from(now.tv_nsec) / 1_000;
        self.send(&format!("RELOADING=1\nMONOTONIC_USEC={microseconds}"));
    }

    pub fn stopping(&self) {
        self.send("STOPPING=1\nSTATUS=ending: requests under way may finish");
    }

    /// In words, for `systemctl status`; one line.
    pub fn status(&self, text: &str) {
        self.send(&format!("STATUS={}", text.replace('\n', " ")));
    }

    /// A start may take its time, where a log is long, as long as it says so.
    pub async fn keep_starting(self: Arc<Self>) {
        loop {
            self.send(&format!("EXTEND_TIMEOUT_USEC={}", START_EXTENSION.as_micros()));
            sleep(START_EXTENSION / 4).await;
        }
    }

    fn alive(&self) {
        self.send("WATCHDOG=1");
    }

    fn send(&self, text: &str) {
        let Some((socket, address)) = &self.manager else { return };
        match socket.send_to_addr(text.as_bytes(), address) {
            Ok(_) => self.has_failed.store(false, Ordering::Relaxed),
            Err(error) => self.failed(&error),
        }
    }

    /// Once, until it succeeds again: it would be told every second.
    fn failed(&self, error: &io::Error) {
        if !self.has_failed.swap(true, Ordering::Relaxed) {
            tracing::warn!(%error, "the service manager cannot be told how it is (NOTIFY_SOCKET)");
        }
    }
}

/// What has to be alive for the server to be.
pub(super) struct Life {
    pub(super) control: Arc<Control>,
    pub(super) pulses: Pulses,
    pub(super) listeners: Vec<Prober>,
}

/// Tells the service manager what state the node is in, and that it lives, as long as it does.
///
/// A bare timer would go on while the server stands still. So each sign of life is given only
/// after this node's state could be read (no lock is held for good), each listener's loop has
/// answered, raft's has, and no task has panicked or keeps its thread.
pub(super) async fn tell(notify: Arc<Notify>, life: Life) {
    let tick = notify.watchdog.map_or(STATUS_TICK, |limit| STATUS_TICK.min(limit / 4));
    let mut told = String::new();
    let mut fault_told = None;
    let mut last: Option<Instant> = None;
    loop {
        let status = status(&life.control);
        if status != told {
            notify.status(&status);
            told = status;
        }
        if let Some(limit) = notify.watchdog
            && last.is_none_or(|last| last.elapsed() >= limit / 3)
        {
            let fault = life.fault(limit / 2).await;
            match &fault {
                None => {
                    notify.alive();
                    last = Some(Instant::now());
                }
                Some(fault_now) if fault != fault_told => {
                    tracing::error!(
                        fault = fault_now,
                        "no sign of life is given to the service manager, which will end this \
                         process unless it recovers"
                    );
                }
                Some(_) => {}
            }
            fault_told = fault;
        }
        sleep(tick).await;
    }
}

impl Life {
    /// What does not answer within `limit`.
    async fn fault(&self, limit: Duration) -> Option<String> {
        if let Some(fault) = self.pulses.fault(limit) {
            return Some(fault);
        }
        let asked = async {
            for listener in &self.listeners {
                if !listener.answers().await {
                    return Some(format!("the listener on {} has ended", listener.address()));
                }
            }
            let node = self.control.consensus.replicated()?;
            node.raft().is_initialized().await.err().map(|error| format!("raft: {error}"))
        };
        let late = || format!("a listener, or raft, has not answered for {} ms", limit.as_millis());
        timeout(limit, asked).await.unwrap_or_else(|_| Some(late()))
    }
}

fn status(control: &Control) -> String {
    if control.is_removed() {
        return "removed from the cluster: remove the data folder to join again".to_owned();
    }
    if control.barrier.is_sealed() {
        let (given, _, pending) = control.shares_so_far();
        let configuration = match control.seal_configuration() {
            Ok(found) => found.or(pending),
            Err(error) => return format!("sealed: {error}"),
        };
        return match configuration {
            Some(configuration) => {
                format!("sealed: {given} of {} unseal keys given", configuration.threshold())
            }
            None => "not initialized: `strongroom operator init`".to_owned(),
        };
    }
    match control.consensus.role() {
        Role::Active => "active".to_owned(),
        Role::Standby(Some(leader)) => format!("standby: {} is active", leader.name),
        Role::Standby(None) => "standby: no node is active".to_owned(),
    }
}

const STATUS_TICK: Duration = Duration::from_secs(1);
const SEND_TIME_MAX: Duration = Duration::from_secs(1);
const START_EXTENSION: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;

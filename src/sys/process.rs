//! What a node tells of its own process and machine: loggers, its log as it is written, requests
//! under way, the host, the configuration.
//!
//! Each is answered by the node that was asked, once the active one has checked the request.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Node;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};

/// A node's process, as `sys/` sees it.
pub trait Process: Send + Sync {
    /// The level of each logger, by its name.
    fn log_levels(&self) -> BTreeMap<String, String>;

    /// Sets a logger's level, or that of all; without a level, back to the configured one.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where there is no such logger or level.
    fn set_log_level(&self, logger: Option<&str>, level: Option<&str>) -> Result<(), Error>;

    /// Whether the log can be watched so; who answers the request then sends it.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where there is no such level or format, [`Error::TooMany`] where too
    /// many watch already.
    fn check_monitor(&self, level: &str, format: &str) -> Result<(), Error>;

    /// What is known of the machine.
    fn host_info(&self) -> Map<String, Value>;

    /// Requests at work on this node, by id.
    fn in_flight(&self) -> Map<String, Value>;

    /// The configuration, without anything that is or leads to a secret.
    fn configuration(&self) -> Map<String, Value>;

    /// Reads again what a subsystem had from files. False where there is no such subsystem.
    fn reload(&self, subsystem: &str) -> bool;
}

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("config/state/sanitized", "This node's configuration, without secrets.")
            .on_this_node()
            .read(sanitized),
        Route::new(
            "config/reload/{subsystem}",
            "Make this node read files again: `tls` its certificates, `log` its level and file.",
        )
        .on_this_node()
        .write(reload),
        Route::new("loggers", "The levels of this node's loggers.")
            .on_this_node()
            .read(read_loggers)
            .write(write_loggers)
            .delete(reset_loggers),
        Route::new("loggers/{name}", "The level of one of this node's loggers.")
            .on_this_node()
            .read(read_logger)
            .write(write_logger)
            .delete(reset_logger),
        Route::new("monitor", "This node's log, as it is written.").on_this_node().read(monitor),
        Route::new("host-info", "The machine that this node runs on.")
            .on_this_node()
            .read(host_info),
        Route::new("in-flight-req", "Requests at work on this node.")
            .on_this_node()
            .read(in_flight),
    ]
}

async fn sanitized(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::data(call.state.process().configuration()))
}

#[derive(Deserialize, JsonSchema)]
struct Reload {
    /// `tls` or `log`.
    subsystem: String,
}

async fn reload(call: &mut Call<'_, Node>, input: Reload) -> Result<Reply, Error> {
    if !call.state.process().reload(&input.subsystem) {
        return Err(Error::UnsupportedPath);
    }
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
struct Logger {
    /// Name of the logger.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Level {
    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[serde(default)]
    level: String,
}

#[derive(Deserialize, JsonSchema)]
struct LoggerLevel {
    /// Name of the logger.
    name: String,
    /// `trace`, `debug`, `info`, `warn` or `error`.
    #[serde(default)]
    level: String,
}

async fn read_loggers(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&call.state.process().log_levels())
}

async fn read_logger(call: &mut Call<'_, Node>, input: Logger) -> Result<Reply, Error> {
    let mut levels = call.state.process().log_levels();
    levels.retain(|name, _| *name == input.name);
    Reply::of(&levels)
}

async fn write_loggers(call: &mut Call<'_, Node>, input: Level) -> Result<Reply, Error> {
    set(call, None, &input.level)
}

async fn write_logger(call: &mut Call<'_, Node>, input: LoggerLevel) -> Result<Reply, Error> {
    set(call, Some(&input.name), &input.level)
}

fn set(call: &Call<'_, Node>, logger: Option<&str>, level: &str) -> Result<Reply, Error> {
    if level.is_empty() {
        return Err(Error::bad_request("level is required"));
    }
    call.state.process().set_log_level(logger, Some(level))?;
    Ok(Reply::default())
}

async fn reset_loggers(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    call.state.process().set_log_level(None, None)?;
    Ok(Reply::default())
}

async fn reset_logger(call: &mut Call<'_, Node>, input: Logger) -> Result<Reply, Error> {
    call.state.process().set_log_level(Some(&input.name), None)?;
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
struct Monitor {
    /// What is told, at least: `trace`, `debug`, `info`, `warn` or `error`.
    #[serde(default)]
    log_level: String,
    /// `standard` or `json`.
    #[serde(default)]
    log_format: String,
}

/// The lines themselves are the server's to send: a reply ends, a log does not.
async fn monitor(call: &mut Call<'_, Node>, input: Monitor) -> Result<Reply, Error> {
    call.state.process().check_monitor(&input.log_level, &input.log_format)?;
    Ok(Reply { status: Some(200), ..Reply::default() })
}

async fn host_info(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let mut info = call.state.process().host_info();
    info.insert("timestamp".into(), json!(call.now.rfc3339()));
    Ok(Reply::data(info))
}

async fn in_flight(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::bare(&call.state.process().in_flight())
}

//! `sys/storage/raft/autopilot`: how the cluster looks after its members, and which of them vote.

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Node;
use crate::framework::{Call, NoParams, Route, Seconds};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("storage/raft/autopilot/state", "How the cluster's nodes are.").read(state),
        Route::new(
            "storage/raft/autopilot/configuration",
            "How the cluster looks after its nodes.",
        )
        .read(read_configuration)
        .write(write_configuration),
        Route::new("storage/raft/promote", "Give a node a vote.").acts_outside().write(promote),
        Route::new("storage/raft/demote", "Take a node's vote away.").acts_outside().write(demote),
    ]
}

/// Where the configuration is kept.
pub const AUTOPILOT_CONFIGURATION: &str = "cluster/autopilot";

/// As it is kept; durations in seconds.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct AutopilotConfiguration {
    pub cleanup_dead_servers: bool,
    /// How long a node must be silent to be taken out.
    pub dead_server_last_contact_threshold: u64,
    /// How long a healthy node may be silent.
    pub last_contact_threshold: u64,
    /// How many entries a healthy node may lack.
    pub max_trailing_logs: u64,
    /// Nobody is taken out where fewer voters would be left.
    pub min_quorum: u64,
    /// How long a new node must have been healthy before it votes.
    pub server_stabilization_time: u64,
    /// Vault's clients set it; upgrades here never move leadership by version.
    pub disable_upgrade_migration: bool,
}

impl Default for AutopilotConfiguration {
    /// As Vault's.
    fn default() -> Self {
        Self {
            cleanup_dead_servers: false,
            dead_server_last_contact_threshold: 24 * 60 * 60,
            last_contact_threshold: 10,
            max_trailing_logs: 1000,
            min_quorum: 0,
            server_stabilization_time: 10,
            disable_upgrade_migration: false,
        }
    }
}

impl AutopilotConfiguration {
    fn check(&self) -> Result<(), Error> {
        if self.last_contact_threshold == 0 {
            return Err(Error::bad_request("last_contact_threshold must be at least 1s"));
        }
        if self.cleanup_dead_servers && self.min_quorum < MIN_QUORUM_LEAST {
            return Err(Error::bad_request(
                "min_quorum must be set when cleanup_dead_servers is set and it should at least \
                 be 3",
            ));
        }
        if self.dead_server_last_contact_threshold < DEAD_SECONDS_LEAST {
            return Err(Error::bad_request(
                "dead_server_last_contact_threshold should not be less than 1m",
            ));
        }
        Ok(())
    }
}

/// A node, as autopilot sees it.
#[derive(Clone, Debug, Serialize)]
pub struct AutopilotServer {
    pub id: String,
    pub name: String,
    pub address: String,
    /// `alive`, or `left` where it is not in contact.
    pub node_status: String,
    pub node_type: String,
    /// `leader`, `voter` or `non-voter`.
    pub status: String,
    pub healthy: bool,
    /// As Go prints durations.
    pub last_contact: String,
    pub last_index: u64,
    pub last_term: u64,
    /// Since when it is as healthy, or unhealthy, as now. RFC 3339.
    pub stable_since: String,
    pub version: String,
}

/// As `state` answers.
#[derive(Clone, Debug, Serialize)]
pub struct AutopilotState {
    pub healthy: bool,
    pub failure_tolerance: usize,
    pub optimistic_failure_tolerance: usize,
    pub leader: String,
    pub voters: Vec<String>,
    pub non_voters: Vec<String>,
    pub servers: BTreeMap<String, AutopilotServer>,
}

async fn state(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let configuration = stored(call)?;
    Reply::of(&call.state.autopilot_state(&configuration)?)
}

fn stored(call: &mut Call<'_, Node>) -> Result<AutopilotConfiguration, Error> {
    call.state.check_snapshot()?;
    Ok(call.storage.get(AUTOPILOT_CONFIGURATION)?.unwrap_or_default())
}

async fn read_configuration(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let configuration = stored(call)?;
    let text = |seconds| go_duration(Duration::from_secs(seconds));
    Reply::of(&json!({
        "cleanup_dead_servers": configuration.cleanup_dead_servers,
        "dead_server_last_contact_threshold":
            text(configuration.dead_server_last_contact_threshold),
        "disable_upgrade_migration": configuration.disable_upgrade_migration,
        "last_contact_threshold": text(configuration.last_contact_threshold),
        "max_trailing_logs": configuration.max_trailing_logs,
        "min_quorum": configuration.min_quorum,
        "server_stabilization_time": text(configuration.server_stabilization_time),
    }))
}

/// What is not given stays.
#[derive(Deserialize, JsonSchema)]
struct WriteConfiguration {
    /// Take nodes out that have been silent for long.
    cleanup_dead_servers: Option<bool>,
    /// How long; at least one minute.
    dead_server_last_contact_threshold: Option<Seconds>,
    /// How long a healthy node may be silent.
    last_contact_threshold: Option<Seconds>,
    /// How many log entries a healthy node may lack.
    max_trailing_logs: Option<i64>,
    /// Never leave fewer voters than these; at least 3 where nodes are taken out.
    min_quorum: Option<i64>,
    /// How long a new node must be healthy before it votes.
    server_stabilization_time: Option<Seconds>,
    /// Kept, and of no effect.
    disable_upgrade_migration: Option<bool>,
}

async fn write_configuration(
    call: &mut Call<'_, Node>,
    input: WriteConfiguration,
) -> Result<Reply, Error> {
    let mut kept = stored(call)?;
    let seconds = |given: Option<Seconds>| given.map(|seconds| seconds.0);
    for (name, given, to) in [
        (
            "dead_server_last_contact_threshold",
            seconds(input.dead_server_last_contact_threshold),
            &mut kept.dead_server_last_contact_threshold,
        ),
        (
            "last_contact_threshold",
            seconds(input.last_contact_threshold),
            &mut kept.last_contact_threshold,
        ),
        ("max_trailing_logs", input.max_trailing_logs, &mut kept.max_trailing_logs),
        ("min_quorum", input.min_quorum, &mut kept.min_quorum),
        (
            "server_stabilization_time",
            seconds(input.server_stabilization_time),
            &mut kept.server_stabilization_time,
        ),
    ] {
        let Some(given) = given else { continue };
        *to = u64::try_from(given)
            .ok()
            .filter(|number| *number <= NUMBER_MAX)
            .ok_or_else(|| Error::BadRequest(format!("{name} must be from 0 to {NUMBER_MAX}")))?;
    }
    kept.cleanup_dead_servers = input.cleanup_dead_servers.unwrap_or(kept.cleanup_dead_servers);
    let disabled = input.disable_upgrade_migration;
    kept.disable_upgrade_migration = disabled.unwrap_or(kept.disable_upgrade_migration);
    kept.check()?;
    call.storage.put(AUTOPILOT_CONFIGURATION, &kept)?;
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
struct Server {
    /// Its `node_id`, or its raft id.
    #[serde(default)]
    server_id: String,
}

async fn promote(call: &mut Call<'_, Node>, input: Server) -> Result<Reply, Error> {
    set_voter(call, &input, true).await
}

async fn demote(call: &mut Call<'_, Node>, input: Server) -> Result<Reply, Error> {
    set_voter(call, &input, false).await
}

async fn set_voter(call: &mut Call<'_, Node>, input: &Server, votes: bool) -> Result<Reply, Error> {
    if input.server_id.is_empty() {
        return Err(Error::bad_request("no server id provided"));
    }
    call.state.set_voter(&input.server_id, votes).await?;
    Ok(Reply::default())
}

/// As Go prints durations: `24h0m0s`, `1m30s`, `1.5s`, `20ms`, `0s`.
pub fn go_duration(time: Duration) -> String {
    if time < Duration::from_secs(1) {
        return match time.as_millis() {
            0 => "0s".to_owned(),
            milliseconds => format!("{milliseconds}ms"),
        };
    }
    let (whole, parts) = (time.as_secs(), time.subsec_millis());
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    let fraction = match parts {
        0 => String::new(),
        parts => format!(".{parts:03}").trim_end_matches('0').to_owned(),
    };
    match (hours, minutes) {
        (0, 0) => format!("{seconds}{fraction}s"),
        (0, minutes) => format!("{minutes}m{seconds}{fraction}s"),
        (hours, minutes) => format!("{hours}h{minutes}m{seconds}{fraction}s"),
    }
}

/// As Vault asks for where nodes are taken out.
const MIN_QUORUM_LEAST: u64 = 3;
const DEAD_SECONDS_LEAST: u64 = 60;

/// Of each number and each duration in seconds: a century.
const NUMBER_MAX: u64 = 3_200_000_000;

#[cfg(test)]
mod tests;

//! `operator raft autopilot`

use serde_json::{Map, Value};

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::format::{self, Format};
use crate::cli::mount::cell;
use crate::cli::session::Session;
use crate::client::{GET, POST, Request};

/// See and set how the cluster looks after its servers
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    State(State),
    GetConfig(GetConfig),
    SetConfig(SetConfig),
}

/// Show how the servers are
#[derive(clap::Args)]
pub(in crate::cli) struct State {}

/// Show how the cluster looks after its servers
#[derive(clap::Args)]
pub(in crate::cli) struct GetConfig {}

/// Set how the cluster looks after its servers; what is not given stays
#[derive(clap::Args)]
pub(in crate::cli) struct SetConfig {
    /// Take servers out that have been silent for long.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = args::go_bool
    )]
    cleanup_dead_servers: Option<bool>,
    /// How long: a duration, such as 24h.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    dead_server_last_contact_threshold: Option<String>,
    /// How long a healthy server may be silent.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    last_contact_threshold: Option<String>,
    /// How many log entries a healthy server may lack.
    #[arg(long)]
    max_trailing_logs: Option<u64>,
    /// Never leave fewer voters than these.
    #[arg(long)]
    min_quorum: Option<u64>,
    /// How long a new server must be healthy before it votes.
    #[arg(long, value_name = "DURATION", value_parser = args::duration)]
    server_stabilization_time: Option<String>,
    /// Kept, and of no effect.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = args::go_bool
    )]
    disable_upgrade_migration: Option<bool>,
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::State(_) => state(session).await,
        Command::GetConfig(_) => get_config(session).await,
        Command::SetConfig(args) => set_config(session, &args).await,
    }
}

async fn read(session: &mut Session<'_, '_>, what: &str) -> Result<Map<String, Value>, Failure> {
    let failed = |error| Failure::during(format!("Error reading autopilot {what}"), error);
    let request = Request::new(GET, &format!("sys/storage/raft/autopilot/{what}"));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    Ok(envelope.data().cloned().unwrap_or_default())
}

async fn get_config(session: &mut Session<'_, '_>) -> Result<(), Failure> {
    let map = read(session, "configuration").await?;
    let rows: Vec<_> = TITLES
        .iter()
        .filter(|(_, name)| map.contains_key(*name))
        .map(|(title, name)| ((*title).to_owned(), text(map.get(*name))))
        .collect();
    session.print_map(&map, &rows)
}

async fn set_config(session: &mut Session<'_, '_>, args: &SetConfig) -> Result<(), Failure> {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    let duration = |text: &Option<String>| text.clone().map(Value::from);
    put("cleanup_dead_servers", args.cleanup_dead_servers.map(Value::from));
    put("dead_server_last_contact_threshold", duration(&args.dead_server_last_contact_threshold));
    put("last_contact_threshold", duration(&args.last_contact_threshold));
    put("max_trailing_logs", args.max_trailing_logs.map(Value::from));
    put("min_quorum", args.min_quorum.map(Value::from));
    put("server_stabilization_time", duration(&args.server_stabilization_time));
    put("disable_upgrade_migration", args.disable_upgrade_migration.map(Value::from));
    let failed = |error| Failure::during("Error writing autopilot configuration", error);
    let request =
        Request::new(POST, "sys/storage/raft/autopilot/configuration").json(&Value::Object(body));
    session.client()?.send(&request).await.map_err(failed)?;
    session.success("Success! Updated autopilot configuration")
}

async fn state(session: &mut Session<'_, '_>) -> Result<(), Failure> {
    let map = read(session, "state").await?;
    if session.format != Format::Table {
        return session.print_value(&format::sorted(&Value::Object(map)));
    }
    session.refuse_raw()?;
    session.io.print(shown(&map).trim_end())
}

fn shown(map: &Map<String, Value>) -> String {
    let line = |indent: usize, name: &str, value: &str| {
        format!("{:indent$}{:30}{value}\n", "", format!("{name}:"))
    };
    let mut shown = line(0, "Healthy", &text(map.get("healthy")));
    shown += &line(0, "Failure Tolerance", &text(map.get("failure_tolerance")));
    shown += &line(0, "Leader", &text(map.get("leader")));
    for (title, name) in [("Voters", "voters"), ("Non-Voters", "non_voters")] {
        let names = map.get(name).and_then(Value::as_array);
        let names: Vec<String> = names.into_iter().flatten().map(|name| text(Some(name))).collect();
        if !names.is_empty() {
            shown += &line(0, title, &names.join(", "));
        }
    }
    for (id, server) in map.get("servers").and_then(Value::as_object).into_iter().flatten() {
        shown += &line(0, "Server", id);
        for (title, name) in SERVER {
            shown += &line(3, title, &cell(server, name));
        }
    }
    shown
}

fn text(value: Option<&Value>) -> String {
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

const TITLES: [(&str, &str); 7] = [
    ("Cleanup Dead Servers", "cleanup_dead_servers"),
    ("Last Contact Threshold", "last_contact_threshold"),
    ("Dead Server Last Contact Threshold", "dead_server_last_contact_threshold"),
    ("Server Stabilization Time", "server_stabilization_time"),
    ("Min Quorum", "min_quorum"),
    ("Max Trailing Logs", "max_trailing_logs"),
    ("Disable Upgrade Migration", "disable_upgrade_migration"),
];

const SERVER: [(&str, &str); 10] = [
    ("Name", "name"),
    ("Address", "address"),
    ("Status", "status"),
    ("Node Status", "node_status"),
    ("Healthy", "healthy"),
    ("Last Contact", "last_contact"),
    ("Last Term", "last_term"),
    ("Last Index", "last_index"),
    ("Stable Since", "stable_since"),
    ("Version", "version"),
];

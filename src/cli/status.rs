//! `status`, and the table of a seal's state that `operator unseal` prints too.

mod all;

use serde_json::{Map, Value, json};

use super::cluster::NodeFlags;
use super::failure::{Failure, LOCAL, REMOTE};
use super::go_text;
use super::session::Session;
use crate::client::{self, GET, Request};

/// Print whether the server is sealed, and who leads
///
/// Exits with 0 if it is unsealed, 2 if sealed, 1 on an error; with -all, with that of the worst
/// node.
#[derive(clap::Args)]
pub(super) struct Args {
    /// Show every node of the cluster.
    #[arg(long)]
    all: bool,
    /// Show them again and again, until interrupted.
    #[arg(long)]
    watch: bool,
    #[command(flatten)]
    nodes: NodeFlags,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    if args.all {
        return all::run(session, &args.nodes, args.watch).await;
    }
    if args.watch || args.nodes.are_named() {
        return Err(Failure::local("-watch and -node go with -all: they are about every node"));
    }
    let status = read(session).await?;
    session.print_map(&status, &rows(&status))?;
    match status.get("sealed") {
        Some(Value::Bool(false)) => Ok(()),
        _ => Err(Failure::silent(REMOTE)),
    }
}

async fn read(session: &Session<'_, '_>) -> Result<Map<String, Value>, Failure> {
    let client = session.client()?;
    let failed = |error| Failure::during("Error checking seal status", error).exit(LOCAL);
    let response = client.send(&Request::new(GET, "sys/seal-status")).await.map_err(failed)?;
    with_leader(session, object(response.json().map_err(failed)?)).await
}

/// The seal's state, with what the server says about the leader.
pub(super) async fn with_leader(
    session: &Session<'_, '_>,
    mut status: Map<String, Value>,
) -> Result<Map<String, Value>, Failure> {
    if status.get("sealed") != Some(&Value::Bool(false)) {
        status.insert("ha_enabled".into(), is_highly_available(&status).into());
        return Ok(status);
    }
    let failed = |error| Failure::during("Error checking leader status", error).exit(LOCAL);
    let request = Request::new(GET, "sys/leader").always_sent();
    let leader = match session.client()?.send(&request).await {
        Ok(response) => object(response.json().map_err(failed)?),
        // As in Vault: a server that will not tell before it is unsealed shares its storage.
        Err(client::Error::Api(error)) if error.says("Vault is sealed") => {
            object(json!({ "ha_enabled": true }))
        }
        Err(error) => return Err(failed(error)),
    };
    let is_known = |name: &str, value: &Value| match value {
        Value::Null | Value::Bool(false) => name == "ha_enabled",
        Value::String(text) => !text.is_empty() && !text.starts_with("0001-"),
        Value::Number(number) => number.as_u64() != Some(0),
        _ => true,
    };
    status.extend(leader.into_iter().filter(|(name, value)| is_known(name, value)));
    Ok(status)
}

/// A sealed server tells nothing of a leader; that with Raft there is one, its storage tells.
fn is_highly_available(status: &Map<String, Value>) -> bool {
    match status.get("ha_enabled") {
        Some(told) => told == &Value::Bool(true),
        None => status.get("storage_type") == Some(&Value::from("raft")),
    }
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

/// The rows that scripts read, in Vault's order.
pub(super) fn rows(status: &Map<String, Value>) -> Vec<(String, String)> {
    let text = |name: &str| status.get(name).map(go_text::text).unwrap_or_default();
    let is = |name: &str| status.get(name) == Some(&Value::Bool(true));
    let filled = |name: &str| Some(text(name)).filter(|text| !text.is_empty() && text != "<nil>");
    let mut rows: Vec<(String, String)> = Vec::new();
    let mut push = |name: &str, value: String| rows.push((name.to_owned(), value));
    let kind = if is("recovery_seal") { "Recovery " } else { "" };
    if is("recovery_seal") {
        push("Recovery Seal Type", filled("recovery_seal_type").unwrap_or_else(|| text("type")));
    } else {
        push("Seal Type", text("type"));
    }
    push("Initialized", text("initialized"));
    push("Sealed", text("sealed"));
    push(&format!("Total {kind}Shares"), text("n"));
    push("Threshold", text("t"));
    if is("sealed") {
        push("Unseal Progress", format!("{}/{}", text("progress"), text("t")));
        push("Unseal Nonce", text("nonce"));
    }
    if is("migration") {
        push("Seal Migration in Progress", "true".into());
    }
    push("Version", text("version"));
    if let Some(date) = filled("build_date").or_else(|| filled("commit_date")) {
        push("Build Date", date);
    }
    push("Storage Type", text("storage_type"));
    for (name, key) in [("Cluster Name", "cluster_name"), ("Cluster ID", "cluster_id")] {
        if let Some(value) = filled(key) {
            push(name, value);
        }
    }
    if is("removed_from_cluster") {
        push("Removed From Cluster", "true".into());
    }
    push("HA Enabled", is_highly_available(status).to_string());
    if is("ha_enabled") && !is("sealed") {
        push_leader(status, &mut rows);
    }
    rows
}

fn push_leader(status: &Map<String, Value>, rows: &mut Vec<(String, String)>) {
    let text = |name: &str| status.get(name).map(go_text::text).filter(|text| !text.is_empty());
    let is_active = status.get("is_self") == Some(&Value::Bool(true));
    let mut push = |name: &str, value: String| rows.push((name.to_owned(), value));
    push("HA Cluster", text("leader_cluster_address").unwrap_or_else(|| "n/a".into()));
    push("HA Mode", if is_active { "active" } else { "standby" }.into());
    match (is_active, text("active_time")) {
        (true, Some(since)) => push("Active Since", since),
        (true, None) => {}
        (false, _) => {
            push("Active Node Address", text("leader_address").unwrap_or_else(|| "<none>".into()));
        }
    }
    for (name, key) in [
        ("Raft Committed Index", "raft_committed_index"),
        ("Raft Applied Index", "raft_applied_index"),
    ] {
        if let Some(index) = text(key) {
            push(name, index);
        }
    }
}

#[cfg(test)]
mod tests;

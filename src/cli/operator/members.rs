//! `operator members`

use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::mount::cell;
use crate::cli::session::Session;
use crate::client::{GET, Request};

/// List the servers of the cluster
#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, _: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let response = session.client()?.send(&Request::new(GET, "sys/ha-status")).await?;
    let envelope = response.envelope()?.unwrap_or_default();
    let nodes = envelope.data().and_then(|data| data.get("nodes")).and_then(Value::as_array);
    let nodes: &[Value] = nodes.map(Vec::as_slice).unwrap_or_default();
    let mut rows: Vec<Vec<String>> = vec![COLUMNS.map(|(title, _)| title.to_owned()).to_vec()];
    for node in nodes {
        rows.push(COLUMNS.map(|(_, name)| whole_seconds(&cell(node, name))).to_vec());
    }
    // As in Vault: JSON has the nodes below `Nodes`.
    session.print_table(&rows, &serde_json::json!({ "Nodes": nodes }))
}

/// RFC 3339 without parts of a second, for the column `Last Echo`; other text stays.
fn whole_seconds(text: &str) -> String {
    match (text.split_once('.'), text.strip_suffix('Z')) {
        (Some((time, _)), Some(_)) if time.contains('T') => format!("{time}Z"),
        _ => text.to_owned(),
    }
}

const COLUMNS: [(&str, &str); 7] = [
    ("Host Name", "hostname"),
    ("API Address", "api_address"),
    ("Cluster Address", "cluster_address"),
    ("Active Node", "active_node"),
    ("Version", "version"),
    ("Upgrade Version", "upgrade_version"),
    ("Last Echo", "last_echo"),
];

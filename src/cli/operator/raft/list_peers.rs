//! `operator raft list-peers`

use serde_json::Value;

use crate::cli::failure::Failure;
use crate::cli::format::{self, Format};
use crate::cli::mount::cell;
use crate::cli::session::Session;
use crate::client::{GET, Request};

/// List the servers, and which of them leads
#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, _: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let failed = |error| Failure::during("Error reading the raft cluster configuration", error);
    let request =
        Request::new(GET, "sys/storage/raft/configuration").accept(hyper::StatusCode::NOT_FOUND);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response
        .envelope()
        .map_err(failed)?
        .ok_or_else(|| Failure::remote("No raft cluster configuration found"))?;
    if session.format != Format::Table {
        return session.print_value(&format::envelope_value(&envelope));
    }
    session.warn_all(&envelope.warnings);
    let servers = envelope.data().and_then(|data| data.get("config")?.get("servers")?.as_array());
    let mut rows = vec![["Node", "Address", "State", "Voter"].map(str::to_owned).to_vec()];
    for server in servers.into_iter().flatten() {
        let is_leader = server.get("leader") == Some(&Value::Bool(true));
        rows.push(vec![
            cell(server, "node_id"),
            cell(server, "address"),
            if is_leader { "leader" } else { "follower" }.to_owned(),
            cell(server, "voter"),
        ]);
    }
    session.print_table(&rows, &Value::Null)
}

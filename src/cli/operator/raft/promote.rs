//! `operator raft promote`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::{POST, Request};

/// Give a server a vote
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The server's node ID, as `list-peers` shows it.
    #[arg(value_name = "ID")]
    id: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error promoting server", error);
    let request = Request::new(POST, "sys/storage/raft/promote")
        .json(&json!({ "server_id": args.id.trim() }));
    session.client()?.send(&request).await.map_err(failed)?;
    session.success("Success! The server will become a voter.")
}

//! `kv metadata delete`

use crate::cli::failure::Failure;
use crate::cli::kv::place::Place;
use crate::cli::session::Session;
use crate::client::Request;

/// Remove a secret for good: all versions and settings
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    place.require_versions("Metadata not supported on KV Version 1")?;
    let path = place.below("metadata");
    let failed = |error| Failure::during(format_args!("Error deleting {path}"), error);
    let response = session.client()?.send(&Request::delete(&path)).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    let message = format!("Success! Data deleted (if it existed) at: {path}");
    session.print_written(envelope.as_ref(), &message)
}

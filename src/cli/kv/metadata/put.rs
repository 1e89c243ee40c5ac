//! `kv metadata put`

use serde_json::Value;

use super::Settings;
use crate::cli::failure::Failure;
use crate::cli::kv::place::Place;
use crate::cli::session::Session;
use crate::client::Request;

/// Set the settings of a secret
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
    #[command(flatten)]
    settings: Settings,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    place.require_versions("Metadata not supported on KV Version 1")?;
    let path = place.below("metadata");
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let request = Request::write(&path, &Value::Object(args.settings.body()));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    session.print_written(envelope.as_ref(), &format!("Success! Data written to: {path}"))
}

//! `kv undelete`

use serde_json::json;

use super::place::Place;
use super::versions;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// Bring deleted versions of a secret back
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
    /// The versions, such as 1,2.
    #[arg(long)]
    versions: Vec<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let versions = versions(&args.versions);
    if versions.is_empty() {
        return Err(Failure::local("No versions provided: give those to undelete with -versions"));
    }
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    place.require_versions("Undelete not supported on KV Version 1")?;
    let path = place.below("undelete");
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let request = Request::write(&path, &json!({ "versions": versions }));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    session.print_written(envelope.as_ref(), &format!("Success! Data written to: {path}"))
}

//! `kv delete`

use serde_json::json;

use super::place::{Engine, Place};
use super::versions;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// Delete a secret, or some of its versions
///
/// In a versioned engine, `kv undelete` brings them back.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
    /// The versions, such as 1,2; without it, the current one.
    #[arg(long)]
    versions: Vec<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    let path = place.of_data();
    let versions = versions(&args.versions);
    let request = match place.engine {
        Engine::Versioned if !versions.is_empty() => {
            Request::write(&place.below("delete"), &json!({ "versions": versions }))
        }
        _ => Request::delete(&path),
    };
    let failed = |error| Failure::during(format_args!("Error deleting {path}"), error);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    let message = format!("Success! Data deleted (if it existed) at: {path}");
    session.print_written(envelope.as_ref(), &message)
}

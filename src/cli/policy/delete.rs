//! `policy delete`

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// Delete a policy
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    name: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let name = args.name.trim().to_lowercase();
    let failed = |error| Failure::during(format_args!("Error deleting {name}"), error);
    let request = Request::delete(&format!("sys/policies/acl/{name}"));
    session.client()?.send(&request).await.map_err(failed)?;
    session.success(&format!("Success! Deleted policy: {name}"))
}

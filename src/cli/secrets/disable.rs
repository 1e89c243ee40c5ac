//! `secrets disable`

use crate::cli::failure::Failure;
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::Request;

/// Unmount a secrets engine, and lose all that it keeps
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let mount = mount_path(&args.path);
    let failed =
        |error| Failure::during(format_args!("Error disabling secrets engine at {mount}"), error);
    let request = Request::delete(&format!("sys/mounts/{}", trimmed_path(&args.path)));
    session.client()?.send(&request).await.map_err(failed)?;
    session.success(&format!("Success! Disabled the secrets engine (if it existed) at: {mount}"))
}

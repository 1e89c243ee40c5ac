//! `audit disable`

use crate::cli::failure::Failure;
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::Request;

/// Disable an audit device
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error disabling audit device", error);
    let request = Request::delete(&format!("sys/audit/{}", trimmed_path(&args.path)));
    session.client()?.send(&request).await.map_err(failed)?;
    let path = mount_path(&args.path);
    session.success(&format!("Success! Disabled audit device (if it was enabled) at: {path}"))
}

//! `secrets move`

use crate::cli::failure::Failure;
use crate::cli::mount::move_mount;
use crate::cli::session::{Session, mount_path};

/// Move a secrets engine to another path; its leases end
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    source: String,
    destination: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let (from, to) = (mount_path(&args.source), mount_path(&args.destination));
    move_mount(session, "secrets engine", &from, &to, "").await
}

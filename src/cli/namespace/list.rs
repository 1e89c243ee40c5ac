//! `namespace list`

use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// List the namespaces below the one that is worked in
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Show what is known of each.
    #[arg(long)]
    detailed: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = "sys/namespaces".to_owned();
    crate::cli::list::run(session, &crate::cli::list::Args::of(path, args.detailed)).await
}

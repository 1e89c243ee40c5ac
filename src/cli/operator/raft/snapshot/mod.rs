//! `operator raft snapshot`

mod restore;
mod save;

use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Save and restore all data
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    Save(save::Args),
    Restore(restore::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Save(args) => save::run(session, &args).await,
        Command::Restore(args) => restore::run(session, &args).await,
    }
}

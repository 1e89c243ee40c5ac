//! `operator raft snapshot`

mod archive;
mod inspect;
mod restore;
mod save;
mod verify;

use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Save and restore all data
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    Save(save::Args),
    Restore(restore::Args),
    Inspect(inspect::Args),
    Verify(verify::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Save(args) => save::run(session, &args).await,
        Command::Restore(args) => restore::run(session, &args).await,
        Command::Inspect(args) => inspect::run(session, &args),
        Command::Verify(args) => verify::run(session, &args),
    }
}

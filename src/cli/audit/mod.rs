//! `audit`

mod disable;
mod enable;
mod lines;
mod list;
mod report;
mod verify;

use super::failure::Failure;
use super::session::Session;

/// Work with audit devices
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Enable(enable::Args),
    Disable(disable::Args),
    List(list::Args),
    Report(report::Args),
    Verify(verify::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Enable(args) => enable::run(session, &args).await,
        Command::Disable(args) => disable::run(session, &args).await,
        Command::List(args) => list::run(session, &args).await,
        Command::Report(args) => report::run(session, &args),
        Command::Verify(args) => verify::run(session, &args),
    }
}

//! `plugin`

mod info;
mod list;

use super::failure::Failure;
use super::session::Session;

/// See what can be mounted
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Info(info::Args),
    List(list::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Info(args) => info::run(session, &args).await,
        Command::List(args) => list::run(session, &args).await,
    }
}

//! `lease`

mod lookup;
mod renew;
mod revoke;

use super::failure::Failure;
use super::session::Session;

/// Work with leases
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Lookup(lookup::Args),
    Renew(renew::Args),
    Revoke(revoke::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Lookup(args) => lookup::run(session, &args).await,
        Command::Renew(args) => renew::run(session, &args).await,
        Command::Revoke(args) => revoke::run(session, &args).await,
    }
}

//! `token`

mod capabilities;
mod create;
mod lookup;
mod renew;
mod revoke;

use super::failure::Failure;
use super::session::Session;

/// Work with tokens
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Create(create::Args),
    Lookup(lookup::Args),
    Renew(renew::Args),
    Revoke(revoke::Args),
    Capabilities(capabilities::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create::run(session, &args).await,
        Command::Lookup(args) => lookup::run(session, &args).await,
        Command::Renew(args) => renew::run(session, &args).await,
        Command::Revoke(args) => revoke::run(session, &args).await,
        Command::Capabilities(args) => capabilities::run(session, &args).await,
    }
}

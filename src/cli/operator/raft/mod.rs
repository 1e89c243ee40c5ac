//! `operator raft`

mod autopilot;
mod demote;
mod join;
mod list_peers;
mod promote;
mod recover;
mod remove_peer;
mod snapshot;

use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Work with the servers that keep the data together
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    Join(join::Args),
    ListPeers(list_peers::Args),
    RemovePeer(remove_peer::Args),
    Promote(promote::Args),
    Demote(demote::Args),
    Recover(recover::Args),
    #[command(subcommand)]
    Autopilot(autopilot::Command),
    #[command(subcommand)]
    Snapshot(snapshot::Command),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Join(args) => join::run(session, &args).await,
        Command::ListPeers(args) => list_peers::run(session, &args).await,
        Command::RemovePeer(args) => remove_peer::run(session, &args).await,
        Command::Promote(args) => promote::run(session, &args).await,
        Command::Demote(args) => demote::run(session, &args).await,
        Command::Recover(args) => recover::run(session, &args),
        Command::Autopilot(command) => autopilot::run(session, command).await,
        Command::Snapshot(command) => snapshot::run(session, command).await,
    }
}

//! `operator`

mod generate_root;
mod given;
mod init;
mod key_status;
mod members;
mod raft;
mod rekey;
mod rotate;
mod seal;
mod step_down;
mod unseal;
mod validate_config;

use super::failure::Failure;
use super::session::Session;

/// Set servers up, and keep them running
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Init(init::Args),
    Unseal(unseal::Args),
    Seal(seal::Args),
    StepDown(step_down::Args),
    Members(members::Args),
    KeyStatus(key_status::Args),
    Rotate(rotate::Args),
    GenerateRoot(generate_root::Args),
    Rekey(rekey::Args),
    #[command(subcommand)]
    Raft(raft::Command),
    ValidateConfig(validate_config::Args),
    Diagnose(super::diagnose::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Init(args) => init::run(session, &args).await,
        Command::Unseal(args) => unseal::run(session, &args).await,
        Command::Seal(args) => seal::run(session, &args).await,
        Command::StepDown(args) => step_down::run(session, &args).await,
        Command::Members(args) => members::run(session, &args).await,
        Command::KeyStatus(args) => key_status::run(session, &args).await,
        Command::Rotate(args) => rotate::run(session, &args).await,
        Command::GenerateRoot(args) => generate_root::run(session, &args).await,
        Command::Rekey(args) => rekey::run(session, &args).await,
        Command::Raft(command) => raft::run(session, command).await,
        Command::ValidateConfig(args) => validate_config::run(session, args),
        // `dispatch` has handed it over.
        Command::Diagnose(_) => Ok(()),
    }
}

//! `policy`

mod delete;
mod fmt;
mod list;
mod read;
mod test;
mod write;

use super::failure::Failure;
use super::session::Session;

/// Work with policies
#[derive(clap::Subcommand)]
pub(super) enum Command {
    List(list::Args),
    Read(read::Args),
    Write(write::Args),
    Delete(delete::Args),
    Fmt(fmt::Args),
    Test(test::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::List(args) => list::run(session, &args).await,
        Command::Read(args) => read::run(session, &args).await,
        Command::Write(args) => write::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
        Command::Fmt(args) => fmt::run(session, &args),
        Command::Test(args) => test::run(session, &args),
    }
}

/// Names of policies are in lower case.
fn policy_name(session: &mut Session<'_, '_>, given: &str) -> String {
    let given = given.trim();
    let name = given.to_lowercase();
    if name != given {
        session.io.warn(&format!("Policy name was converted from {given:?} to {name:?}"));
    }
    name
}

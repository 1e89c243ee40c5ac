//! `namespace`

mod create;
mod delete;
mod list;
mod lock;
mod lookup;
mod patch;
mod unlock;

use serde_json::{Map, Value};

use super::failure::Failure;
use super::format;
use super::session::Session;
use crate::client::Envelope;

/// Work with namespaces
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Create(create::Args),
    Delete(delete::Args),
    List(list::Args),
    Lock(lock::Args),
    Lookup(lookup::Args),
    Patch(patch::Args),
    Unlock(unlock::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Create(args) => create::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
        Command::List(args) => list::run(session, &args).await,
        Command::Lock(args) => lock::run(session, &args).await,
        Command::Lookup(args) => lookup::run(session, &args).await,
        Command::Patch(args) => patch::run(session, &args).await,
        Command::Unlock(args) => unlock::run(session, &args).await,
    }
}

/// What is known of a namespace, without the envelope around it.
fn show(session: &mut Session<'_, '_>, envelope: Option<&Envelope>) -> Result<(), Failure> {
    let data = envelope.and_then(Envelope::data).cloned().unwrap_or_default();
    session.warn_all(envelope.map(|envelope| envelope.warnings.as_slice()).unwrap_or_default());
    session.print_map(&data, &format::data_rows(&data))
}

/// Texts by name, as a body has them.
fn metadata(pairs: &[(String, String)]) -> Map<String, Value> {
    pairs.iter().map(|(name, value)| (name.clone(), value.clone().into())).collect()
}

/// The path that locks or unlocks a namespace: the one that is worked in, where none is named.
fn lock_path(action: &str, path: Option<&str>) -> String {
    let path = path.map(super::session::trimmed_path).unwrap_or_default();
    format!("sys/namespaces/api-lock/{action}/{path}").trim_end_matches('/').to_owned()
}

//! `kv`

mod delete;
mod destroy;
mod enable_versioning;
mod get;
mod list;
mod metadata;
mod patch;
mod place;
mod put;
mod rollback;
mod undelete;

use serde_json::{Map, Value};

use super::failure::Failure;
use super::format::{self, Format};
use super::session::Session;
use super::table;
use crate::client::Envelope;

/// Work with secrets of key-value engines
#[derive(clap::Subcommand)]
pub(super) enum Command {
    Get(get::Args),
    Put(put::Args),
    Patch(patch::Args),
    Delete(delete::Args),
    Undelete(undelete::Args),
    Destroy(destroy::Args),
    List(list::Args),
    Rollback(rollback::Args),
    #[command(subcommand)]
    Metadata(metadata::Command),
    EnableVersioning(enable_versioning::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Get(args) => get::run(session, &args).await,
        Command::Put(args) => put::run(session, &args).await,
        Command::Patch(args) => patch::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
        Command::Undelete(args) => undelete::run(session, &args).await,
        Command::Destroy(args) => destroy::run(session, &args).await,
        Command::List(args) => list::run(session, &args).await,
        Command::Rollback(args) => rollback::run(session, &args).await,
        Command::Metadata(command) => metadata::run(session, command).await,
        Command::EnableVersioning(args) => enable_versioning::run(session, &args).await,
    }
}

/// What a write of a version answers: its path and metadata.
fn print_version(
    session: &mut Session<'_, '_>,
    envelope: &Envelope,
    path: &str,
) -> Result<(), Failure> {
    let is_table = session.format == Format::Table && session.global.field.is_none();
    match envelope.data().filter(|_| is_table && envelope.wrap_info.is_none()) {
        None => session.print_envelope(envelope),
        Some(metadata) => {
            session.warn_all(&envelope.warnings);
            print_path(session, "Secret Path", path)?;
            session.io.print(&format::titled_map("Metadata", metadata))
        }
    }
}

fn print_path(session: &mut Session<'_, '_>, title: &str, path: &str) -> Result<(), Failure> {
    let title = table::title_of_width(title, path.chars().count());
    session.io.print(&format!("{title}\n{path}\n"))
}

fn map_at<'a>(envelope: &'a Envelope, name: &str) -> Option<&'a Map<String, Value>> {
    envelope.data()?.get(name)?.as_object()
}

/// `1,2` and repeated flags, as `-versions` takes them.
fn versions(flags: &[String]) -> Vec<&str> {
    let texts = flags.iter().flat_map(|flag| flag.split(','));
    texts.map(str::trim).filter(|version| !version.is_empty()).collect()
}

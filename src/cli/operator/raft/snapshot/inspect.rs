//! `operator raft snapshot inspect`

use std::io;
use std::path::PathBuf;

use serde_json::{Map, Value, json};

use super::archive;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::clock::Timestamp;

/// Show what a snapshot says of itself
///
/// Checks the archive's checksums too. Needs neither a server nor a key.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    file: PathBuf,
}

pub(in crate::cli) fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let meta = archive::unpack(&args.file, io::sink())?.meta;
    let time = Timestamp(meta.time).rfc3339();
    let rows = [
        ("ID", json!(meta.id)),
        ("Size", json!(meta.size)),
        ("Index", json!(meta.index)),
        ("Term", json!(meta.term)),
        ("Version", json!(meta.version)),
        ("Time", json!(time)),
        ("Items", json!(meta.items)),
    ];
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let shown: Vec<_> = rows.iter().map(|(name, value)| ((*name).into(), text(value))).collect();
    let map: Map<String, Value> =
        rows.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    session.print_map(&map, &shown)
}

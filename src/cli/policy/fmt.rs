//! `policy fmt`

use std::fs;
use std::path::PathBuf;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::policy;

/// Write a policy file again, in the usual layout
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    file: PathBuf,
}

pub(in crate::cli) fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = &args.file;
    let text = fs::read_to_string(path).map_err(|error| {
        Failure::local(format!("Error reading source file: {}: {error}", path.display()))
    })?;
    let formatted = policy::format(&text)
        .map_err(|error| Failure::local(format!("Error formatting policy: {error}")))?;
    // In place: the file keeps its owner, mode and links.
    fs::write(path, formatted)
        .map_err(|error| Failure::local(format!("Error writing {}: {error}", path.display())))?;
    session.success(&format!("Success! Formatted policy: {}", path.display()))
}

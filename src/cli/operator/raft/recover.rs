//! `operator raft recover`

use std::fs;
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Make a server that is left the whole cluster, after a majority was lost for good
///
/// What only the other servers had is gone, and they must never be started again with their data.
/// The server of the data folder must be stopped; it carries the recovery out when it starts next.
/// Where several servers are left, keep the one whose log goes furthest (`operator diagnose` tells);
/// the others' data folders are emptied, and they join it.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The server's data folder, as `path` of `storage "raft"`.
    #[arg(long, value_name = "FOLDER")]
    path: PathBuf,
    /// The node ID of the server.
    #[arg(long, value_name = "ID", required_unless_present = "cancel")]
    peer: Option<String>,
    /// Take back what was asked for, where the server has not been started since.
    #[arg(long)]
    cancel: bool,
}

pub(in crate::cli) fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let folder = args.path.join("raft");
    let file = folder.join("peers.json");
    let failed = |error: std::io::Error| {
        Failure::local(format!("Error preparing the recovery: {}: {error}", file.display()))
    };
    if args.cancel {
        fs::remove_file(&file).map_err(failed)?;
        return session.success("Success! No recovery will be carried out.");
    }
    if !args.path.join("log").is_dir() {
        return Err(Failure::local(format!(
            "{} is no data folder of a server: it has no folder `log`",
            args.path.display()
        )));
    }
    let peer = args.peer.as_deref().unwrap_or_default().trim();
    let text = format!("{:#}\n", json!([{ "id": peer }]));
    fs::create_dir_all(&folder).map_err(failed)?;
    let written = fs::File::create(&file).and_then(|mut file| {
        file.write_all(text.as_bytes())?;
        file.sync_all()
    });
    written.map_err(failed)?;
    session.success(&format!(
        "Success! Start the server: it will make {peer} the whole cluster.\n\
         Until then, `-cancel` takes this back. Never start the others again with their data."
    ))
}

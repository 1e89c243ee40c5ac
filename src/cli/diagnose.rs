//! `operator diagnose`: its flags. What looks is handed to [`super::run`].

use std::path::PathBuf;

use super::failure::Failure;
use super::format::Format;

/// Find out why a server does not start or will not do well
///
/// To be run as the user that the server runs as, with its configuration and its environment.
/// Looks at this machine, files, certificates, addresses, the data folder, seals and other nodes,
/// and says of each what is wrong and what to do. Nothing is changed, and a server may be running.
/// Exits with 0 if all is well, 1 if something fails, 2 if there are warnings.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    /// A configuration file, or a folder of them; may be repeated. [VAULT_CONFIG_PATH]
    #[arg(long, value_name = "PATH")]
    pub config: Vec<PathBuf>,
    /// What not to look at: listener, storage, autounseal or network; may be repeated.
    #[arg(long, value_name = "NAME", value_delimiter = ',', value_parser = SKIPPED)]
    pub skip: Vec<String>,
    /// Set by `-format=json`.
    #[arg(skip)]
    pub is_json: bool,
}

pub(super) fn is_json(format: Format) -> Result<bool, Failure> {
    match format {
        Format::Table => Ok(false),
        Format::Json => Ok(true),
        _ => Err(Failure::local("This command prints text, or -format=json.")),
    }
}

const SKIPPED: [&str; 4] = ["listener", "storage", "autounseal", "network"];

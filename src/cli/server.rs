//! `server`: its flags. What runs the server is handed to [`super::run`].

use std::path::PathBuf;

use super::env::Env;
use super::failure::Failure;
use super::token_helper::TokenHelper;
use crate::secret::Secret;

/// Run a server
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Args {
    /// A configuration file, or a folder of them; may be repeated.
    #[arg(long, value_name = "PATH")]
    pub config: Vec<PathBuf>,
    /// Run a server for trials: in memory, unsealed, with a root token that is printed.
    #[arg(long)]
    pub dev: bool,
    /// The root token of such a server. [VAULT_DEV_ROOT_TOKEN_ID]
    #[arg(long, value_name = "TOKEN")]
    pub dev_root_token_id: Option<String>,
    /// The address of such a server. [VAULT_DEV_LISTEN_ADDRESS]
    #[arg(long, value_name = "ADDRESS")]
    pub dev_listen_address: Option<String>,
    /// Let such a server speak TLS, with a certificate made for it.
    #[arg(long)]
    pub dev_tls: bool,
    /// The folder for that certificate.
    #[arg(long, value_name = "FOLDER")]
    pub dev_tls_cert_dir: Option<PathBuf>,
    /// Do not log in with the root token of such a server.
    #[arg(long)]
    pub dev_no_store_token: bool,
    /// Mount the unversioned key-value engine at `secret/`, instead of the versioned one.
    #[arg(long)]
    pub dev_kv_v1: bool,
    /// The least important messages to log: trace, debug, info, warn or error. [VAULT_LOG_LEVEL]
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
    /// How to log: standard or json. [VAULT_LOG_FORMAT]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// Where to log besides standard error.
    #[arg(long, value_name = "FILE")]
    pub log_file: Option<PathBuf>,
    /// Begin another log file after so many bytes.
    #[arg(long, value_name = "BYTES")]
    pub log_rotate_bytes: Option<u64>,
    /// Begin another log file after this time.
    #[arg(long, value_name = "DURATION", value_parser = super::args::duration)]
    pub log_rotate_duration: Option<String>,
    /// How many older log files to keep; -1 keeps none, 0 all.
    #[arg(long, value_name = "COUNT")]
    pub log_rotate_max_files: Option<i64>,
    /// Log to standard output what would go to standard error.
    #[arg(long)]
    pub combine_logs: bool,
    /// End the process when replication stops: it always does.
    #[arg(long)]
    pub exit_on_core_shutdown: bool,
}

/// Keeps a token where `login` does.
///
/// # Errors
/// Where there is no home, or what keeps it fails.
pub fn store_token(env: &Env, token: &Secret<String>) -> Result<(), Failure> {
    TokenHelper::find(env)?.store(token)
}

//! `kv metadata`

mod delete;
mod get;
mod patch;
mod put;

use serde_json::{Map, Value, json};

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::session::Session;

/// Work with what a versioned engine keeps beside a secret
#[derive(clap::Subcommand)]
pub(in crate::cli) enum Command {
    Get(get::Args),
    Put(put::Args),
    Patch(patch::Args),
    Delete(delete::Args),
}

pub(super) async fn run(session: &mut Session<'_, '_>, command: Command) -> Result<(), Failure> {
    match command {
        Command::Get(args) => get::run(session, &args).await,
        Command::Put(args) => put::run(session, &args).await,
        Command::Patch(args) => patch::run(session, &args).await,
        Command::Delete(args) => delete::run(session, &args).await,
    }
}

/// What `put` and `patch` set.
#[derive(clap::Args)]
struct Settings {
    /// How many versions to keep; 0 leaves it to the engine.
    #[arg(long)]
    max_versions: Option<i64>,
    /// Whether every write must name the current version.
    #[arg(
        long, value_name = "BOOL", num_args = 0..=1, require_equals = true,
        default_missing_value = "true", value_parser = args::go_bool
    )]
    cas_required: Option<bool>,
    /// When a version is deleted by itself; a negative time is never.
    #[arg(long, value_name = "DURATION", value_parser = args::duration, allow_hyphen_values = true)]
    delete_version_after: Option<String>,
    /// A pair for people to read, as key=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = args::pair)]
    custom_metadata: Vec<(String, String)>,
}

impl Settings {
    /// What is not given is left out, and stays as it is.
    fn body(&self) -> Map<String, Value> {
        let mut body = Map::new();
        if let Some(count) = self.max_versions.filter(|count| *count >= 0) {
            body.insert("max_versions".into(), json!(count));
        }
        if let Some(required) = self.cas_required {
            body.insert("cas_required".into(), json!(required));
        }
        if let Some(after) = &self.delete_version_after {
            body.insert("delete_version_after".into(), json!(after));
        }
        if !self.custom_metadata.is_empty() {
            let pairs = self.custom_metadata.iter();
            let pairs = pairs.map(|(key, value)| (key.clone(), json!(value)));
            body.insert("custom_metadata".into(), Value::Object(pairs.collect()));
        }
        body
    }
}

//! `audit enable`

use serde_json::{Value, json};

use crate::cli::data;
use crate::cli::failure::Failure;
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::Request;

/// Enable an audit device
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The type, such as file.
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Its options, such as file_path=/var/log/vault_audit.log.
    #[arg(value_name = "KEY=VALUE")]
    options: Vec<String>,
    /// Its name; the default is the type's.
    #[arg(long)]
    path: Option<String>,
    /// Words for people.
    #[arg(long, default_value = "", hide_default_value = true)]
    description: String,
    /// Keep it in this cluster alone.
    #[arg(long)]
    local: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let kind = args.kind.trim();
    let path = args.path.as_deref().unwrap_or(kind);
    let body = json!({
        "type": kind,
        "description": args.description,
        "options": Value::Object(data::read_text(session.io, &args.options)?),
        "local": args.local,
    });
    let failed = |error| Failure::during("Error enabling audit device", error);
    let request = Request::write(&format!("sys/audit/{}", trimmed_path(path)), &body);
    session.client()?.send(&request).await.map_err(failed)?;
    session.success(&format!("Success! Enabled the {kind} audit device at: {}", mount_path(path)))
}

//! `secrets enable`

use crate::cli::failure::Failure;
use crate::cli::mount::{Nature, Tuning};
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::{POST, Request};

/// Mount a secrets engine
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The engine, such as kv, transit or pki.
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Where; the default is the type's name.
    #[arg(long)]
    path: Option<String>,
    /// The version of a key-value engine.
    #[arg(long)]
    version: Option<u64>,
    #[command(flatten)]
    nature: Nature,
    #[command(flatten)]
    tuning: Tuning,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let kind = args.nature.kind(args.kind.trim())?;
    let path = args.path.as_deref().unwrap_or(kind);
    let body = args.nature.body(kind, args.tuning.config(), args.tuning.options(args.version));
    let failed = |error| Failure::during("Error enabling", error);
    let request = Request::new(POST, &format!("sys/mounts/{}", trimmed_path(path))).json(&body);
    session.client()?.send(&request).await.map_err(failed)?;
    let mount = mount_path(path);
    session.success(&format!("Success! Enabled the {kind} secrets engine at: {mount}"))
}

//! `kv enable-versioning`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::{POST, Request};

/// Let a key-value engine keep versions from now on
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    mount: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let mount = mount_path(&args.mount);
    let failed =
        |error| Failure::during(format_args!("Error tuning secrets engine {mount}"), error);
    let request = Request::new(POST, &format!("sys/mounts/{}/tune", trimmed_path(&args.mount)))
        .json(&json!({ "options": { "version": "2" } }));
    session.client()?.send(&request).await.map_err(failed)?;
    session.success(&format!("Success! Tuned the secrets engine at: {mount}"))
}

//! `secrets tune`

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::mount::Tuning;
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::{POST, Request};

/// Change the settings of a secrets engine
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// Words for people.
    #[arg(long)]
    description: Option<String>,
    /// The version of a key-value engine.
    #[arg(long)]
    version: Option<u64>,
    #[command(flatten)]
    tuning: Tuning,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let mount = mount_path(&args.path);
    let mut body = args.tuning.config();
    let options = args.tuning.options(args.version);
    if !options.is_empty() {
        body.insert("options".into(), Value::Object(options));
    }
    if let Some(description) = &args.description {
        body.insert("description".into(), json!(description));
    }
    let failed =
        |error| Failure::during(format_args!("Error tuning secrets engine {mount}"), error);
    let request = Request::new(POST, &format!("sys/mounts/{}/tune", trimmed_path(&args.path)))
        .json(&Value::Object(body));
    session.client()?.send(&request).await.map_err(failed)?;
    session.success(&format!("Success! Tuned the secrets engine at: {mount}"))
}

//! `auth enable`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::mount::{Nature, Tuning};
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::{POST, Request};

/// Mount an auth method
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The method, such as userpass, approle or jwt.
    #[arg(value_name = "TYPE")]
    kind: String,
    /// Where, below auth/; the default is the type's name.
    #[arg(long)]
    path: Option<String>,
    /// The type of its tokens: service, batch, default-service or default-batch.
    #[arg(long)]
    token_type: Option<String>,
    #[command(flatten)]
    nature: Nature,
    #[command(flatten)]
    tuning: Tuning,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let kind = args.nature.kind(args.kind.trim())?;
    let path = args.path.as_deref().unwrap_or(kind);
    let mut config = args.tuning.config();
    if let Some(token_type) = &args.token_type {
        config.insert("token_type".into(), json!(token_type));
    }
    let body = args.nature.body(kind, config, args.tuning.options(None));
    let failed = |error| Failure::during(format_args!("Error enabling {kind} auth"), error);
    let request = Request::new(POST, &format!("sys/auth/{}", trimmed_path(path))).json(&body);
    session.client()?.send(&request).await.map_err(failed)?;
    session.success(&format!("Success! Enabled {kind} auth method at: {}", mount_path(path)))
}

//! `kv metadata patch`

use serde_json::{Value, json};

use super::Settings;
use crate::cli::failure::Failure;
use crate::cli::kv::place::Place;
use crate::cli::session::Session;
use crate::client::Request;

/// Change some settings of a secret
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
    #[command(flatten)]
    settings: Settings,
    /// A pair to remove, by its key; may be repeated.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    remove_custom_metadata: Vec<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    place.require_versions("Metadata not supported on KV Version 1")?;
    let path = place.below("metadata");
    let mut body = args.settings.body();
    if !args.remove_custom_metadata.is_empty() {
        let pairs = body.entry("custom_metadata").or_insert_with(|| json!({}));
        if let Value::Object(pairs) = pairs {
            pairs.extend(args.remove_custom_metadata.iter().map(|key| (key.clone(), Value::Null)));
        }
    }
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let request = Request::patch(&path, &Value::Object(body));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    session.print_written(envelope.as_ref(), &format!("Success! Data written to: {path}"))
}

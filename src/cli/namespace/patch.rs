//! `namespace patch`

use serde_json::{Value, json};

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::session::{Session, trimmed_path};
use crate::client::Request;

/// Change what is known of a namespace
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// Something to know of it, as key=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = args::pair)]
    custom_metadata: Vec<(String, String)>,
    /// A key to forget; may be repeated.
    #[arg(long, value_name = "KEY")]
    remove_custom_metadata: Vec<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error patching namespace", error);
    let path = format!("sys/namespaces/{}", trimmed_path(&args.path));
    let mut metadata = super::metadata(&args.custom_metadata);
    metadata.extend(args.remove_custom_metadata.iter().map(|key| (key.clone(), Value::Null)));
    let request = Request::patch(&path, &json!({ "custom_metadata": metadata }));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    super::show(session, envelope.as_ref())
}

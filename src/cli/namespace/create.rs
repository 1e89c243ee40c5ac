//! `namespace create`

use serde_json::json;

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::session::{Session, trimmed_path};
use crate::client::Request;

/// Create a namespace below the one that is worked in
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// Something to know of it, as key=value; may be repeated.
    #[arg(long, value_name = "KEY=VALUE", value_parser = args::pair)]
    custom_metadata: Vec<(String, String)>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error creating namespace", error);
    let path = format!("sys/namespaces/{}", trimmed_path(&args.path));
    let body = json!({ "custom_metadata": super::metadata(&args.custom_metadata) });
    let request = Request::write(&path, &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    super::show(session, envelope.as_ref())
}

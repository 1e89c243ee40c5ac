//! `namespace lookup`

use crate::cli::failure::Failure;
use crate::cli::session::{Session, trimmed_path};
use crate::client::Request;

/// Show what is known of a namespace
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error looking up namespace", error);
    let request = Request::read(&format!("sys/namespaces/{}", trimmed_path(&args.path)));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let Some(envelope) = response.envelope().map_err(failed)? else {
        return Err(Failure::remote("Namespace not found"));
    };
    super::show(session, Some(&envelope))
}

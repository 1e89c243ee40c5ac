//! `namespace delete`

use crate::cli::failure::Failure;
use crate::cli::session::{Session, mount_path, trimmed_path};
use crate::client::Request;

/// Delete a namespace, with all that it has
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error deleting namespace", error);
    let request = Request::delete(&format!("sys/namespaces/{}", trimmed_path(&args.path)));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    if envelope.data().is_some_and(|data| data.contains_key("status")) {
        let path = mount_path(&args.path);
        return session.success(&format!("Success! Namespace deletion scheduled: {path}"));
    }
    session.warn_all(&envelope.warnings);
    Ok(())
}

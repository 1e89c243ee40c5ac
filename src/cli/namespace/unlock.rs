//! `namespace unlock`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// Let requests to a namespace through again; `-unlock-key` is what locking it has answered
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The one that is worked in, where none is named.
    path: Option<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error unlocking namespace", error);
    let path = super::lock_path("unlock", args.path.as_deref());
    let key = session.global.unlock_key.clone().unwrap_or_default();
    let request = Request::write(&path, &json!({ "unlock_key": key }));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    if envelope.warnings.is_empty() {
        return session.success("Namespace unlocked");
    }
    for warning in &envelope.warnings {
        session.io.warn(warning);
    }
    Ok(())
}

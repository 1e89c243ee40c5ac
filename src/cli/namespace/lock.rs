//! `namespace lock`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::go_text;
use crate::cli::session::Session;
use crate::client::Request;

/// Refuse every request to a namespace, until it is unlocked
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The one that is worked in, where none is named.
    path: Option<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error locking namespace", error);
    let path = super::lock_path("lock", args.path.as_deref());
    let request = Request::write(&path, &json!({}));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    if session.format != Format::Table {
        return session.print_envelope(&envelope);
    }
    let key = envelope.data().and_then(|data| data.get("unlock_key")).map(go_text::text);
    session.io.print(&format!(
        "Unlock Key: {}\n\n\
         Namespace is now locked. Please securely store the unlock key printed above.\n\
         You must supply the unlock key to re-enable access to the namespace.\n\
         If the unlock key is lost, sudo capability is required to unlock the namespace without it.",
        key.unwrap_or_default()
    ))
}

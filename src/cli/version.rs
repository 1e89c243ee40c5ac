//! `version` and `version-history`

use serde_json::Value;

use super::failure::Failure;
use super::format::Format;
use super::session::Session;
use super::{format, go_text, table};
use crate::client::Request;

/// Print the version of this program
#[derive(clap::Args)]
pub(super) struct Args {}

/// Print which versions the server has been
#[derive(clap::Args)]
pub(super) struct HistoryArgs {}

/// Tools read the first words of it; the rest says whose program it is.
pub(super) fn line() -> String {
    format!("Vault v{VAULT_VERSION} (Strongroom v{})", env!("CARGO_PKG_VERSION"))
}

pub(super) fn run(session: &mut Session<'_, '_>, _: &Args) -> Result<(), Failure> {
    session.io.print(&line())
}

pub(super) async fn run_history(
    session: &mut Session<'_, '_>,
    _: &HistoryArgs,
) -> Result<(), Failure> {
    session.refuse_raw()?;
    let failed = |error| Failure::during("Error reading version history", error);
    let response =
        session.client()?.send(&Request::list("sys/version-history")).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    if session.format != Format::Table {
        return session.print_value(&format::envelope_value(&envelope));
    }
    let details = envelope.data().and_then(|data| data.get("key_info"));
    let cell = |version: &str, name: &str| {
        let detail = details.and_then(|details| details.get(version));
        detail.and_then(|detail| detail.get(name)).map(go_text::text).unwrap_or_default()
    };
    let mut rows = vec![["Version", "Installation Time", "Build Date"].map(str::to_owned).to_vec()];
    for version in envelope.keys().into_iter().flatten().filter_map(Value::as_str) {
        let installed = cell(version, "timestamp_installed");
        rows.push(vec![version.to_owned(), installed, cell(version, "build_date")]);
    }
    session.io.print(&table::with_header(&rows))
}

/// Tools ask for a version of Vault, and turn off what an older one could not do.
const VAULT_VERSION: &str = "1.19.0";

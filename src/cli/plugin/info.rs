//! `plugin info`

use crate::cli::failure::Failure;
use crate::cli::go_text;
use crate::cli::session::Session;
use crate::client::{GET, Request};

/// Show what is known of one kind of mount
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// auth, database or secret.
    r#type: String,
    name: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let Args { r#type: kind, name } = args;
    let failed = |error| Failure::during(format_args!("Error reading plugin named {name}"), error);
    let request = Request::new(GET, &format!("sys/plugins/catalog/{kind}/{name}"));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let data = envelope.data().cloned().unwrap_or_default();
    let rows: Vec<(String, String)> =
        data.iter().map(|(name, value)| (name.clone(), go_text::text(value))).collect();
    session.print_map(&data, &rows)
}

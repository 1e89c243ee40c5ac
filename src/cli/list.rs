//! `list`

use serde_json::{Map, Value};

use super::failure::Failure;
use super::format::{self, Format};
use super::go_text;
use super::session::{Session, trimmed_path};
use crate::client::Request;

/// List what is below a path
#[derive(clap::Args)]
pub(super) struct Args {
    path: String,
    /// Show what is known of each key.
    #[arg(long)]
    detailed: bool,
}

impl Args {
    pub(super) fn of(path: String, detailed: bool) -> Self {
        Self { path, detailed }
    }
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = trimmed_path(&args.path);
    session.refuse_raw()?;
    let failed = |error| Failure::during(format_args!("Error listing {path}"), error);
    let response = session.client()?.send(&Request::list(path)).await.map_err(failed)?;
    let Some(envelope) = response.envelope().map_err(failed)? else {
        return session.print_nothing_listed(None, path);
    };
    if envelope.wrap_info.is_some() {
        return session.print_envelope(&envelope);
    }
    let details = envelope.data().and_then(|data| data.get("key_info")).and_then(Value::as_object);
    if let Some(details) = details.filter(|_| session.is_detailed(args.detailed)) {
        session.warn_all(&envelope.warnings);
        if session.format != Format::Table {
            return session.print_value(&format::envelope_value(&envelope));
        }
        let rows = detailed_rows(envelope.keys().map(Vec::as_slice).unwrap_or_default(), details);
        return session.print_table(&rows, &envelope.data);
    }
    session.print_list(&envelope, path)
}

/// One row a key, with a column for each property that any of them has.
fn detailed_rows(keys: &[Value], details: &Map<String, Value>) -> Vec<Vec<String>> {
    let mut columns: Vec<&String> =
        details.values().filter_map(Value::as_object).flat_map(Map::keys).collect();
    columns.sort();
    columns.dedup();
    let mut header = vec!["Keys".to_owned()];
    header.extend(columns.iter().map(|&column| column.clone()));
    let mut rows = vec![header];
    for key in keys.iter().map(go_text::text) {
        let detail = details.get(&key);
        let cell = |column: &&String| {
            detail.and_then(|detail| detail.get(column.as_str())).map(go_text::text)
        };
        let cells = columns.iter().map(|column| cell(column).unwrap_or_default());
        rows.push(std::iter::once(key.clone()).chain(cells.collect::<Vec<_>>()).collect());
    }
    rows
}

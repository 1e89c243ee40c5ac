//! `operator key-status`

use serde_json::{Map, Value};
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset, format_description};

use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::cli::{go_text, table};
use crate::client::{GET, Request};

/// Print which key encrypts data, and since when
#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, _: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let state = read(session).await?;
    match session.format {
        Format::Table => session.io.print(&text(&state)),
        _ => session.print_value(&Value::Object(state)),
    }
}

/// `term`, `install_time` and `encryptions`.
pub(super) async fn read(session: &Session<'_, '_>) -> Result<Map<String, Value>, Failure> {
    let failed = |error| Failure::during("Error reading key status", error);
    let response =
        session.client()?.send(&Request::new(GET, "sys/key-status")).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let data = envelope.data().cloned().unwrap_or_default();
    let known = ["term", "install_time", "encryptions"].into_iter();
    Ok(known.filter_map(|name| Some((name.to_owned(), data.get(name)?.clone()))).collect())
}

pub(super) fn text(state: &Map<String, Value>) -> String {
    let text = |name: &str| state.get(name).map(go_text::text).unwrap_or_default();
    table::plain(&[
        vec!["Key Term".into(), text("term")],
        vec!["Install Time".into(), go_rfc822(&text("install_time"))],
        vec!["Encryption Count".into(), text("encryptions")],
    ])
}

/// RFC 3339 as Go's RFC 822 layout: `24 Nov 26 08:06 UTC`.
fn go_rfc822(rfc3339: &str) -> String {
    let layout = "[day] [month repr:short] [year repr:last_two] [hour]:[minute] UTC";
    let layout = format_description::parse_borrowed::<2>(layout).unwrap_or_default();
    OffsetDateTime::parse(rfc3339, &Rfc3339)
        .ok()
        .and_then(|time| time.to_offset(UtcOffset::UTC).format(&layout).ok())
        .unwrap_or_else(|| rfc3339.to_owned())
}

#[cfg(test)]
mod tests;

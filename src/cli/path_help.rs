//! `path-help`

use super::failure::Failure;
use super::format::Format;
use super::go_text;
use super::session::{Session, trimmed_path};
use crate::client::{GET, Request};

/// Print what the server says about a path
#[derive(clap::Args)]
pub(super) struct Args {
    path: String,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let failed = |error| Failure::during("Error retrieving help", error);
    let request = Request::new(GET, trimmed_path(&args.path)).query("help", "1");
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let help = response.json().map_err(failed)?;
    match session.format {
        Format::Table => {
            let text = help.get("help").map(go_text::text).unwrap_or_default();
            session.io.print(text.trim_end())
        }
        _ => session.print_value(help.get("openapi").unwrap_or(&help)),
    }
}

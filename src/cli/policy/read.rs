//! `policy read`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::go_text;
use crate::cli::session::Session;
use crate::client::Request;

/// Print the text of a policy
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    name: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let name = args.name.trim().to_lowercase();
    let failed = |error| Failure::during(format_args!("Error reading policy named {name}"), error);
    let request = Request::read(&format!("sys/policies/acl/{name}"));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let text = envelope.data().and_then(|data| data.get("policy")).map(go_text::text);
    let text = text.filter(|text| !text.is_empty());
    let text = text.ok_or_else(|| {
        Failure::remote(format!("No policy named: {name}"))
            .hint("policy list", "shows the names of all policies")
    })?;
    match session.format {
        Format::Table => session.io.print(text.trim()),
        _ => session.print_value(&json!({ "policy": text })),
    }
}

//! `policy list`

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::go_text;
use crate::cli::session::Session;
use crate::client::Request;

/// List the names of all policies
#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, _: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let failed = |error| Failure::during("Error listing policies", error);
    let response =
        session.client()?.send(&Request::list("sys/policies/acl")).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let keys: Vec<Value> = envelope.keys().cloned().unwrap_or_default();
    match session.format {
        Format::Table => {
            let names: Vec<String> = keys.iter().map(go_text::text).collect();
            session.io.print(&names.join("\n"))
        }
        _ => session.print_value(&json!(keys)),
    }
}

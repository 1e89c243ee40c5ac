//! `plugin list`

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::mount::cell;
use crate::cli::session::Session;
use crate::client::{GET, Request};

/// List what can be mounted
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// auth, database or secret.
    r#type: Option<String>,
    /// Show deprecations too.
    #[arg(long)]
    detailed: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let failed = |error| Failure::during("Error listing available plugins", error);
    let request = Request::new(GET, "sys/plugins/catalog");
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let detailed = envelope.data().and_then(|data| data.get("detailed")).and_then(Value::as_array);
    let of_type = |plugin: &&Value| match &args.r#type {
        Some(kind) => plugin.get("type").and_then(Value::as_str) == Some(kind.as_str()),
        None => true,
    };
    let plugins: Vec<&Value> = detailed.into_iter().flatten().filter(of_type).collect();
    let is_detailed = session.is_detailed(args.detailed);
    if session.format != Format::Table {
        if is_detailed {
            return session.print_value(&json!(plugins));
        }
        let names: Vec<String> = plugins.iter().map(|plugin| cell(plugin, "name")).collect();
        return session.print_value(&json!(names));
    }
    let columns: &[(&str, &str)] = if is_detailed { &DETAILED } else { &SIMPLE };
    let mut rows = vec![columns.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>()];
    for plugin in plugins {
        rows.push(columns.iter().map(|(_, name)| cell(plugin, name)).collect());
    }
    session.print_table(&rows, &Value::Null)
}

const SIMPLE: [(&str, &str); 3] = [("Name", "name"), ("Type", "type"), ("Version", "version")];

const DETAILED: [(&str, &str); 4] = [
    ("Name", "name"),
    ("Type", "type"),
    ("Version", "version"),
    ("Deprecation Status", "deprecation_status"),
];

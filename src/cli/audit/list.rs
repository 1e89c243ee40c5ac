//! `audit list`

use serde_json::Value;

use crate::cli::failure::{Failure, REMOTE};
use crate::cli::format::Format;
use crate::cli::go_text;
use crate::cli::mount::{self, cell};
use crate::cli::session::Session;
use crate::client::{GET, Request};

/// List the audit devices that are enabled
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// Show their options too.
    #[arg(long)]
    detailed: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let is_detailed = session.is_detailed(args.detailed);
    let failed = |error| Failure::during("Error listing audits", error);
    let response = session.client()?.send(&Request::new(GET, "sys/audit")).await.map_err(failed)?;
    let devices = mount::mounts(&response.envelope().map_err(failed)?.unwrap_or_default());
    if session.format != Format::Table {
        return session.print_value(&Value::Object(devices));
    }
    if devices.is_empty() {
        session.io.print("No audit devices are enabled.")?;
        return Err(Failure::silent(REMOTE));
    }
    let mut header = vec!["Path", "Type", "Description"];
    if is_detailed {
        header.extend(["Replication", "Options"]);
    }
    let mut rows: Vec<Vec<String>> = vec![header.into_iter().map(str::to_owned).collect()];
    for (path, device) in &devices {
        let mut row = vec![path.clone(), cell(device, "type"), cell(device, "description")];
        if is_detailed {
            let is_local = device.get("local") == Some(&Value::Bool(true));
            row.push(if is_local { "local" } else { "replicated" }.to_owned());
            row.push(options(device));
        }
        rows.push(row);
    }
    session.print_table(&rows, &Value::Null)
}

fn options(device: &Value) -> String {
    let options = device.get("options").and_then(Value::as_object).into_iter().flatten();
    let mut pairs: Vec<String> =
        options.map(|(key, value)| format!("{key}={}", go_text::text(value))).collect();
    pairs.sort();
    pairs.join(" ")
}

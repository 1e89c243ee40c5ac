//! `token capabilities`

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::go_text;
use crate::cli::session::Session;
use crate::client::{POST, Request};

/// Print what a token may do at a path
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The token, or its accessor, and the path; without a token, the one in use.
    #[arg(value_name = "[TOKEN] PATH", num_args = 1..=2, required = true)]
    arguments: Vec<String>,
    /// The first argument is an accessor.
    #[arg(long)]
    accessor: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let (path, at, body) = match (args.arguments.as_slice(), args.accessor) {
        ([path], false) => (path, "sys/capabilities-self", json!({ "path": path })),
        ([token, path], false) => {
            (path, "sys/capabilities", json!({ "token": token, "path": path }))
        }
        ([accessor, path], true) => {
            (path, "sys/capabilities-accessor", json!({ "accessor": accessor, "path": path }))
        }
        _ => return Err(Failure::local("Not enough arguments with -accessor (expected 2)")),
    };
    let failed = |error| Failure::during("Error listing capabilities", error);
    let request = Request::new(POST, at).json(&body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    let data = envelope.data();
    let found = data.and_then(|data| data.get(path).or_else(|| data.get("capabilities")));
    let mut capabilities: Vec<String> =
        found.and_then(Value::as_array).into_iter().flatten().map(go_text::text).collect();
    capabilities.sort();
    match session.format {
        Format::Table => session.io.print(&capabilities.join(", ")),
        _ => session.print_value(&json!(capabilities)),
    }
}

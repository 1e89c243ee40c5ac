//! `patch`

use serde_json::Value;

use super::data;
use super::failure::Failure;
use super::session::{Session, trimmed_path};
use crate::client::Request;

/// Change some of the data at a path
#[derive(clap::Args)]
pub(super) struct Args {
    path: String,
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
    /// Patch even without data.
    #[arg(long, visible_alias = "f")]
    force: bool,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = trimmed_path(&args.path);
    if args.data.is_empty() && !args.force {
        return Err(Failure::local("Must supply data or use -force"));
    }
    let data = Value::Object(data::read(session.io, &args.data)?);
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let response = session.client()?.send(&Request::patch(path, &data)).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    session.print_written(envelope.as_ref(), &format!("Success! Data written to: {path}"))
}

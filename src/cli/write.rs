//! `write`

use serde_json::Value;

use super::data;
use super::failure::Failure;
use super::session::{Session, trimmed_path};
use crate::client::Request;

/// Write data to a path
///
/// Data are key=value, key=@file, key=- (standard input), @file.json, or - for JSON from standard
/// input.
#[derive(clap::Args)]
pub(super) struct Args {
    path: String,
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
    /// Write even without data.
    #[arg(long, visible_alias = "f")]
    force: bool,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = trimmed_path(&args.path);
    if args.data.is_empty() && !args.force {
        return Err(Failure::local("Must supply data or use -force"));
    }
    let data = Value::Object(data::read(session.io, &args.data)?);
    let request = if args.data.is_empty() {
        Request::new(crate::client::PUT, path)
    } else {
        Request::write(path, &data)
    };
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    session.print_written(envelope.as_ref(), &format!("Success! Data written to: {path}"))
}

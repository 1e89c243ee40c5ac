//! `delete`

use super::failure::Failure;
use super::session::{Session, trimmed_path};
use super::{data, go_text};
use crate::client::Request;

/// Delete the data at a path
#[derive(clap::Args)]
pub(super) struct Args {
    path: String,
    /// Parameters of the request, as key=value.
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = trimmed_path(&args.path);
    let mut request = Request::delete(path);
    for (name, value) in data::read(session.io, &args.data)? {
        request = request.query(&name, &go_text::text(&value));
    }
    let failed = |error| Failure::during(format_args!("Error deleting {path}"), error);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    let message = format!("Success! Data deleted (if it existed) at: {path}");
    session.print_written(envelope.as_ref(), &message)
}

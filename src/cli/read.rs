//! `read`

use super::failure::Failure;
use super::format::Format;
use super::session::{Session, no_value, trimmed_path};
use super::{data, go_text};
use crate::client::Request;

/// Read data from a path
#[derive(clap::Args)]
pub(super) struct Args {
    path: String,
    /// Parameters of the request, as key=value.
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = trimmed_path(&args.path);
    let mut request = Request::read(path);
    for (name, value) in data::read(session.io, &args.data)? {
        request = request.query(&name, &go_text::text(&value));
    }
    let failed = |error| Failure::during(format_args!("Error reading {path}"), error);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    if session.format == Format::Raw && session.global.field.is_none() {
        if response.status.as_u16() == 404 {
            return Err(no_value(path));
        }
        return session.print_body(&response);
    }
    match response.envelope().map_err(failed)? {
        Some(envelope) => session.print_envelope(&envelope),
        None => Err(no_value(path)),
    }
}

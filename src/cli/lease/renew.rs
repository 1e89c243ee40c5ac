//! `lease renew`

use serde_json::json;

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// Let a lease live longer
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "ID")]
    id: String,
    /// How long from now; the server may shorten it.
    #[arg(long, value_name = "DURATION", value_parser = args::seconds)]
    increment: Option<i64>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let id = args.id.trim();
    let failed = |error| Failure::during(format_args!("Error renewing {id}"), error);
    let increment = args.increment.unwrap_or_default();
    let body = json!({ "lease_id": id, "increment": increment });
    let request = Request::write("sys/leases/renew", &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    session.print_envelope(&envelope)
}

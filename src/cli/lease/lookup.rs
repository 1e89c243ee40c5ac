//! `lease lookup`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// Print what is known of a lease
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "ID")]
    id: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let id = args.id.trim();
    let failed = |error| Failure::during(format_args!("error looking up lease id {id}"), error);
    let request = Request::write("sys/leases/lookup", &json!({ "lease_id": id }));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    session.print_envelope(&envelope)
}

//! `lease revoke`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::{PUT, Request};

/// End a lease, or all whose IDs start alike
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "ID")]
    id: String,
    /// The argument is how the IDs start.
    #[arg(long)]
    prefix: bool,
    /// Forget the leases even where their engine fails to end them; needs -prefix.
    #[arg(long, visible_alias = "f")]
    force: bool,
    /// Wait until they have ended.
    #[arg(long)]
    sync: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let id = args.id.trim();
    let body = json!({ "sync": args.sync });
    let (path, doing, message) = match (args.prefix, args.force) {
        (false, true) => {
            return Err(Failure::local("Specifying -force requires also specifying -prefix"));
        }
        (true, true) => {
            session
                .io
                .warn("Warning! What is forgotten by force may still be valid where it was made.");
            let message = format!("Success! Force revoked any leases with prefix: {id}");
            ("revoke-force", "force revoking leases with prefix", message)
        }
        (true, false) => {
            let message = format!("Success! Revoked any leases with prefix: {id}");
            ("revoke-prefix", "revoking leases with prefix", message)
        }
        (false, false) => ("revoke", "revoking lease", format!("Success! Revoked lease: {id}")),
    };
    let failed = |error| Failure::during(format_args!("Error {doing} {id}"), error);
    let request = Request::new(PUT, &format!("sys/leases/{path}/{id}")).json(&body);
    session.client()?.send(&request).await.map_err(failed)?;
    if args.sync || args.force {
        return session.success(&message);
    }
    session.success("All revocation operations queued successfully!")
}

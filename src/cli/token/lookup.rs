//! `token lookup`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::{GET, POST, Request};

/// Print what is known of a token
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The token, or its accessor; without it, the one in use.
    token: Option<String>,
    /// The argument is an accessor.
    #[arg(long)]
    accessor: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let request = match (&args.token, args.accessor) {
        (None, true) => {
            return Err(Failure::local("Not enough arguments with -accessor (expected 1, got 0)"));
        }
        (None, false) => Request::new(GET, "auth/token/lookup-self"),
        (Some(accessor), true) => Request::new(POST, "auth/token/lookup-accessor")
            .json(&json!({ "accessor": accessor.trim() })),
        (Some(token), false) => {
            Request::new(POST, "auth/token/lookup").json(&json!({ "token": token.trim() }))
        }
    };
    let failed = |error| Failure::during("Error looking up token", error);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    session.print_envelope(&envelope)
}

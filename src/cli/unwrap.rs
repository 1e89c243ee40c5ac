//! `unwrap`

use serde_json::json;

use super::failure::Failure;
use super::session::Session;
use crate::client::{PUT, Request};
use crate::secret::Secret;

/// Read what a wrapping token holds
#[derive(clap::Args)]
pub(super) struct Args {
    /// The wrapping token; without it, the token of the login is taken for one.
    token: Option<String>,
}

pub(super) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let client = session.client()?;
    let mut request = Request::new(PUT, "sys/wrapping/unwrap");
    if let Some(token) = &args.token {
        let own = client.config().token.as_ref();
        request = match own.filter(|own| !own.matches(token.as_bytes())) {
            Some(_) => request.json(&json!({ "token": token })),
            // Nobody is logged in: the wrapping token speaks for itself.
            None => request.with_token(Secret::new(token.clone())),
        };
    }
    let failed = |error| Failure::during("Error unwrapping", error);
    let response = client.send(&request).await.map_err(failed)?;
    match response.envelope().map_err(failed)? {
        Some(envelope) => session.print_envelope(&envelope),
        None if session.global.field.is_some() => {
            Err(Failure::local("Successfully unwrapped. There was no data in the wrapped secret."))
        }
        None => session.success("Successfully unwrapped. There was no data in the wrapped secret."),
    }
}

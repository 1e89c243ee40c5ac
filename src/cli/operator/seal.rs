//! `operator seal`

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::{PUT, Request};

/// Seal the server: it forgets its keys and serves nothing until it is unsealed
#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, _: &Args) -> Result<(), Failure> {
    let failed = |error| Failure::during("Error sealing", error);
    session.client()?.send(&Request::new(PUT, "sys/seal")).await.map_err(failed)?;
    session.success("Success! Vault is sealed.")
}

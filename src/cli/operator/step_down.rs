//! `operator step-down`

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::{PUT, Request};

/// Let another server become the active one
#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, _: &Args) -> Result<(), Failure> {
    let client = session.client()?;
    let failed = |error| Failure::during("Error stepping down", error);
    client.send(&Request::new(PUT, "sys/step-down")).await.map_err(failed)?;
    session.success(&format!("Success! Stepped down: {}", client.config().address))
}

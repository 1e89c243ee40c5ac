//! `operator rotate`

use serde_json::Value;

use super::key_status;
use crate::cli::failure::Failure;
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::client::{PUT, Request};

/// Encrypt with a new key from now on; what was encrypted before stays readable
#[derive(clap::Args)]
pub(in crate::cli) struct Args {}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, _: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let failed = |error| Failure::during("Error rotating key", error);
    session.client()?.send(&Request::new(PUT, "sys/rotate")).await.map_err(failed)?;
    let state = key_status::read(session).await?;
    match session.format {
        Format::Table => {
            session.io.print("Success! Rotated key\n")?;
            session.io.print(&key_status::text(&state))
        }
        _ => session.print_value(&Value::Object(state)),
    }
}

//! `kv get`

use super::place::{Engine, Place};
use super::{map_at, print_path};
use crate::cli::failure::Failure;
use crate::cli::format::{self, Format};
use crate::cli::session::{Session, no_value};
use crate::client::{Envelope, Request};

/// Read a secret
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
    /// A version; 0 is the current one.
    #[arg(long, default_value_t = 0, hide_default_value = true)]
    version: u64,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    let path = place.of_data();
    let mut request = Request::read(&path);
    if place.engine == Engine::Versioned && args.version > 0 {
        request = request.query("version", &args.version.to_string());
    }
    let failed = |error| Failure::during(format_args!("Error reading {path}"), error);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.ok_or_else(|| no_value(&path))?;
    print(session, &place, &path, &envelope)
}

fn print(
    session: &mut Session<'_, '_>,
    place: &Place,
    path: &str,
    envelope: &Envelope,
) -> Result<(), Failure> {
    if envelope.wrap_info.is_some() {
        return session.print_envelope(envelope);
    }
    let is_versioned = place.engine == Engine::Versioned;
    if let Some(field) = session.global.field.clone() {
        let data = if is_versioned { map_at(envelope, "data") } else { envelope.data() };
        let data = data.ok_or_else(|| Failure::remote(format!("No data found at {path}")))?;
        return session.print_field(data.get(&field), &field, "map");
    }
    if session.format != Format::Table {
        return session.print_envelope(envelope);
    }
    session.warn_all(&envelope.warnings);
    if !is_versioned {
        return match envelope.data() {
            Some(data) => session.io.print(&format::titled_map("Data", data)),
            None => Ok(()),
        };
    }
    print_path(session, "Secret Path", path)?;
    if let Some(metadata) = map_at(envelope, "metadata") {
        session.io.print(&format!("{}\n", format::titled_map("Metadata", metadata)))?;
    }
    match map_at(envelope, "data") {
        Some(data) => session.io.print(&format::titled_map("Data", data)),
        // A version that is deleted or destroyed still has its metadata.
        None => Ok(()),
    }
}

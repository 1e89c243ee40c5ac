//! `kv metadata get`

use serde_json::{Map, Value};

use crate::cli::failure::Failure;
use crate::cli::format::{self, Format};
use crate::cli::kv::place::Place;
use crate::cli::kv::print_path;
use crate::cli::session::{Session, no_value};
use crate::client::Request;

/// Print the settings of a secret, and its versions
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    place.require_versions("Metadata not supported on KV Version 1")?;
    let path = place.below("metadata");
    let failed = |error| Failure::during(format_args!("Error reading {path}"), error);
    let response = session.client()?.send(&Request::read(&path)).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.ok_or_else(|| no_value(&path))?;
    let is_table = session.format == Format::Table && session.global.field.is_none();
    let Some(data) = envelope.data().filter(|_| is_table && envelope.wrap_info.is_none()) else {
        return session.print_envelope(&envelope);
    };
    session.warn_all(&envelope.warnings);
    print_path(session, "Metadata Path", &path)?;
    let mut settings = data.clone();
    let versions = settings.remove("versions").and_then(|versions| match versions {
        Value::Object(versions) => Some(versions),
        _ => None,
    });
    let mut blocks = vec![format::titled_map("Metadata", &settings)];
    blocks.extend(version_blocks(&versions.unwrap_or_default()));
    session.io.print(&blocks.join("\n\n"))
}

fn version_blocks(versions: &Map<String, Value>) -> Vec<String> {
    let number = |version: &str| version.parse::<u64>().unwrap_or_default();
    let mut versions: Vec<_> = versions.iter().collect();
    versions.sort_by_key(|(version, _)| number(version));
    let block = |(version, detail): (&String, &Value)| {
        Some(format::titled_map(&format!("Version {version}"), detail.as_object()?))
    };
    versions.into_iter().filter_map(block).collect()
}

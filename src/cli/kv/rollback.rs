//! `kv rollback`

use serde_json::{Value, json};

use super::map_at;
use super::place::{Engine, Place};
use crate::cli::failure::Failure;
use crate::cli::session::{Session, no_value};
use crate::client::Request;

/// Write an older version of a secret again, as the current one
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
    /// The version to write again.
    #[arg(long)]
    version: Option<u64>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let version = args.version.ok_or_else(|| Failure::local("Version flag must be specified"))?;
    if version == 0 {
        return Err(Failure::local(format!("Invalid value {version} for the version flag")));
    }
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    if place.engine == Engine::Plain {
        return Err(Failure::remote("K/V engine mount must be version 2 for rollback support"));
    }
    let path = place.of_data();
    let client = session.client()?;
    let failed = |error| Failure::during(format_args!("Error doing pre-read at {path}"), error);
    // Both answers are needed here, and unwrapped.
    let response = client.send(&Request::read(&path).always_sent()).await.map_err(failed)?;
    let current = response.envelope().map_err(failed)?.ok_or_else(|| no_value(&path))?;
    let cas = map_at(&current, "metadata").and_then(|metadata| metadata.get("version"));
    let cas = cas.ok_or_else(|| no_value(&path))?;
    let request = Request::read(&path).query("version", &version.to_string()).always_sent();
    let response = client.send(&request).await.map_err(failed)?;
    let older = response.envelope().map_err(failed)?.ok_or_else(|| no_value(&path))?;
    let is_deleted = map_at(&older, "metadata")
        .and_then(|metadata| metadata.get("deletion_time"))
        .and_then(Value::as_str)
        .is_some_and(|time| !time.is_empty());
    let data = map_at(&older, "data");
    let data = match (data, is_deleted) {
        (Some(data), _) => data,
        (None, true) => {
            return Err(Failure::remote("Cannot roll back to a version that has been deleted"));
        }
        (None, false) => {
            return Err(Failure::remote("Cannot roll back to a version that has been destroyed"));
        }
    };
    let body = json!({ "data": data, "options": { "cas": cas } });
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let response = client.send(&Request::write(&path, &body)).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?;
    session.print_written(envelope.as_ref(), &format!("Success! Data written to: {path}"))
}

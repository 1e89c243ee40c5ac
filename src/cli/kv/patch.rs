//! `kv patch`

use serde_json::{Map, Value, json};

use super::place::{Engine, Place};
use super::{map_at, print_version};
use crate::cli::data;
use crate::cli::failure::Failure;
use crate::cli::session::{Session, no_value};
use crate::client::{self, Envelope, Request};

/// Change some keys of a secret, as a new version
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
    /// Write only if this is the current version.
    #[arg(long)]
    cas: Option<i64>,
    /// How: `patch` lets the server merge, `rw` reads and writes; without it, `patch`, then `rw`
    /// where that is not allowed.
    #[arg(long, default_value = "", hide_default_value = true)]
    method: String,
    /// A key to remove; may be repeated.
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    remove_data: Vec<String>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    if args.data.is_empty() && args.remove_data.is_empty() {
        return Err(Failure::local("Must supply data"));
    }
    session.refuse_raw()?;
    let mut changes = data::read(session.io, &args.data)?;
    changes.extend(args.remove_data.iter().map(|key| (key.clone(), Value::Null)));
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    if place.engine == Engine::Plain {
        return Err(Failure::remote("K/V engine mount must be version 2 for patch support"));
    }
    let path = place.of_data();
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let written = match args.method.as_str() {
        "patch" => merge(session, args, &path, &changes).await.map_err(failed)?,
        "rw" => read_and_write(session, args, &path, changes).await?,
        "" => match merge(session, args, &path, &changes).await {
            // The policy does not grant `patch`, or the server does not know it.
            Err(error) if matches!(error.status(), Some(403 | 405)) => {
                read_and_write(session, args, &path, changes).await?
            }
            result => result.map_err(failed)?,
        },
        method => {
            return Err(Failure::remote(format!(
                "Unsupported method provided to -method flag: {method}"
            )));
        }
    };
    print_version(session, &written, &path)
}

async fn merge(
    session: &Session<'_, '_>,
    args: &Args,
    path: &str,
    changes: &Map<String, Value>,
) -> Result<Envelope, client::Error> {
    let options = args.cas.filter(|cas| *cas >= 0).map_or(json!({}), |cas| json!({ "cas": cas }));
    let body = json!({ "data": changes, "options": options });
    let client = session.client().map_err(|failure| client::Error::Tls(failure.message))?;
    let response = client.send(&Request::patch(path, &body)).await?;
    Ok(response.envelope()?.unwrap_or_default())
}

async fn read_and_write(
    session: &Session<'_, '_>,
    args: &Args,
    path: &str,
    changes: Map<String, Value>,
) -> Result<Envelope, Failure> {
    let client = session.client()?;
    let failed = |error| Failure::during(format_args!("Error doing pre-read at {path}"), error);
    // Its answer is merged: it must come, and unwrapped.
    let response = client.send(&Request::read(path).always_sent()).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.ok_or_else(|| no_value(path))?;
    let mut data = map_at(&envelope, "data").cloned().ok_or_else(|| no_value(path))?;
    for (key, value) in changes {
        match value {
            Value::Null => drop(data.shift_remove(&key)),
            value => drop(data.insert(key, value)),
        }
    }
    let current = map_at(&envelope, "metadata").and_then(|metadata| metadata.get("version"));
    let cas = args.cas.filter(|cas| *cas >= 0).map(|cas| json!(cas)).or(current.cloned());
    let body = json!({ "data": data, "options": { "cas": cas } });
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let response = client.send(&Request::write(path, &body)).await.map_err(failed)?;
    Ok(response.envelope().map_err(failed)?.unwrap_or_default())
}

//! `kv put`

use serde_json::{Value, json};

use super::place::{Engine, Place};
use super::print_version;
use crate::cli::data;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// Write a secret
///
/// In a versioned engine this makes a new version.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    path: String,
    #[arg(value_name = "KEY=VALUE")]
    data: Vec<String>,
    /// The mount; the path is then below it.
    #[arg(long)]
    mount: Option<String>,
    /// Write only if this is the current version; 0 if there must be none.
    #[arg(long)]
    cas: Option<i64>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    if args.data.is_empty() {
        return Err(Failure::local("Must supply data"));
    }
    session.refuse_raw()?;
    let data = data::read(session.io, &args.data)?;
    let place = Place::find(session, args.mount.as_deref(), &args.path).await?;
    let path = place.of_data();
    let body = match place.engine {
        Engine::Plain => Value::Object(data),
        Engine::Versioned => {
            let options =
                args.cas.filter(|cas| *cas >= 0).map_or(json!({}), |cas| json!({ "cas": cas }));
            json!({ "data": data, "options": options })
        }
    };
    let failed = |error| Failure::during(format_args!("Error writing data to {path}"), error);
    let response = session.client()?.send(&Request::write(&path, &body)).await.map_err(failed)?;
    match response.envelope().map_err(failed)? {
        Some(envelope) if place.engine == Engine::Versioned => {
            print_version(session, &envelope, &path)
        }
        envelope => {
            session.print_written(envelope.as_ref(), &format!("Success! Data written to: {path}"))
        }
    }
}

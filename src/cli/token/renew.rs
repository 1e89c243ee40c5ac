//! `token renew`

use serde_json::{Map, Value, json};

use crate::cli::args;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::Request;

/// Let a token live longer
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The token, or its accessor; without it, the one in use.
    token: Option<String>,
    /// The argument is an accessor.
    #[arg(long)]
    accessor: bool,
    /// How long from now; the server may shorten it.
    #[arg(long, visible_alias = "i", value_name = "DURATION", value_parser = args::seconds)]
    increment: Option<i64>,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let mut body = Map::new();
    let path = match (&args.token, args.accessor) {
        (None, true) => {
            return Err(Failure::local("Not enough arguments with -accessor (expected 1, got 0)"));
        }
        (None, false) => "auth/token/renew-self",
        (Some(accessor), true) => {
            body.insert("accessor".into(), json!(accessor.trim()));
            "auth/token/renew-accessor"
        }
        (Some(token), false) => {
            body.insert("token".into(), json!(token.trim()));
            "auth/token/renew"
        }
    };
    body.insert("increment".into(), json!(args.increment.unwrap_or_default()));
    let failed = |error| Failure::during("Error renewing token", error);
    let request = Request::write(path, &Value::Object(body));
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let envelope = response.envelope().map_err(failed)?.unwrap_or_default();
    session.print_envelope(&envelope)
}

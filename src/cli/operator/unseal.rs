//! `operator unseal`

use serde_json::json;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::status;
use crate::client::Request;
use crate::secret::Secret;

/// Give the server one of its unseal keys
///
/// Without KEY it is asked for; with - it is read from standard input. An argument is seen by
/// other users of this machine, and kept by the shell.
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    #[arg(value_name = "KEY")]
    key: Option<String>,
    /// Forget the keys that were given.
    #[arg(long)]
    reset: bool,
    /// The key is for moving to another seal.
    #[arg(long)]
    migrate: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    let body = if args.reset {
        json!({ "reset": true })
    } else {
        let key = key(session, args.key.as_deref())?;
        json!({ "key": key.expose().trim(), "migrate": args.migrate })
    };
    let failed = |error| Failure::during("Error unsealing", error);
    let request = Request::write("sys/unseal", &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let state = status::object(response.json().map_err(failed)?);
    let state = status::with_leader(session, state).await?;
    session.print_map(&state, &status::rows(&state))
}

fn key(session: &mut Session<'_, '_>, given: Option<&str>) -> Result<Secret<String>, Failure> {
    match given {
        Some("-") => String::from_utf8(session.io.read_input()?)
            .map(Secret::new)
            .map_err(|_| Failure::local("standard input is not UTF-8")),
        Some(key) => Ok(Secret::new(key.to_owned())),
        None if session.global.non_interactive => Err(Failure::local("No unseal key was given")),
        None => session.io.prompt_hidden("Unseal Key", "operator unseal -"),
    }
}

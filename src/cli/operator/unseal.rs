//! `operator unseal`

use serde_json::json;

use super::given::unseal_key;
use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::cli::status;
use crate::client::Request;

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
        let key = unseal_key(session, args.key.as_deref(), "operator unseal -")?;
        json!({ "key": key.expose(), "migrate": args.migrate })
    };
    let failed = |error| Failure::during("Error unsealing", error);
    let request = Request::write("sys/unseal", &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let state = status::object(response.json().map_err(failed)?);
    let state = status::with_leader(session, state).await?;
    session.print_map(&state, &status::rows(&state))
}

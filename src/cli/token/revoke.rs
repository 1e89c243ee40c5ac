//! `token revoke`

use serde_json::{Value, json};

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::{PUT, Request};

/// End a token, and by default the tokens that it made
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The token, its accessor, or with -mode=path the start of a path.
    token: Option<String>,
    /// The argument is an accessor.
    #[arg(long)]
    accessor: bool,
    /// End the token in use.
    #[arg(long = "self")]
    own: bool,
    /// `orphan` keeps the tokens that it made, `path` ends all that were made below a path.
    #[arg(long, default_value = "", hide_default_value = true)]
    mode: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let request = request(args)?;
    let failed = |error| Failure::during("Error revoking token", error);
    session.client()?.send(&request).await.map_err(failed)?;
    session.success("Success! Revoked token (if it existed)")
}

fn request(args: &Args) -> Result<Request, Failure> {
    let Some(token) = args.token.as_deref().map(str::trim) else {
        if args.own && !args.accessor && args.mode.is_empty() {
            return Ok(Request::new(PUT, "auth/token/revoke-self"));
        }
        return Err(Failure::local("Not enough arguments (expected 1 or -self, got 0)"));
    };
    if args.own {
        return Err(Failure::local("Too many arguments with -self (expected 0, got 1)"));
    }
    let with = |path: &str, body: Value| Ok(Request::write(path, &body));
    match (args.mode.as_str(), args.accessor) {
        ("", true) => with("auth/token/revoke-accessor", json!({ "accessor": token })),
        ("", false) => with("auth/token/revoke", json!({ "token": token })),
        ("orphan", false) => with("auth/token/revoke-orphan", json!({ "token": token })),
        // The leases of a path's tokens, and with them the tokens.
        ("path", false) => Ok(Request::new(PUT, &format!("sys/leases/revoke-prefix/{token}"))),
        ("orphan" | "path", true) => {
            Err(Failure::local(format!("Cannot use -accessor with -mode={}", args.mode)))
        }
        (mode, _) => Err(Failure::local(format!("Invalid mode: {mode}"))),
    }
}

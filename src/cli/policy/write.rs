//! `policy write`

use std::fs;

use serde_json::json;

use super::policy_name;
use crate::cli::failure::{Failure, REMOTE};
use crate::cli::session::Session;
use crate::client::Request;

/// Write a policy from a file, or with - from standard input
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    name: String,
    #[arg(value_name = "FILE")]
    file: String,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let name = policy_name(session, &args.name);
    let file = args.file.trim();
    let bytes = match file {
        "-" => session.io.read_input()?,
        file => fs::read(file).map_err(|error| {
            Failure::local(format!("Error opening policy file: {file}: {error}")).exit(REMOTE)
        })?,
    };
    let text = String::from_utf8(bytes)
        .map_err(|_| Failure::local("Error reading policy: it is not UTF-8"))?;
    let failed = |error| Failure::during("Error uploading policy", error);
    let request =
        Request::write(&format!("sys/policies/acl/{name}"), &json!({ "policy": text.trim() }));
    session.client()?.send(&request).await.map_err(failed)?;
    session.success(&format!("Success! Uploaded policy: {name}"))
}

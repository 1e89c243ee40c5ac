//! `operator raft join`

use std::fs;

use serde_json::{Map, Value, json};

use crate::cli::failure::{Failure, REMOTE};
use crate::cli::format::Format;
use crate::cli::session::Session;
use crate::cli::{go_text, status, table};
use crate::client::{POST, Request};

/// Let this server join the cluster of another
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    /// The API address of a server of the cluster.
    #[arg(value_name = "URL")]
    leader: Option<String>,
    /// Try until it works.
    #[arg(long)]
    retry: bool,
    /// Receive all data, but have no vote.
    #[arg(long)]
    non_voter: bool,
    /// The authority of that server's certificate: PEM, or @FILE.
    #[arg(long, value_name = "PEM")]
    leader_ca_cert: Option<String>,
    /// The certificate to show to it: PEM, or @FILE.
    #[arg(long, value_name = "PEM")]
    leader_client_cert: Option<String>,
    /// The key to that certificate: PEM, or @FILE.
    #[arg(long, value_name = "PEM")]
    leader_client_key: Option<String>,
    /// A join token, or @FILE with one: instead of the address, and without shares.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
    /// Where to find servers of the cluster, instead of the address.
    #[arg(long)]
    auto_join: Option<String>,
    /// The scheme of what is found so.
    #[arg(long, default_value = "https")]
    auto_join_scheme: String,
    /// The port of what is found so.
    #[arg(long, default_value_t = 8200)]
    auto_join_port: u16,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    if args.leader.is_some() && args.auto_join.is_some() {
        return Err(Failure::local("Cannot use an address and -auto-join together"));
    }
    if args.leader.is_some() && args.token.is_some() {
        return Err(Failure::local("Cannot use an address and -token together"));
    }
    let body = Value::Object(body(args)?);
    let failed = |error| Failure::during("Error joining the node to the Raft cluster", error);
    let request = Request::new(POST, "sys/storage/raft/join").json(&body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let answer = status::object(response.json().map_err(failed)?);
    let has_joined = answer.get("joined").cloned().unwrap_or_default();
    match session.format {
        Format::Table => {
            let row = [("Joined".to_owned(), go_text::text(&has_joined))];
            session.io.print(&table::of_pairs(&row))?;
        }
        _ => session.print_value(&Value::Object(answer))?,
    }
    if has_joined == json!(true) { Ok(()) } else { Err(Failure::silent(REMOTE)) }
}

fn body(args: &Args) -> Result<Map<String, Value>, Failure> {
    let mut body = Map::new();
    if let Some(leader) = &args.leader {
        body.insert("leader_api_addr".into(), json!(leader.trim().trim_end_matches('/')));
    }
    for (name, value) in [
        ("leader_ca_cert", &args.leader_ca_cert),
        ("leader_client_cert", &args.leader_client_cert),
        ("leader_client_key", &args.leader_client_key),
    ] {
        if let Some(value) = value {
            body.insert(name.into(), json!(text_or_file(value)?));
        }
    }
    if let Some(found_by) = &args.auto_join {
        body.insert("auto_join".into(), json!(found_by));
        body.insert("auto_join_scheme".into(), json!(args.auto_join_scheme));
        body.insert("auto_join_port".into(), json!(args.auto_join_port));
    }
    if let Some(token) = &args.token {
        body.insert("token".into(), json!(text_or_file(token)?.trim()));
    }
    body.insert("retry".into(), json!(args.retry));
    body.insert("non_voter".into(), json!(args.non_voter));
    Ok(body)
}

fn text_or_file(value: &str) -> Result<String, Failure> {
    match value.strip_prefix('@') {
        None => Ok(value.to_owned()),
        Some(path) => fs::read_to_string(path)
            .map_err(|error| Failure::local(format!("Error reading {path}: {error}"))),
    }
}

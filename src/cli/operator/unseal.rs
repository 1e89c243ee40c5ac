//! `operator unseal`

use serde_json::{Map, Value, json};

use super::given::unseal_key;
use crate::cli::cluster::{Node, NodeFlags};
use crate::cli::failure::{Failure, REMOTE};
use crate::cli::session::Session;
use crate::cli::{go_text, status};
use crate::client::{GET, Request};

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
    /// Give the key to every node that is sealed: it is asked for once.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    nodes: NodeFlags,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    session.refuse_raw()?;
    if !args.all && args.nodes.are_named() {
        return Err(Failure::local("-node goes with -all: one server is named by -address"));
    }
    // Before a key is asked for: it would be typed in vain.
    let nodes = if args.all { Some(args.nodes.find(session).await?) } else { None };
    let body = if args.reset {
        json!({ "reset": true })
    } else {
        let key = unseal_key(session, args.key.as_deref(), "operator unseal -")?;
        json!({ "key": key.expose(), "migrate": args.migrate })
    };
    if let Some(nodes) = nodes {
        return give_to_all(session, nodes, &body).await;
    }
    let failed = |error| Failure::during("Error unsealing", error);
    let request = Request::write("sys/unseal", &body);
    let response = session.client()?.send(&request).await.map_err(failed)?;
    let state = status::object(response.json().map_err(failed)?);
    let state = status::with_leader(session, state).await?;
    session.print_map(&state, &status::rows(&state))
}

/// Each sealed node is given the key, one after the other; what each then lacks is shown.
async fn give_to_all(
    session: &mut Session<'_, '_>,
    nodes: Vec<Node>,
    body: &Value,
) -> Result<(), Failure> {
    let titles = ["Node", "Address", "Sealed", "Progress", "Result"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let mut shown = Vec::new();
    let mut has_failed = false;
    for node in &nodes {
        let (state, result) = match give(node, body).await {
            Ok((state, result)) => (state, result.to_owned()),
            Err(failure) => {
                has_failed = true;
                (Map::new(), failure.message.lines().collect::<Vec<_>>().join(" "))
            }
        };
        let text = |name: &str| state.get(name).map(go_text::text).unwrap_or_default();
        let progress = match state.get("sealed") {
            Some(Value::Bool(true)) => format!("{}/{}", text("progress"), text("t")),
            _ => String::new(),
        };
        shown.push(json!({
            "node": node.name,
            "api_address": node.address,
            "sealed": state.get("sealed"),
            "progress": state.get("progress"),
            "threshold": state.get("t"),
            "result": result,
        }));
        rows.push(vec![node.name.clone(), node.address.clone(), text("sealed"), progress, result]);
    }
    session.print_table(&rows, &json!({ "nodes": shown }))?;
    if has_failed { Err(Failure::silent(REMOTE)) } else { Ok(()) }
}

async fn give(node: &Node, body: &Value) -> Result<(Map<String, Value>, &'static str), Failure> {
    let status = node.client.send(&Request::new(GET, "sys/seal-status").without_token()).await?;
    let status = status::object(status.json()?);
    if status.get("sealed") == Some(&Value::Bool(false)) {
        return Ok((status, "was unsealed already"));
    }
    if status.get("initialized") == Some(&Value::Bool(false)) {
        let message = "is in no cluster yet: it must join one before it is unsealed";
        return Err(Failure::remote(message));
    }
    let answer = node.client.send(&Request::write("sys/unseal", body).without_token()).await?;
    let state = status::object(answer.json()?);
    let is_open = state.get("sealed") == Some(&Value::Bool(false));
    Ok((state, if is_open { "unsealed" } else { "took the key" }))
}

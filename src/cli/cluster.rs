//! The nodes of a cluster, for commands that speak to each of them.

use std::time::Duration;

use serde_json::Value;

use super::failure::{Failure, Hint};
use super::mount::cell;
use super::session::Session;
use crate::client::{Address, Client, GET, Request};

/// How a command is told of the nodes.
#[derive(clap::Args)]
pub(super) struct NodeFlags {
    /// With -all: addresses of the nodes, instead of those that the server knows. May be repeated.
    #[arg(long, value_name = "URL", value_delimiter = ',')]
    node: Vec<String>,
}

/// One node, to be asked directly.
pub(super) struct Node {
    /// Its name in the cluster; empty where only its address is known.
    pub(super) name: String,
    pub(super) address: String,
    pub(super) client: Client,
}

impl NodeFlags {
    pub(super) fn are_named(&self) -> bool {
        !self.node.is_empty()
    }

    /// The nodes that the flags name, or else those that the server at `-address` tells of.
    pub(super) async fn find(&self, session: &Session<'_, '_>) -> Result<Vec<Node>, Failure> {
        let named = self.node.iter().map(|address| (String::new(), address.clone()));
        let found = if self.are_named() { named.collect() } else { told(session).await? };
        found.into_iter().map(|(name, address)| node(session, name, address)).collect()
    }
}

/// Name and address of each member.
async fn told(session: &Session<'_, '_>) -> Result<Vec<(String, String)>, Failure> {
    let client = session.client()?;
    let response = client.send(&Request::new(GET, "sys/ha-status")).await.map_err(|error| {
        let mut failure = Failure::during("Error finding the cluster's nodes", error);
        failure.hints = vec![Hint::Text(
            "a server that is unsealed tells of the others, to a token that may read \
             sys/ha-status; without one, name them: -node=URL -node=URL"
                .to_owned(),
        )];
        failure
    })?;
    let envelope = response.envelope()?.unwrap_or_default();
    let nodes = envelope.data().and_then(|data| data.get("nodes")).and_then(Value::as_array);
    let nodes: Vec<_> = nodes
        .into_iter()
        .flatten()
        .map(|node| (cell(node, "hostname"), cell(node, "api_address")))
        .filter(|(_, address)| !address.is_empty())
        .collect();
    if nodes.is_empty() {
        return Err(Failure::remote("The server tells of no nodes: name them with -node=URL"));
    }
    // Keys and tokens that were to travel in TLS must not be talked out of it.
    let is_secret = is_https(&client.config().address);
    match nodes.iter().find(|(_, address)| is_secret && address.starts_with("http://")) {
        Some((name, address)) => Err(Failure::local(format!(
            "{name} says that it is reached at {address}, without TLS: name the nodes with -node=URL"
        ))),
        None => Ok(nodes),
    }
}

fn is_https(address: &Address) -> bool {
    matches!(address, Address::Http(url) if url.to_string().starts_with("https:"))
}

fn node(session: &Session<'_, '_>, name: String, address: String) -> Result<Node, Failure> {
    let mut config = session.global.client_config(session.env, &address)?;
    config.timeout = config.timeout.min(NODE_TIMEOUT_MAX);
    config.retries_max = 0;
    Ok(Node { name, address, client: Client::new(config)? })
}

/// A node that is down must not keep the others from being shown.
const NODE_TIMEOUT_MAX: Duration = Duration::from_secs(5);

//! Three nodes on this machine.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use strongroom::client::{Client, Request};
use tokio::time::{Instant, sleep};

use crate::node::{Node, line};
use crate::random::Random;

pub(crate) struct Cluster {
    pub(crate) nodes: Vec<Arc<Node>>,
    pub(crate) root_token: String,
    /// As many as the threshold asks for.
    pub(crate) shares: Vec<String>,
}

impl Cluster {
    /// Nothing runs yet.
    pub(crate) fn new(program: &Path, folder: &Path) -> Result<Self, String> {
        // Not of the run's seed: two runs with the same seed must not ask for the same ports.
        let mut ports = Random::new(std::process::id().into());
        let nodes = (1..=NODES)
            .map(|number| Node::new(program, folder, number, &mut ports).map(Arc::new))
            .collect::<Result<_, _>>()?;
        Ok(Self { nodes, root_token: String::new(), shares: Vec::new() })
    }

    /// All up, unsealed, and every one a voter.
    pub(crate) async fn start(&mut self) -> Result<(), String> {
        let (first, others) = self.nodes.split_first().ok_or("no nodes")?;
        first.configure(&[])?;
        first.start().await?;
        let client = first.client(None, TIMEOUT)?;
        let request =
            Request::write("sys/init", &json!({ "secret_shares": 3, "secret_threshold": 2 }));
        let made = ask(&client, &request).await?;
        self.root_token = made["root_token"].as_str().ok_or("no root token")?.to_owned();
        let keys = made["keys"].as_array().ok_or("no shares")?;
        self.shares =
            keys.iter().take(2).filter_map(Value::as_str).map(ToOwned::to_owned).collect();
        first.unseal(&self.shares).await?;
        for node in others {
            let peers = self.nodes.iter().filter(|peer| peer.name != node.name);
            node.configure(&peers.map(|peer| peer.address.clone()).collect::<Vec<_>>())?;
            node.start().await?;
        }
        for node in others {
            node.unseal(&self.shares).await?;
        }
        self.all_vote().await
    }

    async fn all_vote(&self) -> Result<(), String> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let client = self.active().await?.client(Some(&self.root_token), TIMEOUT)?;
            let found = ask(&client, &Request::read("sys/storage/raft/configuration")).await?;
            let servers = found["data"]["config"]["servers"].as_array().cloned();
            let voters = servers.iter().flatten().filter(|server| server["voter"] == json!(true));
            if voters.count() == NODES {
                return Ok(());
            }
            if Instant::now() >= deadline {
                return Err(format!("not every node votes: {found}"));
            }
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// The node that leads, once exactly one says so.
    pub(crate) async fn active(&self) -> Result<Arc<Node>, String> {
        let deadline = Instant::now() + WAIT_MAX;
        loop {
            let mut active = Vec::new();
            for node in &self.nodes {
                if node.health().await == Some(200) {
                    active.push(node);
                }
            }
            if let [one] = active.as_slice() {
                return Ok(Arc::clone(one));
            }
            if Instant::now() >= deadline {
                return Err(format!("{} nodes are active", active.len()));
            }
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// Another node leads afterwards.
    pub(crate) async fn change_leader(&self) -> Result<Arc<Node>, String> {
        let before = self.active().await?;
        let client = before.client(Some(&self.root_token), TIMEOUT)?;
        let stepped = client.send(&Request::write("sys/step-down", &json!({}))).await;
        stepped.map_err(|error| format!("step-down: {}", line(&error)))?;
        let deadline = Instant::now() + WAIT_MAX;
        while Instant::now() < deadline {
            let now = self.active().await?;
            if now.name != before.name {
                return Ok(now);
            }
            sleep(Duration::from_millis(20)).await;
        }
        Err(format!("{} leads again after a step-down", before.name))
    }

    pub(crate) async fn kill_all(&self) {
        for node in &self.nodes {
            // At the end of a run: whoever ended by itself was noticed before.
            drop(node.kill().await);
        }
    }
}

/// The reply as JSON; null where it is empty.
pub(crate) async fn ask(client: &Client, request: &Request) -> Result<Value, String> {
    let reply = client.send(request).await.map_err(|error| line(&error))?;
    if reply.body.is_empty() {
        return Ok(Value::Null);
    }
    reply.json().map_err(|error| error.to_string())
}

const NODES: usize = 3;

pub(crate) const TIMEOUT: Duration = Duration::from_secs(20);

const WAIT_MAX: Duration = Duration::from_secs(60);

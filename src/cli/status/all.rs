//! `status -all`: every node, asked directly.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Map, Value, json};

use super::object;
use crate::cli::cluster::{Node, NodeFlags};
use crate::cli::failure::{Failure, LOCAL, REMOTE};
use crate::cli::go_text;
use crate::cli::session::Session;
use crate::client::{GET, Request};
use crate::clock::{Clock as _, SystemClock};

/// What one node says of itself.
#[derive(Default)]
struct Shown {
    role: &'static str,
    seal: Map<String, Value>,
    leader: Map<String, Value>,
    metrics: Metrics,
    error: Option<String>,
}

/// Of `sys/metrics`, where the node shows it to this caller.
#[derive(Default)]
struct Metrics {
    term: Option<f64>,
    applied: Option<f64>,
    committed: Option<f64>,
    /// When the first of its certificates ends, in seconds since 1970.
    certificate_end: Option<f64>,
    version: Option<String>,
}

pub(super) async fn run(
    session: &mut Session<'_, '_>,
    flags: &NodeFlags,
    watch: bool,
) -> Result<(), Failure> {
    let nodes = flags.find(session).await?;
    loop {
        let shown = join_all(nodes.iter().map(look)).await;
        if watch && session.io.is_output_terminal {
            session.io.print("\x1b[H\x1b[2J")?;
        }
        print(session, &nodes, &shown)?;
        if !watch {
            return verdict(&shown);
        }
        session.io.output.flush()?;
        tokio::time::sleep(WATCH_INTERVAL).await;
    }
}

async fn look(node: &Node) -> Shown {
    let seal = match ask(node, "sys/seal-status").await {
        Ok(seal) => seal,
        Err(failure) => {
            let error = failure.message.lines().next().unwrap_or_default().to_owned();
            return Shown { role: "unreachable", error: Some(error), ..Shown::default() };
        }
    };
    let is = |name: &str| seal.get(name) == Some(&Value::Bool(true));
    let leader = if is("sealed") { Map::new() } else { leader(node).await };
    let has_leader = leader.get("leader_address").and_then(Value::as_str) != Some("");
    let role = if is("removed_from_cluster") {
        "removed"
    } else if !is("initialized") {
        "uninitialized"
    } else if is("sealed") {
        "sealed"
    } else if leader.get("is_self") == Some(&Value::Bool(true)) {
        "active"
    } else if has_leader && !leader.is_empty() {
        "standby"
    } else {
        "no leader"
    };
    Shown { role, seal, leader, metrics: metrics(node).await, error: None }
}

async fn leader(node: &Node) -> Map<String, Value> {
    ask(node, "sys/leader").await.unwrap_or_default()
}

async fn ask(node: &Node, path: &str) -> Result<Map<String, Value>, Failure> {
    let response = node.client.send(&Request::new(GET, path).without_token()).await?;
    Ok(object(response.json()?))
}

/// Nothing where they are closed to this caller: what they tell is shown as `n/a`.
async fn metrics(node: &Node) -> Metrics {
    let request = Request::new(GET, "sys/metrics").query("format", "prometheus");
    match node.client.send(&request).await {
        Ok(response) => Metrics::read(&String::from_utf8_lossy(&response.body)),
        Err(_) => Metrics::default(),
    }
}

impl Metrics {
    /// Names end in these words, whatever prefix the server was told to use.
    fn read(text: &str) -> Self {
        let mut metrics = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let Some((head, value)) = line.rsplit_once(' ') else { continue };
            let Ok(value) = value.parse::<f64>() else { continue };
            let (name, labels) = head.split_once('{').unwrap_or((head, ""));
            if name.ends_with("raft_storage_stats_term") {
                metrics.term = Some(value);
            } else if name.ends_with("raft_storage_stats_applied_index") {
                metrics.applied = Some(value);
            } else if name.ends_with("raft_storage_stats_commit_index") {
                metrics.committed = Some(value);
            } else if name.ends_with("_cert_not_after_seconds") {
                let first = metrics.certificate_end.map_or(value, |end| end.min(value));
                metrics.certificate_end = Some(first);
            } else if name.ends_with("build_info") {
                let version = labels.split(',').find_map(|label| label.strip_prefix("version=\""));
                metrics.version =
                    version.map(|version| version.trim_end_matches(['"', '}']).to_owned());
            }
        }
        metrics
    }
}

fn index(leader: &Map<String, Value>, name: &str) -> Option<f64> {
    leader.get(name).and_then(Value::as_f64)
}

impl Shown {
    fn committed(&self) -> Option<f64> {
        index(&self.leader, "raft_committed_index").or(self.metrics.committed)
    }

    fn applied(&self) -> Option<f64> {
        index(&self.leader, "raft_applied_index").or(self.metrics.applied)
    }

    /// Entries that some node has committed and this one has not applied.
    fn lag(&self, committed: f64) -> Option<f64> {
        self.applied().map(|applied| (committed - applied).max(0.0))
    }

    fn certificate_days(&self, now: f64) -> Option<f64> {
        self.metrics.certificate_end.map(|end| ((end - now) / 86_400.0).floor())
    }

    fn progress(&self) -> String {
        let text = |name: &str| self.seal.get(name).map(go_text::text).unwrap_or_default();
        match self.seal.get("sealed") {
            Some(Value::Bool(true)) => format!("{}/{}", text("progress"), text("t")),
            _ => String::new(),
        }
    }

    fn version(&self) -> String {
        let told = self.seal.get("version").map(go_text::text).unwrap_or_default();
        match &self.metrics.version {
            Some(program) => format!("{told} ({program})"),
            None => told,
        }
    }
}

fn print(session: &mut Session<'_, '_>, nodes: &[Node], shown: &[Shown]) -> Result<(), Failure> {
    let committed = shown.iter().filter_map(Shown::committed).fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "shown in days")]
    let now = SystemClock.now().seconds() as f64;
    let titles = ["Node", "Address", "Role", "Unseal", "Version", "Term", "Lag", "Cert Days"];
    let mut rows = vec![titles.map(str::to_owned).to_vec()];
    let mut values = Vec::new();
    for (node, one) in nodes.iter().zip(shown) {
        let number = |value: Option<f64>| value.map(|value| format!("{value:.0}"));
        let (lag, days) = (one.lag(committed), one.certificate_days(now));
        rows.push(vec![
            node.name.clone(),
            node.address.clone(),
            one.role.to_owned(),
            one.progress(),
            one.version(),
            number(one.metrics.term).unwrap_or_default(),
            number(lag).unwrap_or_default(),
            number(days).unwrap_or_default(),
        ]);
        values.push(json!({
            "node": node.name,
            "api_address": node.address,
            "role": one.role,
            "seal": one.seal,
            "term": one.metrics.term,
            "lag": lag,
            "certificate_days": days,
            "error": one.error,
        }));
    }
    session.print_table(&rows, &json!({ "nodes": values }))?;
    for (node, one) in nodes.iter().zip(shown) {
        if let Some(error) = &one.error {
            session.io.warn(&format!("{}: {error}", node.address));
        }
    }
    Ok(())
}

/// As `status` of the worst: 1 where a node does not answer, 2 where one cannot serve.
fn verdict(shown: &[Shown]) -> Result<(), Failure> {
    if shown.iter().any(|one| one.error.is_some()) {
        return Err(Failure::silent(LOCAL));
    }
    if shown.iter().all(|one| matches!(one.role, "active" | "standby")) {
        return Ok(());
    }
    Err(Failure::silent(REMOTE))
}

const WATCH_INTERVAL: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests;

//! What clients do meanwhile, and what they were told.

mod kv;
mod one_path;

pub(crate) use one_path::WRITERS as ONE_PATH_WRITERS;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::json;
use strongroom::client::{Client, Error, Request, Unsent};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

use crate::canary::Canary;
use crate::cluster::{Cluster, TIMEOUT};
use crate::node::{Node, line};

/// One write of a value that no other write has.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Write {
    pub(crate) path: String,
    pub(crate) id: u64,
    pub(crate) outcome: Outcome,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// Taken, as this version.
    Acknowledged(u64),
    /// Nobody told: it may be there or not.
    Unknown,
    /// It must not be there.
    Refused,
}

/// What all writers share.
pub(crate) struct Workload {
    pub(crate) canary: Canary,
    start: Instant,
    stop: AtomicBool,
    /// The next payload, and the next turn at the one path.
    ids: AtomicU64,
    turns: AtomicUsize,
    nodes: Vec<(Arc<Node>, Client)>,
    /// Of each node: when the latest of its acknowledged writes was sent, in µs since `start`.
    latest: Vec<AtomicU64>,
    /// Of each node: when a write was last acknowledged, and the longest time without, in µs.
    gaps: Vec<Mutex<(Duration, Duration)>>,
    seen: Mutex<Seen>,
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) writes: Vec<Write>,
    /// How often each kind of error came.
    pub(crate) errors: BTreeMap<&'static str, u64>,
    /// Errors that no fault explains, in full; the first ones.
    pub(crate) findings: Vec<String>,
    /// The longest that an acknowledged write took at a node without a fault.
    pub(crate) slowest: Duration,
}

impl Workload {
    pub(crate) fn new(cluster: &Cluster, canary: Canary) -> Result<Arc<Self>, String> {
        let mut nodes = Vec::new();
        for node in &cluster.nodes {
            nodes.push((Arc::clone(node), node.client(Some(&cluster.root_token), TIMEOUT)?));
        }
        Ok(Arc::new(Self {
            canary,
            start: Instant::now(),
            stop: AtomicBool::new(false),
            ids: AtomicU64::new(1),
            turns: AtomicUsize::new(0),
            latest: nodes.iter().map(|_| AtomicU64::new(0)).collect(),
            gaps: nodes.iter().map(|_| Mutex::default()).collect(),
            nodes,
            seen: Mutex::new(Seen::default()),
        }))
    }

    /// Writers of paths of their own, and of one path of all, at every node.
    pub(crate) fn run(self: &Arc<Self>, of_one_path: usize) -> JoinSet<()> {
        let mut writers = JoinSet::new();
        for number in 0..kv::WRITERS {
            drop(writers.spawn(kv::run(Arc::clone(self), number)));
        }
        for number in 0..of_one_path {
            drop(writers.spawn(one_path::run(Arc::clone(self), number)));
        }
        writers
    }

    /// Returns once no write is under way.
    pub(crate) async fn stop(&self, mut writers: JoinSet<()>) -> Result<(), String> {
        self.stop.store(true, Ordering::SeqCst);
        let ended = timeout(TIMEOUT * 2, async {
            while let Some(ended) = writers.join_next().await {
                ended.map_err(|error| format!("a writer: {error}"))?;
            }
            Ok(())
        });
        ended.await.map_err(|_| "the writers do not end")?
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::SeqCst)
    }

    pub(crate) fn seen<T>(&self, look: impl FnOnce(&mut Seen) -> T) -> T {
        look(&mut self.seen.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Since the begin of the run.
    pub(crate) fn now(&self) -> Duration {
        self.start.elapsed()
    }

    /// From now on gaps are measured anew.
    pub(crate) fn watch_gaps(&self) {
        for gap in &self.gaps {
            *gap.lock().unwrap_or_else(PoisonError::into_inner) = (self.now(), Duration::ZERO);
        }
    }

    /// The longest time for which one of these nodes has acknowledged no write, since
    /// [`Self::watch_gaps`].
    pub(crate) fn longest_gap(&self, wanted: impl Fn(&Node) -> bool) -> Duration {
        let nodes = self.nodes.iter().zip(&self.gaps).filter(|((node, _), _)| wanted(node));
        let gaps = nodes.map(|(_, gap)| gap.lock().unwrap_or_else(PoisonError::into_inner).1);
        gaps.max().unwrap_or_default()
    }

    fn acknowledged(&self, index: usize) {
        if let Some(gap) = self.gaps.get(index) {
            let (now, mut gap) = (self.now(), gap.lock().unwrap_or_else(PoisonError::into_inner));
            *gap = (now, gap.1.max(now.saturating_sub(gap.0)));
        }
    }

    /// Waits until every one of these nodes has acknowledged a write that was sent after `then`;
    /// answers how long after `then` that was.
    pub(crate) async fn served_since(
        &self,
        then: Duration,
        wanted: impl Fn(&Node) -> bool,
        at_most: Duration,
    ) -> Result<Duration, String> {
        loop {
            let late: Vec<&str> = self
                .nodes
                .iter()
                .zip(&self.latest)
                .filter(|((node, _), latest)| {
                    wanted(node) && u128::from(latest.load(Ordering::SeqCst)) <= then.as_micros()
                })
                .map(|((node, _), _)| node.name.as_str())
                .collect();
            let waited = self.now().saturating_sub(then);
            if late.is_empty() {
                return Ok(waited);
            }
            if waited >= at_most {
                let seconds = at_most.as_secs();
                return Err(format!("no write succeeded for {seconds} s at {}", late.join(", ")));
            }
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// One write, noted with its outcome.
    async fn write(&self, number: usize, path: String) {
        let index = number % self.nodes.len().max(1);
        let (Some((node, client)), Some(latest)) = (self.nodes.get(index), self.latest.get(index))
        else {
            return;
        };
        let id = self.ids.fetch_add(1, Ordering::SeqCst);
        let body = json!({ "data": self.canary.payload(id) });
        let request = Request::write(&self.canary.data_path(&path), &body);
        let (before, sent) = (node.disturbances(), self.now());
        let answered = client.send(&request).await.and_then(|reply| reply.json());
        let took = self.now().saturating_sub(sent);
        let is_disturbed = before % 2 == 1 || before != node.disturbances();
        let outcome = match answered {
            Ok(reply) => match reply["data"]["version"].as_u64() {
                Some(version) => {
                    let sent = u64::try_from(sent.as_micros()).unwrap_or(u64::MAX);
                    latest.fetch_max(sent, Ordering::SeqCst);
                    self.acknowledged(index);
                    Outcome::Acknowledged(version)
                }
                None => {
                    self.find(format!("{}: no version in {reply}", node.name));
                    Outcome::Unknown
                }
            },
            Err(error) => {
                let judged = judge(&error, is_disturbed);
                self.seen(|seen| *seen.errors.entry(judged.kind).or_default() += 1);
                if judged.is_finding {
                    self.find(format!("{} at {sent:.1?}: {}", node.name, line(&error)));
                }
                judged.outcome
            }
        };
        self.seen(|seen| {
            if matches!(outcome, Outcome::Acknowledged(_)) && !is_disturbed {
                seen.slowest = seen.slowest.max(took);
            }
            seen.writes.push(Write { path, id, outcome });
        });
        if outcome == Outcome::Refused {
            sleep(PAUSE).await;
        }
    }

    fn find(&self, finding: String) {
        self.seen(|seen| {
            if seen.findings.len() < FINDINGS_MAX {
                seen.findings.push(finding);
            }
        });
    }
}

struct Judged {
    kind: &'static str,
    outcome: Outcome,
    is_finding: bool,
}

/// A node under a fault may fail in the ways that the fault explains. One without may not: it holds a
/// request until another leads, and finds out what came of it.
fn judge(error: &Error, is_disturbed: bool) -> Judged {
    let judged = |kind, outcome, is_finding| Judged { kind, outcome, is_finding };
    match error {
        Error::Unsent { kind: Unsent::Connection, .. } => {
            judged("no connection", Outcome::Refused, !is_disturbed)
        }
        Error::Unsent { kind: Unsent::Broken, .. } => {
            judged("connection ended", Outcome::Unknown, !is_disturbed)
        }
        Error::Unsent { kind: Unsent::Timeout, .. } => {
            judged("no reply in time", Outcome::Unknown, !is_disturbed)
        }
        Error::Api(refused) if refused.status == 503 => {
            if refused.says("leadership changed during the request") {
                judged("503 may have taken effect", Outcome::Unknown, !is_disturbed)
            } else if refused.says("sealed") {
                judged("503 sealed", Outcome::Refused, !is_disturbed)
            } else if refused.says("no active node") || refused.says("the node is starting") {
                judged("503 no active node", Outcome::Refused, !is_disturbed)
            } else {
                judged("503 otherwise", Outcome::Unknown, true)
            }
        }
        _ => judged("otherwise", Outcome::Unknown, true),
    }
}

/// After a refusal, so that a killed node's writers leave the processor to the others.
const PAUSE: Duration = Duration::from_millis(50);

const FINDINGS_MAX: usize = 20;

#[cfg(test)]
mod tests;

//! What raft reports, made into what the node above wants to know; and what must happen by
//! itself.

use std::sync::Arc;

use openraft::ServerState;
use openraft::async_runtime::watch::WatchReceiver as _;
use tokio::runtime::Handle;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

use super::candidacy::Candidacy;
use super::config::Options;
use super::peers::Statuses;
use super::sizes::Sizes;
use super::types::{LogId, NodeInfo, leadership};
use super::{Raft, RaftLog};
use crate::record::Leadership;

/// Who leads.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leader {
    pub id: u64,
    pub info: NodeInfo,
    /// Fences what was begun under another.
    pub leadership: Leadership,
}

/// How far this node has come.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Progress {
    pub term: u64,
    pub last_log: Option<u64>,
    pub committed: Option<u64>,
    pub applied: Option<u64>,
    /// The log begins after it.
    pub purged: Option<u64>,
    pub snapshot: Option<u64>,
    /// Whether this node takes part in elections, by the newest membership.
    pub voter: bool,
}

pub(super) struct Watches {
    pub(super) leader: watch::Receiver<Option<Leader>>,
    pub(super) stopped: watch::Receiver<Option<String>>,
}

impl RaftLog {
    pub fn progress(&self) -> Progress {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let index = |id: &Option<LogId>| id.as_ref().map(|id| id.index);
        Progress {
            term: metrics.current_term,
            last_log: metrics.last_log_index,
            committed: index(&metrics.cluster_committed),
            applied: index(&metrics.last_applied),
            purged: index(&metrics.purged),
            snapshot: index(&metrics.snapshot),
            voter: metrics.membership_config.voter_ids().any(|id| id == self.id),
        }
    }
}

/// Starts the tasks; they end with raft.
pub(super) fn start(
    runtime: &Handle,
    raft: &Raft,
    candidacy: &Arc<Candidacy>,
    statuses: &Arc<Statuses>,
    options: &Options,
    sizes: Arc<Sizes>,
) -> Watches {
    let (leader, leader_seen) = watch::channel(None);
    let (stopped, stopped_seen) = watch::channel(None);
    runtime.spawn(follow(raft.clone(), candidacy.clone(), statuses.clone(), leader, stopped));
    runtime.spawn(stand(raft.clone(), candidacy.clone(), options.clone()));
    runtime.spawn(keep_short(raft.clone(), options.clone(), sizes));
    Watches { leader: leader_seen, stopped: stopped_seen }
}

/// Publishes who leads, and that raft has stopped.
async fn follow(
    raft: Raft,
    candidacy: Arc<Candidacy>,
    statuses: Arc<Statuses>,
    leader: watch::Sender<Option<Leader>>,
    stopped: watch::Sender<Option<String>>,
) {
    let mut metrics = raft.metrics();
    loop {
        let now = metrics.borrow_watched().clone();
        if now.state == ServerState::Leader {
            candidacy.hear();
        }
        let membership = now.membership_config.membership();
        let current = now.current_leader.filter(|_| now.vote.committed).map(|id| Leader {
            id,
            info: membership.get_node(&id).cloned().unwrap_or_default(),
            leadership: leadership(&now.vote.leader_id),
        });
        leader.send_if_modified(|known| {
            let changed = *known != current;
            *known = current;
            changed
        });
        statuses.retain(|id| membership.get_node(&id).is_some());
        if let Err(fatal) = &now.running_state {
            leader.send_replace(None);
            stopped.send_replace(Some(fatal.to_string()));
            return;
        }
        if metrics.changed().await.is_err() {
            leader.send_replace(None);
            stopped.send_replace(Some("raft has ended".into()));
            return;
        }
    }
}

/// Lets the node stand for election when it may, and only then.
async fn stand(raft: Raft, candidacy: Arc<Candidacy>, options: Options) {
    let mut changes = candidacy.changes();
    let mut ticks = tokio::time::interval(options.timing.heartbeat);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut server = raft.server_metrics();
    let mut stands = false;
    loop {
        if server.borrow_watched().state == ServerState::Leader {
            candidacy.hear();
        }
        let may = candidacy.may_stand();
        if may != stands {
            raft.runtime_config().elect(may);
            stands = may;
        }
        tokio::select! {
            _ = ticks.tick() => {}
            changed = changes.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            changed = server.changed() => {
                if changed.is_err() {
                    return;
                }
            }
        }
    }
}

/// Makes a snapshot every so many entries or bytes; raft then lets go of the log before it, but
/// for so many entries, and this for so many bytes.
async fn keep_short(raft: Raft, options: Options, sizes: Arc<Sizes>) {
    let mut data = raft.data_metrics();
    let mut asked = 0;
    loop {
        let (applied, snapshot) = {
            let data = data.borrow_watched();
            let index = |id: Option<LogId>| id.map_or(0, |id| id.index);
            (index(data.last_applied), index(data.snapshot))
        };
        let since = snapshot.max(asked);
        let due = applied >= since.saturating_add(options.snapshot_every_entries)
            || sizes.after(since) >= options.log_bytes_kept / 4;
        if due && applied > since {
            asked = applied;
            if raft.trigger().snapshot().await.is_err() {
                return;
            }
        }
        if let Some(upto) = sizes.excess(options.log_bytes_kept, snapshot)
            && raft.trigger().purge_log(upto).await.is_err()
        {
            return;
        }
        if data.changed().await.is_err() {
            return;
        }
    }
}

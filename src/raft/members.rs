//! Who takes part, and who leads next.

use std::collections::BTreeSet;
use std::sync::Weak;
use std::time::Duration;

use openraft::ChangeMembers;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{ChangeMembershipError, ClientWriteError, RaftError};
use tokio::time::Instant;

use super::RaftLog;
use super::peers::NodeStatus;
use super::types::{NodeInfo, TypeConfig};

/// A node of the membership. What the leader alone knows is `None` elsewhere.
#[derive(Clone, Debug)]
pub struct Member {
    pub id: u64,
    pub info: NodeInfo,
    pub voter: bool,
    pub leader: bool,
    /// Index of the last entry that is known to be in its log.
    pub matched: Option<u64>,
    /// Since it last answered.
    pub silent: Option<Duration>,
    pub status: Option<NodeStatus>,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MembershipError {
    /// Ask the leader.
    #[error("this node does not lead")]
    NotLeader,
    /// Ask again later.
    #[error("the membership is just being changed")]
    InProgress,
    /// It did not catch up in time; nothing was changed.
    #[error("the node has not caught up with the log")]
    Behind,
    /// No unsealed voter with the whole log is in contact, or it did not take over.
    #[error("no node can take over")]
    NoSuccessor,
    #[error("no such member")]
    Unknown,
    #[error("the membership cannot be changed: {0}")]
    Refused(String),
    /// It may yet come about.
    #[error("leadership or the quorum was lost before the change was known to be committed")]
    Uncertain,
    #[error("replication has stopped: {0}")]
    Stopped(String),
}

impl RaftLog {
    /// The newest membership, committed or not.
    pub fn configuration(&self) -> Vec<Member> {
        let metrics = self.raft.metrics().borrow_watched().clone();
        let statuses = self.statuses.all();
        let voters: BTreeSet<u64> = metrics.membership_config.voter_ids().collect();
        let leads = self.is_leader();
        let member = |(id, info): (&u64, &NodeInfo)| {
            let own = *id == self.id;
            let matched = metrics.replication.as_ref().and_then(|all| all.get(id));
            let heard = statuses.get(id).filter(|_| leads);
            Member {
                id: *id,
                info: info.clone(),
                voter: voters.contains(id),
                leader: metrics.current_leader == Some(*id),
                matched: matched.and_then(Option::as_ref).map(|id| id.index),
                silent: heard.map(|heard| heard.at.elapsed()),
                status: if own {
                    Some(self.own.status(*self.applied.borrow()))
                } else {
                    heard.map(|heard| heard.status.clone())
                },
            }
        };
        metrics.membership_config.nodes().map(member).collect()
    }

    /// Whether this node leads, and a quorum has answered it within the longest election timeout.
    /// Where none has, another may have been elected.
    pub fn has_quorum(&self) -> bool {
        if !self.is_leader() {
            return false;
        }
        let metrics = self.raft.server_metrics().borrow_watched().clone();
        let (statuses, longest) = (self.statuses.all(), self.options.timing.election_max);
        let in_contact = |id: &u64| {
            *id == self.id || statuses.get(id).is_some_and(|heard| heard.at.elapsed() <= longest)
        };
        metrics.membership_config.get_joint_config().iter().all(|voters| {
            let enough = voters.len() / 2 + 1;
            voters.iter().filter(|id| in_contact(id)).count() >= enough
        })
    }

    /// Whether too few voters have disk space left to make a quorum.
    pub fn is_disk_full(&self) -> bool {
        let metrics = self.raft.server_metrics().borrow_watched().clone();
        let statuses = self.statuses.all();
        let own = self.own.status(0);
        let has_space = |id: &u64| {
            if *id == self.id {
                return !own.disk_low;
            }
            // Who has said nothing is not known to lack it.
            statuses.get(id).is_none_or(|heard| !heard.status.disk_low)
        };
        let configurations = metrics.membership_config.get_joint_config();
        configurations.iter().any(|voters| {
            let enough = voters.len() / 2 + 1;
            voters.iter().filter(|id| has_space(id)).count() < enough
        })
    }

    /// Adds a node that gets the log but has no vote.
    ///
    /// # Errors
    /// As the variants of [`MembershipError`] say.
    pub async fn add_learner(&self, id: u64, info: NodeInfo) -> Result<(), MembershipError> {
        self.settled(async || self.raft.add_learner(id, info.clone(), false).await.map(drop)).await
    }

    /// Gives a learner a vote once it has caught up, and takes `replaced` out in the same change.
    ///
    /// # Errors
    /// [`MembershipError::Behind`] where it has not caught up within `limit`.
    pub async fn promote(
        &self,
        id: u64,
        replaced: Option<u64>,
        limit: Duration,
    ) -> Result<(), MembershipError> {
        self.catch_up(id, limit).await?;
        let mut changes = vec![ChangeMembers::AddVoterIds(BTreeSet::from([id]))];
        if let Some(replaced) = replaced {
            changes.push(ChangeMembers::RemoveVoters(BTreeSet::from([replaced])));
        }
        self.change(ChangeMembers::Batch(changes)).await
    }

    /// Takes a voter's vote away; it keeps getting the log.
    ///
    /// # Errors
    /// As the variants of [`MembershipError`] say.
    pub async fn demote(&self, id: u64) -> Result<(), MembershipError> {
        let changes = ChangeMembers::RemoveVoters(BTreeSet::from([id]));
        let change = async || self.raft.change_membership(changes.clone(), true).await.map(drop);
        self.settled(change).await
    }

    /// Takes a node out, voter or learner. It should be on the list of removed ids first.
    ///
    /// # Errors
    /// As the variants of [`MembershipError`] say.
    pub async fn remove(&self, id: u64) -> Result<(), MembershipError> {
        let member = self.configuration().into_iter().find(|member| member.id == id);
        let member = member.ok_or(MembershipError::Unknown)?;
        let ids = BTreeSet::from([id]);
        // A voter goes from the list of nodes with the second half of the change.
        self.change(if member.voter {
            ChangeMembers::RemoveVoters(ids)
        } else {
            ChangeMembers::RemoveNodes(ids)
        })
        .await
    }

    /// Takes over a node's new addresses.
    ///
    /// # Errors
    /// As the variants of [`MembershipError`] say.
    pub async fn update_node(&self, id: u64, info: NodeInfo) -> Result<(), MembershipError> {
        self.change(ChangeMembers::SetNodes([(id, info)].into())).await
    }

    /// The voter that could lead at once: unsealed, with disk space, in contact, and with the
    /// longest log.
    pub fn successor(&self) -> Option<u64> {
        let recent = self.options.timing.election_max;
        let able = |member: &Member| {
            let status = member.status.as_ref();
            member.id != self.id
                && member.voter
                && member.silent.is_some_and(|silent| silent <= recent)
                && status.is_some_and(|status| !status.sealed && !status.disk_low)
        };
        let members = self.configuration().into_iter().filter(able);
        members.max_by_key(|member| (member.matched, member.id)).map(|member| member.id)
    }

    /// Hands leadership to `to` and waits until another node leads, for at most one election
    /// timeout.
    ///
    /// # Errors
    /// [`MembershipError::NoSuccessor`] where the node is sealed, silent or did not take over.
    pub async fn transfer_leader(&self, to: u64) -> Result<(), MembershipError> {
        if !self.is_leader() {
            return Err(MembershipError::NotLeader);
        }
        let members = self.configuration();
        let target = members.iter().find(|member| member.id == to);
        let target = target.ok_or(MembershipError::Unknown)?;
        // Raft cannot take a transfer back: better not to begin one that will be refused.
        let sealed = target.status.as_ref().is_none_or(|status| status.sealed);
        if to == self.id || !target.voter || sealed {
            return Err(MembershipError::NoSuccessor);
        }
        let mut leader = self.leader();
        let stopped = |error: &dyn std::fmt::Display| MembershipError::Stopped(error.to_string());
        self.raft.trigger().transfer_leader(to).await.map_err(|fatal| stopped(&fatal))?;
        let own = self.id;
        let another = leader.wait_for(|leader| leader.as_ref().is_some_and(|now| now.id != own));
        match tokio::time::timeout(self.options.timing.election_max, another).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(closed)) => Err(stopped(&closed)),
            Err(_) => Err(MembershipError::NoSuccessor),
        }
    }

    /// Hands leadership to whoever can lead at once.
    ///
    /// # Errors
    /// [`MembershipError::NoSuccessor`] where nobody can.
    pub async fn hand_over(&self) -> Result<u64, MembershipError> {
        if !self.is_leader() {
            return Err(MembershipError::NotLeader);
        }
        let to = self.successor().ok_or(MembershipError::NoSuccessor)?;
        self.transfer_leader(to).await?;
        Ok(to)
    }

    async fn catch_up(&self, id: u64, limit: Duration) -> Result<(), MembershipError> {
        let mut metrics = self.raft.metrics();
        let deadline = Instant::now() + limit;
        let mut known;
        loop {
            {
                let now = metrics.borrow_watched();
                let Some(replication) = &now.replication else {
                    return Err(MembershipError::NotLeader);
                };
                // What is reported may be a moment older than the change that added it.
                known = now.membership_config.get_node(&id).is_some();
                let matched = replication.get(&id).and_then(Option::as_ref);
                let behind =
                    |id: u64| now.last_log_index.unwrap_or(0).saturating_sub(id) > CAUGHT_UP;
                if known && matched.is_some_and(|id| !behind(id.index)) {
                    return Ok(());
                }
            }
            match tokio::time::timeout_at(deadline, metrics.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(closed)) => return Err(MembershipError::Stopped(closed.to_string())),
                Err(_) if known => return Err(MembershipError::Behind),
                Err(_) => return Err(MembershipError::Unknown),
            }
        }
    }

    async fn change(&self, changes: ChangeMembers<u64, NodeInfo>) -> Result<(), MembershipError> {
        let change = async || self.raft.change_membership(changes.clone(), false).await.map(drop);
        self.settled(change).await
    }

    /// Waits for the change before, and for a new leader's first entry.
    async fn settled(
        &self,
        change: impl AsyncFn() -> Result<(), RaftError<TypeConfig, ClientWriteError<TypeConfig>>>,
    ) -> Result<(), MembershipError> {
        let deadline = Instant::now() + IN_PROGRESS_WAIT;
        loop {
            // Without a quorum, raft would wait until there is one.
            let changed = tokio::time::timeout(AGREEMENT_WAIT, change()).await;
            let Ok(changed) = changed else { return Err(MembershipError::Uncertain) };
            match changed.map_err(membership_error) {
                Err(MembershipError::InProgress) if Instant::now() < deadline => {
                    tokio::time::sleep(IN_PROGRESS_RETRY).await;
                }
                done => return done,
            }
        }
    }
}

/// While this node leads but is sealed, hands over as soon as another node can lead.
pub(super) async fn care(raft: Weak<RaftLog>, every: Duration) {
    loop {
        tokio::time::sleep(every).await;
        let Some(raft) = raft.upgrade() else { return };
        if raft.is_leader()
            && !raft.candidacy.accepts_transfer()
            && let Some(to) = raft.successor()
        {
            match raft.transfer_leader(to).await {
                Ok(()) => tracing::info!(to, "a sealed node has handed over"),
                Err(error) => tracing::info!(to, %error, "a sealed node cannot hand over yet"),
            }
        }
    }
}

fn membership_error(error: RaftError<TypeConfig, ClientWriteError<TypeConfig>>) -> MembershipError {
    match error {
        RaftError::APIError(ClientWriteError::ForwardToLeader(_)) => MembershipError::NotLeader,
        RaftError::APIError(ClientWriteError::LogEntryDiscarded(_)) => MembershipError::Uncertain,
        RaftError::APIError(ClientWriteError::ChangeMembershipError(error)) => match error {
            ChangeMembershipError::InProgress(_)
            | ChangeMembershipError::UncommittedLeaderLog(_) => MembershipError::InProgress,
            error => MembershipError::Refused(error.to_string()),
        },
        RaftError::APIError(error) => MembershipError::Refused(error.to_string()),
        RaftError::Fatal(fatal) => MembershipError::Stopped(fatal.to_string()),
    }
}

const IN_PROGRESS_RETRY: Duration = Duration::from_millis(10);

/// Two nodes that join at once, each with its change of learner and of voter, on a slow disk.
const IN_PROGRESS_WAIT: Duration = Duration::from_secs(10);

/// For a quorum to agree on a change.
const AGREEMENT_WAIT: Duration = Duration::from_secs(20);

/// Entries that a new voter may lack: it gets them while the change is committed.
const CAUGHT_UP: u64 = 1000;

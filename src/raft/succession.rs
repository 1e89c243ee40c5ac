//! A leader whose process has ended, noticed before its silence is.
//!
//! **Invariant:** this weakens no rule of raft's: each node gives up its own lease alone, by what
//! it has seen itself, and a quorum has to have seen it. Reads do not rely on leases.

use std::time::Duration;

use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::raft::TransferLeaderRequest;

use super::RaftLog;

impl RaftLog {
    /// The leader's process has ended: this node has seen its connections close and new ones
    /// refused. Nothing where another leads.
    pub async fn leader_has_ended(&self, node: u64) {
        let vote = self.raft.server_metrics().borrow_watched().vote;
        if !vote.committed || vote.leader_id.node_id != node || node == self.id {
            return;
        }
        // Gives the lease up, and no more: it is not this node that is named.
        let given_up = TransferLeaderRequest::new(vote, node, None);
        if self.raft.handle_transfer_leader(given_up).await.is_err() {
            return;
        }
        tracing::info!(node, "the leader's process has ended: another is elected");
        // One after the other, so that they do not take each other's votes.
        tokio::time::sleep(STAGGER * self.voters_above(node)).await;
        for _ in 0..TRIES_MAX {
            let now = self.raft.server_metrics().borrow_watched().vote;
            if now != vote || !self.candidacy.may_stand() {
                return;
            }
            // A round of questions first: those who have not seen it yet say no.
            if self.raft.trigger().elect(true).await.is_err() {
                return;
            }
            tokio::time::sleep(TRY_AGAIN).await;
        }
    }

    /// Voters with a higher id than this node's, without `gone`.
    fn voters_above(&self, gone: u64) -> u32 {
        let metrics = self.raft.server_metrics().borrow_watched().clone();
        let voters = metrics.membership_config.voter_ids();
        let above = voters.filter(|id| *id > self.id && *id != gone).count();
        u32::try_from(above).unwrap_or(u32::MAX).min(STAGGERED_MAX)
    }
}

/// About what an election takes.
const STAGGER: Duration = Duration::from_millis(25);
const STAGGERED_MAX: u32 = 4;

const TRY_AGAIN: Duration = Duration::from_millis(15);
const TRIES_MAX: usize = 10;

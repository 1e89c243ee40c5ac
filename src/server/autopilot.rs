//! Looking after the cluster's members while this node leads: who is healthy and since when, who
//! gets a vote, who is taken out.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::admission::apart;
use super::control::Control;
use crate::clock::Timestamp;
use crate::raft::{Member, RaftLog};
use crate::request::Error;
use crate::sys::{
    AutopilotConfiguration, AutopilotServer, AutopilotState, NodeRecord, go_duration,
};

/// By raft id: whether a node is healthy, and since when that is so.
#[derive(Default)]
pub(super) struct Autopilot(Mutex<BTreeMap<u64, (bool, Timestamp)>>);

impl Autopilot {
    fn note(&self, now: Timestamp, healthy: &BTreeMap<u64, bool>) -> BTreeMap<u64, Timestamp> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|id, _| healthy.contains_key(id));
        for (id, healthy) in healthy {
            let since = known.entry(*id).or_insert((*healthy, now));
            if since.0 != *healthy {
                *since = (*healthy, now);
            }
        }
        known.iter().map(|(id, (_, since))| (*id, *since)).collect()
    }
}

/// A member, as it is now.
struct Seen {
    member: Member,
    healthy: bool,
    /// Since it is so.
    since: Timestamp,
}

impl Control {
    /// Called when this node begins or ends to lead.
    pub(super) fn set_active(&self, active: bool) {
        let since = active.then(|| self.now());
        *self.active_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    fn observe(&self, configuration: &AutopilotConfiguration) -> Result<Vec<Seen>, Error> {
        let raft = self.replicated()?.raft();
        let last = raft.progress().last_log.unwrap_or_default();
        let members = raft.configuration();
        let contact = Duration::from_secs(configuration.last_contact_threshold);
        let is_healthy = |member: &Member| {
            let behind = last.saturating_sub(member.matched.unwrap_or_default());
            let heard = member.silent.is_some_and(|silent| silent <= contact);
            member.leader || heard && behind <= configuration.max_trailing_logs
        };
        let healthy: BTreeMap<u64, bool> =
            members.iter().map(|member| (member.id, is_healthy(member))).collect();
        let now = self.now();
        let since = self.autopilot.note(now, &healthy);
        let seen = members.into_iter().map(|member| Seen {
            healthy: healthy.get(&member.id).copied().unwrap_or_default(),
            since: since.get(&member.id).copied().unwrap_or(now),
            member,
        });
        Ok(seen.collect())
    }

    pub(super) fn members_state(
        &self,
        configuration: &AutopilotConfiguration,
    ) -> Result<AutopilotState, Error> {
        let term = self.replicated()?.raft().progress().term;
        let mut state = AutopilotState {
            healthy: true,
            failure_tolerance: 0,
            optimistic_failure_tolerance: 0,
            leader: String::new(),
            voters: Vec::new(),
            non_voters: Vec::new(),
            servers: BTreeMap::new(),
        };
        let last = self.replicated()?.raft().progress().last_log.unwrap_or_default();
        let mut healthy_voters = 0_usize;
        for Seen { member, healthy, since } in self.observe(configuration)? {
            let id = member.info.name.clone();
            state.healthy &= healthy;
            if member.leader {
                state.leader.clone_from(&id);
            }
            if member.voter {
                healthy_voters += usize::from(healthy);
                state.voters.push(id.clone());
            } else {
                state.non_voters.push(id.clone());
            }
            let status = match (member.leader, member.voter) {
                (true, _) => "leader",
                (false, true) => "voter",
                (false, false) => "non-voter",
            };
            let server = AutopilotServer {
                name: id.clone(),
                address: member.info.cluster_address,
                node_status: if healthy { "alive" } else { "left" }.into(),
                node_type: status_type(member.voter).into(),
                status: status.into(),
                healthy,
                last_contact: go_duration(match member.leader {
                    true => Duration::ZERO,
                    false => member.silent.unwrap_or_else(|| self.leading_for()),
                }),
                last_index: if member.leader { last } else { member.matched.unwrap_or_default() },
                last_term: if member.leader || member.matched.is_some() { term } else { 0 },
                stable_since: since.rfc3339(),
                version: self.identity().version.clone(),
                id: id.clone(),
            };
            state.servers.insert(id, server);
        }
        state.voters.sort();
        state.non_voters.sort();
        let quorum = state.voters.len() / 2 + 1;
        state.failure_tolerance = healthy_voters.saturating_sub(quorum);
        state.optimistic_failure_tolerance = state.failure_tolerance;
        Ok(state)
    }

    /// Zero where this node does not lead.
    fn leading_for(&self) -> Duration {
        let since = *self.active_since.lock().unwrap_or_else(PoisonError::into_inner);
        since.map_or(Duration::ZERO, |since| elapsed(since, self.now()))
    }

    /// Of admitted nodes, those whose turn it is: they have been healthy for long enough. A
    /// leader that has just been elected does not ask for that: it cannot have seen them so long,
    /// and a new cluster's first nodes should vote at once.
    pub(super) fn stable(
        &self,
        configuration: &AutopilotConfiguration,
        mut records: Vec<(u64, NodeRecord)>,
    ) -> Result<Vec<(u64, NodeRecord)>, Error> {
        let seen = self.observe(configuration)?;
        let asked = Duration::from_secs(configuration.server_stabilization_time);
        if self.leading_for() < asked + asked / 10 {
            return Ok(records);
        }
        let now = self.now();
        let waits =
            |seen: &Seen| !seen.member.voter && (!seen.healthy || elapsed(seen.since, now) < asked);
        records.retain(|(id, record)| {
            record.non_voter || !seen.iter().any(|seen| seen.member.id == *id && waits(seen))
        });
        Ok(records)
    }

    /// Takes out at most one node that has been silent for too long: never one of those without
    /// which the others would be fewer than `min_quorum`, and none while the silent voters are
    /// half of all or more, because then it is this node that may be cut off.
    pub(super) async fn clean_up(
        &self,
        configuration: &AutopilotConfiguration,
    ) -> Result<(), Error> {
        if !configuration.cleanup_dead_servers {
            return Ok(());
        }
        let members = self.replicated()?.raft().configuration();
        let Some(id) = dead(&members, self.leading_for(), configuration) else {
            return Ok(());
        };
        tracing::warn!(id, "a node was silent for too long and is taken out");
        self.take_out(&id.to_string()).await
    }

    pub(super) async fn change_vote(&self, name: &str, votes: bool) -> Result<(), Error> {
        let raft = self.replicated()?.raft();
        let members = raft.configuration();
        let is_meant = |member: &&Member| member.info.name == name || member.id.to_string() == name;
        let Some(member) = members.iter().find(is_meant).filter(|member| member.voter != votes)
        else {
            return Ok(());
        };
        if !votes && member.leader {
            return Err(Error::bad_request(
                "the active node cannot lose its vote: let it step down first",
            ));
        }
        let id = member.id;
        apart(raft, async move |raft: &RaftLog| {
            if votes { raft.promote(id, None, PROMOTE_TIME).await } else { raft.demote(id).await }
        })
        .await?;
        tracing::info!(id, votes, "a node's vote has changed");
        Ok(())
    }
}

/// Whom to take out next.
fn dead(
    members: &[Member],
    leading_for: Duration,
    configuration: &AutopilotConfiguration,
) -> Option<u64> {
    let limit = Duration::from_secs(configuration.dead_server_last_contact_threshold);
    let is_dead =
        |member: &&Member| !member.leader && member.silent.unwrap_or(leading_for) >= limit;
    if let Some(learner) = members.iter().filter(is_dead).find(|member| !member.voter) {
        return Some(learner.id);
    }
    let voters = members.iter().filter(|member| member.voter).count();
    let silent: Vec<&Member> =
        members.iter().filter(is_dead).filter(|member| member.voter).collect();
    let left = u64::try_from(voters.saturating_sub(1)).unwrap_or_default();
    let is_safe = left >= configuration.min_quorum && silent.len() * 2 < voters;
    silent.first().filter(|_| is_safe).map(|member| member.id)
}

fn status_type(voter: bool) -> &'static str {
    if voter { "voter" } else { "non-voter" }
}

fn elapsed(since: Timestamp, now: Timestamp) -> Duration {
    Duration::from_millis(now.0.saturating_sub(since.0))
}

/// A node that is far behind is given its vote another time.
const PROMOTE_TIME: Duration = Duration::from_secs(10);

#[cfg(test)]
mod tests;

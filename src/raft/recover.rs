//! A membership that nobody voted for, where those who could are gone.
//!
//! It is written to the end of the log while raft is not running, as if it were agreed upon: what
//! this node has becomes what the cluster has. That is right only where the nodes left out never
//! come back; a person decides it.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use openraft::{EntryPayload, Membership as RaftMembership};
use prost::Message as _;
use tokio::sync::oneshot;

use super::log_store::DiskLogStore;
use super::state::StateStore;
use super::types::{LeaderId, Membership, Vote, decode_vote, encode_payload, encode_vote};
use crate::proto::raft as proto;
use crate::store::{Entry as StoredEntry, EntryId, Error, Flushed, SegmentLog};

/// The node that stays.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Peer {
    /// Its name or its raft id.
    pub id: String,
    /// `host:port` where it has a new one.
    pub address: Option<String>,
}

/// What became of it.
#[derive(Debug, Default, Eq, PartialEq)]
pub struct Recovery {
    /// The name of the node that stays.
    pub kept: String,
    /// Raft ids and names of those that do not.
    pub dropped: Vec<(u64, String)>,
    /// The last entry that this node has, after which nothing of the old cluster is left.
    pub last_index: u64,
    /// Whether it was so already.
    pub is_done: bool,
}

/// What [`Plan::carry_out`] will do; changes nothing.
///
/// # Errors
/// Where the log cannot be read, or ends before what is applied, or `peer` is not this node,
/// `own`, or no member.
pub fn plan(
    own: u64,
    peer: &Peer,
    log: &SegmentLog,
    state: &dyn StateStore,
) -> Result<Plan, String> {
    let members = effective(log, state).map_err(|error| error.to_string())?;
    let names = || {
        let names = members.nodes().map(|(_, node)| node.name.clone());
        names.collect::<Vec<String>>().join(", ")
    };
    let mut found =
        members.nodes().filter(|(id, node)| node.name == peer.id || id.to_string() == peer.id);
    let Some((id, node)) = found.next() else {
        let names = names();
        return Err(format!(
            "{:?} is no member of the cluster, whose members are {names}",
            peer.id
        ));
    };
    if *id != own {
        return Err(format!("this node is not {:?}: its own name must be there", peer.id));
    }
    let mut node = node.clone();
    if let Some(address) = &peer.address {
        node.cluster_address.clone_from(address);
    }
    let last = log.state().last;
    let applied = state.position().map_err(|error| error.to_string())?.last_applied;
    if applied.map(|id| id.index) > last.map(|id| id.index) {
        return Err(
            "the log ends before what is applied: start the node once without it".to_owned()
        );
    }
    let dropped = members.nodes().filter(|(id, _)| **id != own);
    let outcome = Recovery {
        kept: node.name.clone(),
        dropped: dropped.map(|(id, node)| (*id, node.name.clone())).collect(),
        last_index: last.map_or(0, |id| id.index),
        is_done: false,
    };
    let (voters, nodes) = (BTreeSet::from([own]), BTreeMap::from([(own, node)]));
    let membership = RaftMembership::new(vec![voters], nodes).map_err(|error| error.to_string())?;
    let is_done = membership == members;
    Ok(Plan { own, membership, outcome: Recovery { is_done, ..outcome } })
}

/// A membership to write.
pub struct Plan {
    own: u64,
    membership: Membership,
    outcome: Recovery,
}

impl Plan {
    pub fn outcome(&self) -> &Recovery {
        &self.outcome
    }

    /// Writes it, durably. To be called before raft starts.
    ///
    /// # Errors
    /// Where the log cannot be written.
    pub async fn carry_out(self, log: &SegmentLog) -> io::Result<Recovery> {
        if self.outcome.is_done {
            return Ok(self.outcome);
        }
        let voted = match log.read_vote() {
            Some(bytes) => {
                let vote = proto::Vote::decode(bytes).map_err(io::Error::other)?;
                decode_vote(Some(&vote)).map_err(io::Error::other)?.leader_id.term
            }
            None => 0,
        };
        let last = log.state().last;
        // Later than anything this node has agreed to.
        let term = last.map_or(0, |id| id.term).max(voted).saturating_add(1);
        let leader_id = LeaderId { term, node_id: self.own };
        // It led, and leads no more: it is elected by the new membership like any other.
        let vote = encode_vote(&Vote { leader_id, committed: true });
        done(|flushed| log.save_vote(vote.encode_to_vec().into(), flushed)).await?;
        let index = last.map_or(0, |id| id.index.saturating_add(1));
        let payload = encode_payload(&EntryPayload::Membership(self.membership));
        let entry = StoredEntry { id: EntryId { index, term, node: self.own }, payload };
        done(|flushed| log.append(vec![entry], flushed)).await?;
        Ok(self.outcome)
    }
}

/// The last in the log, whether or not it was committed, as raft takes it; else the state's.
fn effective(log: &SegmentLog, state: &dyn StateStore) -> io::Result<Membership> {
    let position = state.position()?;
    let applied = position.last_applied.map_or(0, |id| id.index.saturating_add(1));
    let mut found = position.membership.membership().clone();
    let store = DiskLogStore::new(log.clone());
    let range = log.state();
    let mut start = applied.max(range.last_purged.map_or(0, |id| id.index.saturating_add(1)));
    let end = range.last.map_or(0, |id| id.index.saturating_add(1));
    while start < end {
        let entries = store.read(start, end)?;
        let Some(last) = entries.last() else { break };
        start = last.log_id.index.saturating_add(1);
        for entry in entries {
            if let EntryPayload::Membership(membership) = entry.payload {
                found = membership;
            }
        }
    }
    Ok(found)
}

async fn done(begin: impl FnOnce(Flushed) -> Result<(), Error>) -> io::Result<()> {
    let (sender, receiver) = oneshot::channel();
    let flushed = Box::new(move |outcome| {
        // Nobody waits any more: this process is ending.
        drop(sender.send(outcome));
    });
    begin(flushed).map_err(io::Error::other)?;
    receiver.await.map_err(io::Error::other)?.map_err(io::Error::other)
}

impl Peer {
    /// `peers.json` as Vault has it: a list of `{"id", "address", "non_voter"}`, here of one. An
    /// address that is the member's own changes nothing.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn read(text: &[u8]) -> Result<Self, String> {
        #[derive(serde::Deserialize)]
        struct Read {
            id: String,
            #[serde(default)]
            address: String,
            #[serde(default)]
            non_voter: bool,
        }
        let mut read: Vec<Read> = serde_json::from_slice(text).map_err(|error| {
            format!("it must be a list such as [{{\"id\": \"node1\"}}]: {error}")
        })?;
        let Some(peer) = read.pop() else {
            return Err("it names no node".to_owned());
        };
        // Each would end its log by itself, and a shorter one could win: what the longer has
        // applied would differ for ever.
        if !read.is_empty() {
            return Err("only one node can be kept, the one whose log goes furthest: the others' \
                        data folders are emptied, and they join it"
                .to_owned());
        }
        if peer.non_voter {
            return Err("the one node must vote".to_owned());
        }
        let address = peer.address.trim().trim_start_matches("https://").to_owned();
        let address = Some(address).filter(|address| !address.is_empty());
        Ok(Self { id: peer.id, address })
    }
}

#[cfg(test)]
mod tests;

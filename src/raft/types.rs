//! openraft's types, and their conversion to the messages that go to disk and between nodes.
//!
//! **Invariant:** nothing of openraft is serialized: its `serde` feature is off, and what is
//! written or sent has a message of its own.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;
use openraft::impls::leader_id_adv::LeaderId as RaftLeaderId;
use openraft::{EntryPayload, Membership as RaftMembership};
use prost::Message as _;

use crate::proto::raft as proto;
use crate::proto::raft::entry::Payload as Encoded;
use crate::record::{Applied, Leadership};
use crate::store::EntryId;

openraft::declare_raft_types!(
    /// What the log and the membership are made of.
    pub TypeConfig:
        D = Payload,
        R = Outcome,
        NodeId = u64,
        Node = NodeInfo,
        Term = u64,
        LeaderId = openraft::impls::leader_id_adv::LeaderId<u64, u64>,
);

pub(super) type LeaderId = RaftLeaderId<u64, u64>;
pub type LogId = openraft::LogId<LeaderId>;
pub(super) type Vote = openraft::Vote<LeaderId>;
pub(super) type Entry = openraft::alias::EntryOf<TypeConfig>;
pub(super) type EntryContent = openraft::alias::PayloadOf<TypeConfig>;
pub(super) type Membership = RaftMembership<u64, NodeInfo>;
pub(super) type StoredMembership = openraft::alias::StoredMembershipOf<TypeConfig>;
pub(super) type SnapshotMeta = openraft::alias::SnapshotMetaOf<TypeConfig>;

/// What applying an entry gave; `None` for those that raft writes for itself.
pub(super) type Outcome = Option<Applied>;

/// An entry as `SealedBatch::entry` made it: log, wire and state machine share the bytes.
#[derive(Clone, Eq, PartialEq)]
pub struct Payload(pub Bytes);

impl fmt::Debug for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

impl fmt::Display for Payload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What the membership says of a node.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeInfo {
    /// `node_id` of its configuration.
    pub name: String,
    /// Where its peers reach it, `host:port`.
    pub cluster_address: String,
    /// Where clients reach it, a URL.
    pub api_address: String,
}

impl fmt::Display for NodeInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {}", self.name, self.cluster_address)
    }
}

/// How far a state machine has come.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Position {
    pub last_applied: Option<LogId>,
    pub membership: StoredMembership,
}

/// A message of a peer, or a record, that cannot be what it should be.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("malformed {0}")]
pub(super) struct Malformed(pub(super) &'static str);

pub(super) fn leadership(leader: &LeaderId) -> Leadership {
    Leadership { term: leader.term, node: leader.node_id }
}

/// Bytes that an entry takes in a message, roughly.
pub(super) fn entry_bytes(entry: &Entry) -> usize {
    const REST: usize = 64;
    match &entry.payload {
        EntryPayload::Normal(payload) => payload.0.len().saturating_add(REST),
        EntryPayload::Blank => REST,
        EntryPayload::Membership(membership) => {
            let nodes = membership.nodes();
            let texts = nodes.map(|(_, node)| {
                node.name.len() + node.cluster_address.len() + node.api_address.len() + REST
            });
            texts.sum::<usize>().saturating_add(REST)
        }
    }
}

pub(super) fn encode_log_id(id: &LogId) -> proto::LogId {
    proto::LogId { leader: Some(encode_leader(&id.leader_id)), index: id.index }
}

pub(super) fn decode_log_id(id: &proto::LogId) -> Result<LogId, Malformed> {
    Ok(LogId { leader_id: decode_leader(id.leader.as_ref())?, index: id.index })
}

pub(super) fn decode_log_id_option(id: Option<&proto::LogId>) -> Result<Option<LogId>, Malformed> {
    id.map(decode_log_id).transpose()
}

pub(super) fn encode_vote(vote: &Vote) -> proto::Vote {
    proto::Vote { leader: Some(encode_leader(&vote.leader_id)), committed: vote.committed }
}

pub(super) fn decode_vote(vote: Option<&proto::Vote>) -> Result<Vote, Malformed> {
    let vote = vote.ok_or(Malformed("vote"))?;
    Ok(Vote { leader_id: decode_leader(vote.leader.as_ref())?, committed: vote.committed })
}

pub(super) fn encode_entry(entry: &Entry) -> proto::Entry {
    let payload = payload_message(&entry.payload);
    proto::Entry { id: Some(encode_log_id(&entry.log_id)), payload: Some(payload) }
}

pub(super) fn decode_entry(entry: proto::Entry) -> Result<Entry, Malformed> {
    let log_id = decode_log_id(entry.id.as_ref().ok_or(Malformed("entry without id"))?)?;
    Ok(Entry { log_id, payload: payload_of(entry.payload)? })
}

/// As it stands in the log, which keeps the id itself.
pub(super) fn encode_payload(payload: &EntryContent) -> Bytes {
    let message = proto::Entry { id: None, payload: Some(payload_message(payload)) };
    message.encode_to_vec().into()
}

pub(super) fn decode_payload(bytes: Bytes) -> Result<EntryContent, Malformed> {
    let entry = proto::Entry::decode(bytes).map_err(|_| Malformed("entry"))?;
    payload_of(entry.payload)
}

fn payload_message(payload: &EntryContent) -> Encoded {
    match payload {
        EntryPayload::Blank => Encoded::Blank(proto::Blank {}),
        EntryPayload::Normal(payload) => Encoded::Batch(payload.0.clone()),
        EntryPayload::Membership(membership) => Encoded::Membership(encode_membership(membership)),
    }
}

fn payload_of(payload: Option<Encoded>) -> Result<EntryContent, Malformed> {
    Ok(match payload.ok_or(Malformed("entry of a kind this program knows not"))? {
        Encoded::Blank(_) => EntryPayload::Blank,
        Encoded::Batch(bytes) => EntryPayload::Normal(Payload(bytes)),
        Encoded::Membership(membership) => {
            EntryPayload::Membership(decode_membership(&membership)?)
        }
    })
}

pub(super) fn to_entry_id(id: &LogId) -> EntryId {
    EntryId::new(id.index, leadership(&id.leader_id))
}

pub(super) fn from_entry_id(id: EntryId) -> LogId {
    LogId { leader_id: LeaderId { term: id.term, node_id: id.node }, index: id.index }
}

pub(super) fn encode_membership(membership: &Membership) -> proto::Membership {
    let configurations = membership
        .get_joint_config()
        .iter()
        .map(|voters| proto::Voters { nodes: voters.iter().copied().collect() });
    let members = membership.nodes().map(|(id, node)| proto::Member {
        node: *id,
        name: node.name.clone(),
        cluster_address: node.cluster_address.clone(),
        api_address: node.api_address.clone(),
    });
    proto::Membership { configurations: configurations.collect(), members: members.collect() }
}

pub(super) fn decode_membership(membership: &proto::Membership) -> Result<Membership, Malformed> {
    let configurations: Vec<BTreeSet<u64>> = membership
        .configurations
        .iter()
        .map(|voters| voters.nodes.iter().copied().collect())
        .collect();
    let members: BTreeMap<u64, NodeInfo> = membership
        .members
        .iter()
        .map(|member| {
            let node = NodeInfo {
                name: member.name.clone(),
                cluster_address: member.cluster_address.clone(),
                api_address: member.api_address.clone(),
            };
            (member.node, node)
        })
        .collect();
    if configurations.is_empty() && members.is_empty() {
        return Ok(Membership::default());
    }
    Membership::new(configurations, members).map_err(|_| Malformed("membership"))
}

pub(super) fn encode_position(position: &Position) -> proto::Position {
    proto::Position {
        last_applied: position.last_applied.as_ref().map(encode_log_id),
        membership_id: position.membership.log_id().as_ref().map(encode_log_id),
        membership: Some(encode_membership(position.membership.membership())),
    }
}

pub(super) fn decode_position(position: &proto::Position) -> Result<Position, Malformed> {
    let membership = match &position.membership {
        Some(membership) => decode_membership(membership)?,
        None => Membership::default(),
    };
    let membership_id = decode_log_id_option(position.membership_id.as_ref())?;
    Ok(Position {
        last_applied: decode_log_id_option(position.last_applied.as_ref())?,
        membership: StoredMembership::new(membership_id, membership),
    })
}

/// As the state store keeps it beside the state.
pub(super) fn encode_stored_membership(membership: &StoredMembership) -> Bytes {
    let position = Position { last_applied: None, membership: membership.clone() };
    encode_position(&position).encode_to_vec().into()
}

pub(super) fn decode_stored_membership(bytes: Bytes) -> Result<StoredMembership, Malformed> {
    let position = proto::Position::decode(bytes).map_err(|_| Malformed("membership"))?;
    Ok(decode_position(&position)?.membership)
}

fn encode_leader(leader: &LeaderId) -> proto::LeaderId {
    proto::LeaderId { term: leader.term, node: leader.node_id }
}

fn decode_leader(leader: Option<&proto::LeaderId>) -> Result<LeaderId, Malformed> {
    let leader = leader.ok_or(Malformed("leader"))?;
    Ok(LeaderId { term: leader.term, node_id: leader.node })
}

#[cfg(test)]
mod tests;

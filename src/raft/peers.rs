//! The other nodes: how to reach them, and what they last said of themselves.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use tokio::time::Instant;
use tonic::transport::Channel;

use super::types::NodeInfo;
use crate::proto::cluster as proto;

/// The way to other nodes; `cluster` implements it.
pub trait Peers: Send + Sync + 'static {
    /// A connection that is made when first used, and made again when it broke. It must reach
    /// `node` or nobody.
    fn channel(&self, node: u64, info: &NodeInfo, lane: Lane) -> Channel;
}

/// Each kind of message has connections of its own, so that none waits behind another.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Lane {
    /// Log entries.
    Append,
    /// Heartbeats, votes and transfers.
    Control,
    Snapshot,
    /// Clients' requests.
    Forward,
}

/// What a node says of itself with every answer to its leader.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct NodeStatus {
    pub sealed: bool,
    /// Below its reserve of disk space.
    pub disk_low: bool,
    /// The newest format that it can read.
    pub feature_level: u32,
    /// Index of the last entry it has applied.
    pub applied: u64,
    /// Version of its program.
    pub program: String,
}

impl NodeStatus {
    pub(super) fn encode(&self) -> proto::NodeStatus {
        proto::NodeStatus {
            sealed: self.sealed,
            disk_low: self.disk_low,
            feature_level: self.feature_level,
            applied: self.applied,
            program: self.program.clone(),
        }
    }
}

/// A status and when it came.
#[derive(Clone, Debug)]
pub(super) struct Heard {
    pub(super) status: NodeStatus,
    pub(super) at: Instant,
}

/// What this node, while it leads, has heard of the others.
#[derive(Default)]
pub(super) struct Statuses(Mutex<BTreeMap<u64, Heard>>);

impl Statuses {
    pub(super) fn note(&self, node: u64, status: &proto::NodeStatus) {
        let mut program = status.program.clone();
        if program.len() > PROGRAM_BYTES_MAX {
            program.clear();
        }
        let status = NodeStatus {
            sealed: status.sealed,
            disk_low: status.disk_low,
            feature_level: status.feature_level,
            applied: status.applied,
            program,
        };
        self.lock().insert(node, Heard { status, at: Instant::now() });
    }

    pub(super) fn all(&self) -> BTreeMap<u64, Heard> {
        self.lock().clone()
    }

    /// Forgets those that are no members.
    pub(super) fn retain(&self, is_member: impl Fn(u64) -> bool) {
        self.lock().retain(|node, _| is_member(*node));
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeMap<u64, Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

const PROGRAM_BYTES_MAX: usize = 64;

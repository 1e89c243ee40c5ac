//! The URL space `sys/`, one file for each subject.

mod capabilities;
mod control;
pub mod expiry;
mod first;
pub mod jobs;
mod leases;
mod metrics;
mod mounts;
mod node;
mod policies;
mod raft;
mod remount;
mod tuning;
mod ui;

pub use control::{
    HaNode, Health, Init, InitReply, LeaderStatus, MetricsFormat, NodeControl, SealStatus,
    ShareText, Unseal,
};
pub use first::{system_entry, write_first_records};
pub use raft::{
    Admitted, Answer, Challenge, Join, JoinToken, JoinTokenRecord, Joiner, NodeRecord, Peer,
    join_token_path,
};

use std::sync::Arc;

use crate::framework::{Engine, Overlap, Route};

/// What every handler here may ask of the node it runs on.
pub type Node = Arc<dyn NodeControl>;

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine<Node>, Overlap> {
    let routes: Vec<Route<Node>> = [
        node::routes(),
        metrics::routes(),
        mounts::routes(),
        tuning::routes(),
        policies::routes(),
        capabilities::routes(),
        ui::routes(),
        raft::routes(),
        remount::routes(),
        leases::routes(),
    ]
    .into_iter()
    .flatten()
    .collect();
    Engine::new("system", "The system itself: seal, mounts, policies, cluster.", routes)
}

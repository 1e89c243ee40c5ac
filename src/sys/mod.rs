//! The URL space `sys/`, one file for each subject.

mod audit;
mod autopilot;
mod browsers;
mod capabilities;
mod control;
mod counters;
mod enterprise;
pub mod expiry;
mod explain;
mod first;
mod inspect;
pub mod jobs;
mod keys;
mod lease_quotas;
mod leases;
mod locked_users;
mod metrics;
mod mounts;
mod node;
mod openapi;
mod passwords;
mod plugins;
mod policies;
mod process;
mod quotas;
mod raft;
mod remount;
mod snapshots;
mod tools;
mod tuning;
mod ui;
mod versions;
mod wrapping;

pub use autopilot::{
    AUTOPILOT_CONFIGURATION, AutopilotConfiguration, AutopilotServer, AutopilotState, go_duration,
};
pub use browsers::{CORS, CorsRecord};
pub use control::{
    BackendStatus, HaNode, Health, Init, InitReply, LeaderStatus, MetricsFormat, NodeControl,
    RootTokenText, SealStatus, ShareText, Unseal,
};
pub use first::{system_entry, write_first_records, write_missing_records};
pub use keys::{Keys, RecoveryRecord, SealWrapper, SharesOnly};
pub use process::Process;
pub use raft::{
    Admitted, Answer, Challenge, Join, JoinToken, JoinTokenRecord, Joiner, NodeRecord, Peer,
    join_token_path,
};

pub use versions::note_version;

use std::sync::Arc;

use crate::framework::{Engine, Overlap, Route};

/// What every handler here may ask of the node it runs on.
pub type Node = Arc<dyn NodeControl>;

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine<Node>, Overlap> {
    let routes: Vec<Route<Node>> = [
        node::routes(),
        keys::routes(),
        metrics::routes(),
        mounts::routes(),
        tuning::routes(),
        policies::routes(),
        capabilities::routes(),
        ui::routes(),
        raft::routes(),
        autopilot::routes(),
        snapshots::routes(),
        remount::routes(),
        browsers::routes(),
        counters::routes(),
        enterprise::routes(),
        explain::routes(),
        inspect::routes(),
        openapi::routes(),
        passwords::routes(),
        plugins::routes(),
        process::routes(),
        quotas::routes(),
        lease_quotas::routes(),
        tools::routes(),
        versions::routes(),
        wrapping::routes(),
        locked_users::routes(),
        audit::routes(),
        leases::routes(),
    ]
    .into_iter()
    .flatten()
    .collect();
    Engine::new("system", "The system itself: seal, mounts, policies, cluster.", routes)
}

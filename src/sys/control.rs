use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;

use super::autopilot::{AutopilotConfiguration, AutopilotState};
use super::keys::Keys;
use super::process::Process;
use super::raft::{Admitted, Answer, Challenge, Join, JoinToken, Joiner, NodeRecord, Peer};
use crate::audit::Broker;
use crate::crypto::PgpKey;
use crate::log::BoxFuture;
use crate::request::{Error, Reply};
use crate::secret::Secret;
use crate::text::hex;

/// The node, as `sys/` sees it. What is asked here concerns this node alone, needs no storage,
/// and is answered sealed or not.
pub trait NodeControl: Send + Sync {
    /// Makes a cluster of this node.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the cluster is initialised, or shares and threshold do not fit.
    fn init(&self, init: Init) -> BoxFuture<'_, Result<InitReply, Error>>;

    fn is_initialized(&self) -> BoxFuture<'_, Result<bool, Error>>;

    /// Asks each seal of this node's configuration whether it answers.
    fn seal_backends(&self) -> BoxFuture<'_, Vec<BackendStatus>>;

    /// What people have given for a rekey or a root token, and what is counted.
    fn keys(&self) -> &Keys;

    fn seal_status(&self) -> BoxFuture<'_, Result<SealStatus, Error>>;

    /// Takes one share, or forgets those given so far.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the share is malformed or the shares do not fit.
    fn unseal(&self, unseal: Unseal) -> BoxFuture<'_, Result<SealStatus, Error>>;

    /// Hands leadership over where this node has it, then drops the keys.
    fn seal(&self) -> BoxFuture<'_, Result<(), Error>>;

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>>;

    /// # Errors
    /// [`Error::Sealed`].
    fn leader(&self) -> BoxFuture<'_, Result<LeaderStatus, Error>>;

    /// The index of the newest committed entry, and the cluster's nodes.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where this node cannot have peers, as for all that follows.
    fn raft_configuration(&self) -> Result<(u64, Vec<Peer>), Error>;

    /// The cluster's nodes, as far as this one, while it is active, has heard of them.
    ///
    /// # Errors
    /// Where the node's record cannot be read.
    fn ha_status(&self) -> Result<Vec<HaNode>, Error>;

    /// Whether this node keeps its state on disk, so that it can be saved.
    fn check_snapshot(&self) -> Result<(), Error>;

    /// How the cluster's nodes are. For the active node: only it hears of the others.
    fn autopilot_state(
        &self,
        configuration: &AutopilotConfiguration,
    ) -> Result<AutopilotState, Error>;

    /// Gives a node a vote or takes it away, by name or raft id; nothing where there is none.
    fn set_voter<'a>(&'a self, name: &'a str, votes: bool) -> BoxFuture<'a, Result<(), Error>>;

    /// Takes a node out, by name or raft id; nothing where there is none.
    fn remove_peer<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>>;

    /// Joins by token, or asks to join: shares given to this node then complete it.
    fn join(&self, join: Join) -> BoxFuture<'_, Result<(), Error>>;

    /// Draws a token for one node to join with; it is good once its record is committed.
    fn join_token(&self) -> Result<JoinToken, Error>;

    /// # Errors
    /// [`Error::Sealed`].
    fn challenge(&self, joiner: &Joiner) -> Result<Challenge, Error>;

    /// Whether an answer is one that [`Self::admit`] would take now.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where it does not fit, or the node may not join.
    fn check_answer(&self, answer: &Answer) -> Result<(), Error>;

    /// Makes a node that has opened its challenge part of the cluster, without a vote yet. Also
    /// its id, and what is to be kept until it votes.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the answer does not fit, or the node may not join.
    fn admit<'a>(
        &'a self,
        answer: &'a Answer,
        authority_key: Secret<String>,
    ) -> BoxFuture<'a, Result<(Admitted, u64, NodeRecord), Error>>;

    /// The process and machine that the node runs on.
    fn process(&self) -> &dyn Process;

    /// What this node has counted, and how it stands.
    ///
    /// # Errors
    /// [`Error::BadRequest`] where the format is turned off.
    fn metrics(&self, format: MetricsFormat) -> Result<Reply, Error>;

    /// Hands leadership over; nothing where this node does not lead.
    fn step_down(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// What writes audit records here.
    fn audit(&self) -> &Broker;
}

/// How `sys/metrics` answers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum MetricsFormat {
    Json,
    Prometheus,
}

/// `sys/init`, once its parameters are read. What fits depends on the node's seals.
#[derive(Default)]
pub struct Init {
    pub secret_shares: i64,
    pub secret_threshold: i64,
    pub recovery_shares: i64,
    pub recovery_threshold: i64,
    pub stored_shares: i64,
    pub pgp_keys: Vec<PgpKey>,
    pub recovery_pgp_keys: Vec<PgpKey>,
    pub root_token_pgp_key: Option<PgpKey>,
}

pub struct InitReply {
    pub shares: Vec<ShareText>,
    /// The shares are of the recovery key, and the cluster opens by itself.
    pub is_recovery: bool,
    pub root_token: Secret<String>,
    pub root_token_text: RootTokenText,
}

/// How the root token is told.
pub enum RootTokenText {
    Plain,
    /// As a message for whose key was given.
    Pgp(Vec<u8>),
}

/// One share, in both spellings that Vault gives out.
pub struct ShareText {
    pub hex: Secret<String>,
    pub base64: Secret<String>,
}

impl ShareText {
    /// A share that was encrypted for PGP.
    pub fn of_message(message: &[u8]) -> Self {
        Self { hex: Secret::new(hex(message)), base64: Secret::new(STANDARD.encode(message)) }
    }
}

pub enum Unseal {
    /// In hexadecimal or base64, as it was typed.
    Share(Secret<String>),
    /// The same, to move to the seal of this node's configuration.
    Migrate(Secret<String>),
    Reset,
}

/// As `sys/seal-status` answers.
#[derive(Clone, Debug, Serialize)]
pub struct SealStatus {
    #[serde(rename = "type")]
    pub kind: String,
    pub initialized: bool,
    pub sealed: bool,
    /// The threshold.
    pub t: u8,
    /// The number of shares.
    pub n: u8,
    /// Shares given to this node so far.
    pub progress: usize,
    pub nonce: String,
    pub version: String,
    pub build_date: String,
    pub migration: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    pub recovery_seal: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recovery_seal_type: Option<String>,
    /// Taken out of its cluster, and may not come back.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub removed_from_cluster: bool,
    pub storage_type: String,
    /// This program's own version, beside the Vault version that clients read.
    pub strongroom_version: String,
}

/// One seal, as `sys/seal-backend-status` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct BackendStatus {
    pub name: String,
    #[serde(rename = "type")]
    pub kind: String,
    pub healthy: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
}

/// As `sys/health` answers.
#[derive(Clone, Debug, Serialize)]
pub struct Health {
    pub initialized: bool,
    pub sealed: bool,
    pub standby: bool,
    pub performance_standby: bool,
    pub replication_performance_mode: String,
    pub replication_dr_mode: String,
    /// Seconds since the Unix epoch.
    pub server_time_utc: u64,
    pub version: String,
    pub enterprise: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cluster_id: Option<String>,
    pub echo_duration_ms: u64,
    pub clock_skew_ms: u64,
    pub replication_primary_canary_age_ms: u64,
    /// Not shown: taken out of the cluster, and may not come back.
    #[serde(skip)]
    pub removed: bool,
}

/// As `sys/leader` answers.
#[derive(Clone, Debug, Serialize)]
pub struct LeaderStatus {
    pub ha_enabled: bool,
    pub is_self: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub active_time: Option<String>,
    pub leader_address: String,
    pub leader_cluster_address: String,
    pub performance_standby: bool,
    pub performance_standby_last_remote_wal: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raft_committed_index: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub raft_applied_index: Option<u64>,
}

/// A node, as `sys/ha-status` shows it.
#[derive(Clone, Debug, Serialize)]
pub struct HaNode {
    pub hostname: String,
    pub api_address: String,
    pub cluster_address: String,
    pub active_node: bool,
    /// RFC 3339; `None` of the active node, and of one that has not been heard of.
    pub last_echo: Option<String>,
    pub echo_duration_ms: u64,
    pub clock_skew_ms: u64,
    /// The Vault version that clients are told.
    pub version: String,
    pub upgrade_version: String,
    pub redundancy_zone: String,
    /// Of the node's program; empty where it has not been heard of.
    pub strongroom_version: String,
}

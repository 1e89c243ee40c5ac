//! Consensus: openraft behind [`ReplicatedLog`].
//!
//! **Invariant:** what passes here is ciphertext. Entries are opaque but for what `apply` needs,
//! and no type that names plaintext is imported, so that a sealed node replicates like any other.

mod candidacy;
mod config;
mod disk_state;
mod log_store;
mod members;
mod memory_log;
mod memory_state;
mod network;
mod peers;
mod recover;
mod service;
mod sizes;
mod snapshot;
mod state;
mod state_machine;
mod succession;
mod types;
mod watches;

pub use config::{Options, Profile, TRANSACTION_BYTES_MOST, Timing};
pub use disk_state::DiskStateStore;
pub use log_store::DiskLogStore;
pub use members::{Member, MembershipError};
pub use memory_log::MemoryLogStore;
pub use memory_state::MemoryStateStore;
pub use network::{MESSAGE_BYTES_MAX, VERSION};
pub use peers::{Lane, NodeStatus, Peers};
pub use recover::{Peer, Plan, Recovery, plan};
pub use service::{PeerId, RaftService};
pub use snapshot::{Image, SnapshotFile};
pub use state::{ApplyObserver, NoObserver, StateStore};
pub use types::{LogId, NodeInfo, Payload, Position, TypeConfig};
pub use watches::{Leader, Progress};

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use openraft::ReadPolicy;
use openraft::errors::{
    ClientWriteError, ForwardReason, InitializeError, LinearizableReadError, RaftError,
};
use openraft::storage::RaftLogStorage;
use tokio::runtime::Runtime;
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use tokio::time::Instant;

use crate::log::{BoxFuture, LogError, Point, ReplicatedLog};
use crate::record::Applied;
use candidacy::Candidacy;
use network::Network;
use peers::Statuses;
use state_machine::StateMachine;
use types::leadership;

type Raft = openraft::Raft<TypeConfig, StateMachine>;

/// What a node is made of.
pub struct Parts<L> {
    /// Random, made with the empty data folder, never used again elsewhere.
    pub id: u64,
    pub log: L,
    pub state: Arc<dyn StateStore>,
    pub observer: Arc<dyn ApplyObserver>,
    pub peers: Arc<dyn Peers>,
    pub options: Options,
}

/// This node's part in the replicated log.
pub struct RaftLog {
    id: u64,
    raft: Raft,
    state: Arc<dyn StateStore>,
    options: Options,
    candidacy: Arc<Candidacy>,
    own: Arc<OwnStatus>,
    statuses: Arc<Statuses>,
    /// One for each KiB of proposals that may be under way.
    room: Semaphore,
    leader: watch::Receiver<Option<Leader>>,
    stopped: watch::Receiver<Option<String>>,
    applied: watch::Receiver<u64>,
    /// Raft shares no thread with requests: a slow one must not look like a dead leader.
    runtime: OwnRuntime,
}

/// What this node tells others of itself.
#[derive(Default)]
struct OwnStatus {
    unsealed: AtomicBool,
    disk_low: AtomicBool,
    feature_level: AtomicU32,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    #[error("raft's timers: {0}")]
    Options(String),
    #[error("raft cannot start: {0}")]
    Io(#[from] std::io::Error),
    #[error("raft cannot start: {0}")]
    Storage(String),
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum InitError {
    /// There is a log already.
    #[error("this node has a log already")]
    NotPristine,
    #[error("raft cannot be initialised: {0}")]
    Failed(String),
}

impl RaftLog {
    /// Starts from what log and state hold. Until [`Self::set_candidate`] the node counts as
    /// sealed.
    ///
    /// # Errors
    /// Where log or state cannot be read, or contradict each other.
    pub async fn start<L>(mut parts: Parts<L>) -> Result<Arc<Self>, StartError>
    where
        L: RaftLogStorage<TypeConfig>,
    {
        let config = Arc::new(parts.options.raft().map_err(StartError::Options)?);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(parts.options.threads.max(1))
            .thread_name("raft")
            .enable_all()
            .build()?;
        let handle = runtime.handle().clone();
        // From here on a start that fails, or is given up, must not wait for it either.
        let runtime = OwnRuntime(Some(runtime));
        let has_voted = {
            use openraft::storage::RaftLogReader as _;
            parts.log.get_log_reader().await.read_vote().await?.is_some()
        };
        let candidacy = Arc::new(Candidacy::new(&parts.options.timing, has_voted));
        let statuses = Arc::new(Statuses::default());
        let machine = StateMachine::new(parts.state.clone(), parts.observer)?;
        let (applied, sizes) = (machine.applied_watch(), machine.sizes());
        let network = Network {
            id: parts.id,
            peers: parts.peers,
            statuses: statuses.clone(),
            backoff: config::BACKOFF.to_vec(),
            snapshot_timeout: config::SNAPSHOT_TIMEOUT,
        };
        let raft = handle
            .spawn(Raft::new(parts.id, config, network, parts.log, machine))
            .await
            .map_err(|error| StartError::Storage(error.to_string()))?
            .map_err(|fatal| StartError::Storage(fatal.to_string()))?;
        raft.runtime_config().elect(false);
        let own = Arc::new(OwnStatus::default());
        let started = watches::start(&handle, &raft, &candidacy, &statuses, &parts.options, sizes);
        let every = parts.options.timing.heartbeat;
        let log = Arc::new(Self {
            id: parts.id,
            state: parts.state,
            room: Semaphore::new(parts.options.proposal_bytes_max.div_ceil(KIB)),
            options: parts.options,
            candidacy,
            own,
            statuses,
            leader: started.leader,
            stopped: started.stopped,
            applied,
            raft,
            runtime,
        });
        handle.spawn(members::care(Arc::downgrade(&log), every));
        Ok(log)
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// For whoever serves the cluster's port.
    pub fn service(&self) -> RaftService {
        let (own, applied) = (self.own.clone(), self.applied.clone());
        RaftService {
            id: self.id,
            raft: self.raft.clone(),
            state: self.state.clone(),
            candidacy: self.candidacy.clone(),
            status: Arc::new(move || own.status(*applied.borrow())),
        }
    }

    /// Where what belongs to raft must run, its server included.
    pub fn runtime(&self) -> Option<&tokio::runtime::Handle> {
        self.runtime.0.as_ref().map(Runtime::handle)
    }

    /// Whether this node may lead: it is unsealed and can open the keyring. One that may not
    /// stands all the same, as caretaker, after long without a leader; and while it leads, it
    /// hands over as soon as another can lead.
    pub fn set_candidate(&self, candidate: bool) {
        self.own.unsealed.store(candidate, Ordering::Relaxed);
        self.candidacy.set_candidate(candidate);
    }

    /// Whether this node is below its reserve of disk space. Writes are refused while too few
    /// voters are above theirs.
    pub fn set_disk_low(&self, low: bool) {
        self.own.disk_low.store(low, Ordering::Relaxed);
    }

    /// The newest format that this program reads, and whether others do is in [`Member`].
    pub fn set_feature_level(&self, level: u32) {
        self.own.feature_level.store(level, Ordering::Relaxed);
    }

    /// Who leads, as far as this node knows; changes with each election.
    pub fn leader(&self) -> watch::Receiver<Option<Leader>> {
        self.leader.clone()
    }

    pub fn is_leader(&self) -> bool {
        self.leader.borrow().as_ref().is_some_and(|leader| leader.id == self.id)
    }

    /// Index of the newest entry that this node has applied.
    pub fn applied(&self) -> watch::Receiver<u64> {
        self.applied.clone()
    }

    /// Set once, when raft has stopped for good: the process must end.
    pub fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.stopped.clone()
    }

    /// How long no leader has been heard of.
    pub fn since_leader(&self) -> Duration {
        if self.is_leader() { Duration::ZERO } else { self.candidacy.since_leader() }
    }

    /// The first membership, on one node alone.
    ///
    /// # Errors
    /// [`InitError::NotPristine`] where the node has a log.
    pub async fn initialize(&self, members: BTreeMap<u64, NodeInfo>) -> Result<(), InitError> {
        match self.raft.initialize(members).await {
            Ok(()) => Ok(()),
            Err(RaftError::APIError(InitializeError::NotAllowed(_))) => Err(InitError::NotPristine),
            Err(error) => Err(InitError::Failed(error.to_string())),
        }
    }

    /// Whether there is a log: membership, vote or entries.
    ///
    /// # Errors
    /// Where raft has stopped.
    pub async fn is_initialized(&self) -> Result<bool, LogError> {
        self.raft.is_initialized().await.map_err(|fatal| LogError::Stopped(fatal.to_string()))
    }

    /// Stands for election now, whether a candidate or not.
    ///
    /// # Errors
    /// Where raft has stopped.
    pub async fn elect(&self) -> Result<(), LogError> {
        let stands = self.raft.trigger().elect(false).await;
        stands.map_err(|fatal| LogError::Stopped(fatal.to_string()))
    }

    /// Makes a checkpoint and lets go of the log before it, but for what is kept for others.
    ///
    /// # Errors
    /// Where raft has stopped.
    pub async fn snapshot(&self) -> Result<(), LogError> {
        let made = self.raft.trigger().snapshot().await;
        made.map_err(|fatal| LogError::Stopped(fatal.to_string()))
    }

    /// Ends raft; what was acknowledged is on disk.
    pub async fn shutdown(&self) {
        if let Err(error) = self.raft.shutdown().await {
            tracing::warn!(%error, "raft did not end well");
        }
    }

    async fn linearize(&self) -> Result<Point, LogError> {
        let deadline = Instant::now() + self.options.timing.election_max;
        loop {
            match self.raft.ensure_linearizable(ReadPolicy::ReadIndex).await {
                Ok(read) => {
                    let leadership = leadership(read.committed_leader_id());
                    return Ok(Point { leadership, view: self.state.view() });
                }
                Err(RaftError::APIError(LinearizableReadError::ForwardToLeader(other)))
                    if other.reason == ForwardReason::LeaseExpired && Instant::now() < deadline =>
                {
                    tokio::time::sleep(LEASE_RETRY).await;
                }
                Err(RaftError::APIError(_)) => return Err(LogError::NotLeader),
                Err(RaftError::Fatal(fatal)) => return Err(LogError::Stopped(fatal.to_string())),
            }
        }
    }

    async fn write(&self, entry: Bytes) -> Result<Applied, LogError> {
        let _room = self.admit(entry.len()).await?;
        let deadline = Instant::now() + self.options.timing.election_max;
        loop {
            match self.raft.client_write(Payload(entry.clone())).await {
                Ok(written) => {
                    return written.data.ok_or_else(|| {
                        LogError::Stopped("a batch was applied as something else".into())
                    });
                }
                // A leader that has just been elected, or was cut off for a moment: not appended.
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(other)))
                    if other.reason == ForwardReason::LeaseExpired && Instant::now() < deadline =>
                {
                    tokio::time::sleep(LEASE_RETRY).await;
                }
                Err(RaftError::APIError(ClientWriteError::ForwardToLeader(_))) => {
                    return Err(LogError::NotLeader);
                }
                Err(RaftError::APIError(ClientWriteError::LogEntryDiscarded(_))) => {
                    return Err(LogError::Unknown);
                }
                Err(RaftError::APIError(error)) => {
                    return Err(LogError::Stopped(error.to_string()));
                }
                // It may have been appended before raft stopped.
                Err(RaftError::Fatal(_)) => return Err(LogError::Unknown),
            }
        }
    }

    /// Waits until there is room for the proposal.
    async fn admit(&self, size: usize) -> Result<SemaphorePermit<'_>, LogError> {
        let limit = self.options.transaction_bytes_max();
        if size > limit {
            return Err(LogError::TooLarge { size, limit });
        }
        if self.is_disk_full() {
            return Err(LogError::DiskFull);
        }
        let all = self.options.proposal_bytes_max.div_ceil(KIB);
        let permits = u32::try_from(size.div_ceil(KIB).clamp(1, all)).unwrap_or(u32::MAX);
        let room = self.room.acquire_many(permits).await;
        let room = room.map_err(|_| LogError::Stopped("no more proposals".into()))?;
        while self.state.is_pressed() && self.is_leader() {
            tokio::time::sleep(PRESSURE_RETRY).await;
        }
        Ok(room)
    }
}

impl ReplicatedLog for RaftLog {
    fn begin(&self) -> BoxFuture<'_, Result<Point, LogError>> {
        Box::pin(self.linearize())
    }

    fn propose(&self, entry: Bytes) -> BoxFuture<'_, Result<Applied, LogError>> {
        Box::pin(self.write(entry))
    }
}

/// Empty only once it is dropped.
struct OwnRuntime(Option<Runtime>);

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        // Waiting for its tasks would block whoever drops this.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl OwnStatus {
    fn status(&self, applied: u64) -> NodeStatus {
        NodeStatus {
            sealed: !self.unsealed.load(Ordering::Relaxed),
            disk_low: self.disk_low.load(Ordering::Relaxed),
            feature_level: self.feature_level.load(Ordering::Relaxed),
            applied,
            program: env!("CARGO_PKG_VERSION").into(),
        }
    }
}

const KIB: usize = 1024;

/// A new leader accepts proposals once a quorum has answered it, which takes a round trip.
const LEASE_RETRY: Duration = Duration::from_millis(3);

const PRESSURE_RETRY: Duration = Duration::from_millis(2);

#[cfg(test)]
pub(crate) mod tests;

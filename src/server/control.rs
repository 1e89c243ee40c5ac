//! What a node is asked about itself: initialise, unseal, seal, health.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::autopilot::Autopilot;
use super::consensus::{Consensus, Role};
use super::joining::{JoinTarget, Pending};
use super::migration::Migration;
use super::process::NodeProcess;
use super::replicated::{Replicated, url_of};
use super::seals::{Looked, Wrapper};
use super::unsealing::{RecoveryGuard, Shares, Way};
use crate::audit::Broker;
use crate::barrier::{Barrier, Keyring, UnwrapError};
use crate::clock::{Clock, Timestamp};
use crate::kms::Seals;
use crate::log::{BoxFuture, LogError, ReplicatedLog};
use crate::proto::system as wire;
use crate::record::SystemKey;
use crate::request::{Error, Reply};
use crate::rng::Rng;
use crate::seal::{Division, KeyringRecord, SealConfiguration, SealKind};
use crate::secret::Secret;
use crate::sys::{
    Admitted, Answer, AutopilotConfiguration, AutopilotState, BackendStatus, Challenge, HaNode,
    Health, Init, InitReply, Join, JoinToken, Joiner, Keys, LeaderStatus, MetricsFormat,
    NodeControl, NodeRecord, Peer, Process, SealStatus, Unseal,
};
use crate::telemetry::Telemetry;

/// How a node is known to others.
#[derive(Clone, Debug)]
pub struct Identity {
    pub api_address: String,
    pub cluster_address: String,
    /// Of a new cluster; one is drawn where it is empty.
    pub cluster_name: String,
    /// The Vault version that clients are told.
    pub version: String,
    /// Where this node is to join; it founds no cluster while one of them has one.
    pub retry_join: Vec<JoinTarget>,
    /// Whether it is to join by a token, and so founds no cluster either.
    pub joins_by_token: bool,
}

/// The key that other nodes' certificates are signed with.
#[derive(Deserialize, Serialize)]
pub(super) struct AuthorityKey {
    /// PEM.
    pub(super) key: String,
}

pub struct Control {
    audit: Arc<Broker>,
    pub barrier: Arc<Barrier>,
    clock: Arc<dyn Clock>,
    pub consensus: Arc<dyn Consensus>,
    log: Arc<dyn ReplicatedLog>,
    identity: Identity,
    pub(super) process: NodeProcess,
    rng: Arc<dyn Rng>,
    pub(super) telemetry: Arc<Telemetry>,
    /// Shares given so far. Never leaves this node's memory.
    pub(super) shares: Shares,
    pub(super) recovery_guard: RecoveryGuard,
    pub(super) seals: Arc<Seals>,
    pub(super) seals_looked: Looked,
    /// A move to another seal that awaits this node's leadership.
    pub(super) migration: std::sync::Mutex<Option<Migration>>,
    was_open: AtomicBool,
    /// A cluster that this node has asked to join.
    pub(super) pending: std::sync::Mutex<Option<Pending>>,
    /// Of two that initialise at once, one waits.
    pub(super) initialising: tokio::sync::Mutex<()>,
    /// Held from an admission's first look at the members until the newcomer is one.
    pub(super) admitting: tokio::sync::Mutex<()>,
    pub(super) keys: Keys,
    pub(super) active_since: std::sync::Mutex<Option<Timestamp>>,
    pub(super) autopilot: Autopilot,
}

impl Control {
    #[expect(clippy::too_many_arguments, reason = "the parts of a node, given in one place")]
    pub fn new(
        audit: Arc<Broker>,
        barrier: Arc<Barrier>,
        clock: Arc<dyn Clock>,
        consensus: Arc<dyn Consensus>,
        identity: Identity,
        process: NodeProcess,
        rng: Arc<dyn Rng>,
        seals: Arc<Seals>,
        telemetry: Arc<Telemetry>,
    ) -> Self {
        let log = consensus.clone().log();
        let keys = Keys::new(barrier.clone(), Arc::new(Wrapper(seals.clone())));
        Self {
            keys,
            seals,
            seals_looked: Looked::default(),
            migration: std::sync::Mutex::default(),
            was_open: AtomicBool::new(false),
            audit,
            barrier,
            clock,
            consensus,
            log,
            identity,
            process,
            rng,
            telemetry,
            shares: std::sync::Mutex::default(),
            recovery_guard: tokio::sync::Mutex::default(),
            pending: std::sync::Mutex::default(),
            initialising: tokio::sync::Mutex::default(),
            admitting: tokio::sync::Mutex::default(),
            active_since: std::sync::Mutex::default(),
            autopilot: Autopilot::default(),
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// `None` before `sys/init`.
    ///
    /// # Errors
    /// Where the store cannot be read, or a newer program wrote the record.
    pub fn cluster(&self) -> Result<Option<wire::Cluster>, Error> {
        let Some((_, record)) =
            self.consensus.view().system(SystemKey::Cluster).map_err(Error::internal)?
        else {
            return Ok(None);
        };
        let cluster = wire::Cluster::decode(record).map_err(Error::internal)?;
        if cluster.version > CLUSTER_VERSION {
            return Err(Error::internal("a newer program wrote the cluster's record"));
        }
        Ok(Some(cluster))
    }

    pub(super) fn seal_configuration(&self) -> Result<Option<SealConfiguration>, Error> {
        let record =
            self.consensus.view().system(SystemKey::SealConfiguration).map_err(Error::internal)?;
        let decode = |bytes: Bytes| SealConfiguration::decode(&bytes).map_err(Error::internal);
        record.map(|(_, bytes)| decode(bytes)).transpose()
    }

    pub(super) fn keyring_record(&self) -> Result<Option<KeyringRecord>, Error> {
        let record = self.consensus.view().system(SystemKey::Keyring).map_err(Error::internal)?;
        let decode = |bytes: Bytes| KeyringRecord::decode(&bytes).map_err(Error::internal);
        record.map(|(_, bytes)| decode(bytes)).transpose()
    }

    /// Also where this node's log, which says so, is still being read or on its way.
    fn is_initialised(&self) -> Result<bool, Error> {
        let is_known = self.cluster()?.is_some() || self.belongs_to_cluster();
        Ok(is_known || self.shares_so_far().2.is_some())
    }

    pub(super) fn belongs_to_cluster(&self) -> bool {
        self.consensus.replicated().is_some_and(Replicated::belongs_to_cluster)
    }

    /// Whether this node was taken out of its cluster.
    pub fn is_removed(&self) -> bool {
        self.consensus.replicated().is_some_and(Replicated::is_removed)
    }

    /// Whether a seal that opens by itself may not: this node was open, and whoever or whatever
    /// sealed it had a reason. Recovery shares or a restart open it.
    pub(super) fn stays_sealed(&self) -> bool {
        self.was_open.load(Ordering::Relaxed)
    }

    pub(super) fn shared_rng(&self) -> Arc<dyn Rng> {
        self.rng.clone()
    }

    /// With the keyring of this record.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the record has changed meanwhile, and this keyring does not
    /// lead to the one that is there now: the node stays sealed.
    pub(super) fn open(&self, keyring: Arc<Keyring>, record: &KeyringRecord) -> Result<(), Error> {
        // From here on whatever is applied is followed; what was applied before is not.
        self.barrier.open(keyring);
        if let Err(error) = self.catch_up(record) {
            self.barrier.close();
            return Err(error);
        }
        self.was_open.store(true, Ordering::Relaxed);
        self.consensus.follow_seal();
        tracing::info!("unsealed");
        Ok(())
    }

    fn catch_up(&self, record: &KeyringRecord) -> Result<(), Error> {
        let mut followed = record.clone();
        while let Some(record) = self.keyring_record()?
            && record != followed
        {
            let current = self.barrier.keyring()?;
            match record.follow(&current) {
                // Otherwise another entry was applied: looked at again.
                Ok(next) => {
                    if self.barrier.exchange(&current, Arc::new(next)) {
                        followed = record;
                    }
                }
                Err(UnwrapError::Older) => {
                    if self.keyring_record()?.as_ref() != Some(&record) {
                        continue;
                    }
                    // A snapshot was restored while this node opened: what is stored goes first.
                    let next = record.go_back(&current);
                    let next = next.map_err(|error| Error::Unavailable(error.to_string()))?;
                    if self.barrier.exchange(&current, Arc::new(next)) {
                        followed = record;
                    }
                }
                Err(error) => {
                    return Err(Error::Unavailable(format!(
                        "the keys have changed while this node opened, try again: {error}"
                    )));
                }
            }
        }
        Ok(())
    }

    pub(super) fn rng(&self) -> &dyn Rng {
        self.rng.as_ref()
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    pub(super) fn log(&self) -> &dyn ReplicatedLog {
        self.log.as_ref()
    }

    /// Shares so far, and the nonce: of this node's own cluster, or of the one it is to join.
    pub(super) fn shares_so_far(&self) -> (usize, String, Option<SealConfiguration>) {
        let pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pending) = pending.as_ref() {
            let collector = &pending.collector;
            let nonce = collector.nonce().to_owned();
            return (collector.progress(), nonce, Some(pending.configuration));
        }
        drop(pending);
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        (shares.progress(), shares.nonce().to_owned(), None)
    }

    /// Never holds both locks, as nobody does: whoever took them in the other order would wait
    /// for ever, and `sys/health` with it.
    fn forget_shares(&self) {
        let mut pending = self.pending.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pending) = pending.as_mut() {
            pending.collector.reset();
        }
        drop(pending);
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).reset();
    }

    fn status(&self) -> Result<SealStatus, Error> {
        let (progress, nonce, pending) = self.shares_so_far();
        let configuration = self.seal_configuration()?.or(pending);
        let initialized = configuration.is_some() || self.belongs_to_cluster();
        let sealed = self.barrier.is_sealed();
        let cluster = self.cluster()?.filter(|_| !sealed);
        let kind = match (configuration, self.seals.kind()) {
            (Some(stored), _) => stored.kind(),
            (None, Some(kind)) => kind,
            (None, None) => SealKind::Shamir,
        };
        // As in Vault: those that people hold.
        let division = configuration.and_then(|stored| match stored.kind().opens_itself() {
            true => stored.recovery().map(|recovery| recovery.division),
            false => Some(stored.division()),
        });
        let way = configuration.filter(|_| sealed && pending.is_none());
        let way = way.map(|stored| self.way(&stored));
        Ok(SealStatus {
            kind: kind.name().into(),
            initialized,
            sealed,
            t: division.map_or(0, Division::threshold),
            n: division.map_or(0, Division::shares),
            progress,
            nonce,
            version: self.identity.version.clone(),
            build_date: BUILD_DATE.into(),
            migration: matches!(way, Some(Way::ToSeals | Way::ToShares)),
            cluster_name: cluster.as_ref().map(|cluster| cluster.name.clone()),
            cluster_id: cluster.map(|cluster| cluster.id),
            recovery_seal: kind.opens_itself(),
            recovery_seal_type: kind.opens_itself().then(|| SealKind::Shamir.name().to_owned()),
            removed_from_cluster: self.is_removed(),
            storage_type: self.consensus.storage_type().into(),
            strongroom_version: env!("CARGO_PKG_VERSION").into(),
        })
    }

    /// Drops the keys, whatever came of the hand-over.
    pub(super) fn close(&self) {
        self.barrier.close();
        self.consensus.follow_seal();
        self.keys.forget();
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).reset();
        *self.migration.lock().unwrap_or_else(PoisonError::into_inner) = None;
        tracing::info!("sealed");
    }
}

impl NodeControl for Control {
    fn process(&self) -> &dyn Process {
        &self.process
    }

    fn init(&self, init: Init) -> BoxFuture<'_, Result<InitReply, Error>> {
        Box::pin(self.initialise(init, None))
    }

    fn seal_backends(&self) -> BoxFuture<'_, Vec<BackendStatus>> {
        Box::pin(self.seals_looked.backends(&self.seals))
    }

    fn keys(&self) -> &Keys {
        &self.keys
    }

    fn is_initialized(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async { self.is_initialised() })
    }

    fn seal_status(&self) -> BoxFuture<'_, Result<SealStatus, Error>> {
        Box::pin(async { self.status() })
    }

    fn unseal(&self, unseal: Unseal) -> BoxFuture<'_, Result<SealStatus, Error>> {
        Box::pin(async move {
            match unseal {
                Unseal::Reset => self.forget_shares(),
                Unseal::Share(share) if self.barrier.is_sealed() => {
                    self.take_share(&share, false).await?;
                }
                Unseal::Migrate(share) if self.barrier.is_sealed() => {
                    self.take_share(&share, true).await?;
                }
                Unseal::Share(_) | Unseal::Migrate(_) => {}
            }
            self.status()
        })
    }

    fn seal(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            if self.consensus.role() == Role::Active
                && let Err(error) = self.consensus.hand_over().await
            {
                tracing::warn!(%error, "sealing without a successor");
            }
            self.close();
            Ok(())
        })
    }

    fn health(&self) -> BoxFuture<'_, Result<Health, Error>> {
        Box::pin(async {
            let sealed = self.barrier.is_sealed();
            let initialized = self.is_initialised()?;
            let known = self.cluster()?.filter(|_| !sealed);
            let mode = if sealed { "unknown" } else { "disabled" };
            Ok(Health {
                initialized,
                sealed,
                // A load balancer is to send requests where they can succeed: an active node
                // that has lost its quorum is none, though it does not know of another.
                standby: sealed
                    || self.consensus.role() != Role::Active
                    || !self.consensus.has_quorum(),
                performance_standby: false,
                replication_performance_mode: mode.into(),
                replication_dr_mode: mode.into(),
                server_time_utc: self.clock.now().seconds(),
                version: self.identity.version.clone(),
                enterprise: false,
                cluster_name: known.as_ref().map(|cluster| cluster.name.clone()),
                cluster_id: known.map(|cluster| cluster.id),
                echo_duration_ms: 0,
                clock_skew_ms: 0,
                replication_primary_canary_age_ms: 0,
                removed: self.is_removed(),
            })
        })
    }

    fn leader(&self) -> BoxFuture<'_, Result<LeaderStatus, Error>> {
        Box::pin(async {
            let ha_enabled = self.consensus.storage_type() == "raft";
            // A node alone is no secret: clients take the refusal for one of a cluster.
            if self.barrier.is_sealed() && ha_enabled {
                return Err(Error::Sealed);
            }
            let role = self.consensus.role();
            let is_self = role == Role::Active;
            let (api, cluster) = match role {
                Role::Active => {
                    (self.identity.api_address.clone(), self.identity.cluster_address.clone())
                }
                Role::Standby(Some(leader)) => {
                    (leader.api_address, url_of(&leader.cluster_address))
                }
                Role::Standby(None) => (String::new(), String::new()),
            };
            let progress = self.consensus.progress();
            let since = *self.active_since.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(LeaderStatus {
                ha_enabled,
                is_self,
                active_time: since.filter(|_| is_self).map(Timestamp::rfc3339),
                leader_address: api,
                leader_cluster_address: cluster,
                performance_standby: false,
                performance_standby_last_remote_wal: 0,
                raft_committed_index: progress.map(|progress| progress.committed),
                raft_applied_index: progress.map(|progress| progress.applied),
            })
        })
    }

    fn raft_configuration(&self) -> Result<(u64, Vec<Peer>), Error> {
        let Some(node) = self.consensus.replicated() else {
            return Err(Error::bad_request("raft storage is not in use"));
        };
        let members = node.raft().configuration().into_iter();
        let peers = members.map(|member| Peer {
            node_id: member.info.name,
            address: member.info.cluster_address,
            leader: member.leader,
            protocol_version: "3".into(),
            voter: member.voter,
        });
        let mut peers: Vec<Peer> = peers.collect();
        peers.sort_by(|a, b| a.node_id.cmp(&b.node_id));
        let index = self.consensus.progress().map_or(0, |progress| progress.committed);
        Ok((index, peers))
    }

    fn ha_status(&self) -> Result<Vec<HaNode>, Error> {
        let now = self.clock.now();
        let node = |name: &str, api: &str, cluster: &str| HaNode {
            hostname: name.to_owned(),
            api_address: api.to_owned(),
            cluster_address: url_of(cluster),
            active_node: false,
            last_echo: None,
            echo_duration_ms: 0,
            clock_skew_ms: 0,
            version: self.identity.version.clone(),
            upgrade_version: String::new(),
            redundancy_zone: String::new(),
            strongroom_version: String::new(),
        };
        let Some(replicated) = self.consensus.replicated() else {
            let Identity { api_address, cluster_address, .. } = &self.identity;
            let own = node(api_address, api_address, cluster_address);
            let strongroom_version = env!("CARGO_PKG_VERSION").into();
            return Ok(vec![HaNode { active_node: true, strongroom_version, ..own }]);
        };
        let mut nodes = Vec::new();
        for member in replicated.raft().configuration() {
            let info = &member.info;
            let silent = member.silent.filter(|_| !member.leader);
            let heard = silent.map(|silent| {
                Timestamp(now.0.saturating_sub(u64::try_from(silent.as_millis()).unwrap_or(now.0)))
            });
            nodes.push(HaNode {
                active_node: member.leader,
                last_echo: heard.map(Timestamp::rfc3339),
                strongroom_version: member.status.map(|status| status.program).unwrap_or_default(),
                ..node(&info.name, &info.api_address, &info.cluster_address)
            });
        }
        nodes.sort_by(|a, b| a.hostname.cmp(&b.hostname));
        Ok(nodes)
    }

    fn check_snapshot(&self) -> Result<(), Error> {
        self.check_backup()
    }

    fn autopilot_state(
        &self,
        configuration: &AutopilotConfiguration,
    ) -> Result<AutopilotState, Error> {
        self.members_state(configuration)
    }

    fn set_voter<'a>(&'a self, name: &'a str, votes: bool) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.change_vote(name, votes))
    }

    fn remove_peer<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(self.take_out(name))
    }

    fn join(&self, join: Join) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async move {
            match join.token.as_ref().filter(|token| !token.expose().is_empty()) {
                Some(token) => self.join_by_token(token).await,
                None => self.ask_to_join(join.into()).await,
            }
        })
    }

    fn join_token(&self) -> Result<JoinToken, Error> {
        self.make_join_token()
    }

    fn challenge(&self, joiner: &Joiner) -> Result<Challenge, Error> {
        self.make_challenge(joiner)
    }

    fn check_answer(&self, answer: &Answer) -> Result<(), Error> {
        self.checked(answer).map(drop)
    }

    fn admit<'a>(
        &'a self,
        answer: &'a Answer,
        authority_key: Secret<String>,
    ) -> BoxFuture<'a, Result<(Admitted, u64, NodeRecord), Error>> {
        Box::pin(self.take_answer(answer, authority_key))
    }

    fn metrics(&self, format: MetricsFormat) -> Result<Reply, Error> {
        self.shown_metrics(format)
    }

    fn audit(&self) -> &Broker {
        &self.audit
    }

    fn step_down(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            if self.consensus.role() == Role::Active
                && let Err(error) = self.consensus.hand_over().await
            {
                tracing::warn!(%error, "no other node took over");
            }
            Ok(())
        })
    }
}

pub(super) fn unavailable(error: LogError) -> Error {
    match error {
        LogError::NotLeader | LogError::Unknown => {
            Error::Unavailable("no node leads yet: try again".into())
        }
        other => Error::internal(other),
    }
}

pub(super) const ALREADY: &str = "Vault is already initialized";

/// Of [`wire::Cluster`].
pub(super) const CLUSTER_VERSION: u32 = 1;

/// As Vault tells it; the program is built reproducibly, so it is that of the release.
pub(super) const BUILD_DATE: &str = "2026-11-24T00:00:00Z";

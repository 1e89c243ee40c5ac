//! What a node is asked about itself: initialise, unseal, seal, health.

use std::sync::{Arc, PoisonError};

use bytes::Bytes;
use prost::Message as _;
use serde::{Deserialize, Serialize};

use super::consensus::{Consensus, Role};
use crate::barrier::{Barrier, Keyring};
use crate::clock::{Clock, Timestamp};
use crate::log::{BoxFuture, LogError, ReplicatedLog};
use crate::mount::ROOT_NAMESPACE;
use crate::proto::system as wire;
use crate::record::{Applied, SystemKey};
use crate::request::Error;
use crate::rng::Rng;
use crate::seal::{self, KeyringRecord, SEAL_TYPE, SealConfiguration, Share};
use crate::secret::Secret;
use crate::sys::{
    Health, Init, InitReply, LeaderStatus, NodeControl, SealStatus, ShareText, Unseal,
    write_first_records,
};

/// How a node is known to others.
#[derive(Clone, Debug)]
pub struct Identity {
    pub api_address: String,
    pub cluster_address: String,
    /// Of a new cluster; one is drawn where it is empty.
    pub cluster_name: String,
    /// The Vault version that clients are told.
    pub version: String,
}

/// The key that other nodes' certificates are signed with.
#[derive(Deserialize, Serialize)]
struct Authority {
    /// PEM.
    key: String,
}

pub struct Control {
    pub barrier: Arc<Barrier>,
    clock: Arc<dyn Clock>,
    pub consensus: Arc<dyn Consensus>,
    log: Arc<dyn ReplicatedLog>,
    identity: Identity,
    rng: Arc<dyn Rng>,
    /// Shares given so far. Never leaves this node's memory.
    shares: std::sync::Mutex<seal::Unseal>,
    /// Of two that initialise at once, one waits.
    initialising: tokio::sync::Mutex<()>,
    active_since: std::sync::Mutex<Option<Timestamp>>,
}

impl Control {
    pub fn new(
        barrier: Arc<Barrier>,
        clock: Arc<dyn Clock>,
        consensus: Arc<dyn Consensus>,
        identity: Identity,
        rng: Arc<dyn Rng>,
    ) -> Self {
        let log = consensus.clone().log();
        Self {
            barrier,
            clock,
            consensus,
            log,
            identity,
            rng,
            shares: std::sync::Mutex::default(),
            initialising: tokio::sync::Mutex::default(),
            active_since: std::sync::Mutex::default(),
        }
    }

    pub fn identity(&self) -> &Identity {
        &self.identity
    }

    /// With the keyring, and a root token of the caller's choice: `-dev`.
    ///
    /// # Errors
    /// As [`NodeControl::init`].
    pub async fn initialise(
        &self,
        init: Init,
        root_token: Option<Secret<String>>,
    ) -> Result<InitReply, Error> {
        let _one_at_a_time = self.initialising.lock().await;
        let configuration = SealConfiguration::new(init.shares.into(), init.threshold.into())
            .map_err(|error| Error::BadRequest(error.to_string()))?;
        if self.cluster()?.is_some() {
            return Err(Error::bad_request(ALREADY));
        }
        let cluster = self.new_cluster();
        let founded = self.consensus.initialize(&cluster.id).await?;
        let made = seal::initialise(self.rng.as_ref(), self.clock.now(), &configuration);
        // A barrier of its own: the node itself stays sealed until it is given shares.
        let barrier = Barrier::new(self.rng.clone());
        barrier.open(Arc::new(made.keyring));
        let point = self.log.begin().await.map_err(unavailable)?;
        let mut txn = barrier.begin(point, self.clock.now())?;
        if txn.system(SystemKey::Cluster)?.is_some() {
            return Err(Error::bad_request(ALREADY));
        }
        let root_token = write_first_records(&mut txn, self.rng.as_ref(), root_token)?;
        if let Some(founded) = founded {
            let key = Authority { key: founded.authority_key.expose().clone() };
            txn.scope(ROOT_NAMESPACE).put("core/cluster/authority", &key)?;
            txn.put_system(SystemKey::CaCertificates, founded.certificates);
        }
        txn.put_system(SystemKey::Cluster, cluster.encode_to_vec().into());
        for (key, record) in made.records {
            txn.put_system(key, record);
        }
        let batch = txn.into_batch()?.ok_or_else(|| Error::internal("nothing to initialise"))?;
        let entry = barrier.seal(batch, Bytes::new(), 0)?;
        match self.log.propose(entry).await.map_err(unavailable)? {
            Applied::Committed => {}
            Applied::Conflict(_) => return Err(Error::bad_request(ALREADY)),
            Applied::Fenced => return Err(Error::NotActive),
        }
        let text = |share: &Share| ShareText { hex: share.hex(), base64: share.base64() };
        let shares = made.shares.iter().map(text);
        Ok(InitReply { shares: shares.collect(), root_token })
    }

    fn new_cluster(&self) -> wire::Cluster {
        let rng = self.rng.as_ref();
        let digits: String = rng.bytes::<4>().iter().map(|byte| format!("{byte:02x}")).collect();
        let name = match self.identity.cluster_name.as_str() {
            "" => format!("strongroom-cluster-{digits}"),
            name => name.to_owned(),
        };
        wire::Cluster { version: CLUSTER_VERSION, id: rng.uuid(), name }
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

    fn seal_configuration(&self) -> Result<Option<SealConfiguration>, Error> {
        let record =
            self.consensus.view().system(SystemKey::SealConfiguration).map_err(Error::internal)?;
        let decode = |bytes: Bytes| SealConfiguration::decode(&bytes).map_err(Error::internal);
        record.map(|(_, bytes)| decode(bytes)).transpose()
    }

    fn keyring_record(&self) -> Result<Option<KeyringRecord>, Error> {
        let record = self.consensus.view().system(SystemKey::Keyring).map_err(Error::internal)?;
        let decode = |bytes: Bytes| KeyringRecord::decode(&bytes).map_err(Error::internal);
        record.map(|(_, bytes)| decode(bytes)).transpose()
    }

    fn take_share(&self, share: &Secret<String>) -> Result<Option<Keyring>, Error> {
        let uninitialized = || Error::BadRequest("Vault is not initialized".into());
        let configuration = self.seal_configuration()?.ok_or_else(uninitialized)?;
        let record = self.keyring_record()?.ok_or_else(uninitialized)?;
        let bad = |error: String| Error::BadRequest(error);
        let share = Share::parse(share.expose()).map_err(|error| bad(error.to_string()))?;
        let mut shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        shares
            .add(self.rng.as_ref(), &configuration, &record, share)
            .map_err(|error| bad(error.to_string()))
    }

    fn status(&self) -> Result<SealStatus, Error> {
        let configuration = self.seal_configuration()?;
        let sealed = self.barrier.is_sealed();
        let cluster = self.cluster()?.filter(|_| !sealed);
        let shares = self.shares.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(SealStatus {
            kind: SEAL_TYPE.into(),
            initialized: configuration.is_some(),
            sealed,
            t: configuration.as_ref().map_or(0, SealConfiguration::threshold),
            n: configuration.as_ref().map_or(0, SealConfiguration::shares),
            progress: shares.progress(),
            nonce: shares.nonce().to_owned(),
            version: self.identity.version.clone(),
            build_date: BUILD_DATE.into(),
            migration: false,
            cluster_name: cluster.as_ref().map(|cluster| cluster.name.clone()),
            cluster_id: cluster.map(|cluster| cluster.id),
            recovery_seal: false,
            storage_type: self.consensus.storage_type().into(),
            strongroom_version: env!("CARGO_PKG_VERSION").into(),
        })
    }

    /// Drops the keys, whatever came of the hand-over.
    fn close(&self) {
        self.barrier.close();
        self.consensus.set_unsealed(false);
        self.shares.lock().unwrap_or_else(PoisonError::into_inner).reset();
        tracing::info!("sealed");
    }
}

impl NodeControl for Control {
    fn init(&self, init: Init) -> BoxFuture<'_, Result<InitReply, Error>> {
        Box::pin(self.initialise(init, None))
    }

    fn is_initialized(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async { Ok(self.cluster()?.is_some()) })
    }

    fn seal_status(&self) -> BoxFuture<'_, Result<SealStatus, Error>> {
        Box::pin(async { self.status() })
    }

    fn unseal(&self, unseal: Unseal) -> BoxFuture<'_, Result<SealStatus, Error>> {
        Box::pin(async move {
            match unseal {
                Unseal::Reset => {
                    self.shares.lock().unwrap_or_else(PoisonError::into_inner).reset();
                }
                Unseal::Share(share) if self.barrier.is_sealed() => {
                    if let Some(keyring) = self.take_share(&share)? {
                        self.barrier.open(Arc::new(keyring));
                        self.consensus.set_unsealed(true);
                        tracing::info!("unsealed");
                    }
                }
                Unseal::Share(_) => {}
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
            let cluster = self.cluster()?;
            let sealed = self.barrier.is_sealed();
            let initialized = cluster.is_some();
            let known = cluster.filter(|_| !sealed);
            let mode = if sealed { "unknown" } else { "disabled" };
            Ok(Health {
                initialized,
                sealed,
                standby: sealed || self.consensus.role() != Role::Active,
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
                removed: false,
            })
        })
    }

    fn leader(&self) -> BoxFuture<'_, Result<LeaderStatus, Error>> {
        Box::pin(async {
            if self.barrier.is_sealed() {
                return Err(Error::Sealed);
            }
            let role = self.consensus.role();
            let is_self = role == Role::Active;
            let (api, cluster) = match role {
                Role::Active => {
                    (self.identity.api_address.clone(), self.identity.cluster_address.clone())
                }
                Role::Standby(Some(leader)) => (leader.api_address, leader.cluster_address),
                Role::Standby(None) => (String::new(), String::new()),
            };
            let progress = self.consensus.progress();
            let since = *self.active_since.lock().unwrap_or_else(PoisonError::into_inner);
            Ok(LeaderStatus {
                ha_enabled: self.consensus.storage_type() == "raft",
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

impl Control {
    /// Called when this node begins or ends to lead.
    pub(super) fn set_active(&self, active: bool) {
        let since = active.then(|| self.clock.now());
        *self.active_since.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }
}

fn unavailable(error: LogError) -> Error {
    match error {
        LogError::NotLeader | LogError::Unknown => {
            Error::Unavailable("no node leads yet: try again".into())
        }
        other => Error::internal(other),
    }
}

const ALREADY: &str = "Vault is already initialized";

/// Of [`wire::Cluster`].
const CLUSTER_VERSION: u32 = 1;

/// As Vault tells it; the program is built reproducibly, so it is that of the release.
const BUILD_DATE: &str = "2026-11-24T00:00:00Z";

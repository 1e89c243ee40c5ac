//! From a configuration to a node at work.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::audit;
use super::consensus::{Alone, Consensus};
use super::control::Identity;
use super::joining::JoinTarget;
use super::process::NodeProcess;
use super::replicated::{Replicated, Replication};
use super::running::{Doors, Running};
use super::sanitized::sanitized;
use super::settings::{NodeHeaders, listener_settings, with_port};
use super::{Node, Parts, host_name};
use crate::auth::lockout::{LockoutSettings, LockoutTerms};
use crate::barrier::Barrier;
use crate::client::Tls;
use crate::clock::{Clock, SystemClock};
use crate::config::{
    Config, HaProfile, Listener, RaftStorage, RetryJoin, StateStore, Storage, UserLockout,
    UserLockouts,
};
use crate::framework::TtlLimits;
use crate::pipeline::VALUE_BYTES_MAX;
use crate::raft::{Options, Profile, Timing};
use crate::rng::{Rng, SystemRng};
#[cfg(feature = "sled")]
use crate::store::StateKind;
use crate::store::StateOptions;
use crate::telemetry::{self, Telemetry};

type StartError = Box<dyn std::error::Error + Send + Sync>;

/// # Errors
/// Where an address cannot be had, or a file not be read: with what to mend.
pub async fn start(config: &Config) -> Result<Running, StartError> {
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let barrier = Arc::new(Barrier::new(rng.clone()));
    let listeners = config.settings.listener.iter();
    let headers = node_headers(config, rng.as_ref())?;
    let settings =
        listeners.map(|listener| listener_settings(listener, &config.settings, &headers));
    let doors = Doors::bind(settings.collect::<Result<_, _>>()?, &rng).await?;
    let api_address = match doors.address() {
        Some(address) => with_port(&config.api_addr, address),
        None => config.api_addr.to_string(),
    };
    let (consensus, cluster_address) =
        consensus(config, &doors, &api_address, (&barrier, &clock, &rng)).await?;
    let (targets, token_file) = joins(config);
    let identity = Identity {
        api_address,
        cluster_address,
        cluster_name: config.settings.cluster_name.clone().unwrap_or_default(),
        version: config.settings.reported_version.to_string(),
        retry_join: targets.clone(),
        joins_by_token: token_file.is_some(),
    };
    let (ttl, value_bytes_max) = limits(config);
    let telemetry = telemetry(config)?;
    let lockout = lockout(&config.settings.user_lockout);
    let parts = Parts {
        audit: audit::rules(&config.settings, rng.as_ref())?,
        barrier,
        clock,
        consensus,
        identity,
        process: NodeProcess::new(sanitized(config)),
        rng,
        telemetry,
        ttl,
        lockout,
        value_bytes_max,
    };
    let node = Node::new(parts)?;
    let running = Running::new(node, doors);
    running.join(targets);
    if let Some(file) = token_file {
        running.join_with(file);
    }
    Ok(running)
}

/// Whom to join by shares, and the file with a token to join by.
fn joins(config: &Config) -> (Vec<JoinTarget>, Option<PathBuf>) {
    match &config.settings.storage {
        Storage::Raft(raft) => {
            let targets = raft.retry_join.iter().map(|join| target(join, raft));
            (targets.collect(), raft.join_token_file.clone())
        }
        Storage::Inmem(_) => (Vec::new(), None),
    }
}

/// Of tokens and leases, and of each record that a request writes.
fn limits(config: &Config) -> (TtlLimits, usize) {
    let ttl = TtlLimits {
        default: config.settings.default_lease_ttl.as_secs(),
        max: config.settings.max_lease_ttl.as_secs(),
    };
    let value_bytes_max = match &config.settings.storage {
        Storage::Raft(raft) => usize::try_from(raft.max_entry_size.0).unwrap_or(usize::MAX),
        Storage::Inmem(_) => VALUE_BYTES_MAX,
    };
    (ttl, value_bytes_max)
}

/// What replicates, and where the other nodes reach it.
async fn consensus(
    config: &Config,
    doors: &Doors,
    api_address: &str,
    (barrier, clock, rng): (&Arc<Barrier>, &Arc<dyn Clock>, &Arc<dyn Rng>),
) -> Result<(Arc<dyn Consensus>, String), StartError> {
    let raft = match &config.settings.storage {
        Storage::Inmem(_) => return Ok((Arc::new(Alone::default()), String::new())),
        Storage::Raft(raft) => raft,
    };
    let node = Replicated::start(Replication {
        barrier: barrier.clone(),
        clock: clock.clone(),
        rng: rng.clone(),
        path: raft.path.clone(),
        name: raft.node_id.clone().unwrap_or_default(),
        api_address: api_address.to_owned(),
        cluster_listen: cluster_listen(config)?,
        cluster_address: config.cluster_addr.authority(),
        options: options(raft),
        state: state_options(raft)?,
        requests: Arc::new(doors.entrance()),
        admits: Arc::new(doors.entrance()),
    })
    .await?;
    let address = format!("https://{}", node.info().cluster_address);
    Ok((node, address))
}

/// The process counts for the first node that is started in it.
fn telemetry(config: &Config) -> Result<Arc<Telemetry>, StartError> {
    let configured = &config.settings.telemetry;
    let telemetry = Telemetry::new(telemetry::Settings {
        prefix: configured.metrics_prefix.clone(),
        retention: configured.prometheus_retention_time,
        host: configured.enable_hostname_label.then(host_name),
    })?;
    telemetry.install();
    Ok(Arc::new(telemetry))
}

fn target(join: &RetryJoin, raft: &RaftStorage) -> JoinTarget {
    JoinTarget {
        api_address: join.leader_api_addr.to_string(),
        tls: Tls {
            ca_cert: join.leader_ca_cert_file.clone(),
            ca_cert_pem: join.leader_ca_cert.clone(),
            client_cert: join.leader_client_cert_file.clone(),
            client_key: join.leader_client_key_file.clone(),
            server_name: join.leader_tls_servername.clone(),
            ..Tls::default()
        },
        non_voter: raft.retry_join_as_non_voter,
    }
}

fn node_headers(config: &Config, rng: &dyn Rng) -> Result<NodeHeaders, StartError> {
    let settings = &config.settings;
    let raft_node_id = match &settings.storage {
        Storage::Raft(raft) if settings.enable_response_header_raft_node_id => {
            let name = raft.node_id.as_deref().unwrap_or_default();
            Some(Replicated::name(&raft.path, name, rng)?)
        }
        _ => None,
    };
    Ok(NodeHeaders {
        host_name: settings.enable_response_header_hostname.then(host_name),
        raft_node_id,
    })
}

fn cluster_listen(config: &Config) -> Result<std::net::SocketAddr, StartError> {
    let tcp = config.settings.listener.iter().find_map(|listener| match listener {
        Listener::Tcp(tcp) => Some(tcp.cluster_address()),
        Listener::Unix(_) => None,
    });
    tcp.ok_or_else(|| "storage \"raft\" needs a listener \"tcp\" for the cluster's port".into())
}

fn options(raft: &RaftStorage) -> Options {
    let profile = match raft.ha_profile {
        HaProfile::Lan => Profile::Lan,
        HaProfile::Fast => Profile::Fast,
        HaProfile::Wan => Profile::Wan,
    };
    Options {
        timing: Timing::new(profile, raft.performance_multiplier),
        log_entries_kept: raft.trailing_logs,
        snapshot_every_entries: raft.snapshot_threshold,
        transaction_bytes_max: usize::try_from(raft.max_transaction_size.0).unwrap_or(usize::MAX),
        ..Options::default()
    }
}

#[cfg(feature = "sled")]
#[expect(clippy::unnecessary_wraps, reason = "without the feature it can fail")]
fn state_options(raft: &RaftStorage) -> Result<StateOptions, StartError> {
    let kind = match raft.state_store {
        StateStore::Lmdb => StateKind::Lmdb,
        StateStore::Sled => StateKind::Sled,
    };
    Ok(StateOptions { kind, ..StateOptions::default() })
}

#[cfg(not(feature = "sled"))]
fn state_options(raft: &RaftStorage) -> Result<StateOptions, StartError> {
    match raft.state_store {
        StateStore::Lmdb => Ok(StateOptions::default()),
        StateStore::Sled => {
            Err("state_store = \"sled\": this program was built without the feature `sled`".into())
        }
    }
}

/// What is not set is left to Vault's defaults.
fn lockout(configured: &UserLockouts) -> LockoutSettings {
    let seconds = |length: Option<Duration>| length.map_or(0, |length| length.as_secs());
    let terms = |lockout: &UserLockout| LockoutTerms {
        threshold: lockout.lockout_threshold.map_or(0, u64::from),
        duration: seconds(lockout.lockout_duration),
        counter_reset: seconds(lockout.lockout_counter_reset),
        disable: lockout.disable_lockout,
    };
    let of_kinds = configured.0.iter().map(|(kind, lockout)| (kind.clone(), terms(lockout)));
    LockoutSettings(of_kinds.collect())
}

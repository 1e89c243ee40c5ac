//! From a configuration to a node at work.

use std::sync::Arc;

use super::consensus::{Alone, Consensus};
use super::control::Identity;
use super::joining::JoinTarget;
use super::replicated::{Replicated, Replication};
use super::running::{Doors, Running};
use super::settings::{NodeHeaders, listener_settings, with_port};
use super::{Node, Parts, host_name};
use crate::barrier::Barrier;
use crate::client::Tls;
use crate::clock::{Clock, SystemClock};
use crate::config::{Config, HaProfile, Listener, RaftStorage, RetryJoin, StateStore, Storage};
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
    let (consensus, cluster_address): (Arc<dyn Consensus>, String) = match &config.settings.storage
    {
        Storage::Inmem(_) => (Arc::new(Alone::default()), String::new()),
        Storage::Raft(raft) => {
            let node = Replicated::start(Replication {
                barrier: barrier.clone(),
                clock: clock.clone(),
                rng: rng.clone(),
                path: raft.path.clone(),
                name: raft.node_id.clone().unwrap_or_default(),
                api_address: api_address.clone(),
                cluster_listen: cluster_listen(config)?,
                cluster_address: config.cluster_addr.authority(),
                options: options(raft),
                state: state_options(raft)?,
                requests: Arc::new(doors.entrance()),
                admits: Arc::new(doors.entrance()),
            })
            .await?;
            let address = format!("https://{}", node.info().cluster_address);
            (node, address)
        }
    };
    let targets = match &config.settings.storage {
        Storage::Raft(raft) => raft.retry_join.iter().map(|join| target(join, raft)).collect(),
        Storage::Inmem(_) => Vec::new(),
    };
    let token_file = match &config.settings.storage {
        Storage::Raft(raft) => raft.join_token_file.clone(),
        Storage::Inmem(_) => None,
    };
    let identity = Identity {
        api_address,
        cluster_address,
        cluster_name: config.settings.cluster_name.clone().unwrap_or_default(),
        version: config.settings.reported_version.to_string(),
        retry_join: targets.clone(),
        joins_by_token: token_file.is_some(),
    };
    let ttl = TtlLimits {
        default: config.settings.default_lease_ttl.as_secs(),
        max: config.settings.max_lease_ttl.as_secs(),
    };
    let value_bytes_max = match &config.settings.storage {
        Storage::Raft(raft) => usize::try_from(raft.max_entry_size.0).unwrap_or(usize::MAX),
        Storage::Inmem(_) => VALUE_BYTES_MAX,
    };
    let telemetry = telemetry(config)?;
    let parts = Parts { barrier, clock, consensus, identity, rng, telemetry, ttl, value_bytes_max };
    let node = Node::new(parts)?;
    let running = Running::new(node, doors);
    running.join(targets);
    if let Some(file) = token_file {
        running.join_with(file);
    }
    Ok(running)
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

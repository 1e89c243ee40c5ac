//! What a node says of itself to whoever watches it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use bytes::Bytes;
use metrics::{counter, gauge, histogram};
use tokio::time::Instant;

use super::consensus::Role;
use super::control::Control;
use super::replicated::Replicated;
use super::service::Service;
use crate::cluster::validity;
use crate::http::{BoundAddress, Tls};
use crate::request::{Body, Error, RawBody, Reply};
use crate::sys::MetricsFormat;

impl Control {
    pub(super) fn shown_metrics(&self, format: MetricsFormat) -> Result<Reply, Error> {
        let cluster = self.cluster()?.map(|cluster| cluster.name);
        match format {
            MetricsFormat::Json => {
                let json = self.telemetry.json(cluster.as_deref(), self.now());
                Reply::bare(&json.map_err(Error::internal)?)
            }
            MetricsFormat::Prometheus if !self.telemetry.has_prometheus() => {
                Err(Error::bad_request(
                    "prometheus is not enabled: set `prometheus_retention_time` in `telemetry`",
                ))
            }
            MetricsFormat::Prometheus => {
                let text = self.telemetry.prometheus(cluster.as_deref());
                let bytes = Bytes::from(text.map_err(Error::internal)?);
                let content_type = "text/plain; version=0.0.4; charset=utf-8".to_owned();
                let body = Body::Raw(RawBody { content_type, bytes });
                Ok(Reply { body, ..Reply::default() })
            }
        }
    }
}

/// What the node looks up when someone asks.
pub(super) fn register(control: &Arc<Control>, service: &Arc<Service>) {
    let (weak_control, weak_service) = (Arc::downgrade(control), Arc::downgrade(service));
    control.telemetry.add(Box::new(move || look_up(&weak_control, &weak_service)));
}

/// When the certificates of listeners end.
pub(super) fn register_listener(control: &Control, address: &BoundAddress, tls: &Arc<Tls>) {
    let (address, tls) = (address.to_string(), Arc::downgrade(tls));
    control.telemetry.add(Box::new(move || {
        let certificate = tls.upgrade().map(|tls| tls.certificate().into());
        if let Some(Ok((_, end))) = certificate.as_ref().map(validity) {
            gauge!("listener_cert_not_after_seconds", "listener" => address.clone())
                .set(number(end.seconds()));
        }
    }));
}

fn look_up(control: &Weak<Control>, service: &Weak<Service>) {
    let (Some(control), Some(service)) = (control.upgrade(), service.upgrade()) else {
        return;
    };
    let is_open = !control.barrier.is_sealed();
    gauge!("core.unsealed").set(flag(is_open));
    gauge!("core.active").set(flag(is_open && control.consensus.role() == Role::Active));
    gauge!("core.performance_standby").set(0.0);
    gauge!("removed_from_cluster").set(flag(control.is_removed()));
    gauge!("standby_held_requests").set(number(service.held_now()));
    let (progress, _, pending) = control.shares_so_far();
    gauge!("seal_unseal_progress").set(number(progress));
    if let Ok(Some(configuration)) = control.seal_configuration().map(|found| found.or(pending)) {
        gauge!("seal_unseal_threshold").set(f64::from(configuration.threshold()));
    }
    let vault = control.identity().version.clone();
    gauge!("build_info", "version" => env!("CARGO_PKG_VERSION"), "vault_version" => vault).set(1.0);
    if let Some(node) = control.consensus.replicated() {
        look_up_raft(node);
        look_up_members(node);
    }
}

fn look_up_raft(node: &Replicated) {
    let progress = node.raft().progress();
    let (committed, applied) =
        (progress.committed.unwrap_or_default(), progress.applied.unwrap_or_default());
    gauge!("raft.last_index").set(number(progress.last_log.unwrap_or_default()));
    gauge!("raft_log_first_index").set(number(progress.purged.map_or(0, |index| index + 1)));
    gauge!("raft_storage.stats.applied_index").set(number(applied));
    gauge!("raft_storage.stats.commit_index").set(number(committed));
    gauge!("raft_storage.stats.fsm_pending").set(number(committed.saturating_sub(applied)));
    gauge!("raft_storage.stats.snapshot_index").set(number(progress.snapshot.unwrap_or_default()));
    gauge!("raft_storage.stats.term").set(number(progress.term));
    if let Some(Ok(disk)) = node.folder().map(rustix::fs::statvfs) {
        gauge!("storage_disk_free_bytes").set(number(disk.f_bavail.saturating_mul(disk.f_frsize)));
        gauge!("storage_disk_total_bytes").set(number(disk.f_blocks.saturating_mul(disk.f_frsize)));
    }
    let issued = node.cluster().identity().issued();
    if let Some(Ok((_, end))) = issued.map(|issued| validity(&issued.certificate)) {
        gauge!("cluster_cert_not_after_seconds").set(number(end.seconds()));
    }
}

/// Only the leader hears of the others.
fn look_up_members(node: &Replicated) {
    let members = node.raft().configuration();
    gauge!("raft.peers").set(number(members.len()));
    if !node.raft().is_leader() {
        return;
    }
    let last = node.raft().progress().last_log.unwrap_or_default();
    let (mut voters, mut healthy_voters) = (0_usize, 0_usize);
    for member in &members {
        let silent = member.silent.unwrap_or(Duration::MAX);
        let healthy = member.leader || silent <= CONTACT_MAX;
        if member.voter {
            voters += 1;
            healthy_voters += usize::from(healthy);
        }
        let id = member.info.name.clone();
        gauge!("autopilot.node.healthy", "node_id" => id.clone()).set(flag(healthy));
        if member.leader {
            continue;
        }
        let behind = last.saturating_sub(member.matched.unwrap_or_default());
        gauge!("raft_storage.follower.applied_index_delta", "peer_id" => id.clone())
            .set(number(behind));
        if let Some(silent) = member.silent {
            gauge!("raft_storage.follower.last_heartbeat_ms", "peer_id" => id)
                .set(silent.as_secs_f64() * 1000.0);
        }
    }
    gauge!("autopilot.healthy").set(flag(voters == healthy_voters));
    let quorum = voters / 2 + 1;
    gauge!("autopilot.failure_tolerance").set(number(healthy_voters.saturating_sub(quorum)));
}

/// Counts changes of leadership as they come, and keeps summaries short. Runs until dropped.
pub(super) async fn watch_leadership(control: Arc<Control>) {
    let mut roles = control.consensus.roles();
    let mut leader = identity(&roles.borrow_and_update());
    let mut lost_at = None;
    let mut active_since = (*roles.borrow() == Role::Active).then(Instant::now);
    loop {
        match tokio::time::timeout(UPKEEP_PAUSE, roles.changed()).await {
            Err(_) => {
                control.telemetry.upkeep();
                continue;
            }
            Ok(Err(_)) => return,
            Ok(Ok(())) => {}
        }
        let role = roles.borrow_and_update().clone();
        match (&role, active_since) {
            (Role::Active, None) => {
                active_since = Some(Instant::now());
                counter!("raft.state.leader").increment(1);
            }
            (Role::Standby(_), Some(since)) => {
                histogram!("core.leadership_lost").record(milliseconds(since.elapsed()));
                active_since = None;
                counter!("raft.state.follower").increment(1);
            }
            _ => {}
        }
        let now = identity(&role);
        match (&leader, &now) {
            (Some(_), None) => lost_at = Some(Instant::now()),
            (before, Some(after)) if before.as_ref() != Some(after) => {
                let gap = lost_at.take().map_or(Duration::ZERO, |at: Instant| at.elapsed());
                gauge!("failover_last_seconds").set(gap.as_secs_f64());
                counter!("failover.count").increment(1);
            }
            // The same leader again: it had only been out of sight.
            (None, Some(_)) => lost_at = None,
            _ => {}
        }
        leader = now.or(leader);
    }
}

/// Zero stands for this node.
fn identity(role: &Role) -> Option<u64> {
    match role {
        Role::Active => Some(0),
        Role::Standby(Some(leader)) => Some(leader.id),
        Role::Standby(None) => None,
    }
}

/// As Vault's summaries have it.
pub(super) fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

fn flag(is: bool) -> f64 {
    if is { 1.0 } else { 0.0 }
}

#[expect(clippy::cast_precision_loss, reason = "below 2^52, or nobody minds the last digit")]
fn number(value: impl TryInto<u64>) -> f64 {
    value.try_into().map_or(f64::NAN, |value: u64| value as f64)
}

/// As Vault's `last_contact_threshold`.
const CONTACT_MAX: Duration = Duration::from_secs(10);

/// Well below the minute that summaries are of.
const UPKEEP_PAUSE: Duration = Duration::from_secs(5);

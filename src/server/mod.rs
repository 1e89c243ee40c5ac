//! One node: what it is made of, and what it does with a request.

mod admission;
mod audit;
mod authority;
mod autopilot;
mod backup;
mod certificates;
mod consensus;
mod control;
mod cors;
mod dev;
mod founding;
mod host;
mod initialise;
mod joining;
mod keys;
mod log;
mod metrics;
mod migration;
mod notify;
mod observer;
mod origin;
mod process;
mod recovery;
mod removal;
mod renewal;
mod replicated;
mod restore;
mod revoker;
mod running;
mod sanitized;
mod seals;
mod service;
mod settings;
mod signals;
mod standing;
mod start;
mod succession;
mod tasks;
mod tokens;
mod unsealing;
mod uploads;
mod workers;

pub use authority::watch_authorities;
pub use certificates::CertificateWatch;
pub use consensus::{Alone, Consensus, Founded, Leader, Progress, Role, follow};
pub use control::{Control, Identity};
pub use cors::watch_cors;
pub use dev::{Dev, DevServer, start_dev};
pub use joining::{JoinTarget, retry_join};
pub use keys::{end_old_shares, settle_seals, tend_keys};
pub use log::{Log, WatchFilter, WatchLayer, directives, log, word};
pub use notify::Notify;
pub use process::{AtWork, NodeProcess};
pub use removal::watch_removal;
pub use renewal::{Renewal, renew_certificate};
pub use replicated::{Replicated, Replication};
pub use restore::watch_restores;
pub use revoker::{end_leases_now, run_revoker};
pub use running::{Doors, Running};
pub use seals::{open_seals, watch_seals};
pub use service::{Entrance, Service};
pub use settings::{NodeHeaders, listener_settings, with_port};
pub use signals::{Signals, Told};
pub use start::start;
pub use tasks::{Pulses, Tasks};
pub use tokens::join_with_file;
pub use unsealing::unseal_by_seals;
pub use workers::{end_what_is_due, run_workers};

use std::sync::Arc;

use crate::audit::{Broker, Rules};
use crate::auth;
use crate::auth::lockout::LockoutSettings;
use crate::barrier::Barrier;
use crate::clock::Clock;
use crate::engines;
use crate::framework::{Mount, Overlap, TtlLimits};
use crate::kms::Seals;
use crate::mount::{MountEntry, Table};
use crate::pipeline::{self, Pipeline};
use crate::rng::Rng;
use crate::router::Router;
use crate::sys;
use crate::telemetry::Telemetry;

/// What a node is given.
pub struct Parts {
    pub audit: Rules,
    /// Sealed.
    pub barrier: Arc<Barrier>,
    pub clock: Arc<dyn Clock>,
    pub consensus: Arc<dyn Consensus>,
    pub identity: Identity,
    pub process: NodeProcess,
    pub rng: Arc<dyn Rng>,
    /// Those of the configuration that open by themselves.
    pub seals: Arc<Seals>,
    pub telemetry: Arc<Telemetry>,
    pub ttl: TtlLimits,
    pub lockout: LockoutSettings,
    /// Of each record that a request writes.
    pub value_bytes_max: usize,
}

/// A node, sealed at first. Listeners and the cluster's port are put in front of it.
pub struct Node {
    pub control: Arc<Control>,
    pub pipeline: Arc<Pipeline>,
    pub service: Arc<Service>,
}

impl Node {
    /// # Errors
    /// Where an engine's table has two routes for the same paths.
    pub fn new(parts: Parts) -> Result<Self, Overlap> {
        let Parts {
            audit,
            barrier,
            clock,
            consensus,
            identity,
            process,
            rng,
            seals,
            telemetry,
            ttl,
            lockout,
            value_bytes_max,
        } = parts;
        let node = identity.api_address.clone();
        let audit = Arc::new(Broker::new(clock.clone(), rng.clone(), node, audit));
        let control = Arc::new(Control::new(
            audit.clone(),
            barrier.clone(),
            clock.clone(),
            consensus.clone(),
            identity,
            process,
            rng.clone(),
            seals,
            telemetry,
        ));
        let system: Arc<dyn Mount> = sys::engine()?.mount(control.clone() as sys::Node).into();
        let for_router = system.clone();
        let open = move |entry: &MountEntry| open(entry, &for_router);
        let router = Router::new(sys::system_entry(rng.as_ref()), system, Box::new(open));
        let pipeline = Pipeline::new(pipeline::Parts {
            audit,
            barrier,
            clock,
            log: consensus.clone().log(),
            rng,
            router: Arc::new(router),
            ttl,
            value_bytes_max,
        });
        let pipeline = Arc::new(pipeline.with_lockout(lockout));
        let service =
            Arc::new(Service::new(control.clone(), pipeline.clone(), pipeline.rng.as_ref()));
        metrics::register(&control, &service);
        Ok(Self { control, pipeline, service })
    }
}

/// As the operating system calls this machine; empty where that is not UTF-8.
pub fn host_name() -> String {
    rustix::system::uname().nodename().to_str().unwrap_or_default().to_owned()
}

/// What an operator can act on, without the system's number: `address in use`.
pub fn plain(error: &std::io::Error) -> String {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => "address in use".to_owned(),
        _ => {
            let text = error.to_string();
            let end = text.find(" (os error ").unwrap_or(text.len());
            let mut letters = text.chars().take(end);
            let first = letters.next().map(|letter| letter.to_ascii_lowercase());
            first.into_iter().chain(letters).collect()
        }
    }
}

fn open(entry: &MountEntry, system: &Arc<dyn Mount>) -> Option<Arc<dyn Mount>> {
    if entry.kind == "system" {
        return Some(system.clone());
    }
    let opened = match entry.table {
        Table::Auth => auth::open(entry),
        Table::Secret => engines::open(entry),
    };
    opened.unwrap_or_else(|overlap| {
        tracing::error!(kind = entry.kind, %overlap, "an engine cannot be opened");
        None
    })
}

//! `server -dev`: in memory, unsealed, with a KV mount, for trying things out.

use std::net::SocketAddr;
use std::sync::Arc;

use serde_json::json;

use super::consensus::Alone;
use super::control::Identity;
use super::process::NodeProcess;
use super::running::{Doors, Running};
use super::{Node, Parts, sanitized};
use crate::audit::Rules;
use crate::auth::lockout::LockoutSettings;
use crate::barrier::Barrier;
use crate::clock::SystemClock;
use crate::framework::TtlLimits;
use crate::http::{Address, ListenerSettings, TlsSettings};
use crate::pipeline::VALUE_BYTES_MAX;
use crate::request::{Error, Operation, Request};
use crate::rng::{Rng, SystemRng};
use crate::secret::Secret;
use crate::sys::{Init, NodeControl as _, Unseal};
use crate::telemetry::{self, Telemetry};

/// What a development server is asked to be.
#[derive(Debug)]
pub struct Dev {
    pub listen: SocketAddr,
    pub tls: Option<TlsSettings>,
    pub root_token: Option<Secret<String>>,
    /// KV v1 at `secret/` instead of v2.
    pub kv_v1: bool,
    pub version: String,
}

/// A development server at work, and what opens it.
pub struct DevServer {
    pub running: Running,
    pub address: String,
    pub unseal_key: Secret<String>,
    pub root_token: Secret<String>,
}

/// # Errors
/// Where the address cannot be had.
pub async fn start_dev(dev: Dev) -> Result<DevServer, Box<dyn std::error::Error + Send + Sync>> {
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let scheme = if dev.tls.is_some() { "https" } else { "http" };
    let mut listener = ListenerSettings::new(Address::Tcp(dev.listen));
    listener.tls = dev.tls;
    let doors = Doors::bind(vec![listener], &rng).await?;
    let address = doors.address().unwrap_or(dev.listen);
    let address = format!("{scheme}://{address}");
    let telemetry = Telemetry::new(telemetry::Settings::default())?;
    telemetry.install();
    let identity = Identity {
        api_address: address.clone(),
        cluster_address: String::new(),
        cluster_name: "strongroom-dev".into(),
        version: dev.version,
        retry_join: Vec::new(),
        joins_by_token: false,
    };
    let parts = Parts {
        audit: Rules::default(),
        barrier: Arc::new(Barrier::new(rng.clone())),
        clock: Arc::new(SystemClock),
        consensus: Arc::new(Alone::default()),
        identity,
        process: NodeProcess::new(sanitized::of_dev(&address)),
        rng: rng.clone(),
        telemetry: Arc::new(telemetry),
        ttl: TtlLimits::default(),
        lockout: LockoutSettings::default(),
        value_bytes_max: VALUE_BYTES_MAX,
    };
    let node = Node::new(parts)?;
    let init = Init { shares: 1, threshold: 1 };
    let made = node.control.initialise(init, dev.root_token).await?;
    let share = made.shares.into_iter().next().ok_or("no share was made")?;
    let unseal = Unseal::Share(Secret::new(share.hex.expose().clone()));
    node.control.unseal(unseal).await?;
    mount_kv(&node, &made.root_token, dev.kv_v1).await?;
    Ok(DevServer {
        address,
        running: Running::new(node, doors),
        unseal_key: share.base64,
        root_token: made.root_token,
    })
}

async fn mount_kv(node: &Node, root: &Secret<String>, kv_v1: bool) -> Result<(), Error> {
    let version = if kv_v1 { "1" } else { "2" };
    let body = json!({
        "type": "kv",
        "description": "key/value secret storage",
        "options": { "version": version },
    });
    let request = Request {
        operation: Operation::Update,
        path: "sys/mounts/secret".into(),
        params: body.as_object().cloned().unwrap_or_default(),
        token: Some(Arc::new(Secret::new(root.expose().clone()))),
        ..Request::default()
    };
    node.pipeline.handle(&request).await.map(|_| ())
}

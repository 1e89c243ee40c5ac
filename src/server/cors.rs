//! Keeps every node's listeners as `sys/config/cors` says, on standbys too.

use std::sync::Arc;
use std::time::Duration;

use super::control::Control;
use crate::clock::Clock as _;
use crate::clock::SystemClock;
use crate::http::{Cors, CorsPolicy};
use crate::log::Point;
use crate::record::Leadership;
use crate::request::Error;
use crate::sys::{CORS, CorsRecord};

/// Runs until dropped. What a sealed node was told last holds on.
pub async fn watch_cors(control: Arc<Control>, cors: Arc<Cors>) {
    let mut last: Option<CorsRecord> = None;
    loop {
        match read(&control) {
            Ok(now) if now != last => {
                cors.set(policy(now.as_ref()));
                last = now;
            }
            Ok(_) | Err(Error::Sealed) => {}
            Err(error) => tracing::warn!(%error, "sys/config/cors cannot be read"),
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// What this node has applied: a moment behind the active one.
fn read(control: &Control) -> Result<Option<CorsRecord>, Error> {
    // It proposes nothing.
    let leadership = Leadership { term: 0, node: 0 };
    let point = Point { leadership, view: control.consensus.view() };
    let mut txn = control.barrier.begin(point, SystemClock.now())?;
    let record = txn.scope(CORE).peek_shared::<CorsRecord>(CORS)?;
    Ok(record.map(|record| CorsRecord::clone(&record)))
}

fn policy(record: Option<&CorsRecord>) -> CorsPolicy {
    match record {
        None => CorsPolicy::default(),
        Some(record) => CorsPolicy {
            enabled: true,
            allowed_origins: record.allowed_origins.clone(),
            allowed_headers: record.headers(),
        },
    }
}

const CORE: &str = "root/core/";

/// How late a change may take effect; a look costs one look-up.
const PAUSE: Duration = Duration::from_millis(250);

//! Secrets engines, one line each.

pub mod cubbyhole;
pub mod identity;
pub mod kv;
pub mod pki;
pub mod transit;

use std::sync::Arc;

use crate::framework::{Mount, Overlap};
use crate::mount::MountEntry;

/// What a mount of this kind answers with; `None` where there is no such kind.
///
/// # Errors
/// Where an engine's table has two routes for the same paths.
pub fn open(entry: &MountEntry) -> Result<Option<Arc<dyn Mount>>, Overlap> {
    let engine = match entry.kind.as_str() {
        "cubbyhole" => cubbyhole::engine()?,
        "identity" => {
            let state = identity::State::default();
            return Ok(Some(identity::engine()?.mount(state).into()));
        }
        "kv" if kv::is_versioned(entry) => kv::v2::engine()?,
        "kv" => kv::v1::engine()?,
        "pki" => pki::engine()?,
        "transit" => transit::engine()?,
        _ => return Ok(None),
    };
    Ok(Some(engine.mount(()).into()))
}

/// The kinds that can be mounted, sorted. Cubbyhole and identity are built in.
pub const KINDS: &[&str] = &["kv", "pki", "transit"];

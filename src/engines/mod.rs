//! Secrets engines, one line each.

use std::sync::Arc;

use crate::framework::{Mount, Overlap};
use crate::mount::MountEntry;

/// What a mount of this kind answers with; `None` where there is no such kind.
///
/// # Errors
/// Where an engine's table has two routes for the same paths.
pub fn open(entry: &MountEntry) -> Result<Option<Arc<dyn Mount>>, Overlap> {
    let _ = entry;
    Ok(None)
}

/// The kinds that can be mounted, sorted.
pub const KINDS: &[&str] = &[];

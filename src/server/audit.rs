//! Audit devices of the configuration, and of a node that begins to lead.

use crate::audit::{Rules, StoredDevice, normalise, share_file};
use crate::config::Settings;
use crate::pipeline::Pipeline;
use crate::record::Leadership;
use crate::request::Error;
use crate::rng::Rng;

/// # Errors
/// Where a device's path is none, or two would write to one file.
pub(super) fn rules(settings: &Settings, rng: &dyn Rng) -> Result<Rules, Error> {
    let mut declared: Vec<StoredDevice> = Vec::new();
    for device in &settings.audit {
        let mut stored = StoredDevice::new(normalise(&device.path)?, device.kind.clone(), rng);
        stored.description.clone_from(&device.description);
        stored.options.clone_from(&device.options);
        stored.local = device.local;
        stored.declared = true;
        if let Some(other) = declared.iter().find(|other| share_file(other, &stored)) {
            return Err(Error::BadRequest(format!(
                "the audit devices {} and {} have the same file: give each one of its own",
                other.path, stored.path
            )));
        }
        declared.push(stored);
    }
    Ok(Rules { may_prefix: settings.allow_audit_log_prefixing, declared })
}

/// Once for each time that this node leads; until then requests wait. A device that cannot be
/// opened is enabled all the same: what the configuration demands is not given up because a disk
/// is missing.
pub(super) async fn declare(
    pipeline: &Pipeline,
    leadership: Option<Leadership>,
) -> Result<(), Error> {
    let audit = &pipeline.audit;
    if leadership.is_some_and(|leadership| audit.is_declared_in(leadership)) {
        return Ok(());
    }
    let declared = pipeline.internal(|txn| {
        let mut core = txn.scope(CORE);
        audit.declare(&mut core)?;
        Ok(core.leadership())
    });
    let leadership = declared.await?;
    pipeline.internal(|txn| audit.open_stored(&mut txn.scope(CORE))).await?;
    audit.note_declared(leadership);
    Ok(())
}

const CORE: &str = "root/core/";

#[cfg(test)]
mod tests;

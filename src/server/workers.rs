//! What the active node does unasked: it ends what is due, and the jobs that requests have left.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use super::audit::declare;
use super::consensus::Role;
use super::control::{BUILD_DATE, Control};
use crate::engines::identity::oidc;
use crate::expiry::Due;
use crate::pipeline::Pipeline;
use crate::request::Error;
use crate::sys::{
    self, AUTOPILOT_CONFIGURATION, AutopilotConfiguration, NodeRecord, expiry, jobs,
    write_missing_records,
};

/// Runs until dropped, at work only while this node is active.
pub async fn run_workers(control: Arc<Control>, pipeline: Arc<Pipeline>) {
    let mut roles = control.consensus.roles();
    let mut known = None;
    let mut stepped = String::new();
    loop {
        roles.mark_unchanged();
        // By its term, not by its role: this node may have ceased to lead and begun again before
        // anyone looked, and another has written in between.
        let leadership = control.consensus.leadership();
        if leadership != known {
            pipeline.forget();
            control.set_active(leadership.is_some());
            known = leadership;
        }
        let (mut version_noted, mut mended) = (false, None);
        while *roles.borrow() == Role::Active {
            let mut pause = PAUSE;
            if control.barrier.is_sealed() {
                pipeline.forget();
            } else {
                // None waits for another to succeed. First, because requests wait for it.
                if let Err(error) = declare(&pipeline, known).await {
                    tracing::warn!(
                        error = error.case(),
                        "audit devices of the configuration are not enabled yet"
                    );
                }
                if !version_noted {
                    version_noted = note_version(&control, &pipeline).await;
                }
                match work_off(&pipeline, &mut stepped, TURN_STEPS_MAX).await {
                    Ok(Worked::All) => {}
                    Ok(Worked::Some) => pause = Duration::ZERO,
                    Err(error) => {
                        tracing::warn!(error = error.case(), "jobs wait for their next try");
                    }
                }
                if let Err(error) = end_what_is_due(&pipeline).await {
                    tracing::warn!(error = error.case(), "what is due waits for its next try");
                }
                control.see_to_restores(&pipeline, &mut mended).await;
                if let Err(error) = keep_identity(&control, &pipeline).await {
                    tracing::warn!(error = error.case(), "identity waits for its next turn");
                }
                if let Err(error) = settle_nodes(&control, &pipeline).await {
                    tracing::warn!(error = error.case(), "a node waits for its place");
                }
            }
            if tokio::time::timeout(pause, roles.changed()).await.is_ok() {
                break;
            }
        }
        if *roles.borrow() != Role::Active && roles.changed().await.is_err() {
            return;
        }
    }
}

/// Whether `sys/version-history` has this version.
async fn note_version(control: &Control, pipeline: &Pipeline) -> bool {
    let version = &control.identity().version;
    let noted = pipeline.internal(|txn| sys::note_version(txn, version, BUILD_DATE)).await;
    noted
        .inspect_err(|error| tracing::warn!(error = error.case(), "the version was not noted yet"))
        .is_ok()
}

/// Takes jobs one step further each, in turn, until none is left or others must have their turn:
/// a job may take minutes, and what is due does not wait for it. `stepped` is the job that was
/// worked at last: the next turn begins behind it. A job that fails does not stop the others.
///
/// # Errors
/// Where this node no longer leads, or the store cannot be read.
async fn work_off(
    pipeline: &Pipeline,
    stepped: &mut String,
    steps_max: usize,
) -> Result<Worked, Error> {
    let mut names = pipeline.internal(jobs::jobs).await?;
    let behind = names.partition_point(|name| name <= stepped);
    names.rotate_left(behind);
    let mut left = VecDeque::from(names);
    for _ in 0..steps_max {
        let Some(name) = left.pop_front() else {
            break;
        };
        match pipeline.internal(|txn| jobs::step(txn, &name)).await {
            Ok(true) => left.push_back(name.clone()),
            Ok(false) => {}
            Err(error) if error.is_of_node() => return Err(error),
            Err(error) => tracing::warn!(error = error.case(), "a job waits for its next try"),
        }
        *stepped = name;
    }
    Ok(if left.is_empty() { Worked::All } else { Worked::Some })
}

/// How much of all jobs was done that can be done now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Worked {
    All,
    Some,
}

/// Ends tokens and leases whose time is over, until none is left.
///
/// # Errors
/// Where this node no longer leads, or the store cannot be read.
pub async fn end_what_is_due(pipeline: &Pipeline) -> Result<(), Error> {
    loop {
        let due = pipeline.internal(expiry::due).await?;
        if due.is_empty() {
            return Ok(());
        }
        for batch in due.chunks(expiry::BATCH_MAX) {
            match pipeline.internal(|txn| expiry::end(txn, batch)).await {
                Ok(()) => {}
                Err(error) if error.is_of_node() => return Err(error),
                // One of them at least cannot be ended: the others are.
                Err(_) => end_each(pipeline, batch).await?,
            }
        }
    }
}

async fn end_each(pipeline: &Pipeline, batch: &[Due]) -> Result<(), Error> {
    for due in batch {
        let only = std::slice::from_ref(due);
        match pipeline.internal(|txn| expiry::end(txn, only)).await {
            Ok(()) => {}
            Err(error) if error.is_of_node() => return Err(error),
            Err(error) => {
                tracing::warn!(
                    error = error.case(),
                    "something due could not be ended and is tried later"
                );
                pipeline.internal(|txn| expiry::postpone(txn, due)).await?;
            }
        }
    }
    Ok(())
}

/// What the identity engine needs to be there, keys whose time to rotate has come, and codes that
/// nobody came for.
async fn keep_identity(control: &Control, pipeline: &Pipeline) -> Result<(), Error> {
    let rng = pipeline.rng.as_ref();
    let address = &control.identity().api_address;
    pipeline.internal(|txn| write_missing_records(txn, rng)).await?;
    pipeline.internal(|txn| oidc::note_api_address(txn, address)).await?;
    while pipeline.internal(oidc::sweep_codes).await? {}
    let mut outcome = Ok(());
    for name in pipeline.internal(oidc::due_keys).await? {
        // One that cannot be rotated does not stop the others.
        match pipeline.internal(|txn| oidc::rotate_due(txn, rng, &name)).await {
            Ok(()) => {}
            Err(error) if error.is_of_node() => return Err(error),
            Err(error) => outcome = Err(error),
        }
    }
    outcome
}

/// Nodes that were admitted become voters once they have the log.
async fn settle_nodes(control: &Control, pipeline: &Pipeline) -> Result<(), Error> {
    if control.consensus.replicated().is_none() {
        return Ok(());
    }
    let (records, autopilot) = pipeline
        .internal(|txn| {
            let mut core = txn.scope(CORE);
            let autopilot = core.get::<AutopilotConfiguration>(AUTOPILOT_CONFIGURATION)?;
            let mut records = Vec::new();
            for name in core.list("cluster/node")? {
                let record = core.get::<NodeRecord>(&format!("cluster/node/{name}"))?;
                if let (Ok(id), Some(record)) = (name.parse(), record) {
                    records.push((id, record));
                }
            }
            Ok((records, autopilot.unwrap_or_default()))
        })
        .await?;
    let records = control.stable(&autopilot, records)?;
    control.clean_up(&autopilot).await?;
    if records.is_empty() {
        return Ok(());
    }
    let settled = control.settle(records).await?;
    pipeline
        .internal(|txn| {
            let mut core = txn.scope(CORE);
            settled.iter().try_for_each(|id| core.delete(&format!("cluster/node/{id}")))
        })
        .await
}

const CORE: &str = "root/core/";

/// Steps of jobs, before what is due has its turn again.
const TURN_STEPS_MAX: usize = 32;

/// How soon a job begins.
const PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;

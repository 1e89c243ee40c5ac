//! What the active node does unasked: it ends what is due, and the jobs that requests have left.

use std::sync::Arc;
use std::time::Duration;

use super::consensus::Role;
use super::control::Control;
use crate::pipeline::Pipeline;
use crate::request::Error;
use crate::sys::{expiry, jobs};

/// Runs until dropped, at work only while this node is active.
pub async fn run_workers(control: Arc<Control>, pipeline: Arc<Pipeline>) {
    let mut roles = control.consensus.roles();
    loop {
        let active = *roles.borrow_and_update() == Role::Active;
        control.set_active(active);
        if !active {
            pipeline.forget();
        }
        while *roles.borrow() == Role::Active {
            if !control.barrier.is_sealed() {
                // Neither waits for the other to succeed.
                if let Err(error) = work_off(&pipeline).await {
                    tracing::warn!(%error, "a job waits for its next try");
                }
                if let Err(error) = end_what_is_due(&pipeline).await {
                    tracing::warn!(%error, "what is due waits for its next try");
                }
            }
            if tokio::time::timeout(PAUSE, roles.changed()).await.is_ok() {
                break;
            }
        }
        if *roles.borrow() != Role::Active && roles.changed().await.is_err() {
            return;
        }
    }
}

/// Takes every job one step further, and each until it is done.
async fn work_off(pipeline: &Pipeline) -> Result<(), Error> {
    let names = pipeline.internal(jobs::jobs).await?;
    for name in names {
        while pipeline.internal(|txn| jobs::step(txn, &name)).await? {}
    }
    Ok(())
}

/// Ends tokens and leases whose time is over, until none is left. One that cannot be ended is
/// found by ending them one by one, and postponed.
///
/// # Errors
/// Where this node no longer leads, or the store cannot be read.
pub async fn end_what_is_due(pipeline: &Pipeline) -> Result<(), Error> {
    let mut batch = expiry::BATCH_MAX;
    loop {
        match pipeline.internal(|txn| expiry::step(txn, batch)).await {
            Ok(true) => {}
            Ok(false) => return Ok(()),
            Err(
                error @ (Error::LeadershipLost
                | Error::Sealed
                | Error::Unavailable(_)
                | Error::DiskFull
                | Error::Conflict),
            ) => return Err(error),
            Err(_) if batch > 1 => batch = 1,
            Err(error) => {
                tracing::warn!(%error, "something due could not be ended and is tried later");
                pipeline.internal(expiry::postpone).await?;
                batch = expiry::BATCH_MAX;
            }
        }
    }
}

/// How soon a job begins.
const PAUSE: Duration = Duration::from_millis(500);

//! What the active node does unasked: jobs that requests have left.

use std::sync::Arc;
use std::time::Duration;

use super::consensus::Role;
use super::control::Control;
use crate::pipeline::Pipeline;
use crate::request::Error;
use crate::sys::jobs;

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
            if !control.barrier.is_sealed()
                && let Err(error) = work_off(&pipeline).await
            {
                tracing::warn!(%error, "a job waits for its next try");
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

/// How soon a job begins.
const PAUSE: Duration = Duration::from_millis(500);

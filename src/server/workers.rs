//! What the active node does unasked: jobs that requests have left.

use std::sync::Arc;
use std::time::Duration;

use super::consensus::Role;
use super::control::Control;
use crate::pipeline::Pipeline;
use crate::request::Error;
use crate::sys::{NodeRecord, jobs};

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
                if let Err(error) = work_off(&pipeline).await {
                    tracing::warn!(%error, "a job waits for its next try");
                }
                if let Err(error) = settle_nodes(&control, &pipeline).await {
                    tracing::warn!(%error, "a node waits for its place");
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

/// Nodes that were admitted become voters once they have the log.
async fn settle_nodes(control: &Control, pipeline: &Pipeline) -> Result<(), Error> {
    let records = pipeline
        .internal(|txn| {
            let mut core = txn.scope(CORE);
            let mut records = Vec::new();
            for name in core.list("cluster/node")? {
                let record = core.get::<NodeRecord>(&format!("cluster/node/{name}"))?;
                if let (Ok(id), Some(record)) = (name.parse(), record) {
                    records.push((id, record));
                }
            }
            Ok(records)
        })
        .await?;
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

/// How soon a job begins.
const PAUSE: Duration = Duration::from_millis(500);

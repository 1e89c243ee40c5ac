//! What the active node does for its keys unasked: it ends the shares of before a rekey, rotates
//! what has served its time, and writes down how much was encrypted.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::consensus::Role;
use super::control::Control;
use crate::mount::ROOT_NAMESPACE;
use crate::pipeline::Pipeline;
use crate::request::Error;
use crate::sys::NodeControl as _;
use crate::txn::{Scope, Txn};

/// Runs until dropped.
pub async fn tend_keys(control: Arc<Control>, pipeline: Arc<Pipeline>) {
    let mut looked: Option<Instant> = None;
    loop {
        tokio::time::sleep(PAUSE).await;
        if control.consensus.role() != Role::Active || control.barrier.is_sealed() {
            control.keys().forget();
            looked = None;
            continue;
        }
        if let Err(error) = end_old_shares(&control, &pipeline).await {
            tracing::warn!(%error, "the shares of before a rekey end later");
        }
        if looked.is_none_or(|looked| looked.elapsed() >= LOOK_PAUSE) {
            looked = Some(Instant::now());
            if let Err(error) = look(&control, &pipeline).await {
                tracing::warn!(%error, "the keyring is looked at later");
            }
        }
    }
}

/// Moves to the seals of the configuration, until dropped. In a task of its own: a key service that
/// does not answer holds up nothing else.
pub async fn settle_seals(control: Arc<Control>, pipeline: Arc<Pipeline>) {
    loop {
        if control.consensus.role() == Role::Active
            && !control.barrier.is_sealed()
            && let Err(error) = control.settle_seal(&pipeline).await
        {
            tracing::warn!(%error, "the seal stays as it is for now");
            tokio::time::sleep(SETTLE_PAUSE).await;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// The shares of before a rekey open nothing once the new ones had time to arrive.
///
/// # Errors
/// Where this node no longer leads, or the store cannot be read.
pub async fn end_old_shares(control: &Control, pipeline: &Pipeline) -> Result<(), Error> {
    let keys = control.keys();
    if !keys.awaits_end() {
        return Ok(());
    }
    let now = pipeline.clock.now();
    let ended = pipeline.internal(|txn| keys.end_previous(&mut scope(txn), now)).await?;
    keys.ended(now);
    if ended {
        tracing::info!("the unseal keys of before the rekey have ended");
    }
    Ok(())
}

async fn look(control: &Control, pipeline: &Pipeline) -> Result<(), Error> {
    let keys = control.keys();
    let counted = pipeline.internal(|txn| keys.count(&mut scope(txn))).await?;
    keys.counted(counted);
    pipeline.internal(|txn| keys.drop_bridge(&mut scope(txn))).await?;
    if !keys.awaits_end() && control.keyring_record()?.is_some_and(|record| record.has_previous()) {
        tracing::warn!(
            "the unseal keys of before the last rekey still open, as nobody has shown the new ones \
             to this node: seal this node and unseal it with them, or make a root token with them, \
             or rekey again"
        );
    }
    let rng = pipeline.rng.as_ref();
    let rotated = pipeline
        .internal(|txn| {
            let now = txn.now();
            keys.rotate_if_due(&mut scope(txn), rng, now)
        })
        .await?;
    if rotated {
        tracing::info!("the barrier's key has served its time: a new one encrypts");
    }
    Ok(())
}

fn scope(txn: &mut Txn) -> Scope<'_> {
    txn.scope("root/sys/").within(ROOT_NAMESPACE)
}

/// How soon a move to another seal is tried again.
const SETTLE_PAUSE: Duration = Duration::from_secs(5);

const PAUSE: Duration = Duration::from_secs(1);

/// As Vault looks whether a rotation is due.
const LOOK_PAUSE: Duration = Duration::from_secs(300);

//! Ends leases whose engines act for it, and settles what is left of acts outside: some mounts at
//! a time, some leases of each. A mount whose backend fails or hangs is asked less and less often,
//! and holds up no other.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use tokio::time::Instant;

use super::consensus::Role;
use super::control::Control;
use crate::lease::{IntentStore, LeaseStore, State};
use crate::pipeline::{Ended, Pipeline};
use crate::request::Error;
use crate::text::of_name;

/// Runs until dropped, at work only while this node is active.
pub async fn run_revoker(control: Arc<Control>, pipeline: Arc<Pipeline>) {
    let mut roles = control.consensus.roles();
    loop {
        let active = *roles.borrow_and_update() == Role::Active;
        let changed = if active {
            let mut revoker = Revoker::default();
            tokio::select! {
                () = revoker.run(&pipeline) => return,
                changed = roles.changed() => changed,
            }
        } else {
            roles.changed().await
        };
        // Nothing that was counted before is right for whoever leads next.
        pipeline.leases.counts.forget();
        if changed.is_err() {
            return;
        }
    }
}

/// Ends all that can be ended now, every mount once at least: what [`run_revoker`] does all the
/// time.
///
/// # Errors
/// Where this node does not lead, or the store cannot be read.
pub async fn end_leases_now(pipeline: &Pipeline) -> Result<(), Error> {
    let mut failed = BTreeSet::new();
    loop {
        let mut mounts = with_work(pipeline).await?;
        mounts.retain(|mount| !failed.contains(mount));
        if mounts.is_empty() {
            return Ok(());
        }
        let rounds = mounts.into_iter().map(|mount| round(pipeline, mount, LEASES_OF_ROUND));
        for (mount, round) in join_all(rounds).await {
            if round?.ended == 0 {
                failed.insert(mount);
            }
        }
    }
}

#[derive(Default)]
struct Revoker {
    pauses: BTreeMap<String, Pause>,
}

/// Of a mount all of whose tries failed.
struct Pause {
    rounds: u32,
    until: Instant,
}

/// What came of some leases of a mount.
#[derive(Clone, Copy, Debug, Default)]
struct Round {
    /// Leases that ended, and acts that were settled.
    ended: usize,
    failed: usize,
}

impl Revoker {
    /// Returns never.
    async fn run(&mut self, pipeline: &Pipeline) {
        let mut rounds = FuturesUnordered::new();
        let mut busy = BTreeSet::new();
        let mut next_walk = Instant::now();
        loop {
            if next_walk <= Instant::now() {
                count(pipeline).await;
                next_walk = Instant::now() + PAUSE;
            }
            if !pipeline.barrier.is_sealed() {
                // What cannot be read now is read at the next turn.
                let mounts = with_work(pipeline).await.unwrap_or_else(|error| {
                    tracing::debug!(error = error.case(), "leases wait for their next turn");
                    Vec::new()
                });
                let now = Instant::now();
                for mount in mounts {
                    if busy.len() < MOUNTS_MAX
                        && self.pauses.get(&mount).is_none_or(|pause| pause.until <= now)
                        && busy.insert(mount.clone())
                    {
                        // After a failure one lease shows whether the others are worth a try.
                        let probes = self.pauses.contains_key(&mount);
                        rounds.push(round(
                            pipeline,
                            mount,
                            if probes { 1 } else { LEASES_OF_ROUND },
                        ));
                    }
                }
            }
            tokio::select! {
                Some((mount, round)) = rounds.next(), if !rounds.is_empty() => {
                    busy.remove(&mount);
                    self.note(mount, round);
                }
                () = tokio::time::sleep(PAUSE) => {}
            }
        }
    }

    fn note(&mut self, mount: String, round: Result<Round, Error>) {
        let has_failed = match round {
            Ok(round) => round.failed > 0 && round.ended == 0,
            Err(error) => {
                tracing::debug!(error = error.case(), "leases wait for their next turn");
                true
            }
        };
        if !has_failed {
            self.pauses.remove(&mount);
            return;
        }
        let rounds = self.pauses.get(&mount).map_or(0, |pause| pause.rounds).saturating_add(1);
        let pause = FIRST_PAUSE * (1 << rounds.saturating_sub(1).min(PAUSE_DOUBLINGS_MAX));
        self.pauses.insert(mount, Pause { rounds, until: Instant::now() + pause });
    }
}

async fn count(pipeline: &Pipeline) {
    let walked = pipeline.internal(|txn| pipeline.leases.counts.walk(&mut txn.scope(CORE)));
    if let Err(error) = walked.await {
        tracing::debug!(error = error.case(), "leases are counted at the next turn");
    }
}

/// The mounts with leases to end, or acts that may be left.
async fn with_work(pipeline: &Pipeline) -> Result<Vec<String>, Error> {
    let mounts = pipeline.internal(|txn| {
        let mut core = txn.scope(CORE);
        let mut mounts = LeaseStore::new(&mut core).mounts(State::Ending)?;
        mounts.extend(IntentStore::new(&mut core).due_mounts()?);
        Ok(mounts)
    });
    let mut mounts = mounts.await?;
    mounts.sort_unstable();
    mounts.dedup();
    Ok(mounts)
}

/// Of one mount, up to so many leases; it ends early where its backend seems to be down.
async fn round(
    pipeline: &Pipeline,
    mount: String,
    leases_max: usize,
) -> (String, Result<Round, Error>) {
    let outcome = of_mount(pipeline, &mount, leases_max).await;
    (mount, outcome)
}

async fn of_mount(pipeline: &Pipeline, mount: &str, leases_max: usize) -> Result<Round, Error> {
    let mut round = Round::default();
    match pipeline.settle_intents(mount).await {
        Ok(settled) => round.ended += settled,
        Err(error) => {
            tracing::warn!(error = error.case(), mount, "an act outside is settled later");
            round.failed += 1;
        }
    }
    let page = pipeline.internal(|txn| {
        let mut core = txn.scope(CORE);
        LeaseStore::new(&mut core).page(State::Ending, mount, None, leases_max)
    });
    let ids: Vec<String> = page.await?.names.iter().map(|file| of_name(file)).collect();
    for ids in ids.chunks(PARALLEL_OF_MOUNT) {
        let (ended, failed) = (round.ended, round.failed);
        for outcome in pipeline.end_leases(mount, ids.to_vec(), PARALLEL_OF_MOUNT).await {
            match outcome? {
                Ended::Yes => round.ended += 1,
                Ended::NotYet(_) => round.failed += 1,
            }
        }
        if round.ended == ended && round.failed > failed {
            break;
        }
    }
    Ok(round)
}

const CORE: &str = "root/core/";

/// How soon a lease that is to be ended is.
const PAUSE: Duration = Duration::from_millis(500);

/// At work at the same time.
const MOUNTS_MAX: usize = 64;

/// Acts outside at the same time.
const PARALLEL_OF_MOUNT: usize = 32;

const LEASES_OF_ROUND: usize = 512;

/// After a round in which nothing ended.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// About a minute at most.
const PAUSE_DOUBLINGS_MAX: u32 = 6;

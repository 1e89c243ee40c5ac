//! What the active node does unasked: it ends what is due, and the jobs that requests have left.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::audit::declare;
use super::consensus::Role;
use super::control::{BUILD_DATE, Control};
use crate::engines::identity::oidc;
use crate::expiry::{Due, Expiry};
use crate::job::JOBS;
use crate::namespace::{Own, ROOT_PLACE};
use crate::pipeline::Pipeline;
use crate::request::Error;
use crate::sys::{
    self, AUTOPILOT_CONFIGURATION, AutopilotConfiguration, NodeRecord, expiry, jobs,
    write_missing_records,
};
use crate::txn::Txn;

/// Runs until dropped, at work only while this node is active.
pub async fn run_workers(control: Arc<Control>, pipeline: Arc<Pipeline>) {
    let mut roles = control.consensus.roles();
    let mut known = None;
    let mut stepped = BTreeMap::new();
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
        let mut turns = Turns::default();
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
                if let Err(error) = note_root(&control, &pipeline).await {
                    let error = error.case();
                    tracing::warn!(error, "what belongs to the cluster is not noted yet");
                }
                for place in turns.next(&pipeline).await {
                    if work_in(&pipeline, &place, &mut stepped).await == Worked::Some {
                        pause = Duration::ZERO;
                    }
                }
                control.see_to_restores(&pipeline, &mut mended).await;
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

/// Whose turn it is: the root namespace each time, and some of the others, so that a turn's length
/// does not depend on how many there are.
#[derive(Default)]
struct Turns {
    others: Vec<String>,
}

impl Turns {
    /// By their places.
    async fn next(&mut self, pipeline: &Pipeline) -> Vec<String> {
        let mut turn = vec![ROOT_PLACE.to_owned()];
        if self.others.is_empty() {
            match pipeline.internal(|txn| pipeline.namespaces.all(txn)).await {
                Ok(places) => self.others = places.iter().skip(1).cloned().collect(),
                Err(error) => {
                    tracing::debug!(error = error.case(), "namespaces wait for their turn")
                }
            }
        }
        let left = self.others.len().saturating_sub(NAMESPACES_OF_TURN);
        turn.extend(self.others.drain(left..));
        turn
    }
}

/// None of it waits for another to succeed. How much was done of what can be done now. `stepped`
/// has the job that was worked at last, by the place of a namespace that has more.
async fn work_in(
    pipeline: &Pipeline,
    place: &str,
    stepped: &mut BTreeMap<String, String>,
) -> Worked {
    match within(pipeline, place, has_work).await {
        Ok(true) => {}
        // Most have nothing; or it was deleted since it was listed.
        Ok(false) | Err(Error::NotFound) => {
            stepped.remove(place);
            return Worked::All;
        }
        Err(error) => tracing::debug!(error = error.case(), "a namespace waits for its turn"),
    }
    let mut last = stepped.remove(place).unwrap_or_default();
    let worked = work_off(pipeline, place, &mut last, TURN_STEPS_MAX).await;
    let worked = worked.unwrap_or_else(|error| {
        tracing::warn!(error = error.case(), "jobs wait for their next try");
        Worked::All
    });
    if worked == Worked::Some {
        stepped.insert(place.to_owned(), last);
    }
    if let Err(error) = end_due_in(pipeline, place).await {
        tracing::warn!(error = error.case(), "what is due waits for its next try");
    }
    if let Err(error) = keep_identity(pipeline, place).await {
        tracing::warn!(error = error.case(), "identity waits for its next turn");
    }
    worked
}

/// In one look: whether a namespace has jobs, anything that ends by itself, or keys that rotate.
fn has_work(txn: &mut Txn) -> Result<bool, Error> {
    let mut core = txn.core();
    let has = core.directory_records(JOBS)? > 0 || Expiry::new(&mut core).has_filings()?;
    Ok(has || oidc::is_used(txn)?)
}

/// As [`Pipeline::internal`], in the namespace at a place. That it is still there is noted, so
/// that nothing is written where one was deleted.
///
/// # Errors
/// [`Error::NotFound`] where it is not.
async fn within<T>(
    pipeline: &Pipeline,
    place: &str,
    mut work: impl FnMut(&mut Txn) -> Result<T, Error>,
) -> Result<T, Error> {
    let work = |txn: &mut Txn| {
        txn.enter(place);
        if !Own::is_known(&mut txn.core())? {
            return Err(Error::NotFound);
        }
        work(txn)
    };
    pipeline.internal(work).await
}

/// Takes jobs of a namespace one step further each, in turn, until none is left or others must
/// have their turn: a job may take minutes, and what is due does not wait for it. `stepped` is the
/// job that was worked at last: the next turn begins behind it. A job that fails does not stop the
/// others.
///
/// # Errors
/// Where this node no longer leads, or the store cannot be read.
async fn work_off(
    pipeline: &Pipeline,
    place: &str,
    stepped: &mut String,
    steps_max: usize,
) -> Result<Worked, Error> {
    let mut names = within(pipeline, place, jobs::jobs).await?;
    let behind = names.partition_point(|name| name <= stepped);
    names.rotate_left(behind);
    let mut left = VecDeque::from(names);
    for _ in 0..steps_max {
        let Some(name) = left.pop_front() else {
            break;
        };
        match within(pipeline, place, |txn| jobs::step(txn, &name)).await {
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

/// Ends tokens and leases whose time is over, in all namespaces, until none is left.
///
/// # Errors
/// Where this node no longer leads, or the store cannot be read.
pub async fn end_what_is_due(pipeline: &Pipeline) -> Result<(), Error> {
    for place in pipeline.internal(|txn| pipeline.namespaces.all(txn)).await?.iter() {
        end_due_in(pipeline, place).await?;
    }
    Ok(())
}

async fn end_due_in(pipeline: &Pipeline, place: &str) -> Result<(), Error> {
    loop {
        let due = within(pipeline, place, expiry::due).await?;
        if due.is_empty() {
            return Ok(());
        }
        for batch in due.chunks(expiry::BATCH_MAX) {
            match within(pipeline, place, |txn| expiry::end(txn, batch)).await {
                Ok(()) => {}
                Err(error) if error.is_of_node() => return Err(error),
                // One of them at least cannot be ended: the others are.
                Err(_) => end_each(pipeline, place, batch).await?,
            }
        }
    }
}

async fn end_each(pipeline: &Pipeline, place: &str, batch: &[Due]) -> Result<(), Error> {
    for due in batch {
        let only = std::slice::from_ref(due);
        match within(pipeline, place, |txn| expiry::end(txn, only)).await {
            Ok(()) => {}
            Err(error) if error.is_of_node() => return Err(error),
            Err(error) => {
                tracing::warn!(
                    error = error.case(),
                    "something due could not be ended and is tried later"
                );
                within(pipeline, place, |txn| expiry::postpone(txn, due)).await?;
            }
        }
    }
    Ok(())
}

/// What newer programs need to be there, and what identity needs to know of this node.
async fn note_root(control: &Control, pipeline: &Pipeline) -> Result<(), Error> {
    let rng = pipeline.rng.as_ref();
    let address = &control.identity().api_address;
    pipeline.internal(|txn| write_missing_records(txn, rng)).await?;
    pipeline.internal(|txn| oidc::note_api_address(txn, address)).await
}

/// Keys whose time to rotate has come, and codes that nobody came for.
async fn keep_identity(pipeline: &Pipeline, place: &str) -> Result<(), Error> {
    let rng = pipeline.rng.as_ref();
    while within(pipeline, place, oidc::sweep_codes).await? {}
    let mut outcome = Ok(());
    for name in within(pipeline, place, oidc::due_keys).await? {
        // One that cannot be rotated does not stop the others.
        match within(pipeline, place, |txn| oidc::rotate_due(txn, rng, &name)).await {
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
    control.note_dropped().await?;
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

/// Beside the root, of those that may have something to do.
const NAMESPACES_OF_TURN: usize = 256;

/// Steps of a namespace's jobs, before what is due has its turn again.
const TURN_STEPS_MAX: usize = 32;

/// How soon a job begins.
const PAUSE: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests;

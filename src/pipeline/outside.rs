//! Acts outside, such as a database user that is created: what is going to be done is on disk
//! before it is, in an entry of its own (the one that counts the token's use), and goes in the
//! entry that has the lease. What is left in between, its engine finishes or undoes: soon where
//! the handler failed, else when whoever began can no longer be at it.

use std::time::Duration;

use super::errors::guarded;
use super::revocation::{ACT_TIME_MAX, deadline};
use super::{CORE, Commit, Known, NOTHING, Pipeline};
use crate::framework::Begun;
use crate::lease::{IntentStore, StoredIntent};
use crate::mount::ROOT_NAMESPACE;
use crate::request::{Error, Operation, Params, Reply, Request};
use crate::router::Target;
use crate::txn::Txn;

/// What the request under way has written down.
pub(super) struct Intention {
    mount: String,
    /// The mount's own, whatever its path.
    uuid: String,
    id: String,
    stored: StoredIntent,
}

impl Intention {
    pub(super) fn params(&self) -> &Params {
        &self.stored.intent
    }
}

/// How an act ended, as far as its handler tells.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Acted {
    Done,
    /// It may have happened in part; nothing is under way any more.
    Failed,
    /// It may still be under way.
    Unknown,
}

impl Acted {
    /// Whatever the handler says, its request came to nothing.
    pub(super) fn failed(self) -> Self {
        if self == Self::Done { Self::Failed } else { self }
    }
}

impl Pipeline {
    /// Writes down what the route's handler is going to do, where it does so; returns why the
    /// request is refused instead. What the transaction wrote before stays.
    pub(super) async fn write_down(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &mut Known,
        target: Option<&Target>,
    ) -> Option<Error> {
        txn.keep();
        match guarded(self.prepare(txn, request, known, target?)).await {
            Ok(intention) => {
                known.intention = intention;
                None
            }
            Err(error) => {
                txn.roll_back();
                Some(if matches!(error, Error::Conflict) { outrun() } else { error })
            }
        }
    }

    async fn prepare(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &Known,
        target: &Target,
    ) -> Result<Option<Intention>, Error> {
        let Some(found) = target.found.filter(|found| found.prepares) else {
            return Ok(None);
        };
        if found.intends && known.spends_last {
            return Err(super::lease::last_use());
        }
        // What is read is made, and leased.
        if known.operation == Operation::Read {
            self.take_place(txn, request, known, target)?;
        }
        let prefix = format!("{ROOT_NAMESPACE}{}", target.entry.storage_prefix());
        let context = self.context(txn, &prefix, target, known.caller.as_ref(), request);
        let params = request.params.clone();
        let prepared = target.mount.prepare(context, known.operation, &target.path, params).await?;
        let Some((act, intent)) = prepared else {
            return Ok(None);
        };
        let now = txn.now();
        let stored = StoredIntent {
            act: act.to_owned(),
            intent: intent.0,
            since: now,
            settle_after: now.plus(ACT_TIME_MAX + GRACE),
            ..StoredIntent::default()
        };
        let (mount, uuid) = (target.entry.accessor.clone(), target.entry.uuid.clone());
        let intention = Intention { mount, uuid, id: self.rng.uuid(), stored };
        let mut core = txn.scope(CORE);
        IntentStore::new(&mut core).put(&intention.mount, &intention.id, &intention.stored)?;
        Ok(Some(intention))
    }

    /// Runs the handler; one that has said what it is going to do, for as long as it may take.
    pub(super) async fn act(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &Known,
        target: Option<&Target>,
    ) -> (Result<Reply, Error>, Acted) {
        let Some(intention) = &known.intention else {
            return (guarded(self.run(txn, request, known, target)).await, Acted::Done);
        };
        let run = async {
            self.note_mount(txn, request, intention)?;
            guarded(self.run(txn, request, known, target)).await
        };
        // What was written down may have taken its time: whoever settles it must find it done.
        let left = intention.stored.settle_after.since(self.clock.now());
        let left = left.saturating_sub(GRACE).min(ACT_TIME_MAX);
        if left.is_zero() {
            return (Err(Error::Unavailable(HELD_UP.into())), Acted::Failed);
        }
        match tokio::time::timeout(left, run).await {
            Ok(Ok(reply)) => (Ok(reply), Acted::Done),
            // It would be run again, and must not be.
            Ok(Err(Error::Conflict)) => (Err(outrun()), Acted::Failed),
            Ok(Err(error)) => (Err(error), Acted::Failed),
            Err(_) => (Err(Error::Unavailable(TOO_SLOW.into())), Acted::Unknown),
        }
    }

    /// Notes, in the transaction that is to have the outcome, that the mount is still there.
    fn note_mount(
        &self,
        txn: &mut Txn,
        request: &Request,
        intention: &Intention,
    ) -> Result<(), Error> {
        let target = self.router.resolve(txn, &request.path)?;
        if target.is_some_and(|target| target.entry.uuid == intention.uuid) {
            return Ok(());
        }
        Err(Error::Unavailable("the mount has changed meanwhile: try again".into()))
    }

    /// Whether someone has settled the act, or is about to. What is not settled is noted: the
    /// transaction conflicts where it is settled meanwhile.
    pub(super) fn is_settled(&self, txn: &mut Txn, known: &Known) -> Result<bool, Error> {
        let Some(intention) = &known.intention else {
            return Ok(false);
        };
        let mut core = txn.scope(CORE);
        let stored = IntentStore::new(&mut core).get(&intention.mount, &intention.id)?;
        Ok(stored.is_none_or(|stored| stored.given_up))
    }

    /// An intent whose handler has answered goes, or is left to be settled soon.
    pub(super) fn conclude(&self, txn: &mut Txn, known: &Known, acted: Acted) -> Result<(), Error> {
        let Some(intention) = &known.intention else {
            return Ok(());
        };
        let now = txn.now();
        let mut core = txn.scope(CORE);
        let mut intents = IntentStore::new(&mut core);
        match acted {
            Acted::Done => intents.remove(&intention.mount, &intention.id),
            Acted::Failed => {
                let stored =
                    StoredIntent { settle_after: now, given_up: true, ..intention.stored.clone() };
                intents.put(&intention.mount, &intention.id, &stored)
            }
            Acted::Unknown => Ok(()),
        }
    }

    /// The act is done, and its outcome could not be kept: it is undone soon. Where even this
    /// cannot be written, the intent's time comes.
    pub(super) async fn give_up(&self, known: &Known) {
        if known.intention.is_none() {
            return;
        }
        settled_later(self.internal(|txn| self.conclude(txn, known, Acted::Failed)).await);
    }

    /// As [`Self::give_up`], where the entry with the outcome may have been applied all the same:
    /// then the intent went with it.
    pub(super) async fn give_up_unless_kept(&self, known: &Known) {
        if known.intention.is_none() {
            return;
        }
        let given_up = self.internal(|txn| {
            if self.is_settled(txn, known)? {
                return Ok(());
            }
            self.conclude(txn, known, Acted::Failed)
        });
        settled_later(given_up.await);
    }

    /// Settles what is left of a mount's acts, as far as its time has come. One after the other;
    /// the first failure ends it. How many were settled.
    ///
    /// # Errors
    /// What the engine says, or where this node does not lead.
    pub async fn settle_intents(&self, mount: &str) -> Result<usize, Error> {
        let ids = self.internal(|txn| {
            let mut core = txn.scope(CORE);
            IntentStore::new(&mut core).of_mount(mount, INTENTS_MAX)
        });
        let mut settled = 0;
        for id in ids.await? {
            settled += usize::from(self.settle(mount, &id).await?);
        }
        Ok(settled)
    }

    /// False where its time has not come, or it is gone.
    async fn settle(&self, mount: &str, id: &str) -> Result<bool, Error> {
        let request = Request::default();
        for _ in 0..super::INTERNAL_TRIES_MAX {
            let mut txn = self.begin().await?;
            let now = txn.now();
            let stored = IntentStore::new(&mut txn.scope(CORE)).get(mount, id)?;
            let Some(stored) = stored.filter(|stored| stored.settle_after <= now) else {
                return Ok(false);
            };
            if !stored.given_up {
                // Before anything is undone: whoever began and has come to life again must not
                // say that it stands.
                let stored = StoredIntent { given_up: true, ..stored };
                IntentStore::new(&mut txn.scope(CORE)).put(mount, id, &stored)?;
                self.commit(txn, &request, &Known::default(), NOTHING).await?;
                continue;
            }
            let outcome = match self.mount_of(&mut txn, mount) {
                Ok((entry, engine)) => {
                    let prefix = format!("{ROOT_NAMESPACE}{}", entry.storage_prefix());
                    let context = self.of_mount(&mut txn, &prefix, &entry, &request);
                    let begun = Begun { intent: stored.intent.clone(), since: stored.since };
                    deadline(engine.settle(context, &stored.act, begun)).await
                }
                Err(error) => Err(error),
            };
            if let Err(error) = &outcome {
                if matches!(error, Error::Conflict) {
                    continue;
                }
                if error.is_of_node() {
                    return outcome.map(|()| false);
                }
                let error = error.case();
                tracing::warn!(error, mount, act = stored.act, "an act outside is settled later");
                txn.roll_back();
            }
            let mut core = txn.scope(CORE);
            let mut intents = IntentStore::new(&mut core);
            match &outcome {
                Ok(()) => intents.remove(mount, id)?,
                Err(error) => {
                    intents.failed(mount, id, stored, &super::revocation::text_of(error), now)?;
                }
            }
            if let Commit::Stands = self.commit(txn, &request, &Known::default(), NOTHING).await? {
                return outcome.map(|()| true);
            }
        }
        Err(Error::Conflict)
    }
}

fn settled_later(given_up: Result<(), Error>) {
    if let Err(error) = given_up {
        let error = error.case();
        tracing::debug!(error, "an act outside is settled when its time is over");
    }
}

pub(super) fn outrun() -> Error {
    Error::Unavailable(super::OUTRUN.into())
}

/// Clocks may differ by this much, and a process be held up, before an act that is under way is
/// settled under it.
const GRACE: Duration = Duration::from_secs(30);

/// Settled in one go.
const INTENTS_MAX: usize = 1024;

const HELD_UP: &str = "the request was held up before it could act outside: try again";

const TOO_SLOW: &str = "what the engine talks to did not answer in time: what was begun is undone";

//! That a request takes effect once, however often it is sent.
//!
//! The response of what takes effect is sealed into the same log entry, under the request's id.
//! Whoever leads next finds it there, and gives it to whoever sends the same request again.
//!
//! **Invariant:** a request runs under one leadership alone. What it began under another one has
//! either taken effect when this one begins to read, and is found, or never will.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use super::locks::{Lock, Locks};
use super::{Attempt, Commit, Known, Pipeline, log_error};
use crate::audit::Side;
use crate::barrier::Repeat;
use crate::clock::Timestamp;
use crate::crypto::Sha256Writer;
use crate::record::{NumberSet, Numbers, OriginId, Remembered, RequestId, View};
use crate::request::wire::{decode_outcome, encode_outcome};
use crate::request::{Error, Reply, Request};
use crate::txn::Txn;

/// Part of a request that takes effect by itself.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Step {
    /// What comes before an act outside: that it was begun.
    Intent = 0,
    /// All of it; after an intent, the rest.
    Result = 1,
}

/// How an attempt begins.
pub(super) enum Begun {
    Fresh(Box<Txn>),
    /// It has taken effect already.
    Before(Box<Result<Reply, Error>>),
}

/// What the active node knows of requests besides the log. Gone with its leadership.
#[derive(Default)]
pub(super) struct Once {
    /// Requests that run here: one that comes twice runs after itself.
    running: Locks<RequestId>,
    /// What origins have told that is in no entry yet.
    finished: Mutex<BTreeMap<OriginId, NumberSet>>,
}

impl Once {
    /// Waits while the same request runs. `None`: it has no id.
    ///
    /// # Errors
    /// Where it still runs when the deadline comes.
    pub(super) async fn turn(
        &self,
        request: &Request,
        deadline: Instant,
    ) -> Result<Option<Lock<RequestId>>, Error> {
        let Some(id) = request.known_as else { return Ok(None) };
        self.running.lock(id, deadline).await.ok_or(Error::LeadershipLost).map(Some)
    }

    fn take_finished(&self, id: Option<RequestId>) -> Vec<Numbers> {
        let Some(RequestId::Numbered { origin, .. }) = id else { return Vec::new() };
        let mut finished = lock(&self.finished);
        let Some(numbers) = finished.get_mut(&origin) else { return Vec::new() };
        let taken = numbers.take(FINISHED_MAX);
        if numbers.is_empty() {
            finished.remove(&origin);
        }
        taken
    }

    fn has_finished(&self, id: RequestId) -> bool {
        let RequestId::Numbered { origin, .. } = id else { return false };
        lock(&self.finished).contains_key(&origin)
    }

    pub(super) fn forget(&self) {
        lock(&self.finished).clear();
    }
}

impl Pipeline {
    /// Requests of an origin whose answers have arrived: what is remembered of them may go.
    pub fn note_finished(&self, origin: OriginId, numbers: &[Numbers]) {
        if numbers.is_empty() {
            return;
        }
        let mut finished = lock(&self.once.finished);
        // What is lost here goes with its time.
        if finished.len() >= ORIGINS_MAX && !finished.contains_key(&origin) {
            finished.clear();
        }
        let known = finished.entry(origin).or_default();
        numbers.iter().for_each(|numbers| known.add(*numbers));
    }

    /// A transaction under the leadership in which the request began; or what came of it, where
    /// it has taken effect.
    pub(super) async fn begin_once(
        &self,
        request: &Request,
        known: &mut Known,
    ) -> Result<Begun, Error> {
        if self.barrier.is_sealed() {
            return Err(Error::Sealed);
        }
        let point = self.log.begin().await.map_err(log_error)?;
        if *known.term.get_or_insert(point.leadership.term) != point.leadership.term {
            return Err(Error::NotActive);
        }
        if let Some(outcome) = self.recall(request, point.view.as_ref())? {
            return Ok(Begun::Before(Box::new(outcome)));
        }
        known.view = Some(point.view.clone());
        let txn = self.barrier.begin(point, self.clock.now())?;
        Ok(Begun::Fresh(Box::new(txn)))
    }

    /// A transaction more of the same request, which has committed something already.
    pub(super) async fn begin_again(&self, known: &Known) -> Result<Txn, Error> {
        let point = self.log.begin().await.map_err(log_error).map_err(Error::once_begun)?;
        if known.term.is_some_and(|term| term != point.leadership.term) {
            return Err(Error::LeadershipLost);
        }
        self.barrier.begin(point, self.clock.now())
    }

    /// The answer of a request that has taken effect before, which is audited like any.
    pub(super) async fn repeated(
        &self,
        request: &Request,
        known: &mut Known,
        outcome: Box<Result<Reply, Error>>,
    ) -> Result<Attempt, Error> {
        known.is_repeated = true;
        if !known.audited {
            self.record(request, known, Side::Request(None)).await?;
            known.audited = true;
        }
        Ok(Attempt::Done(outcome))
    }

    /// Where a commit did not take effect.
    pub(super) async fn unsettled(
        &self,
        commit: Commit,
        request: &Request,
        known: &mut Known,
    ) -> Result<Attempt, Error> {
        match commit {
            Commit::Conflict(contested) => Ok(Attempt::Conflict(contested)),
            Commit::NoRoom => Ok(Attempt::NoRoom),
            Commit::Before | Commit::Stands => {
                let recalled = match &known.view {
                    Some(view) => self.recall(request, view.as_ref())?,
                    None => None,
                };
                // Its origin has the answer: nobody waits for this one.
                let outcome = recalled.unwrap_or(Err(Error::Unresolved));
                self.repeated(request, known, Box::new(outcome)).await
            }
        }
    }

    /// What came of a request that has taken effect; `None` where it has not.
    pub(super) fn recall(
        &self,
        request: &Request,
        view: &dyn View,
    ) -> Result<Option<Result<Reply, Error>>, Error> {
        let Some(id) = &request.known_as else { return Ok(None) };
        let now = view.time().map_err(Error::internal)?.max(self.clock.now());
        let remembered = |step| view.recall(id, step as u32, now).map_err(Error::internal);
        let response = match remembered(Step::Result)? {
            Remembered::Done(response) => response,
            Remembered::Forgotten => return Ok(Some(Err(forgotten(id, now)))),
            Remembered::New | Remembered::NoRoom => {
                let begun = matches!(remembered(Step::Intent)?, Remembered::Done(_));
                return Ok(begun.then_some(Err(Error::Unresolved)));
            }
        };
        let Some(response) = response else { return Ok(Some(Err(Error::Unresolved))) };
        let keyring = self.barrier.keyring()?;
        let Ok(opened) = keyring.open_response(&context(request, id), &response) else {
            return Ok(Some(Err(Error::bad_request(OTHER_REQUEST))));
        };
        Ok(Some(match decode_outcome(opened.expose()).map_err(Error::internal)? {
            // Of what acts outside, and found no leader to go on with: it is kept as it is.
            Err(Error::LeadershipLost) => Err(Error::Unresolved),
            outcome => outcome,
        }))
    }

    /// The answer of what was done outside and has written nothing more, or nothing that stands:
    /// an entry of its own keeps it. Where there can be none any more, as after a node has handed
    /// over, the caller is answered all the same.
    pub(super) async fn keep_outcome(
        &self,
        request: &Request,
        known: &Known,
        outcome: Result<Reply, Error>,
    ) -> Attempt {
        if request.known_as.is_some() {
            let kept = async {
                let mut txn = self.begin_again(known).await?;
                txn.demand_entry();
                self.commit(txn, request, known, (Step::Result, Some(&outcome))).await
            };
            if let Ok(Err(error)) = tokio::time::timeout(KEPT_WITHIN, kept).await {
                let error = error.case();
                tracing::debug!(request_id = request.id, error, "an answer is not kept");
            }
        }
        Attempt::Done(Box::new(outcome))
    }

    /// What an entry says for the case that its request is repeated.
    pub(super) fn repeat(
        &self,
        request: &Request,
        step: Step,
        outcome: Option<&Result<Reply, Error>>,
    ) -> Result<Repeat, Error> {
        let Some(id) = request.known_as else { return Ok(Repeat::default()) };
        let mut response = None;
        if let Some(outcome) = outcome {
            let plain = encode_outcome(outcome);
            if plain.len() <= RESPONSE_BYTES_MAX {
                let keyring = self.barrier.keyring()?;
                let context = context(request, &id);
                let sealed = keyring.seal_response(self.rng.as_ref(), &context, &plain);
                response = Some(sealed.map_err(Error::internal)?);
            }
        }
        let finished = self.once.take_finished(Some(id));
        Ok(Repeat { request: Some(id), step: step as u32, response, finished })
    }

    /// Whether an entry would find no room to be remembered, and would make none.
    pub(super) fn has_no_room(&self, request: &Request, known: &Known) -> Result<bool, Error> {
        let (Some(id), Some(view)) = (&request.known_as, &known.view) else { return Ok(false) };
        let now = view.time().map_err(Error::internal)?.max(self.clock.now());
        let remembered = view.recall(id, Step::Result as u32, now).map_err(Error::internal)?;
        Ok(remembered == Remembered::NoRoom && !self.once.has_finished(*id))
    }
}

/// What a response is bound to: nobody with another token, and for nothing else, gets it.
fn context(request: &Request, id: &RequestId) -> [u8; 32] {
    let wrap_ttl = request.wrap_ttl.map_or(0, |ttl| ttl.as_nanos()).to_be_bytes();
    let token = request.token.as_ref().map_or("", |token| token.expose().as_str());
    let mut hash = Sha256Writer::default();
    hash.update(CONTEXT_TAG);
    hash.update(&id.encode());
    let parts: [&[u8]; 5] = [
        request.operation.name().as_bytes(),
        request.namespace.as_bytes(),
        request.path.as_bytes(),
        token.as_bytes(),
        &wrap_ttl,
    ];
    // Lengths first, so that no two requests are hashed alike; parameters last, as what they are
    // written as tells where it ends.
    let certificates = request.client_certificates.iter().map(Vec::as_slice);
    hash.update(&(request.client_certificates.len() as u64).to_be_bytes());
    for part in parts.into_iter().chain(certificates) {
        hash.update(&(part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.json(&request.params);
    hash.finish()
}

/// Of what comes too late nobody knows any more whether it was done.
fn forgotten(id: &RequestId, now: Timestamp) -> Error {
    match id {
        RequestId::Proxied { made, .. } if *made > now => Error::Unavailable(PROXY_WINDOW.into()),
        RequestId::Proxied { .. } | RequestId::Numbered { .. } => Error::Unresolved,
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a request without room looks for some.
pub(super) const ROOM_PAUSE: Duration = Duration::from_millis(20);

pub(super) const NO_ROOM: &str = "too many requests have answers that may not have arrived; \
                                  nothing was done: try again";

/// Who has asked for what acts outside does not wait for longer until its answer is kept.
const KEPT_WITHIN: Duration = Duration::from_millis(500);

/// The answer of what is larger is not kept: who repeats it is told that it may have taken effect.
const RESPONSE_BYTES_MAX: usize = 1 << 20;

/// Ranges of finished requests that one entry tells.
const FINISHED_MAX: usize = 256;

/// Starts of nodes whose news wait for an entry.
const ORIGINS_MAX: usize = 256;

const CONTEXT_TAG: &[u8] = b"strongroom request 2\0";

const OTHER_REQUEST: &str = "this request id was used for another request, or with another token";

const PROXY_WINDOW: &str = "the proxy's request id is from more than 30 seconds in the future: the \
                            proxy's clock, or this cluster's, is wrong; nothing was done";

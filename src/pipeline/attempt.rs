//! One try of a request: either it commits what it did, or it left nothing.

use tokio::time::Instant;

use super::authorize::Verdict;
use super::once::{Begun, Step};
use super::outside::{Acted, outrun};
use super::{Asked, Attempt, CORE, Commit, Known, Pipeline, Spent, revoke_spent, wrap};
use crate::audit::Side;
use crate::request::{Error, Reply, Request};
use crate::router::Target;
use crate::txn::Txn;

impl Pipeline {
    /// From the look-up of the mount to the commit. Nothing it does but what is acted outside, and
    /// what audit was told, outlives a conflict.
    pub(super) async fn attempt(
        &self,
        request: &Request,
        asked: Asked,
        known: &mut Known,
    ) -> Result<Attempt, Error> {
        let begun = self.begin_once(request, known).await?;
        known.forget(request);
        let mut txn = match begun {
            Begun::Fresh(txn) => *txn,
            Begun::Before(outcome) => {
                self.know_again(request, known).await?;
                return self.repeated(request, known, outcome).await;
            }
        };
        known.devices = self.audit.follow(&mut txn.scope(CORE))?;
        // May be none, which is not told before the caller is known.
        let target = self.router.resolve(&mut txn, &request.path)?;
        let target = target.as_ref();
        known.mount = target.map(|target| target.entry.clone());
        self.admit(&mut txn, request, known, target).await?;
        known.is_login = target.and_then(|target| target.found).is_some_and(|found| found.login);
        let begun = Instant::now();
        let verdict = self.authorize(&mut txn, request, known, target).await?;
        self.measured.check(begun.elapsed());
        let Verdict { mut refusal, spent } = verdict;
        known.spends_last = spent == Spent::Last;
        if !known.audited {
            self.record(request, known, Side::Request(refusal.as_ref())).await?;
            known.audited = true;
        }
        let acts_outside = asked == Asked::Reply
            && target.and_then(|target| target.found).is_some_and(|found| found.acts_outside);
        if refusal.is_some() || acts_outside {
            revoke_spent(&mut txn, spent, known)?;
            if refusal.is_none() {
                refusal = self.write_down(&mut txn, request, known, target).await;
            }
            if let Some(ended) = self.commit_first(txn, request, known, refusal).await? {
                return Ok(ended);
            }
            txn = self.begin_again(known).await?;
        }
        let mut outcome = self.perform(&mut txn, request, (asked, target), known).await?;
        if acts_outside {
            outcome = outcome.map_err(Error::once_begun);
        }
        if matches!(outcome, Err(Error::Conflict)) {
            return Ok(Attempt::Conflict(None));
        }
        known.afterwards = txn.take_afterwards();
        if acts_outside && txn.wrote_nothing() {
            self.lockouts.settle(known, &outcome);
            return Ok(self.keep_outcome(request, known, outcome).await);
        }
        if !acts_outside {
            revoke_spent(&mut txn, spent, known)?;
        }
        self.commit_last(txn, request, known, (target, acts_outside), outcome).await
    }

    /// Does what is asked for, and notes what has become of an act outside. What failed leaves
    /// nothing in the transaction but that, and what the token has spent.
    async fn perform(
        &self,
        txn: &mut Txn,
        request: &Request,
        (asked, target): (Asked, Option<&Target>),
        known: &Known,
    ) -> Result<Result<Reply, Error>, Error> {
        // The use of a limited token counts even if the handler fails.
        txn.keep();
        let (outcome, acted) = match asked {
            Asked::Verdict => {
                let verdict = target.map_or(Ok(()), |target| wrap::refuse_of_node(request, target));
                (verdict.map(|()| Reply::default()), Acted::Done)
            }
            Asked::Reply => self.act(txn, request, known, target).await,
        };
        // Here, not at the commit: what the token has spent stays.
        let mut outcome = outcome.and_then(|reply| self.check_values(txn).map(|()| reply));
        if matches!(outcome, Err(Error::Conflict)) {
            return Ok(outcome);
        }
        if outcome.is_ok() && self.is_settled(txn, known)? {
            // Undone before it was answered, or about to be: once more, for what came later.
            outcome = Err(outrun());
        }
        if outcome.is_err() {
            txn.roll_back();
        }
        self.conclude(txn, known, if outcome.is_err() { acted.failed() } else { acted })?;
        Ok(outcome)
    }

    /// What the handler wrote, with what is answered.
    async fn commit_last(
        &self,
        txn: Txn,
        request: &Request,
        known: &mut Known,
        (target, acts_outside): (Option<&Target>, bool),
        outcome: Result<Reply, Error>,
    ) -> Result<Attempt, Error> {
        let committed = self.commit(txn, request, known, (Step::Result, Some(&outcome))).await;
        let committed = match committed {
            Ok(committed) => committed,
            Err(error) if acts_outside => {
                // Where another node leads, it is settled there.
                if !matches!(error, Error::LeadershipLost | Error::NotActive) {
                    self.give_up_unless_kept(known).await;
                }
                return Err(error.once_begun());
            }
            Err(error) => return Err(error),
        };
        match committed {
            // It was done outside, and must not be said to stand where its lease does not.
            Commit::Conflict(_) | Commit::NoRoom if acts_outside => {
                self.give_up(known).await;
                let outcome = outcome.and_then(|_| Err(outrun()));
                Ok(self.keep_outcome(request, known, outcome).await)
            }
            before @ Commit::Before if acts_outside => {
                // It came too late to be taken.
                self.give_up_unless_kept(known).await;
                self.unsettled(before, request, known).await
            }
            stands @ Commit::Stands => {
                self.count_lease(&stands, known, target, &outcome);
                self.lockouts.settle(known, &outcome);
                self.lockouts.unlock(request, &outcome);
                Ok(Attempt::Done(Box::new(outcome)))
            }
            other => self.unsettled(other, request, known).await,
        }
    }

    /// A request that is refused is a use of its token too. What is done outside is done once, and
    /// may end this node's leadership: a use that could not be counted then would be tried again on
    /// the next leader. `None`: the handler is to run.
    async fn commit_first(
        &self,
        mut txn: Txn,
        request: &Request,
        known: &mut Known,
        refusal: Option<Error>,
    ) -> Result<Option<Attempt>, Error> {
        let refused = refusal.map(Err);
        let kept = match &refused {
            Some(refused) => (Step::Result, Some(refused)),
            None => {
                txn.demand_entry();
                (Step::Intent, None)
            }
        };
        match (self.commit(txn, request, known, kept).await?, refused) {
            (Commit::Stands, None) => Ok(None),
            (Commit::Stands, Some(refused)) => Ok(Some(Attempt::Done(Box::new(refused)))),
            (other, _) => self.unsettled(other, request, known).await.map(Some),
        }
    }
}

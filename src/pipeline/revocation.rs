//! The end of leases whose engines have something to do for it.

use std::time::Duration;

use futures_util::{StreamExt as _, stream};

use super::errors::guarded;
use super::locks::Locks;
use super::{CORE, Commit, Known, NOTHING, Pipeline};
use crate::auth::token::TokenStore;
use crate::framework::Leased;
use crate::lease::{Counts, LeaseStore, MountPlaces, State};
use crate::mount::ROOT_NAMESPACE;
use crate::request::{Error, Reply, Request, Then};
use crate::text::of_name;
use crate::txn::{Page, Txn};

/// What the active node remembers of leases.
#[derive(Default)]
pub struct Leases {
    pub counts: Counts,
    /// Two acts outside on one lease.
    pub(super) locks: Locks<String>,
}

/// What came of an attempt to end a lease.
#[derive(Debug)]
pub enum Ended {
    /// It has ended, or had before.
    Yes,
    /// It is tried again, or was given up: what its engine said.
    NotYet(Error),
}

impl Pipeline {
    /// Ends a lease that is to be ended, together with what its engine has to do for it. No two
    /// of one lease act at the same time; where the outcome cannot be kept, the act is repeated.
    ///
    /// # Errors
    /// Where this node does not lead, or the store cannot be read. It stays to be ended.
    pub async fn end_lease(&self, mount: &str, id: &str) -> Result<Ended, Error> {
        let deadline_of_wait = tokio::time::Instant::now() + super::REQUEST_TIME_MAX;
        let Some(_lock) = self.leases.locks.lock(id.to_owned(), deadline_of_wait).await else {
            return Ok(Ended::NotYet(Error::Unavailable(BUSY.into())));
        };
        let request = Request { path: id.to_owned(), ..Request::default() };
        for _ in 0..super::INTERNAL_TRIES_MAX {
            let mut txn = self.begin().await?;
            let lease = LeaseStore::new(&mut txn.scope(CORE)).get_in(State::Ending, mount, id)?;
            let Some(lease) = lease else {
                return self.not_ending(&mut txn, mount, id);
            };
            let leased = Leased {
                id: id.to_owned(),
                internal: lease.internal.clone(),
                issued: lease.issued,
                expires: lease.expires,
                increment: 0,
                attempts: lease.attempts,
            };
            let outcome = match self.mount_of(&mut txn, mount) {
                Ok((entry, engine)) => {
                    let prefix = format!("{ROOT_NAMESPACE}{}", entry.storage_prefix());
                    let context = self.of_mount(&mut txn, &prefix, &entry, &request);
                    deadline(engine.revoke_lease(context, &lease.kind, leased)).await
                }
                Err(error) => Err(error),
            };
            let now = txn.now();
            let mut ended = Ended::Yes;
            match outcome {
                Ok(()) => LeaseStore::new(&mut txn.scope(CORE)).ended(mount, id)?,
                Err(Error::Conflict) => continue,
                Err(error) if error.is_of_node() => return Err(error),
                Err(error) => {
                    txn.roll_back();
                    let mut core = txn.scope(CORE);
                    let mut leases = LeaseStore::new(&mut core);
                    if lease.force {
                        let error = error.case();
                        tracing::warn!(
                            error,
                            mount,
                            "a lease was ended by force: its engine failed"
                        );
                        leases.ended(mount, id)?;
                    } else {
                        let state = leases.failed(mount, id, lease, &text_of(&error), now)?;
                        if state == State::Irrevocable {
                            let error = error.case();
                            tracing::error!(error, mount, "a lease cannot be ended");
                        }
                        ended = Ended::NotYet(error);
                    }
                }
            }
            if let Commit::Stands = self.commit(txn, &request, &Known::default(), NOTHING).await? {
                if matches!(ended, Ended::Yes) {
                    self.leases.counts.ended(mount);
                }
                return Ok(ended);
            }
        }
        Err(Error::Conflict)
    }

    /// Another was there first, and has ended it or failed.
    fn not_ending(&self, txn: &mut Txn, mount: &str, id: &str) -> Result<Ended, Error> {
        let lease = LeaseStore::new(&mut txn.scope(CORE)).get(mount, id)?;
        Ok(match lease {
            Some((State::Waiting | State::Irrevocable, lease)) => {
                Ended::NotYet(Error::Failed(lease.error))
            }
            Some((State::Ending | State::Live, _)) | None => Ended::Yes,
        })
    }

    /// What a handler has left to do once its transaction stands.
    pub(super) async fn finish(
        &self,
        mut reply: Reply,
        deadline: tokio::time::Instant,
    ) -> Result<Reply, Error> {
        let finished = match &reply.then.take() {
            Some(Then::AwaitLease { mount, id }) => {
                tokio::time::timeout_at(deadline, self.await_lease(mount, id)).await
            }
            Some(Then::AwaitPrefix { job, prefix }) => {
                tokio::time::timeout_at(deadline, self.await_prefix(job, prefix)).await
            }
            Some(Then::RenewLease { .. } | Then::RenewToken { .. }) | None => return Ok(reply),
        };
        match finished {
            Ok(outcome) => outcome.map(|()| reply).map_err(Error::once_begun),
            Err(_) => {
                let reply = Reply { status: Some(202), ..reply };
                Ok(reply.warn("the revocation takes longer than a request may: it goes on"))
            }
        }
    }

    async fn await_lease(&self, mount: &str, id: &str) -> Result<(), Error> {
        match self.end_lease(mount, id).await? {
            Ended::Yes => Ok(()),
            Ended::NotYet(error) => Err(Error::Failed(format!(
                "failed to revoke lease {id:?}, which is tried again: {}",
                text_of(&error)
            ))),
        }
    }

    /// Works the job off, be it together with a worker, then ends what it found.
    async fn await_prefix(&self, job: &str, prefix: &str) -> Result<(), Error> {
        let step = |txn: &mut Txn| TokenStore::new(&mut txn.scope(CORE)).work_off_prefix(job);
        while self.internal(step).await? {}
        let mounts = self.internal(|txn| MountPlaces::new(&mut txn.scope(CORE)).under(prefix));
        let (mut ended, mut failed, mut first) = (0_u64, 0_u64, None);
        for mount in mounts.await? {
            let mut failed_here = 0;
            let mut after = None;
            loop {
                let page = self.lease_page(State::Ending, &mount, after.as_deref()).await?;
                let ids = page.names.iter().map(|file| of_name(file));
                let ids = ids.filter(|id| id.starts_with(prefix)).collect();
                for outcome in self.end_leases(&mount, ids, PARALLEL_OF_REQUEST).await {
                    match outcome? {
                        Ended::Yes => ended += 1,
                        Ended::NotYet(error) => {
                            failed_here += 1;
                            first.get_or_insert_with(|| text_of(&error));
                        }
                    }
                }
                if page.is_last {
                    break;
                }
                after = page.names.into_iter().next_back();
            }
            // Who repeats the request finds what failed before, and nothing left to end.
            let (waiting, error) = self.waiting_below(&mount, prefix).await?;
            failed += waiting.max(failed_here);
            first = first.or(error);
        }
        match first {
            None => Ok(()),
            Some(first) => Err(Error::Failed(format!(
                "failed to revoke {failed} of {} leases, which are tried again; the first: {first}",
                ended + failed
            ))),
        }
    }

    /// Leases that could not be ended yet: how many, and why one could not.
    async fn waiting_below(
        &self,
        mount: &str,
        prefix: &str,
    ) -> Result<(u64, Option<String>), Error> {
        let (mut count, mut error) = (0, None);
        for state in [State::Waiting, State::Irrevocable] {
            let mut after = None;
            loop {
                let page = self.lease_page(state, mount, after.as_deref()).await?;
                let ids = page.names.iter().map(|file| of_name(file));
                for id in ids.filter(|id| id.starts_with(prefix)) {
                    count += 1;
                    if error.is_none() {
                        let read = self.internal(|txn| {
                            LeaseStore::new(&mut txn.scope(CORE)).get_in(state, mount, &id)
                        });
                        error = read.await?.map(|lease| lease.error);
                    }
                }
                if page.is_last {
                    break;
                }
                after = page.names.into_iter().next_back();
            }
        }
        Ok((count, error))
    }

    async fn lease_page(
        &self,
        state: State,
        mount: &str,
        after: Option<&str>,
    ) -> Result<Page, Error> {
        self.internal(|txn| {
            let mut core = txn.scope(CORE);
            LeaseStore::new(&mut core).page(state, mount, after, PAGE_LEASES)
        })
        .await
    }

    /// Ends several leases of a mount, some at a time.
    pub async fn end_leases(
        &self,
        mount: &str,
        ids: Vec<String>,
        parallel_max: usize,
    ) -> Vec<Result<Ended, Error>> {
        let ends = ids.into_iter().map(|id| async move { self.end_lease(mount, &id).await });
        stream::iter(ends).buffer_unordered(parallel_max).collect().await
    }
}

/// Gives an act outside as long as it may take.
pub(super) async fn deadline<T>(act: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
    match tokio::time::timeout(ACT_TIME_MAX, guarded(act)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(Error::Failed(format!(
            "what the engine talks to did not answer within {} seconds",
            ACT_TIME_MAX.as_secs()
        ))),
    }
}

/// What is kept and told to operators: of an error of the program, its cause.
pub(super) fn text_of(error: &Error) -> String {
    match error {
        Error::Internal(source) => source.to_string(),
        other => other.to_string(),
    }
}

/// Of one act outside.
pub const ACT_TIME_MAX: Duration = Duration::from_secs(30);

pub(super) const BUSY: &str = "another act on the same lease is under way: try again";

/// Of one request that waits for many.
const PARALLEL_OF_REQUEST: usize = 16;

const PAGE_LEASES: usize = 1024;

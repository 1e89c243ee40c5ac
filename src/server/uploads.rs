//! Requests whose body is no parameters: restores. The body goes to the active node as it
//! arrives.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::consensus::{Leader, Role};
use super::restore::{is_done, restore_id};
use super::service::{FORWARD_MAX, GONE_GRACE, HOLD_MAX, NO_LEADER, Service, is_at};
use crate::cluster::{BodyChunks, ForwardError, Forwarded, Outcome, Wanted};
use crate::http::{Answer, Upload};
use crate::request::{Error, Operation, Reply, Request};

/// A body that is still there when whoever read it has given up.
type Shared = Arc<Mutex<BodyChunks>>;

impl Service {
    /// Puts the snapshot that is uploaded in place of all data: here, or on the active node.
    pub(super) async fn restore(&self, mut request: Request, upload: Upload) -> Answer {
        let _at_work = self.control.process.enter(&request, self.control.now());
        if let Err(error) = self.is_open() {
            return Err(error).into();
        }
        if let Some(redirect) = self.redirected(&request) {
            return redirect;
        }
        // It is sent once: there is no second copy of its body.
        request.known_as = None;
        let id = restore_id(&request);
        let begun = self.control.consensus.replicated().map(|node| node.restores.begun());
        let body: Shared = Arc::new(Mutex::new(upload.into_chunks()));
        let mut outcome = match self.known_role().await {
            Ok(Role::Active) => self.restore_here(&request, None, chunks(&body)).await,
            Ok(Role::Standby(Some(leader))) => {
                self.send_upload(&leader, request, chunks(&body)).await
            }
            Ok(Role::Standby(None)) => Err(Error::NotActive),
            Err(error) => Err(error),
        };
        if let (Err(Error::LeadershipLost), Some(begun)) = (&outcome, begun)
            && is_done(begun, id).await
        {
            outcome = Ok(Reply::default());
        }
        if outcome.is_err() {
            drain(&body).await;
        }
        outcome.into()
    }

    /// What a standby has sent on.
    pub(super) async fn take_upload(&self, mut forwarded: Forwarded, body: BodyChunks) -> Outcome {
        if self.is_open().is_err() || !self.leads_soon().await {
            return Outcome::NotActive;
        }
        if !restores(&forwarded.request) {
            return Outcome::Answered(Err(Error::UnsupportedOperation));
        }
        let from = forwarded.request.forwarded_from.take();
        forwarded.request.forwarded_from = from.map(|node| self.address_of(node));
        let term = Some(forwarded.leader_term);
        match self.restore_here(&forwarded.request, term, body).await {
            Err(Error::NotActive) => Outcome::NotActive,
            outcome => Outcome::Answered(outcome),
        }
    }

    async fn restore_here(
        &self,
        request: &Request,
        term: Option<u64>,
        body: BodyChunks,
    ) -> Result<Reply, Error> {
        let forced = is_at(&request.path, SNAPSHOT_FORCE);
        let restoring = Box::pin(async move {
            let restored = self.control.restore(request, body, forced, &self.pipeline).await;
            restored.map(|()| Reply::default())
        });
        // On the heap: it is large, and waits for long.
        Box::pin(self.pipeline.judge_and(request, term, restoring)).await
    }

    /// Waits for a leader, as other requests do.
    async fn known_role(&self) -> Result<Role, Error> {
        let mut roles = self.control.consensus.roles();
        let known = roles.wait_for(|role| *role != Role::Standby(None));
        match timeout(HOLD_MAX, known).await {
            Ok(Ok(role)) => Ok(role.clone()),
            _ => Err(Error::Unavailable(NO_LEADER.into())),
        }
    }

    async fn send_upload(
        &self,
        leader: &Leader,
        request: Request,
        body: BodyChunks,
    ) -> Result<Reply, Error> {
        let forwarded = Forwarded {
            request,
            wanted: Wanted::Answer,
            remaining: FORWARD_MAX,
            hops: 1,
            finished: Vec::new(),
            leader_term: leader.term,
        };
        let mut roles = self.control.consensus.roles();
        let gone = async {
            let leads = |role: &Role| matches!(role, Role::Standby(Some(now)) if (now.id, now.term) == (leader.id, leader.term));
            drop(roles.wait_for(|role| !leads(role)).await);
            tokio::time::sleep(GONE_GRACE).await;
        };
        let answered = tokio::select! {
            answered = self.control.consensus.upload(leader, &forwarded, body) => answered,
            () = gone => Err(ForwardError::Unknown("its leader was replaced".into())),
        };
        match answered {
            Ok(Outcome::Answered(outcome)) => outcome,
            Ok(Outcome::NotActive) | Err(ForwardError::NotSent(_) | ForwardError::Refused(_)) => {
                let text = "the active node did not take the snapshot, nothing was restored: try \
                            again";
                Err(Error::Unavailable(text.into()))
            }
            Err(ForwardError::Unknown(reason)) => {
                tracing::warn!(reason, "what came of a restore is not known");
                Err(Error::LeadershipLost)
            }
            Err(error) => Err(Error::internal(error)),
        }
    }
}

/// Whether the request's body is a snapshot that is to be restored.
pub(super) fn restores(request: &Request) -> bool {
    request.operation == Operation::Update
        && [SNAPSHOT, SNAPSHOT_FORCE].iter().any(|route| is_at(&request.path, route))
}

fn chunks(body: &Shared) -> BodyChunks {
    let chunks = stream::unfold(body.clone(), |body| async move {
        let chunk = body.lock().await.next().await?;
        Some((chunk, body))
    });
    chunks.boxed()
}

/// Reads on for a while: a client that is still sending might not look at the answer.
async fn drain(body: &Shared) {
    let mut left = DRAIN_BYTES_MAX;
    let reading = async {
        let mut body = body.lock().await;
        while let Some(Ok(chunk)) = body.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                break;
            }
        }
    };
    drop(timeout(DRAIN_TIME_MAX, reading).await);
}

/// The whole state as an archive: saved and restored once the request is allowed.
pub(super) const SNAPSHOT: &str = "sys/storage/raft/snapshot";

/// Likewise, whatever the keys of the snapshot are.
pub(super) const SNAPSHOT_FORCE: &str = "sys/storage/raft/snapshot-force";

const DRAIN_BYTES_MAX: usize = 256 << 20;
const DRAIN_TIME_MAX: Duration = Duration::from_secs(10);

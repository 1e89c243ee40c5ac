//! What stands behind the listeners: who answers a request, and where.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use metrics::{counter, histogram};
use tokio::sync::Semaphore;
use tokio::time::{Instant, timeout, timeout_at};

use super::consensus::{Leader, Role};
use super::control::Control;
use super::log::log;
use super::metrics::milliseconds;
use super::origin::Origin;
use super::removal::REMOVED;
use super::uploads::{SNAPSHOT, SNAPSHOT_FORCE, restores};
use crate::cluster::{
    Admission, Admits, Application, BodyChunks, ForwardError, ForwardHandler, Forwarded,
    JoinRefusal, Outcome, Renewed, Wanted,
};
use crate::framework::Needs;
use crate::http::{Answer, BodyRule, Download, Handler, Upload};
use crate::namespace;
use crate::pipeline::Pipeline;
use crate::record::RequestId;
use crate::request::{Error, Operation, Reply, Request};
use crate::rng::Rng;
use crate::router::Target;
use crate::secret::Secret;
use crate::text::{PATH_KEPT, UNRESERVED, percent_encode};

pub struct Service {
    pub(super) control: Arc<Control>,
    pub(super) pipeline: Arc<Pipeline>,
    /// Requests that may wait for a leader at one time.
    held: Semaphore,
    origin: Origin,
}

/// Where one try of a request ended.
#[expect(clippy::large_enum_variant, reason = "lives for a moment, where it was made")]
enum Try {
    Done(Result<Reply, Error>),
    /// Nothing was done, or it may have been and the log knows: the next active node is to be
    /// asked.
    Again(Request, Doubt),
}

/// Whether a request may have taken effect.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
enum Doubt {
    #[default]
    No,
    Yes,
}

impl Service {
    pub fn new(control: Arc<Control>, pipeline: Arc<Pipeline>, rng: &dyn Rng) -> Self {
        let (held, origin) = (Semaphore::new(HELD_MAX), Origin::new(rng));
        Self { control, pipeline, held, origin }
    }

    /// Here, or on the active node; while there is none, the request waits.
    pub async fn answer(&self, request: Request) -> Answer {
        let _at_work = self.control.process.enter(&request, self.control.now());
        let reads = |path| is_at(&request.path, path) && request.operation == Operation::Read;
        let (watches, saves) = (reads(MONITOR), reads(SNAPSHOT));
        let watches = watches.then(|| request.params.clone());
        let mut answer = self.route(request).await;
        if saves && answer.outcome.is_ok() && answer.redirect.is_none() {
            match self.control.backup().await {
                Ok(download) => answer.download = Some(download),
                Err(error) => answer.outcome = Err(error),
            }
        }
        if let Some(params) =
            watches.filter(|_| answer.outcome.is_ok() && answer.redirect.is_none())
        {
            let word = |name| params.get(name).and_then(|word| word.as_str()).unwrap_or_default();
            match log().watch(word("log_level"), word("log_format")) {
                Ok(chunks) => {
                    let content_type = "text/plain; charset=utf-8".into();
                    answer.download = Some(Download { content_type, chunks });
                }
                Err(error) => answer.outcome = Err(error),
            }
        }
        answer
    }

    async fn route(&self, request: Request) -> Answer {
        let local = self.pipeline.router.system(&request.path);
        if !request.namespace.is_empty()
            && let Some(refusal) = namespace::refusal_in_header(&request.path)
        {
            return Err(refusal).into();
        }
        let needs = local.as_ref().and_then(|target| target.found).map(|found| found.needs);
        if let Some(target) = &local
            && needs == Some(Needs::Nothing)
        {
            return self.pipeline.local(&request, target).await.into();
        }
        if let Err(error) = self.is_open() {
            return Err(error).into();
        }
        if let Some(redirect) = self.redirected(&request) {
            return redirect;
        }
        let verdict = local.filter(|_| needs == Some(Needs::Verdict));
        self.held(request, verdict.as_ref()).await.into()
    }

    /// Where whoever asks wants to go to the active node themselves, and it is another.
    pub(super) fn redirected(&self, request: &Request) -> Option<Answer> {
        if request.headers.contains_key(NO_FORWARDING)
            && let Role::Standby(Some(leader)) = self.control.consensus.role()
        {
            let mut answer = Answer::from(Ok(Reply::default()));
            answer.redirect = Some(location(&leader, request));
            return Some(answer);
        }
        None
    }

    /// Of `sys/metrics`, for everyone, sealed or not.
    pub async fn open_metrics(&self, request: Request) -> Answer {
        match self.pipeline.router.system(&request.path) {
            Some(target) => self.pipeline.local(&request, &target).await.into(),
            None => Err(Error::UnsupportedPath).into(),
        }
    }

    /// Requests that wait for an active node now.
    pub fn held_now(&self) -> usize {
        HELD_MAX.saturating_sub(self.held.available_permits())
    }

    /// # Errors
    /// Where this node must serve nothing: it is sealed, or was removed.
    pub(super) fn is_open(&self) -> Result<(), Error> {
        if self.control.is_removed() {
            return Err(Error::Unavailable(REMOVED.into()));
        }
        if self.control.barrier.is_sealed() {
            return Err(Error::Sealed);
        }
        Ok(())
    }

    /// Tries until an active node has answered the request, or its time is over. However often it
    /// is sent, the log knows it by its id.
    async fn held(&self, mut request: Request, verdict: Option<&Target>) -> Result<Reply, Error> {
        // Counts as answered once this returns.
        let number = request.known_as.is_none().then(|| self.origin.number());
        if let Some(number) = &number {
            request.known_as = Some(number.id());
        }
        let (mut place, mut doubt) = (None, Doubt::No);
        let mut roles = self.control.consensus.roles();
        loop {
            roles.mark_unchanged();
            match self.once(request, verdict).await {
                Try::Done(outcome) => return outcome,
                Try::Again(back, doubted) => {
                    request = back;
                    doubt = doubt.max(doubted);
                }
            }
            let (_, deadline) = match &place {
                Some(place) => place,
                None => {
                    let Ok(held) = self.held.try_acquire() else {
                        return Err(given_up(doubt, TOO_MANY_HELD));
                    };
                    place.insert((held, Instant::now() + HOLD_MAX))
                }
            };
            // A change of leader is worth a try at once; so is a moment later, because a new
            // leader's connections may not be up yet.
            drop(timeout(RETRY_PAUSE, roles.changed()).await);
            self.is_open()?;
            if Instant::now() >= *deadline {
                return Err(given_up(doubt, NO_LEADER));
            }
        }
    }

    async fn once(&self, request: Request, verdict: Option<&Target>) -> Try {
        match self.control.consensus.role() {
            Role::Active => {
                self.pipeline.note_finished(self.origin.id, &self.origin.finished());
                match self.handle(&request, verdict).await {
                    Err(Error::NotActive) => Try::Again(request, Doubt::No),
                    Err(Error::LeadershipLost) => Try::Again(request, Doubt::Yes),
                    outcome => Try::Done(outcome),
                }
            }
            Role::Standby(None) => Try::Again(request, Doubt::No),
            Role::Standby(Some(leader)) => self.forward(&leader, request, verdict).await,
        }
    }

    /// On the active node. What is each node's own is done as on a standby: where this node has
    /// just become active, the verdict that it asked for before is the answer that the log has.
    async fn handle(&self, request: &Request, verdict: Option<&Target>) -> Result<Reply, Error> {
        let Some(target) = verdict else { return self.pipeline.handle(request).await };
        self.pipeline.judge(request).await?;
        self.pipeline.local(request, target).await
    }

    async fn forward(&self, leader: &Leader, request: Request, verdict: Option<&Target>) -> Try {
        let system = self.pipeline.router.system(&request.path);
        let acts_outside =
            system.and_then(|target| target.found).is_some_and(|found| found.acts_outside);
        let forwarded = Forwarded {
            request,
            wanted: if verdict.is_some() { Wanted::Verdict } else { Wanted::Answer },
            remaining: FORWARD_MAX,
            hops: 1,
            finished: self.origin.finished(),
            leader_term: leader.term,
        };
        let mut roles = self.control.consensus.roles();
        let sent = self.control.consensus.forward(leader, &forwarded);
        let gone = async {
            // Whoever is gone may never answer: the connection can outlive its node.
            let replaced = |role: &Role| !matches!(role, Role::Standby(Some(now)) if (now.id, now.term) == (leader.id, leader.term));
            drop(roles.wait_for(replaced).await);
            // What acts outside is not done again: only who was asked has the answer.
            tokio::time::sleep(if acts_outside { OUTSIDE_GRACE } else { GONE_GRACE }).await;
        };
        let begun = Instant::now();
        let answered = tokio::select! {
            answered = sent => answered,
            () = gone => Err(ForwardError::Unknown("its leader was replaced".into())),
        };
        if !matches!(answered, Ok(Outcome::Answered(_))) {
            self.origin.put_back(&forwarded.finished);
        }
        histogram!("ha.rpc.client.forward").record(milliseconds(begun.elapsed()));
        if answered.is_err() {
            counter!("ha.rpc.client.forward.errors").increment(1);
        }
        let request = forwarded.request;
        match answered {
            Ok(Outcome::Answered(outcome)) => match (outcome, verdict) {
                // Allowed and audited there: it is this node that acts.
                (Ok(_), Some(target)) => Try::Done(self.pipeline.local(&request, target).await),
                (Err(Error::LeadershipLost), _) => Try::Again(request, Doubt::Yes),
                (outcome, _) => Try::Done(outcome),
            },
            Ok(Outcome::NotActive) | Err(ForwardError::NotSent(_)) => {
                Try::Again(request, Doubt::No)
            }
            Err(ForwardError::Refused(_)) => {
                // It stays so until someone unseals a node or another leads: each try is a
                // handshake, and many requests may be held.
                let mut roles = self.control.consensus.roles();
                roles.mark_unchanged();
                drop(timeout(REFUSED_PAUSE, roles.changed()).await);
                Try::Again(request, Doubt::No)
            }
            Err(ForwardError::Unknown(_)) => Try::Again(request, Doubt::Yes),
            Err(error) => Try::Done(Err(Error::internal(error))),
        }
    }

    /// Others may know of an election before the node that won it does.
    pub(super) async fn leads_soon(&self) -> bool {
        let mut roles = self.control.consensus.roles();
        let leads = roles.wait_for(|role| *role == Role::Active);
        matches!(timeout(ELECTED_WAIT, leads).await, Ok(Ok(_)))
    }

    /// What another node has forwarded.
    async fn take(&self, mut forwarded: Forwarded) -> Outcome {
        if self.is_open().is_err() || !self.leads_soon().await {
            return Outcome::NotActive;
        }
        if let Some(RequestId::Numbered { origin, .. }) = forwarded.request.known_as {
            self.pipeline.note_finished(origin, &forwarded.finished);
        }
        let from = forwarded.request.forwarded_from.take();
        forwarded.request.forwarded_from = from.map(|node| self.address_of(node));
        let (deadline, term) = (Instant::now() + forwarded.remaining, forwarded.leader_term);
        let handling = async {
            match forwarded.wanted {
                Wanted::Answer => self.pipeline.handle_in(&forwarded.request, term).await,
                Wanted::Verdict => {
                    let judged = self.pipeline.judge_in(&forwarded.request, term).await;
                    judged.map(|()| Reply::default())
                }
            }
        };
        match timeout_at(deadline, handling).await {
            Ok(Err(Error::NotActive)) => Outcome::NotActive,
            Ok(outcome) => Outcome::Answered(outcome),
            Err(_) => Outcome::Answered(Err(Error::LeadershipLost)),
        }
    }
}

impl Service {
    /// The address of a node, for audit; its id where it is no member any more.
    pub(super) fn address_of(&self, id: String) -> String {
        let members = self.control.consensus.replicated().map(|node| node.raft().configuration());
        let members = members.into_iter().flatten();
        let address = members
            .filter(|member| member.id.to_string() == id)
            .map(|member| member.info.cluster_address)
            .next();
        address.unwrap_or(id)
    }
}

/// The hold is over.
fn given_up(doubt: Doubt, text: &str) -> Error {
    match doubt {
        Doubt::No => Error::Unavailable(text.into()),
        Doubt::Yes => Error::LeadershipLost,
    }
}

/// Where the same request goes on the active node.
fn location(leader: &Leader, request: &Request) -> String {
    // Of what is listed, the slash at the end says nothing: whoever lists need not have sent it.
    let path = match request.operation {
        Operation::List => request.path.trim_end_matches('/'),
        _ => request.path.as_str(),
    };
    let mut url = format!("{}/v1/", leader.api_address);
    percent_encode(path, PATH_KEPT, &mut url);
    let mut query = Vec::new();
    if request.operation == Operation::List {
        query.push("list=true".to_owned());
    }
    if matches!(request.operation, Operation::Read | Operation::List | Operation::Delete) {
        for (name, value) in &request.params {
            // Repeated names have become a list.
            let values = value.as_array().map_or(std::slice::from_ref(value), Vec::as_slice);
            for value in values {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                let mut pair = String::new();
                percent_encode(name, UNRESERVED, &mut pair);
                pair.push('=');
                percent_encode(&value, UNRESERVED, &mut pair);
                query.push(pair);
            }
        }
    }
    if !query.is_empty() {
        url.push('?');
        url.push_str(&query.join("&"));
    }
    url
}

/// What listeners and other nodes talk to: they are bound before the node is there, because the
/// node tells others where it listens.
#[derive(Clone, Default)]
pub struct Entrance(Arc<OnceLock<Arc<Service>>>);

impl Entrance {
    /// From now on requests are served. Only the first call counts.
    pub fn open(&self, service: Arc<Service>) {
        // A second service would be a second node behind the same port.
        drop(self.0.set(service));
    }
}

impl Handler for Entrance {
    fn body_rule(&self, path: &str) -> BodyRule {
        // No deadline: it takes as long as there is state to send or to take.
        let is_snapshot = is_at(path, SNAPSHOT) || is_at(path, SNAPSHOT_FORCE);
        if is_snapshot { BodyRule::Streamed } else { BodyRule::Parameters }
    }

    fn handle(&self, request: Request, upload: Option<Upload>) -> BoxFuture<'static, Answer> {
        let service = self.0.get().cloned();
        Box::pin(async move {
            match (service, upload) {
                (Some(service), Some(upload)) if restores(&request) => {
                    Box::pin(service.restore(request, upload)).await
                }
                (Some(service), _) => service.answer(request).await,
                (None, _) => Err(Error::Unavailable("the node is starting".into())).into(),
            }
        })
    }

    fn metrics(&self, request: Request) -> BoxFuture<'static, Answer> {
        let service = self.0.get().cloned();
        Box::pin(async move {
            match service {
                Some(service) => service.open_metrics(request).await,
                None => Err(Error::Unavailable("the node is starting".into())).into(),
            }
        })
    }
}

impl ForwardHandler for Entrance {
    fn handle(&self, forwarded: Forwarded) -> BoxFuture<'static, Outcome> {
        let service = self.0.get().cloned();
        Box::pin(async move {
            match service {
                Some(service) => service.take(forwarded).await,
                None => Outcome::NotActive,
            }
        })
    }

    fn upload(&self, forwarded: Forwarded, body: BodyChunks) -> BoxFuture<'static, Outcome> {
        let service = self.0.get().cloned();
        Box::pin(async move {
            match service {
                Some(service) => service.take_upload(forwarded, body).await,
                None => Outcome::NotActive,
            }
        })
    }
}

impl Admits for Entrance {
    fn join(
        &self,
        application: Application,
        token: Secret<String>,
    ) -> BoxFuture<'static, Result<Admission, JoinRefusal>> {
        let service = self.0.get().cloned();
        Box::pin(async move {
            let service = service.ok_or(JoinRefusal::NotActive)?;
            service.admit(application, token).await
        })
    }

    fn renew(&self, node: u64, request: Bytes) -> BoxFuture<'static, Result<Renewed, JoinRefusal>> {
        let service = self.0.get().cloned();
        Box::pin(async move {
            let service = service.ok_or(JoinRefusal::NotActive)?;
            service.renew(node, request).await
        })
    }
}

/// As routes do, with a slash at its end or none.
pub(super) fn is_at(path: &str, route: &str) -> bool {
    path.strip_suffix('/').unwrap_or(path) == route
}

/// What is sent as it is logged, once the request is allowed.
const MONITOR: &str = "sys/monitor";

/// As Vault's clients send it.
const NO_FORWARDING: &str = "x-vault-no-request-forwarding";

/// Requests that wait for a leader at one time. What they hold in memory is bounded by the
/// listener.
const HELD_MAX: usize = 4096;

/// Longer than any election on a network that works.
pub(super) const HOLD_MAX: Duration = Duration::from_secs(10);

/// Of a request on the active node: as long as one may run there.
pub(super) const FORWARD_MAX: Duration = Duration::from_secs(90);

const RETRY_PAUSE: Duration = Duration::from_millis(20);

const REFUSED_PAUSE: Duration = Duration::from_millis(200);

/// For the answers of a leader that steps down, which are on their way.
pub(super) const GONE_GRACE: Duration = Duration::from_millis(10);
const OUTSIDE_GRACE: Duration = Duration::from_secs(1);

const ELECTED_WAIT: Duration = Duration::from_millis(50);

pub(super) const NO_LEADER: &str =
    "no active node: the cluster has no leader, or it cannot be reached";

const TOO_MANY_HELD: &str = "no active node, and too many requests wait for one already";

#[cfg(test)]
mod tests;

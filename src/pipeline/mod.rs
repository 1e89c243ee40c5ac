//! The one path that a request takes through the active node.

mod attempt;
mod authorize;
mod errors;
mod lease;
mod lease_quota;
mod lockout;
mod locks;
mod login;
mod measured;
mod once;
mod outside;
mod quota;
mod revocation;
mod verdict;
mod wrap;

pub use revocation::{ACT_TIME_MAX, Ended, Leases};

use std::sync::Arc;
use std::time::Duration;

use crate::audit::{Broker, Devices, PolicyResults, Record, Side};
use crate::auth::lockout::LockoutSettings;
use crate::auth::token::TokenStore;
use crate::barrier::Barrier;
use crate::clock::Clock;
use crate::framework::{Context, Needs, TtlLimits};
use crate::identity::WhoCache;
use crate::log::ReplicatedLog;
use crate::mount::MountEntry;
use crate::namespace::{self, Namespace, ROOT_PLACE, Resolved};
use crate::policy_store::AclCache;
use crate::record::{Applied, Contested, RequestId, View};
use crate::request::{Answers, Caller, Error, Operation, Question, Reply, Request};
use crate::rng::Rng;
use crate::router::{Router, Target};
use crate::txn::{Afterwards, Txn};
use errors::{guarded, log_error};
use lockout::Lockouts;
use locks::Locks;
use measured::Measured;
use once::{Once, Step};
use outside::Intention;
use tokio::time::Instant;

/// Everything between a decoded request and its reply.
pub struct Pipeline {
    pub audit: Arc<Broker>,
    pub barrier: Arc<Barrier>,
    pub clock: Arc<dyn Clock>,
    pub log: Arc<dyn ReplicatedLog>,
    pub rng: Arc<dyn Rng>,
    pub router: Arc<Router>,
    /// The system's, where a mount has none of its own.
    pub ttl: TtlLimits,
    pub leases: Leases,
    pub namespaces: namespace::Places,
    value_bytes_max: usize,
    acls: AclCache,
    limiter: quota::Limiter,
    identities: WhoCache,
    lockouts: Lockouts,
    places: lease_quota::Places,
    measured: Measured,
    once: Once,
    /// Requests that lost a record to another.
    queues: Locks<Option<Contested>>,
}

/// What the pipeline is made of.
pub struct Parts {
    pub audit: Arc<Broker>,
    pub barrier: Arc<Barrier>,
    pub clock: Arc<dyn Clock>,
    pub log: Arc<dyn ReplicatedLog>,
    pub rng: Arc<dyn Rng>,
    pub router: Arc<Router>,
    pub ttl: TtlLimits,
    /// Of each record that a request writes, before it is sealed.
    pub value_bytes_max: usize,
}

/// How one try ended.
enum Attempt {
    Done(Box<Result<Reply, Error>>),
    /// Nothing took effect: what it had read has changed.
    Conflict(Option<Contested>),
    /// Nothing took effect: too much is remembered of other requests.
    NoRoom,
    /// Nothing took effect: the handler wants to know something first.
    Outside(Question),
}

/// What is asked of a request that may run.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Asked {
    /// The handler's reply.
    Reply,
    /// Only whether it may: another node runs it.
    Verdict,
}

/// What audit is told on both sides.
#[derive(Default)]
struct Known {
    operation: Operation,
    caller: Option<Caller>,
    mount: Option<Arc<MountEntry>>,
    policies: Option<PolicyResults>,
    devices: Devices,
    is_login: bool,
    audited: bool,
    /// It had taken effect before.
    is_repeated: bool,
    /// In which it began, or is to begin.
    term: Option<u64>,
    view: Option<Arc<dyn View>>,
    /// Once quotas were asked: what the client is told of its rate.
    rate_headers: Option<quota::Headers>,
    /// The request is the last use of its token.
    spends_last: bool,
    /// What is going to be done outside.
    intention: Option<Intention>,
    /// `None`: the root namespace, or not looked at yet.
    namespace: Option<Arc<Namespace>>,
    /// The path of a namespace on the way that is locked.
    locked: Option<String>,
    /// The request as it is in its namespace, where that is another than the root.
    placed: Option<Arc<Request>>,
    /// Told once the answer was audited.
    afterwards: Vec<Afterwards>,
    /// Of a login: what it has counted.
    logs_in: lockout::Progress,
    /// What was answered outside.
    answers: Answers,
    /// Under a lease-count quota.
    place: lease_quota::OwnPlace,
}

impl Known {
    /// Notes where a request goes. What it returns is the request within its namespace; `None`
    /// where it is that already.
    fn place_in(&mut self, request: &Request, resolved: Resolved) -> Option<Arc<Request>> {
        let Resolved { namespace, path, locked } = resolved;
        self.locked = locked;
        self.placed = (!namespace.is_root()).then(|| {
            Arc::new(Request {
                namespace: namespace.path.clone(),
                namespace_id: namespace.id.clone(),
                path,
                ..request.clone()
            })
        });
        self.namespace = Some(namespace);
        self.placed.clone()
    }

    /// The namespace's part of every key.
    fn place(&self) -> String {
        self.namespace.as_ref().map_or_else(|| ROOT_PLACE.to_owned(), |of| of.place())
    }

    /// What another try finds out anew: it may find less.
    fn forget(&mut self, request: &Request) {
        self.operation = request.operation;
        self.caller = None;
        self.mount = None;
        self.policies = None;
        self.intention = None;
        self.afterwards.clear();
    }
}

impl Pipeline {
    pub fn new(parts: Parts) -> Self {
        let Parts { audit, barrier, clock, log, rng, router, ttl, value_bytes_max } = parts;
        Self {
            audit,
            barrier,
            clock,
            log,
            rng,
            router,
            ttl,
            leases: Leases::default(),
            namespaces: namespace::Places::default(),
            value_bytes_max,
            acls: AclCache::default(),
            limiter: quota::Limiter::default(),
            identities: WhoCache::default(),
            lockouts: Lockouts::default(),
            places: lease_quota::Places::default(),
            measured: Measured::default(),
            once: Once::default(),
            queues: Locks::default(),
        }
    }

    /// With what the configuration says of users who fail to log in.
    #[must_use]
    pub fn with_lockout(mut self, settings: LockoutSettings) -> Self {
        self.lockouts.settings = settings;
        self
    }

    /// Two audits, one exit. Whoever calls runs this in a task of its own, so that a client who
    /// hangs up cannot stop it between "ran" and "committed".
    ///
    /// # Errors
    /// What the caller is to be told, see [`Error`].
    pub async fn handle(&self, request: &Request) -> Result<Reply, Error> {
        self.answer(request, Asked::Reply, None).await
    }

    /// As [`Self::handle`], in this term alone: the request may have gone elsewhere since.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub async fn handle_in(&self, request: &Request, term: u64) -> Result<Reply, Error> {
        self.answer(request, Asked::Reply, Some(term)).await
    }

    async fn answer(
        &self,
        request: &Request,
        asked: Asked,
        term: Option<u64>,
    ) -> Result<Reply, Error> {
        let nothing = std::future::ready(Ok(Reply::default()));
        self.answer_after(request, asked, term, nothing).await
    }

    /// `act` is what follows a verdict.
    async fn answer_after(
        &self,
        request: &Request,
        asked: Asked,
        term: Option<u64>,
        act: impl Future<Output = Result<Reply, Error>> + Send,
    ) -> Result<Reply, Error> {
        let begun = Instant::now();
        let deadline = begun + REQUEST_TIME_MAX;
        let _turn = self.once.turn(request, deadline).await?;
        let mut known = Known { operation: request.operation, term, ..Known::default() };
        let mut place = None;
        let outcome = loop {
            // On the heap, as what follows: it is large, and whoever awaits it is larger yet.
            match guarded(Box::pin(self.attempt(request, asked, &mut known))).await {
                Ok(Attempt::Done(outcome)) => break *outcome,
                Ok(Attempt::Conflict(contested)) => {
                    self.measured.conflict();
                    // The old place is given up first: holding two could stop two requests.
                    drop(place.take());
                    match self.queues.lock(contested, deadline).await {
                        Some(joined) => place = Some(joined),
                        None => break Err(Error::Unavailable(CONTENDED.into())),
                    }
                }
                Ok(Attempt::Outside(question)) => {
                    drop(place.take());
                    if let Err(error) = ask(question, &mut known, deadline).await {
                        break Err(error);
                    }
                }
                Ok(Attempt::NoRoom) if Instant::now() < deadline => {
                    tokio::time::sleep(once::ROOM_PAUSE).await;
                }
                Ok(Attempt::NoRoom) => break Err(Error::Unavailable(once::NO_ROOM.into())),
                Err(error) => break Err(error),
            }
        };
        drop(place);
        let placed = known.placed.clone();
        let request = placed.as_deref().unwrap_or(request);
        if request.path.starts_with("sys/audit/") && outcome.is_ok() {
            self.follow_audit(&mut known).await;
        }
        let outcome = match outcome {
            Ok(_) if asked == Asked::Verdict => guarded(act).await,
            Ok(reply) => Box::pin(self.finish(reply, &known.place(), deadline)).await,
            Err(error) => Err(error),
        };
        self.measured.request(&known, begun.elapsed());
        if known.audited {
            self.record(request, &known, Side::Response(outcome.as_ref())).await?;
        }
        if outcome.is_ok() {
            known.afterwards.drain(..).for_each(|told| told.stands(self.clock.now()));
        }
        quota::with_headers(outcome.map(wrap::shown), known.rate_headers)
    }

    /// What a node answers for itself: without storage, unaudited, as in Vault.
    ///
    /// # Errors
    /// As [`Self::handle`].
    pub async fn local(&self, request: &Request, target: &Target) -> Result<Reply, Error> {
        let mut txn = Txn::without_storage(self.clock.now());
        let known = Known { operation: request.operation, ..Known::default() };
        guarded(self.run(&mut txn, request, &known, Some(target))).await
    }

    /// A transaction of the node itself, tried again where it lost to another.
    ///
    /// # Errors
    /// Where it cannot begin or commit.
    pub async fn internal<T>(
        &self,
        mut work: impl FnMut(&mut Txn) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let request = Request::default();
        for _ in 0..INTERNAL_TRIES_MAX {
            let mut txn = self.begin().await?;
            let done = work(&mut txn)?;
            if let Commit::Stands = self.commit(txn, &request, &Known::default(), NOTHING).await? {
                return Ok(done);
            }
        }
        Err(Error::Conflict)
    }

    /// Drops what is kept in memory: when leadership ends, and on seal.
    pub fn forget(&self) {
        self.router.close_all();
        self.acls.clear();
        self.identities.clear();
        self.lockouts.clear();
        self.audit.close();
        self.once.forget();
        self.limiter.clear();
        self.leases.counts.forget();
        self.namespaces.clear();
    }

    async fn run(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &Known,
        target: Option<&Target>,
    ) -> Result<Reply, Error> {
        let target = target.ok_or_else(|| Error::NoRoute(request.path.clone()))?;
        wrap::refuse_of_node(request, target)?;
        if request.operation == Operation::Help {
            let help = target.mount.help(&target.path).ok_or(Error::UnsupportedPath)?;
            return Reply::bare(&serde_json::json!({ "help": help, "see_also": null }));
        }
        let outcome = self.run_handler(txn, request, known, target).await;
        if target.found.is_some_and(|found| found.needs == Needs::Nothing) {
            return outcome;
        }
        self.wrap(txn, request, &target.entry, outcome)
    }

    async fn run_handler(
        &self,
        txn: &mut Txn,
        request: &Request,
        known: &Known,
        target: &Target,
    ) -> Result<Reply, Error> {
        let is_login = target.found.is_some_and(|found| found.login);
        let attempted = if is_login {
            self.lockouts.begin(txn, request, target, &known.logs_in)?
        } else {
            None
        };
        let prefix = target.prefix_for(known.caller.as_ref());
        let mut context = self.context(txn, &prefix, target, known.caller.as_ref(), request);
        context.answers = Some(&known.answers);
        context.intent = known.intention.as_ref().map(Intention::params);
        let params = request.params.clone();
        let handled = target.mount.handle(context, known.operation, &target.path, params).await;
        let mut reply = self.lockouts.end(txn, attempted, &known.logs_in, handled)?;
        if lease_quota::makes_lease(target, &reply) {
            self.take_place(txn, request, known, target)?;
        }
        reply = self.follow(txn, request, reply).await?;
        self.register(txn, request, known, target, &mut reply)?;
        if reply.mount_type.is_empty() {
            reply.mount_type.clone_from(&target.entry.kind);
        }
        if let Some(auth) = &mut reply.auth
            && auth.client_token.is_empty()
            && is_login
        {
            let warning = self.issue(txn, request, &target.entry, auth)?;
            reply.warnings.extend(warning);
        }
        self.mark_token(txn, known, &reply)?;
        Ok(reply)
    }

    /// Create, where the route can tell and nothing is there yet. The token is known to be good;
    /// what the policies say of it is still to be asked.
    async fn operation(
        &self,
        txn: &mut Txn,
        request: &Request,
        caller: Option<&Caller>,
        target: Option<&Target>,
    ) -> Result<Operation, Error> {
        let Some(target) = target.filter(|target| {
            request.operation == Operation::Update
                && target.found.is_some_and(|found| found.tells_create)
        }) else {
            return Ok(request.operation);
        };
        let prefix = target.prefix_for(caller);
        let context = self.context(txn, &prefix, target, caller, request);
        match target.mount.exists(context, &target.path, request.params.clone()).await {
            Ok(Some(false)) => Ok(Operation::Create),
            Ok(_) => Ok(Operation::Update),
            // What is wrong with a request is the handler's to say, once it may run.
            Err(error) if error.is_callers() => Ok(Operation::Update),
            Err(error) => Err(error),
        }
    }

    fn context<'c>(
        &'c self,
        txn: &'c mut Txn,
        prefix: &'c str,
        target: &'c Target,
        caller: Option<&'c Caller>,
        request: &'c Request,
    ) -> Context<'c> {
        Context {
            txn,
            prefix,
            namespace: target.entry.reaches_namespace().then_some(target.place.as_str()),
            rng: self.rng.as_ref(),
            mount: &target.entry,
            ttl: self.ttl.of(&target.entry.config),
            caller,
            request,
            intent: None,
            answers: None,
        }
    }

    async fn begin(&self) -> Result<Txn, Error> {
        if self.barrier.is_sealed() {
            return Err(Error::Sealed);
        }
        let point = self.log.begin().await.map_err(log_error)?;
        self.barrier.begin(point, self.clock.now())
    }

    /// `kept`: for whoever repeats the request.
    async fn commit(
        &self,
        txn: Txn,
        request: &Request,
        known: &Known,
        (step, outcome): (Step, Option<&Result<Reply, Error>>),
    ) -> Result<Commit, Error> {
        if txn.wrote_nothing() {
            return Ok(if txn.is_torn()? { Commit::Conflict(None) } else { Commit::Stands });
        }
        let batch = match txn.into_batch() {
            Ok(Some(batch)) => batch,
            Ok(None) => return Ok(Commit::Stands),
            Err(Error::Conflict) => return Ok(Commit::Conflict(None)),
            Err(error) => return Err(error),
        };
        if self.has_no_room(request, known)? {
            return Ok(Commit::NoRoom);
        }
        let repeat = self.repeat(request, step, outcome)?;
        let finished = repeat.finished.clone();
        let proposed = async {
            let entry = self.barrier.seal(batch, repeat)?;
            let begun = Instant::now();
            let applied = self.log.propose(entry).await;
            self.measured.commit(begun.elapsed());
            applied.map_err(log_error)
        };
        let proposed = proposed.await;
        if let (Err(_), Some(RequestId::Numbered { origin, .. })) = (&proposed, request.known_as) {
            // The next entry tells of them.
            self.note_finished(origin, &finished);
        }
        match proposed? {
            Applied::Committed => Ok(Commit::Stands),
            Applied::Conflict(contested) => Ok(Commit::Conflict(Some(contested))),
            Applied::Fenced => Err(Error::NotActive),
            Applied::Repeated | Applied::Forgotten => Ok(Commit::Before),
            Applied::NoRoom => Ok(Commit::NoRoom),
            Applied::Damaged => Err(Error::internal("a request is no restore")),
        }
    }

    fn check_values(&self, txn: &Txn) -> Result<(), Error> {
        let (size, limit) = (txn.largest_value_bytes(), self.value_bytes_max);
        if size <= limit {
            return Ok(());
        }
        // As in Vault: clients look for it.
        Err(Error::TooLarge(format!(
            "put failed due to value being too large; got {size} bytes, max: {limit} bytes"
        )))
    }

    async fn record(&self, request: &Request, known: &Known, side: Side<'_>) -> Result<(), Error> {
        let record = Record {
            request,
            operation: known.operation,
            caller: known.caller.as_ref(),
            mount: known.mount.as_deref(),
            policies: known.policies.as_ref(),
            is_repeated: known.is_repeated,
            side,
        };
        let begun = Instant::now();
        let is_request = matches!(record.side, Side::Request(_));
        let outcome = self.audit.write(&known.devices, &record).await;
        self.measured.audit(is_request, begun.elapsed(), outcome.is_ok());
        outcome
    }

    async fn audit_devices(&self) -> Result<Devices, Error> {
        let mut txn = self.begin().await?;
        self.audit.follow(&mut txn.scope(ROOT_CORE))
    }

    /// As in Vault, the answer to whoever enabled a device is its first record.
    async fn follow_audit(&self, known: &mut Known) {
        match self.audit_devices().await {
            Ok(devices) => known.devices = devices,
            Err(error) => {
                let error = error.case();
                tracing::warn!(error, "the next request opens the audit devices");
            }
        }
    }
}

/// What a request's token has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Spent {
    Last,
    NotLast,
}

enum Commit {
    Stands,
    Conflict(Option<Contested>),
    /// The request has taken effect before.
    Before,
    NoRoom,
}

/// Kept of what no client has asked for.
const NOTHING: (Step, Option<&Result<Reply, Error>>) = (Step::Result, None);

/// Nothing is held meanwhile: no transaction, no view, no place in a queue.
async fn ask(question: Question, known: &mut Known, deadline: Instant) -> Result<(), Error> {
    known.view = None;
    match tokio::time::timeout_at(deadline, known.answers.ask(question)).await {
        Ok(true) => Ok(()),
        Ok(false) => Err(Error::internal("a request asks too much outside")),
        Err(_) => Err(Error::Unavailable("something outside did not answer in time".into())),
    }
}

/// A token's last use ends it.
fn revoke_spent(txn: &mut Txn, spent: Spent, known: &Known) -> Result<(), Error> {
    match &known.caller {
        Some(caller) if spent == Spent::Last => {
            TokenStore::new(&mut txn.core()).revoke(&caller.token)
        }
        _ => Ok(()),
    }
}

/// Where the root namespace keeps what belongs to no mount, and what is the cluster's.
const ROOT_CORE: &str = "root/core/";

/// A transaction of the node itself that still conflicts then waits for its next turn.
const INTERNAL_TRIES_MAX: usize = 16;

/// As Vault's `max_entry_size`, where there is no setting.
pub const VALUE_BYTES_MAX: usize = 1 << 20;

/// As Vault's `default_max_request_duration`.
const REQUEST_TIME_MAX: Duration = Duration::from_secs(90);

const OUTRUN: &str = "what the request relied on has changed: try again";

const CONTENDED: &str =
    "other requests kept changing what this one had read; nothing was applied: try again";

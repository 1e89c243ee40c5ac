//! A server in one process: the real pipeline over a log in memory, with time and audit in the
//! test's hand.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use serde_json::{Map, Value};
use strongroom::audit::{AuditDevice, Broker, Record, Rules, Side, StoredDevice};
use strongroom::barrier::{Barrier, Keyring};
use strongroom::clock::{Clock, Timestamp};
use strongroom::framework::{Mount, TtlLimits};
use strongroom::log::{BoxFuture, MemoryLog, ReplicatedLog as _};
use strongroom::mount::{MountConfig, MountEntry, ROOT_NAMESPACE, Table};
use strongroom::pipeline::{Parts, Pipeline, VALUE_BYTES_MAX};
use strongroom::record::SystemKey;
use strongroom::request::{Body, Error, Operation, Params, Reply, Request};
use strongroom::rng::{Rng, SystemRng};
use strongroom::router::Router;
use strongroom::secret::Secret;
use strongroom::server::NodeProcess;
use strongroom::txn::Scope;
use strongroom::{auth, engines, sys};

pub(crate) struct Server {
    pub(crate) audit: Arc<MemoryAudit>,
    clock: Arc<ManualClock>,
    /// What the active node has of keys in its memory.
    pub(crate) keys: Arc<sys::Keys>,
    pub(crate) log: Arc<MemoryLog>,
    pub(crate) pipeline: Arc<Pipeline>,
    pub(crate) root: String,
    runtime: tokio::runtime::Runtime,
}

/// When every test's clock starts.
pub(crate) const START: Timestamp = Timestamp(1_700_000_000_000);

impl Server {
    pub(crate) fn new() -> Self {
        Self::with_mounts(Vec::new())
    }

    /// Besides what a new cluster has, mounts of the test's own making.
    pub(crate) fn with_mounts(mounts: Vec<(&'static str, Arc<dyn Mount>)>) -> Self {
        Self::made_of(mounts, Vec::new())
    }

    /// With audit devices that the configuration declares, which nobody has enabled yet.
    pub(crate) fn declaring(devices: Vec<StoredDevice>) -> Self {
        Self::made_of(Vec::new(), devices)
    }

    fn made_of(mounts: Vec<(&'static str, Arc<dyn Mount>)>, declared: Vec<StoredDevice>) -> Self {
        let audit = Arc::new(MemoryAudit::default());
        let clock = Arc::new(ManualClock(Mutex::new(START)));
        let log = Arc::new(MemoryLog::default());
        let rng: Arc<dyn Rng> = Arc::new(SystemRng);
        let barrier = Arc::new(Barrier::new(rng.clone()));
        barrier.open(Arc::new(Keyring::generate(rng.as_ref(), START)));
        let rules = Rules { may_prefix: true, declared };
        let broker = Broker::new(clock.clone(), rng.clone(), "node".into(), rules);
        let broker = Arc::new(broker);
        broker.enable(audit.clone());
        let keys = Arc::new(sys::Keys::new(barrier.clone(), Arc::new(sys::SharesOnly)));
        log.observe(strongroom::server::follow(barrier.clone()));
        let node = NoNode(NodeProcess::default(), broker.clone(), keys.clone());
        let node: sys::Node = Arc::new(node);
        let system: Arc<dyn Mount> = sys::engine().unwrap().mount(node).into();
        let entries: Vec<MountEntry> = mounts.iter().map(|(path, _)| entry(path)).collect();
        let system_for_router = system.clone();
        let open = move |entry: &MountEntry| {
            if entry.kind == "system" {
                return Some(system_for_router.clone());
            }
            let own = mounts
                .iter()
                .find(|(path, _)| *path == entry.path || self::entry(path).uuid == entry.uuid);
            if let Some((_, mount)) = own {
                return Some(mount.clone());
            }
            match entry.table {
                Table::Auth => auth::open(entry).unwrap(),
                Table::Secret => engines::open(entry).unwrap(),
            }
        };
        let router = Arc::new(Router::new(sys::system_entry(rng.as_ref()), system, Box::new(open)));
        let pipeline = Arc::new(Pipeline::new(Parts {
            audit: broker,
            barrier: barrier.clone(),
            clock: clock.clone(),
            log: log.clone(),
            rng: rng.clone(),
            router,
            ttl: TtlLimits::default(),
            value_bytes_max: VALUE_BYTES_MAX,
        }));
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let root = runtime.block_on(async {
            let mut txn = barrier.begin(log.begin().await.unwrap(), START).unwrap();
            let root = sys::write_first_records(&mut txn, rng.as_ref(), None).unwrap();
            for entry in entries {
                txn.scope(ROOT_NAMESPACE).put(&entry.table.key(&entry.path), &entry).unwrap();
            }
            let batch = txn.into_batch().unwrap().unwrap();
            let sealed = barrier.seal(batch, strongroom::barrier::Repeat::default()).unwrap();
            log.propose(sealed).await.unwrap();
            root.expose().clone()
        });
        Self { audit, clock, keys, log, pipeline, root, runtime }
    }

    /// Another mount, without `sys/mounts`.
    pub(crate) fn mount(&self, path: &str, kind: &str, options: &[(&str, &str)]) {
        let options = options.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        let entry = MountEntry { kind: kind.into(), options: options.collect(), ..entry(path) };
        self.change(ROOT_NAMESPACE, |scope| scope.put(&entry.table.key(path), &entry).unwrap());
    }

    /// Changes stored records behind the pipeline's back, in one transaction.
    pub(crate) fn change(&self, prefix: &str, change: impl FnOnce(&mut Scope<'_>)) {
        let barrier = &self.pipeline.barrier;
        self.block_on(async {
            let mut txn = barrier.begin(self.log.begin().await.unwrap(), self.now()).unwrap();
            change(&mut txn.scope(prefix));
            // A batch token is made without a write.
            let Some(batch) = txn.into_batch().unwrap() else { return };
            let sealed = barrier.seal(batch, strongroom::barrier::Repeat::default()).unwrap();
            self.log.propose(sealed).await.unwrap();
        });
    }

    /// Puts a keyring and its records in place of the first, as `sys/init` would have.
    pub(crate) fn reseal(&self, keyring: Keyring, records: [(SystemKey, bytes::Bytes); 2]) {
        let barrier = &self.pipeline.barrier;
        // The names of records are hashed by the keyring: what is there is written again.
        let rng = SystemRng;
        barrier.open(Arc::new(keyring));
        self.block_on(async {
            let mut txn = barrier.begin(self.log.begin().await.unwrap(), START).unwrap();
            let root = Secret::new(self.root.clone());
            sys::write_first_records(&mut txn, &rng, Some(root)).unwrap();
            for (key, record) in records {
                txn.put_system(key, record);
            }
            let batch = txn.into_batch().unwrap().unwrap();
            let sealed = barrier.seal(batch, strongroom::barrier::Repeat::default()).unwrap();
            self.log.propose(sealed).await.unwrap();
        });
    }

    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// What the audit log says since it was last asked, one line a record.
    pub(crate) fn audited(&self) -> Vec<String> {
        std::mem::take(&mut *self.audit.lines.lock().unwrap())
    }

    pub(crate) fn set_time(&self, seconds_since_start: u64) {
        self.timer()(seconds_since_start);
    }

    /// As [`Self::set_time`], for what happens while a request runs or later.
    pub(crate) fn timer(&self) -> impl Fn(u64) + Send + Sync + use<> {
        let clock = self.clock.clone();
        move |seconds| *clock.0.lock().unwrap() = Timestamp(START.0 + seconds * 1000)
    }

    /// Log entries so far.
    pub(crate) fn entries(&self) -> u64 {
        self.log.last_index()
    }

    /// As root.
    pub(crate) fn read(&self, path: &str) -> Result<Reply, Error> {
        self.send(Operation::Read, path, &Value::Null, &self.root)
    }

    /// As root.
    pub(crate) fn list(&self, path: &str) -> Result<Reply, Error> {
        self.send(Operation::List, path, &Value::Null, &self.root)
    }

    /// As root.
    pub(crate) fn delete(&self, path: &str) -> Result<Reply, Error> {
        self.send(Operation::Delete, path, &Value::Null, &self.root)
    }

    /// As root.
    pub(crate) fn write(&self, path: &str, params: &Value) -> Result<Reply, Error> {
        self.send(Operation::Update, path, params, &self.root)
    }

    /// An empty token is none.
    pub(crate) fn send(
        &self,
        operation: Operation,
        path: &str,
        params: &Value,
        token: &str,
    ) -> Result<Reply, Error> {
        self.runtime.block_on(self.start(operation, path, params, token))
    }

    /// As from a client at this address.
    pub(crate) fn send_from(
        &self,
        operation: Operation,
        path: &str,
        params: &Value,
        token: &str,
        remote: std::net::SocketAddr,
    ) -> Result<Reply, Error> {
        let request = Request {
            id: (&SystemRng as &dyn Rng).uuid(),
            operation,
            path: path.into(),
            params: params.as_object().cloned().unwrap_or_default(),
            token: (!token.is_empty()).then(|| Arc::new(Secret::new(token.to_owned()))),
            remote: Some(remote),
            ..Request::default()
        };
        self.block_on(self.pipeline.handle(&request))
    }

    /// For tests that run several at once.
    pub(crate) fn start(
        &self,
        operation: Operation,
        path: &str,
        params: &Value,
        token: &str,
    ) -> impl Future<Output = Result<Reply, Error>> + use<> {
        let params: Params = params.as_object().cloned().unwrap_or_default();
        let request = Request {
            id: (&SystemRng as &dyn Rng).uuid(),
            operation,
            path: path.into(),
            params,
            token: (!token.is_empty()).then(|| Arc::new(Secret::new(token.to_owned()))),
            ..Request::default()
        };
        let pipeline = self.pipeline.clone();
        async move { pipeline.handle(&request).await }
    }

    pub(crate) fn block_on<F: Future>(&self, future: F) -> F::Output {
        self.runtime.block_on(future)
    }
}

/// A reply's `data`, empty where there is none.
pub(crate) fn data(reply: Reply) -> Map<String, Value> {
    match reply.body {
        Body::Data(data) => data,
        Body::Bare(Value::Object(data)) => data,
        other => panic!("no data in {other:?}"),
    }
}

/// An outcome as one line, for tables: status, then data, warnings or the error's text. An empty
/// reply is 204 here; that HTTP makes 404 of one to a read or a list is its own matter.
pub(crate) fn line(outcome: Result<Reply, Error>) -> String {
    let (status, reply) = match outcome {
        Ok(reply) => (200, reply),
        Err(Error::NotFoundWith(reply)) => (404, *reply),
        Err(Error::NotFound) => return "404".into(),
        Err(Error::BadRequest(text)) => return format!("400 {text}"),
        Err(Error::Denied) => return "403".into(),
        Err(Error::UnsupportedOperation) => return "405".into(),
        Err(other) => return format!("error {other}"),
    };
    let mut line = match &reply.body {
        Body::Empty if reply.warnings.is_empty() => return "204".into(),
        Body::Empty => status.to_string(),
        Body::Data(data) => format!("{status} {}", serde_json::to_string(data).unwrap()),
        other => format!("{status} {other:?}"),
    };
    for warning in &reply.warnings {
        line = format!("{line} ! {warning}");
    }
    line
}

/// An auth method's path begins with `auth/`.
fn entry(path: &str) -> MountEntry {
    let (table, path) = match path.strip_prefix("auth/") {
        Some(path) => (Table::Auth, path),
        None => (Table::Secret, path),
    };
    MountEntry {
        table,
        path: path.into(),
        kind: "test".into(),
        description: String::new(),
        uuid: format!("uuid-{}", path.trim_end_matches('/')),
        accessor: format!("test_{}", path.trim_end_matches('/')),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: std::collections::BTreeMap::new(),
        config: MountConfig::default(),
        tainted: false,
    }
}

#[derive(Default)]
pub(crate) struct MemoryAudit {
    lines: Mutex<Vec<String>>,
    lines_left: Mutex<Option<usize>>,
    is_out: AtomicBool,
}

impl MemoryAudit {
    /// Takes `lines` more records, then fails.
    pub(crate) fn break_after(&self, lines: usize) {
        *self.lines_left.lock().unwrap() = Some(lines);
    }

    /// Takes no records from now on, or does again: only what a test has enabled counts then.
    pub(crate) fn step_out(&self, out: bool) {
        self.is_out.store(out, Ordering::Relaxed);
    }

    fn take(&self, line: String) -> Result<(), Error> {
        let mut left = self.lines_left.lock().unwrap();
        match left.as_mut() {
            Some(0) => return Err(Error::internal("audit device is full")),
            Some(left) => *left -= 1,
            None => {}
        }
        self.lines.lock().unwrap().push(line);
        Ok(())
    }
}

impl AuditDevice for MemoryAudit {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn takes(&self, _: &Record<'_>) -> bool {
        !self.is_out.load(Ordering::Relaxed)
    }

    fn write<'a>(&'a self, record: &'a Record<'a>) -> BoxFuture<'a, Result<(), Error>> {
        let again = if record.is_repeated { " again" } else { "" };
        let line = match &record.side {
            Side::Request(refusal) => {
                let verdict = refusal.map_or("allowed".into(), ToString::to_string);
                format!("{} {}: {verdict}{again}", record.operation.name(), record.request.path)
            }
            Side::Response(outcome) => {
                let said = outcome.as_ref().map_or_else(ToString::to_string, |_| "replied".into());
                format!("{said}{again}")
            }
        };
        Box::pin(async move { self.take(line) })
    }
}

pub(crate) struct ManualClock(Mutex<Timestamp>);

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().unwrap()
    }
}

/// What a pipeline alone has no answer to.
struct NoNode(NodeProcess, Arc<Broker>, Arc<sys::Keys>);

impl sys::NodeControl for NoNode {
    fn audit(&self) -> &Broker {
        &self.1
    }

    fn process(&self) -> &dyn sys::Process {
        &self.0
    }

    fn init(&self, _: sys::Init) -> BoxFuture<'_, Result<sys::InitReply, Error>> {
        Box::pin(async { Err(Error::bad_request("Vault is already initialized")) })
    }

    fn is_initialized(&self) -> BoxFuture<'_, Result<bool, Error>> {
        Box::pin(async { Ok(true) })
    }

    fn seal_backends(&self) -> BoxFuture<'_, Vec<sys::BackendStatus>> {
        Box::pin(async { Vec::new() })
    }

    fn keys(&self) -> &sys::Keys {
        &self.2
    }

    fn seal_status(&self) -> BoxFuture<'_, Result<sys::SealStatus, Error>> {
        Box::pin(async { Err(Error::internal("no node")) })
    }

    fn unseal(&self, _: sys::Unseal) -> BoxFuture<'_, Result<sys::SealStatus, Error>> {
        Box::pin(async { Err(Error::internal("no node")) })
    }

    fn seal(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn health(&self) -> BoxFuture<'_, Result<sys::Health, Error>> {
        Box::pin(async { Err(Error::internal("no node")) })
    }

    fn leader(&self) -> BoxFuture<'_, Result<sys::LeaderStatus, Error>> {
        Box::pin(async { Err(Error::internal("no node")) })
    }

    fn raft_configuration(&self) -> Result<(u64, Vec<sys::Peer>), Error> {
        Err(Error::internal("no node"))
    }

    fn ha_status(&self) -> Result<Vec<sys::HaNode>, Error> {
        Err(Error::internal("no node"))
    }

    fn check_snapshot(&self) -> Result<(), Error> {
        Ok(())
    }

    fn autopilot_state(
        &self,
        _: &sys::AutopilotConfiguration,
    ) -> Result<sys::AutopilotState, Error> {
        Err(Error::internal("no node"))
    }

    fn set_voter<'a>(&'a self, _: &'a str, _: bool) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }

    fn remove_peer<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<(), Error>> {
        Box::pin(async { Err(Error::internal("no node")) })
    }

    fn join(&self, _: sys::Join) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Err(Error::internal("no node")) })
    }

    fn join_token(&self) -> Result<sys::JoinToken, Error> {
        Err(Error::bad_request("no replication"))
    }

    fn challenge(&self, _: &sys::Joiner) -> Result<sys::Challenge, Error> {
        Err(Error::internal("no node"))
    }

    fn check_answer(&self, _: &sys::Answer) -> Result<(), Error> {
        Err(Error::bad_request("the answer does not fit the challenge"))
    }

    fn admit<'a>(
        &'a self,
        _: &'a sys::Answer,
        _: Secret<String>,
    ) -> BoxFuture<'a, Result<(sys::Admitted, u64, sys::NodeRecord), Error>> {
        Box::pin(async { Err(Error::internal("no node")) })
    }

    fn metrics(&self, _: sys::MetricsFormat) -> Result<Reply, Error> {
        Ok(Reply::default())
    }

    fn step_down(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Ok(()) })
    }
}

//! What a million leases cost whoever takes over: memory, the time to the first write, the
//! workers' first look; and how many a second are revoked. One node, over the state on disk.
//!
//! `cargo bench --bench lease -- [leases] [folder]` (1,000,000; the folder for temporary files).
//! With `--profile dev` the figures are some times worse, and the build is quick.

#![allow(
    clippy::disallowed_methods,
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "measures by the real clock, and prints what it measured"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;
use strongroom::audit::Broker;
use strongroom::auth;
use strongroom::auth::token::{TokenStore, mark_prefix};
use strongroom::barrier::{Barrier, Keyring};
use strongroom::clock::{Clock as _, SystemClock, Timestamp};
use strongroom::framework::{Call, Engine, Leased, Mount, Route, SecretKind, TtlLimits};
use strongroom::lease::{Force, LeaseEntry, LeaseStore};
use strongroom::log::{BoxFuture, LogError, Point, ReplicatedLog};
use strongroom::mount::{MountConfig, MountEntry, ROOT_NAMESPACE, Table};
use strongroom::pipeline::{Parts, Pipeline, VALUE_BYTES_MAX};
use strongroom::record::{Applied, Leadership, SealedBatch};
use strongroom::request::{Error, Lease, Operation, Reply, Request};
use strongroom::rng::{Rng, SystemRng};
use strongroom::router::Router;
use strongroom::secret::Secret;
use strongroom::server::{end_leases_now, end_what_is_due};
use strongroom::store::{State, StateOptions, Watermark};
use strongroom::sys::{system_entry, write_first_records};
use strongroom::txn::{Scope, Txn};

fn main() {
    // Cargo adds `--bench`.
    let mut arguments = std::env::args().skip(1).filter(|argument| !argument.starts_with("--"));
    let leases: u64 = arguments.next().map_or(1_000_000, |leases| leases.parse().unwrap());
    let folder = arguments.next().map_or_else(std::env::temp_dir, Into::into);
    let folder = tempfile::tempdir_in(folder).unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let barrier = Arc::new(Barrier::new(rng.clone()));
    barrier.open(Arc::new(Keyring::generate(rng.as_ref(), SystemClock.now())));
    let flushed = Arc::new(Watermark::unbounded());
    let options = StateOptions::default();
    let state = State::open(&folder.path().join("state"), options, flushed, Box::new(|_| {}));
    let log = Arc::new(DiskLog { state: Arc::new(state.unwrap()), last: AtomicU64::new(0) });
    let root = runtime.block_on(found(&barrier, &log));
    takeover(&runtime, &barrier, &log, &root, 0);
    let begin = Instant::now();
    runtime.block_on(load(&barrier, &log, leases));
    println!("{leases} leases written in {:?}", begin.elapsed());
    log.state.checkpoint().unwrap();
    takeover(&runtime, &barrier, &log, &root, leases);
    runtime.block_on(revoke(&barrier, &log, leases.min(20_000)));
}

/// A process's first work as leader: what it did before is nothing to it.
fn takeover(
    runtime: &tokio::runtime::Runtime,
    barrier: &Arc<Barrier>,
    log: &Arc<DiskLog>,
    root: &str,
    leases: u64,
) {
    let mut firsts = Vec::new();
    let (mut looks, mut walks) = (Vec::new(), Vec::new());
    let before = own_memory();
    for _ in 0..5 {
        let pipeline = pipeline(barrier, log);
        pipeline.forget();
        let begin = Instant::now();
        let issued = runtime.block_on(pipeline.handle(&Request {
            operation: Operation::Read,
            path: "db/creds/app".into(),
            token: Some(Arc::new(Secret::new(root.to_owned()))),
            ..Request::default()
        }));
        issued.unwrap();
        firsts.push(begin.elapsed());
        let begin = Instant::now();
        runtime.block_on(end_what_is_due(&pipeline)).unwrap();
        runtime.block_on(end_leases_now(&pipeline)).unwrap();
        looks.push(begin.elapsed());
        let begin = Instant::now();
        let walk = |txn: &mut Txn| {
            let mut walked = strongroom::lease::Walked::default();
            walked.add(&mut txn.scope(CORE))?;
            pipeline.leases.counts.set(walked);
            Ok(())
        };
        runtime.block_on(pipeline.internal(walk)).unwrap();
        walks.push(begin.elapsed());
    }
    let grown = own_memory().saturating_sub(before);
    println!(
        "takeover with {leases} leases: first write {}, workers' first look {}, count {}, memory \
         grows by {} KiB",
        range(&mut firsts),
        range(&mut looks),
        range(&mut walks),
        grown
    );
}

async fn revoke(barrier: &Arc<Barrier>, log: &Arc<DiskLog>, leases: u64) {
    let pipeline = pipeline(barrier, log);
    let mut fresh = Vec::new();
    for number in 0..leases {
        fresh.push(format!("db/creds/fresh/{number:024}"));
    }
    for ids in fresh.chunks(500) {
        write(barrier, log, |core| {
            let now = core.now();
            for id in ids {
                LeaseStore::new(core).register(ACCESSOR, id, entry(now, 3600)).unwrap();
            }
        })
        .await;
    }
    let begin = Instant::now();
    write(barrier, log, |core| {
        mark_prefix(core, "job", "db/creds/fresh/", Force::No).unwrap();
    })
    .await;
    let step = |txn: &mut Txn| TokenStore::new(&mut txn.scope(CORE)).work_off_prefix("job");
    while pipeline.internal(step).await.unwrap() {}
    println!("{leases} leases found and marked in {:?}", begin.elapsed());
    let begin = Instant::now();
    end_leases_now(&pipeline).await.unwrap();
    let rate = leases as f64 / begin.elapsed().as_secs_f64();
    println!("{rate:.0} leases revoked a second, each an act and an entry of its own");
}

async fn found(barrier: &Arc<Barrier>, log: &Arc<DiskLog>) -> String {
    let mut txn = barrier.begin(log.begin().await.unwrap(), SystemClock.now()).unwrap();
    let root = write_first_records(&mut txn, &SystemRng, None).unwrap();
    let mount = MountEntry {
        table: Table::Secret,
        path: "db/".into(),
        kind: "bench".into(),
        description: String::new(),
        uuid: "db".into(),
        accessor: ACCESSOR.into(),
        local: false,
        seal_wrap: false,
        external_entropy_access: false,
        options: std::collections::BTreeMap::new(),
        config: MountConfig::default(),
        tainted: false,
    };
    txn.scope(ROOT_NAMESPACE).put(&mount.table.key(&mount.path), &mount).unwrap();
    commit(barrier, log, txn).await;
    root.expose().clone()
}

/// Over the 32 days that a lease may live, and a thousand tokens.
async fn load(barrier: &Arc<Barrier>, log: &Arc<DiskLog>, leases: u64) {
    for first in (0..leases).step_by(500) {
        write(barrier, log, |core| {
            let now = core.now();
            for number in first..leases.min(first + 500) {
                let id = format!("db/creds/app/{number:024}");
                let seconds = 3600 + number.wrapping_mul(7919) % 2_700_000;
                let token = format!("h{:064}", number % 1000);
                let entry = LeaseEntry { token, ..entry(now, seconds) };
                LeaseStore::new(core).register(ACCESSOR, &id, entry).unwrap();
            }
        })
        .await;
        // As raft does.
        if first % 100_000 == 0 {
            log.state.checkpoint().unwrap();
        }
    }
}

fn entry(now: Timestamp, seconds: u64) -> LeaseEntry {
    let internal = json!({ "username": "v-token-app-0123456789abcdefghij-1700000000" });
    LeaseEntry {
        kind: "user".into(),
        internal: internal.as_object().cloned().unwrap(),
        issued: now,
        expires: now.plus(Duration::from_secs(seconds)),
        ttl: seconds,
        renewable: true,
        acts: true,
        ..LeaseEntry::default()
    }
}

async fn write(barrier: &Arc<Barrier>, log: &Arc<DiskLog>, change: impl FnOnce(&mut Scope<'_>)) {
    let mut txn = barrier.begin(log.begin().await.unwrap(), SystemClock.now()).unwrap();
    change(&mut txn.scope(CORE));
    commit(barrier, log, txn).await;
}

async fn commit(barrier: &Arc<Barrier>, log: &Arc<DiskLog>, txn: Txn) {
    let batch = txn.into_batch().unwrap().unwrap();
    let sealed = barrier.seal(batch, strongroom::barrier::Repeat::default()).unwrap();
    assert_eq!(log.propose(sealed).await.unwrap(), Applied::Committed);
}

fn pipeline(barrier: &Arc<Barrier>, log: &Arc<DiskLog>) -> Pipeline {
    let rng: Arc<dyn Rng> = Arc::new(SystemRng);
    let system: Arc<dyn Mount> = engine();
    let open = |entry: &MountEntry| match entry.table {
        Table::Auth => auth::open(entry).unwrap(),
        Table::Secret => Some(engine()),
    };
    Pipeline::new(Parts {
        audit: Arc::new(Broker::default()),
        barrier: barrier.clone(),
        clock: Arc::new(SystemClock),
        log: log.clone(),
        rng: rng.clone(),
        router: Arc::new(Router::new(system_entry(rng.as_ref()), system, Box::new(open))),
        ttl: TtlLimits::default(),
        value_bytes_max: VALUE_BYTES_MAX,
    })
}

/// Its backend answers at once.
fn engine() -> Arc<dyn Mount> {
    let routes = [Route::new("creds/{role}", "A user.").read(issue)];
    let user = SecretKind::new("user").revoke(end);
    Engine::new("bench", "", routes).unwrap().secret(user).mount(()).into()
}

#[derive(Deserialize, JsonSchema)]
struct Role {
    role: String,
}

async fn issue(_: &mut Call<'_>, input: Role) -> Result<Reply, Error> {
    let lease = Lease::of("user", &json!({ "username": input.role }))?;
    Ok(Reply { lease: Some(lease), ..Reply::of(&json!({ "username": input.role }))? })
}

async fn end(_: &mut Call<'_>, _: Leased<serde_json::Value>) -> Result<(), Error> {
    Ok(())
}

/// The state that nodes have on disk, without raft in front of it.
struct DiskLog {
    state: Arc<State>,
    last: AtomicU64,
}

impl ReplicatedLog for DiskLog {
    fn begin(&self) -> BoxFuture<'_, Result<Point, LogError>> {
        let point = Point { leadership: LEADERSHIP, view: self.state.clone() };
        Box::pin(async move { Ok(point) })
    }

    fn propose(&self, entry: Bytes) -> BoxFuture<'_, Result<Applied, LogError>> {
        let (batch, _, _) = SealedBatch::decode_entry(entry).unwrap();
        let index = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        let applied = self.state.apply(index, LEADERSHIP, &batch).unwrap();
        Box::pin(async move { Ok(applied) })
    }
}

fn range(times: &mut [Duration]) -> String {
    times.sort();
    format!("{:.1?} to {:.1?}", times.first().unwrap(), times.last().unwrap())
}

/// Without what is mapped from files, in KiB.
fn own_memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

const ACCESSOR: &str = "bench_1";

const CORE: &str = "root/core/";

const LEADERSHIP: Leadership = Leadership { term: 1, node: 1 };

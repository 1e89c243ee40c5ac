use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use openraft::testing::log::{StoreBuilder, Suite};
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};

use super::state_machine::StateMachine;
use super::*;
use crate::clock::Timestamp;
use crate::record::{Ciphertext, Header, Leadership, SealedBatch, StoredKey, Write};
use crate::store::{Disk, LogOptions, SegmentLog, StateOptions};

struct InMemory;

impl StoreBuilder<TypeConfig, MemoryLogStore, StateMachine> for InMemory {
    async fn build(
        &self,
    ) -> Result<((), MemoryLogStore, StateMachine), openraft::StorageError<TypeConfig>> {
        let state = Arc::new(MemoryStateStore::default());
        let machine = StateMachine::new(state, Arc::new(NoObserver)).unwrap();
        Ok(((), MemoryLogStore::default(), machine))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn memory_stores_pass_openrafts_suite() {
    Suite::test_all(InMemory).await.unwrap();
}

struct OnDisk;

impl StoreBuilder<TypeConfig, DiskLogStore, StateMachine, TempDir> for OnDisk {
    async fn build(
        &self,
    ) -> Result<(TempDir, DiskLogStore, StateMachine), openraft::StorageError<TypeConfig>> {
        let folder = tempfile::tempdir().unwrap();
        let log = DiskLogStore::new(disk_log(folder.path()));
        // The suite applies entries with gaps between them, which the state on disk refuses.
        let state = Arc::new(MemoryStateStore::default());
        let machine = StateMachine::new(state, Arc::new(NoObserver)).unwrap();
        Ok((folder, log, machine))
    }
}

fn disk_log(folder: &Path) -> SegmentLog {
    let options = LogOptions { segment_bytes: 40 << 20, ..LogOptions::default() };
    SegmentLog::open(Arc::new(Disk), &folder.join("log"), options).unwrap()
}

fn state_options() -> StateOptions {
    StateOptions { map_bytes: 1 << 30, ..StateOptions::default() }
}

/// Log and state below the folder.
fn on_disk(folder: &Path) -> (DiskLogStore, Arc<DiskStateStore>) {
    let log = disk_log(folder);
    let [state, exchange] = ["state", "exchange"].map(|name| folder.join(name));
    let state = DiskStateStore::open(&state, &exchange, state_options(), &log).unwrap();
    (DiskLogStore::new(log), Arc::new(state))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_log_on_disk_passes_openrafts_suite() {
    Suite::test_all(OnDisk).await.unwrap();
}

struct NoPeers;

impl Peers for NoPeers {
    fn channel(&self, _: u64, _: &NodeInfo, _: Lane) -> Channel {
        Endpoint::from_static("http://[::1]:1").connect_lazy()
    }
}

#[tokio::test]
async fn entries_are_asked_for_before_a_node_that_refuses_connections_is_called() {
    // The wait between two attempts is in the asking: a call that fails without would spin.
    use std::sync::atomic::{AtomicBool, Ordering};

    use openraft::network::{RPCOption, RaftNetworkFactory as _, RaftNetworkV2 as _};
    let mut network = Network {
        id: 7,
        peers: Arc::new(NoPeers),
        statuses: Arc::default(),
        backoff: Vec::new(),
        snapshot_timeout: DEADLINE,
    };
    let mut connection = network.new_client(8, &NodeInfo::default()).await;
    let asked = Arc::new(AtomicBool::new(false));
    let asking = asked.clone();
    let requests = futures_util::stream::once(async move {
        asking.store(true, Ordering::Relaxed);
        openraft::raft::AppendEntriesRequest {
            vote: openraft::Vote::new_committed(1, 7),
            prev_log_id: None,
            entries: Vec::new(),
            leader_commit: None,
        }
    });
    let answers = connection.stream_append(Box::pin(requests), RPCOption::new(DEADLINE)).await;
    assert!(answers.is_err(), "nobody is there");
    drop(answers);
    assert!(asked.load(Ordering::Relaxed));
    let nothing = Box::pin(futures_util::stream::empty());
    assert!(connection.stream_append(nothing, RPCOption::new(DEADLINE)).await.is_ok(), "no call");
}

/// A node alone, which leads.
async fn alone(log: impl RaftLogStorage<TypeConfig>, state: Arc<dyn StateStore>) -> Arc<RaftLog> {
    let options = Options { timing: Timing::new(Profile::Fast, 1), ..Options::default() };
    let peers = Arc::new(NoPeers);
    let parts = Parts { id: 7, log, state, observer: Arc::new(NoObserver), peers, options };
    RaftLog::start(parts).await.unwrap()
}

#[tokio::test]
async fn a_start_that_is_given_up_ends_in_order() {
    use futures_util::FutureExt as _;
    let folder = tempfile::tempdir().unwrap();
    let (log, state) = on_disk(folder.path());
    drop(alone(log, state).now_or_never());
}

async fn leads(log: &RaftLog) -> Leader {
    let mut leader = log.leader();
    let leader = leader.wait_for(|leader| leader.as_ref().is_some_and(|now| now.id == log.id()));
    tokio::time::timeout(DEADLINE, leader).await.expect("leads in time").unwrap().clone().unwrap()
}

/// A batch that writes one record.
pub(crate) fn put(leadership: Leadership, key: u8, value: &[u8]) -> Bytes {
    let value = Ciphertext::from_sealed(Bytes::copy_from_slice(value));
    let batch = SealedBatch {
        header: Header {
            leadership,
            time: Timestamp(1),
            request: None,
            step: 0,
            finished: Vec::new(),
        },
        reads: vec![],
        directories: vec![],
        occupied: vec![],
        writes: vec![Write { key: StoredKey([key; 32]), value: Some(value) }],
        system_reads: vec![],
        system_writes: vec![],
        response: None,
        restore: None,
    };
    SealedBatch::entry(batch.version(), batch.encode(), Bytes::from_static(b"mac"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_alone_commits_and_finds_all_again_after_a_restart() {
    let log = MemoryLogStore::default();
    let node = alone(log.clone(), Arc::new(MemoryStateStore::default())).await;
    writes_one(node).await;
    finds_one(alone(log, Arc::new(MemoryStateStore::default())).await).await;

    let folder = tempfile::tempdir().unwrap();
    let (log, state) = on_disk(folder.path());
    writes_one(alone(log, state).await).await;
    for _ in 0..2 {
        let (log, state) = opened_again(folder.path()).await;
        finds_one(alone(log, state).await).await;
    }
}

/// Waits until the node before has let go of the folder.
pub(crate) async fn opened_again(folder: &Path) -> (DiskLogStore, Arc<DiskStateStore>) {
    let free = async {
        loop {
            let options = LogOptions { segment_bytes: 40 << 20, ..LogOptions::default() };
            match SegmentLog::open(Arc::new(Disk), &folder.join("log"), options) {
                Ok(log) => drop(log),
                Err(crate::store::Error::Locked(_)) => {
                    tokio::task::yield_now().await;
                    continue;
                }
                Err(error) => panic!("{error}"),
            }
            return;
        }
    };
    tokio::time::timeout(DEADLINE, free).await.expect("the folder is free in time");
    on_disk(folder)
}

async fn writes_one(node: Arc<RaftLog>) {
    assert!(!node.is_initialized().await.unwrap());
    node.initialize(BTreeMap::from([(7, NodeInfo::default())])).await.unwrap();
    let again = node.initialize(BTreeMap::from([(7, NodeInfo::default())])).await;
    assert!(matches!(again, Err(InitError::NotPristine)), "{again:?}");
    leads(&node).await;
    let point = node.begin().await.unwrap();
    let applied = node.propose(put(point.leadership, 1, b"one")).await.unwrap();
    assert_eq!(applied, Applied::Committed);
    let stale = Leadership { term: 0, node: 7 };
    assert_eq!(node.propose(put(stale, 2, b"two")).await.unwrap(), Applied::Fenced);
    node.shutdown().await;
}

async fn finds_one(node: Arc<RaftLog>) {
    let refused = node.begin().await;
    assert!(matches!(refused, Err(LogError::NotLeader)), "it leads only once elected");
    node.set_candidate(true);
    let leader = leads(&node).await;
    let point = node.begin().await.unwrap();
    assert_eq!(point.leadership, leader.leadership);
    let record = point.view.get(&StoredKey([1; 32])).unwrap().unwrap();
    assert_eq!(record.value.as_bytes().as_ref(), b"one");
    assert!(point.view.get(&StoredKey([2; 32])).unwrap().is_none());
    node.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sealed_node_alone_leads_as_caretaker_after_a_while() {
    let log = MemoryLogStore::default();
    let node = alone(log.clone(), Arc::new(MemoryStateStore::default())).await;
    node.initialize(BTreeMap::from([(7, NodeInfo::default())])).await.unwrap();
    leads(&node).await;
    node.shutdown().await;
    drop(node);

    let node = alone(log, Arc::new(MemoryStateStore::default())).await;
    let started = Instant::now();
    leads(&node).await;
    let timing = Timing::new(Profile::Fast, 1);
    assert!(started.elapsed() >= timing.caretaker_after(), "{:?}", started.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn writes_are_refused_where_they_are_too_large_or_the_disk_is_full() {
    let node = alone(MemoryLogStore::default(), Arc::new(MemoryStateStore::default())).await;
    node.initialize(BTreeMap::from([(7, NodeInfo::default())])).await.unwrap();
    leads(&node).await;
    let point = node.begin().await.unwrap();
    let large = node.propose(put(point.leadership, 1, &vec![0; 9 * 1024 * 1024])).await;
    assert!(matches!(large, Err(LogError::TooLarge { limit: 8_388_608, .. })), "{large:?}");
    node.set_disk_low(true);
    let full = node.propose(put(point.leadership, 1, b"one")).await;
    assert!(matches!(full, Err(LogError::DiskFull)), "{full:?}");
    node.begin().await.expect("reads go on");
    node.set_disk_low(false);
    node.propose(put(point.leadership, 1, b"one")).await.unwrap();
}

#[test]
fn timers_multiply_and_are_valid() {
    for (profile, multiplier, heartbeat, election_max) in [
        (Profile::Lan, 0, 50, 300),
        (Profile::Lan, 1, 50, 300),
        (Profile::Lan, 5, 250, 1500),
        (Profile::Fast, 1, 20, 100),
        (Profile::Wan, 2, 1000, 6000),
    ] {
        let timing = Timing::new(profile, multiplier);
        assert_eq!(timing.heartbeat, Duration::from_millis(heartbeat), "{profile:?}");
        assert_eq!(timing.election_max, Duration::from_millis(election_max), "{profile:?}");
        Options { timing, ..Options::default() }.raft().unwrap();
    }
}

const DEADLINE: Duration = Duration::from_secs(20);

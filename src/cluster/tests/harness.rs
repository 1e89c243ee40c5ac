//! Nodes in this process, over real TLS on ports that the system chooses.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use futures_util::StreamExt as _;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::watch;

use crate::clock::{Clock as _, SystemClock};
use crate::cluster::*;
use crate::log::{BoxFuture, ReplicatedLog as _};
use crate::raft::tests::opened_again;
pub(super) use crate::raft::tests::put as entry;
use crate::raft::*;
use crate::record::{Applied, Record, StoredKey};
use crate::request::{Body, Error, Reply};
use crate::rng::SystemRng;
use crate::secret::Secret;

pub(super) const CLUSTER: &str = "3f1c";
pub(super) const DEADLINE: Duration = Duration::from_secs(30);

pub(super) struct World {
    pub(super) authority: Authority,
    folder: TempDir,
    pub(super) options: Options,
    /// Where nodes keep log and state, or in memory.
    pub(super) on_disk: bool,
    pub(super) nodes: BTreeMap<&'static str, Node>,
}

pub(super) struct Node {
    pub(super) raft: Arc<RaftLog>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) info: NodeInfo,
    pub(super) cut: Arc<Cut>,
    pub(super) key: Arc<Key>,
    /// Forwarded requests that have arrived.
    pub(super) handled: watch::Sender<u32>,
    log: MemoryLogStore,
    stop: watch::Sender<bool>,
    server: tokio::task::JoinHandle<()>,
}

/// Nodes that are refused: removed ones, or those beyond a cut in the network.
#[derive(Default)]
pub(super) struct Cut(pub(super) Mutex<BTreeSet<u64>>);

impl RemovedNodes for Cut {
    fn is_removed(&self, node: u64) -> bool {
        self.0.lock().unwrap().contains(&node)
    }
}

/// Unsealed where there is a key.
pub(super) struct Key(pub(super) Mutex<Option<u8>>);

impl UnsealedProof for Key {
    fn prove(&self, exporter: &[u8; 32], role: Role, ends: Ends) -> Option<[u8; 32]> {
        use sha2::Digest as _;
        let key = (*self.0.lock().unwrap())?;
        let role = u8::from(role == Role::Listener);
        let text = [&[key, role], &exporter[..]].concat();
        let ends = [ends.dialler.to_be_bytes(), ends.listener.to_be_bytes()].concat();
        Some(sha2::Sha256::digest([text, ends].concat()).into())
    }

    fn verify(&self, exporter: &[u8; 32], role: Role, ends: Ends, mac: &[u8; 32]) -> bool {
        self.prove(exporter, role, ends).is_some_and(|own| own == *mac)
    }
}

/// Admits whoever has the token.
struct Gate {
    authority: Arc<Authority>,
}

impl Gate {
    fn issue(&self, node: u64, request: &[u8]) -> Renewed {
        let name = NodeName { cluster: CLUSTER.into(), node };
        let certificate = self.authority.issue(request, &name, SystemClock.now(), &SystemRng);
        let authorities = vec![self.authority.certificate().clone()];
        Renewed { certificate: certificate.unwrap(), authorities }
    }
}

impl Admits for Gate {
    fn join(
        &self,
        application: Application,
        token: Secret<String>,
    ) -> BoxFuture<'static, Result<Admission, JoinRefusal>> {
        let Renewed { certificate, authorities } = self.issue(application.id, &application.request);
        let members = vec![(application.id, application.info)];
        let admission = Admission { cluster: CLUSTER.into(), certificate, authorities, members };
        let admitted =
            if token.matches(b"token") { Ok(admission) } else { Err(JoinRefusal::Token) };
        Box::pin(async move { admitted })
    }

    fn renew(&self, node: u64, request: Bytes) -> BoxFuture<'static, Result<Renewed, JoinRefusal>> {
        let renewed = self.issue(node, &request);
        Box::pin(async move { Ok(renewed) })
    }
}

/// Answers with the path, or never.
struct Echo(watch::Sender<u32>);

impl ForwardHandler for Echo {
    /// Answers with the length of the body, as an error.
    fn upload(&self, forwarded: Forwarded, mut body: BodyChunks) -> BoxFuture<'static, Outcome> {
        let handled = self.handle(forwarded);
        Box::pin(async move {
            let mut length = 0;
            while let Some(chunk) = body.next().await {
                match chunk {
                    Ok(chunk) => length += chunk.len(),
                    Err(_) => return Outcome::Answered(Err(Error::bad_request("broken off"))),
                }
            }
            match handled.await {
                Outcome::Answered(Ok(_)) => {
                    Outcome::Answered(Err(Error::BadRequest(length.to_string())))
                }
                other => other,
            }
        })
    }

    fn handle(&self, forwarded: Forwarded) -> BoxFuture<'static, Outcome> {
        self.0.send_modify(|count| *count += 1);
        Box::pin(async move {
            match forwarded.request.path.as_str() {
                "wait" => std::future::pending().await,
                "standby" => Outcome::NotActive,
                path => {
                    let body = Body::Bare(path.into());
                    Outcome::Answered(Ok(Reply { body, ..Reply::default() }))
                }
            }
        })
    }
}

impl World {
    pub(super) fn new(profile: Profile) -> Self {
        let authority = Authority::generate(CLUSTER, SystemClock.now(), &SystemRng).unwrap();
        let options = Options { timing: Timing::new(profile, 1), ..Options::default() };
        let folder = tempfile::tempdir().unwrap();
        Self { authority, folder, options, on_disk: false, nodes: BTreeMap::new() }
    }

    /// A cluster of unsealed voters; `a` leads.
    pub(super) async fn of(names: &[&'static str], options: Options) -> Self {
        Self::with(names, options, false).await
    }

    /// As [`Self::of`].
    pub(super) async fn with(names: &[&'static str], options: Options, on_disk: bool) -> Self {
        let mut world = Self::new(Profile::Lan);
        world.options = options;
        world.on_disk = on_disk;
        for name in names {
            world.start(name).await;
        }
        world.node("a").raft.set_candidate(true);
        let members = BTreeMap::from([(world.id("a"), world.node("a").info.clone())]);
        world.node("a").raft.initialize(members).await.unwrap();
        world.leader(|leader| leader == "a").await;
        for name in &names[1..] {
            world.join(name).await;
        }
        for name in names {
            world.node(name).raft.set_candidate(true);
        }
        world
    }

    pub(super) async fn join(&self, name: &str) {
        let (leader, node) = (self.leader(|_| true).await, self.node(name));
        let raft = &self.node(leader).raft;
        raft.add_learner(node.raft.id(), node.info.clone()).await.unwrap();
        raft.promote(node.raft.id(), None, DEADLINE).await.unwrap();
    }

    pub(super) fn identity(&self, name: &str) -> Arc<Identity> {
        let folder = self.folder.path().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        Arc::new(Identity::open(&folder, &SystemRng).unwrap())
    }

    pub(super) fn issue(&self, identity: &Identity, authority: &Authority) {
        let name = NodeName { cluster: CLUSTER.into(), node: identity.id() };
        let request = identity.request().unwrap();
        let certificate = authority.issue(&request, &name, SystemClock.now(), &SystemRng).unwrap();
        identity.install(certificate, vec![self.authority.certificate().clone()]).unwrap();
    }

    pub(super) async fn start(&mut self, name: &'static str) {
        let identity = self.identity(name);
        self.issue(&identity, &self.authority);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.run(name, identity, listener, MemoryLogStore::default()).await;
    }

    async fn run(
        &mut self,
        name: &'static str,
        identity: Arc<Identity>,
        listener: TcpListener,
        log: MemoryLogStore,
    ) {
        let info = NodeInfo {
            name: name.into(),
            cluster_address: listener.local_addr().unwrap().to_string(),
            api_address: format!("https://{name}:8200"),
        };
        let cut = Arc::new(Cut::default());
        let key = Arc::new(Key(Mutex::new(Some(1))));
        let timing = self.options.timing;
        let cluster = Cluster::new(identity.clone(), key.clone(), cut.clone(), &timing).unwrap();
        let cluster = Arc::new(cluster);
        let id = identity.id();
        let peers = cluster.peers();
        let (raft, state) = if self.on_disk {
            let (log, state) = opened_again(&self.folder.path().join(name)).await;
            (self.raft(id, log, state.clone(), peers).await, state as Arc<dyn StateStore>)
        } else {
            let state = Arc::new(MemoryStateStore::default());
            (self.raft(id, log.clone(), state.clone(), peers).await, state as Arc<dyn StateStore>)
        };
        let (stop, stopping) = watch::channel(false);
        let handled = watch::Sender::new(0);
        let services = Services {
            raft: raft.service(),
            forward: Arc::new(Echo(handled.clone())),
            admits: Some(Arc::new(Gate {
                authority: Authority::from_pem(
                    &self.authority.certificate_pem(),
                    &self.authority.key_pem(),
                )
                .unwrap()
                .into(),
            })),
            applied: raft.applied(),
            requests: Handle::current(),
        };
        let serving = cluster.clone();
        // On raft's own runtime, whose sockets are not this one's.
        let listener = listener.into_std().unwrap();
        let server = raft.runtime().unwrap().spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            serving.serve(listener, services, stopping).await;
        });
        let node = Node { raft, cluster, state, info, cut, key, handled, log, stop, server };
        self.nodes.insert(name, node);
    }

    async fn raft<L: openraft::storage::RaftLogStorage<TypeConfig>>(
        &self,
        id: u64,
        log: L,
        state: Arc<dyn StateStore>,
        peers: Arc<dyn Peers>,
    ) -> Arc<RaftLog> {
        let (observer, options) = (Arc::new(NoObserver), self.options.clone());
        let parts = Parts { id, log, state, observer, peers, options };
        RaftLog::start(parts).await.unwrap()
    }

    pub(super) fn node(&self, name: &str) -> &Node {
        &self.nodes[name]
    }

    pub(super) fn id(&self, name: &str) -> u64 {
        self.node(name).raft.id()
    }

    fn name(&self, id: u64) -> Option<&'static str> {
        self.nodes.iter().find(|(_, node)| node.raft.id() == id).map(|(name, _)| *name)
    }

    /// The node drops dead: raft and connections end at once.
    pub(super) fn kill(&mut self, name: &str) -> (MemoryLogStore, String) {
        let node = self.nodes.remove(name).unwrap();
        (node.log.clone(), node.info.cluster_address.clone())
    }

    pub(super) async fn restart(&mut self, name: &'static str) {
        let node = self.nodes.remove(name).unwrap();
        node.raft.shutdown().await;
        node.stop.send_replace(true);
        node.server.await.unwrap();
        let (log, address) = (node.log, node.info.cluster_address);
        // Whoever holds the state holds the folder.
        drop((node.raft, node.state));
        let identity = self.identity(name);
        let listener = TcpListener::bind(address).await.unwrap();
        self.run(name, identity, listener, log).await;
    }

    /// Cuts the nodes off from all others, or lets them back.
    pub(super) fn cut(&self, name: &str, apart: bool) {
        let (alone, id) = (self.node(name), self.id(name));
        for (other, node) in &self.nodes {
            if *other == name {
                continue;
            }
            let other = node.raft.id();
            for (node, beyond) in [(node, id), (alone, other)] {
                if apart {
                    node.cut.0.lock().unwrap().insert(beyond);
                    node.cluster.close_node(beyond);
                } else {
                    node.cut.0.lock().unwrap().remove(&beyond);
                }
            }
        }
    }

    /// Cuts two nodes off from each other.
    pub(super) fn part(&self, one: &str, other: &str) {
        self.bar(one, other);
        self.bar(other, one);
    }

    /// `one` neither hears nor reaches `other` any more.
    pub(super) fn bar(&self, one: &str, other: &str) {
        let (node, beyond) = (self.node(one), self.id(other));
        node.cut.0.lock().unwrap().insert(beyond);
        node.cluster.close_node(beyond);
    }

    /// The name of the node that leads and says so itself, once it is one that is wanted.
    pub(super) async fn leader(&self, wanted: impl Fn(&str) -> bool) -> &'static str {
        let watches = self.nodes.values().map(|node| (node.raft.id(), node.raft.leader()));
        let mut waiting: Vec<_> = watches.collect();
        let found = async {
            loop {
                for (id, leader) in &mut waiting {
                    let leads = leader.borrow_and_update().as_ref().is_some_and(|l| l.id == *id);
                    if leads
                        && let Some(name) = self.name(*id)
                        && wanted(name)
                    {
                        return name;
                    }
                }
                let changes = waiting.iter_mut().map(|(_, leader)| Box::pin(leader.changed()));
                drop(futures_util::future::select_all(changes).await);
            }
        };
        within(found, "a leader").await
    }

    /// Writes on the leader, whoever it is then; gives the index.
    pub(super) async fn put(&self, key: u8, value: &[u8]) {
        self.put_through(|_| true, key, value).await;
    }

    /// As [`Self::put`], on a leader that is wanted.
    pub(super) async fn put_through(&self, wanted: impl Fn(&str) -> bool, key: u8, value: &[u8]) {
        let write = async {
            loop {
                let leader = self.leader(&wanted).await;
                let raft = &self.node(leader).raft;
                let Ok(point) = raft.begin().await else { continue };
                match raft.propose(entry(point.leadership, key, value)).await {
                    Ok(Applied::Committed) => return,
                    Ok(Applied::Fenced) | Err(_) => {}
                    Ok(other) => panic!("{other:?}"),
                }
            }
        };
        within(write, "a write").await;
    }

    /// Waits until the node holds what was written.
    pub(super) async fn holds(&self, name: &str, key: u8, value: &[u8]) {
        let node = self.node(name);
        let mut applied = node.raft.applied();
        let held = async {
            loop {
                applied.borrow_and_update();
                if node.get(key).is_some_and(|record| record.value.as_bytes() == value) {
                    return;
                }
                applied.changed().await.unwrap();
            }
        };
        within(held, &format!("`{name}` has {key}")).await;
    }
}

impl Node {
    pub(super) fn get(&self, key: u8) -> Option<Record> {
        self.state.view().get(&StoredKey([key; 32])).unwrap()
    }
}

pub(super) async fn within<T>(future: impl Future<Output = T>, what: &str) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("in time: {what}"))
}

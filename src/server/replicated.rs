//! A node among others: its files, its raft, its connections.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::net::SocketAddr;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use prost::Message as _;
use tokio::net::TcpListener;
use tokio::sync::watch;

use super::backup::Backups;
use super::consensus::{Consensus, Founded, Leader, Progress, Role};
use super::founding::Marks;
use super::observer::{Observer, heed};
use super::plain;
use super::recovery::recover;
use super::restore::Restores;
use super::standing::Standing;
use super::succession::watch_leader;
use crate::barrier::{Barrier, ProofRole};
use crate::clock::Clock;
use crate::cluster::{
    self, Admits, BodyChunks, Cluster, Ends, ForwardError, ForwardHandler, Forwarded, Identity,
    Outcome, RemovedNodes, Services, UnsealedProof,
};
use crate::log::{BoxFuture, ReplicatedLog};
use crate::proto::system as wire;
use crate::raft::{DiskLogStore, DiskStateStore, NodeInfo, Options, Parts, RaftLog, StateStore};
use crate::record::{Leadership, SystemKey, View};
use crate::request::Error;
use crate::rng::Rng;
use crate::store::{self, Disk, DiskSpace, Free, LogOptions, SegmentLog, StateOptions, Vfs};

/// What a replicated node is made of.
pub struct Replication {
    pub barrier: Arc<Barrier>,
    pub clock: Arc<dyn Clock>,
    pub rng: Arc<dyn Rng>,
    /// The data folder; made if it is missing.
    pub path: PathBuf,
    /// `node_id`; made of the raft id where it is empty.
    pub name: String,
    pub api_address: String,
    /// Where the cluster's port is bound.
    pub cluster_listen: SocketAddr,
    /// Where the others reach it, `host:port`; port 0 becomes the one that was given.
    pub cluster_address: String,
    pub options: Options,
    pub state: StateOptions,
    /// Takes what other nodes forward.
    pub requests: Arc<dyn ForwardHandler>,
    /// Decides who joins by token, and renews certificates.
    pub admits: Arc<dyn Admits>,
}

/// What follows when the node is opened or closed.
fn standing(
    raft: &Arc<RaftLog>,
    cluster: &Arc<Cluster>,
    barrier: &Arc<Barrier>,
    marks: &Marks,
) -> Arc<Standing> {
    let (raft, cluster) = (Arc::downgrade(raft), cluster.clone());
    let removed = marks.removed();
    Arc::new(Standing::new(barrier.clone(), move |unsealed| {
        if let Some(raft) = raft.upgrade() {
            raft.set_candidate(unsealed && !*removed.borrow());
        }
        if !unsealed {
            cluster.close_forwarding();
        }
    }))
}

pub(super) type StartError = Box<dyn std::error::Error + Send + Sync>;

pub struct Replicated {
    pub(super) raft: Arc<RaftLog>,
    pub(super) cluster: Arc<Cluster>,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) info: NodeInfo,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) rng: Arc<dyn Rng>,
    pub(super) role: watch::Receiver<Role>,
    stop: watch::Sender<bool>,
    standing: Arc<Standing>,
    pub(super) marks: Marks,
    pub(super) backups: Backups,
    pub(super) restores: Restores,
}

impl Replicated {
    /// Reads what is on disk, and takes part from then on, sealed.
    ///
    /// # Errors
    /// Where files are damaged, belong to another node, or the port cannot be had.
    pub async fn start(parts: Replication) -> Result<Arc<Self>, StartError> {
        let Replication { barrier, clock, rng, path, options, .. } = &parts;
        let disk: Arc<dyn Vfs> = Arc::new(Disk);
        disk.create_folder(path).map_err(|error| in_folder(path, &error))?;
        let identity = Arc::new(Identity::open(&folder(&disk, path, "node")?, rng.as_ref())?);
        let log =
            SegmentLog::open(disk.clone(), &folder(&disk, path, "log")?, LogOptions::default())
                .map_err(|error| cannot_open(path, error))?;
        check_owner(&path.join("log"), &identity)?;
        let exchange = folder(&disk, path, "snapshots")?;
        let on_disk = Arc::new(DiskStateStore::open(
            &folder(&disk, path, "state")?,
            &exchange,
            parts.state,
            &log,
        )?);
        let state: Arc<dyn StateStore> = on_disk.clone();
        recover(path, identity.id(), &log, state.as_ref()).await?;
        let proof = Arc::new(BarrierProof(barrier.clone()));
        let removed = Arc::new(Removed(state.view()));
        let cluster = Arc::new(Cluster::new(identity.clone(), proof, removed, &options.timing)?);
        let listener = TcpListener::bind(parts.cluster_listen)
            .await
            .map_err(|error| cannot_listen(parts.cluster_listen, &error))?;
        let port = listener.local_addr()?.port();
        let (alarm, alarmed) = watch::channel(false);
        let cuts = cluster.clone();
        let cut = move |removed| cuts.close_node(removed);
        let observer = Arc::new(Observer::new(barrier.clone(), state.view(), cut, alarm));
        let restored = observer.restored();
        let raft = RaftLog::start(Parts {
            id: identity.id(),
            log: DiskLogStore::new(log.clone()),
            state: state.clone(),
            observer,
            peers: cluster.peers(),
            options: options.clone(),
        })
        .await?;
        check_cluster(path, &identity, state.as_ref())?;
        let info = NodeInfo {
            name: node_name(&parts.name, &identity),
            cluster_address: with_port(&parts.cluster_address, port),
            api_address: parts.api_address.clone(),
        };
        let (stop, stopped) = watch::channel(false);
        let handlers = (parts.requests.clone(), parts.admits.clone());
        serve(&raft, &cluster, handlers, listener, stopped)?;
        let role = follow_role(&raft)?;
        watch_disk(&raft, log, on_disk, path.clone())?;
        let marks = Marks::open(&path.join("node"));
        let standing = standing(&raft, &cluster, barrier, &marks);
        heed(&raft, standing.clone(), alarmed)?;
        let (clock, rng) = (clock.clone(), rng.clone());
        let node = Self {
            raft,
            cluster,
            state,
            info,
            clock,
            rng,
            role,
            stop,
            standing,
            marks,
            backups: Backups::default(),
            restores: Restores::new(restored),
        };
        Ok(Arc::new(node))
    }

    /// What [`Self::start`] will call the node in this folder: `configured`, unless it is empty.
    ///
    /// # Errors
    /// Where files are damaged, or cannot be read or written.
    pub fn name(path: &Path, configured: &str, rng: &dyn Rng) -> Result<String, StartError> {
        if !configured.is_empty() {
            return Ok(configured.to_owned());
        }
        let disk: Arc<dyn Vfs> = Arc::new(Disk);
        disk.create_folder(path).map_err(|error| in_folder(path, &error))?;
        Ok(node_name("", &Identity::open(&folder(&disk, path, "node")?, rng)?))
    }

    /// Of this node's own files.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.marks.folder()
    }

    /// Other nodes are served no more.
    pub(super) fn close_port(&self) {
        self.stop.send_replace(true);
    }

    pub fn info(&self) -> &NodeInfo {
        &self.info
    }

    pub fn raft(&self) -> &Arc<RaftLog> {
        &self.raft
    }

    pub fn cluster(&self) -> &Arc<Cluster> {
        &self.cluster
    }

    /// Whether this node was taken out of its cluster, and knows it.
    pub fn is_removed(&self) -> bool {
        *self.marks.removed().borrow()
    }

    /// Whether the cluster's own list, as far as it has come here, has this node on it.
    pub(super) fn is_listed_as_removed(&self) -> bool {
        Removed(self.state.view()).is_removed(self.raft.id())
    }

    /// Asks the other voters. One alone is not believed, where there are more: its disk may be in
    /// other hands.
    pub(super) async fn is_removed_by_others(&self) -> bool {
        let mut members = self.raft.configuration();
        members.retain(|member| member.voter && member.id != self.raft.id());
        let others = members.len();
        let questions =
            members.iter().map(|member| self.cluster.says_removed(member.id, &member.info));
        let answers = futures_util::future::join_all(questions).await;
        let yes = answers.into_iter().filter(|removed| *removed).count();
        others > 0 && yes > others / 2
    }
}

impl Consensus for Replicated {
    fn log(self: Arc<Self>) -> Arc<dyn ReplicatedLog> {
        self.raft.clone()
    }

    fn view(&self) -> Arc<dyn View> {
        self.state.view()
    }

    fn role(&self) -> Role {
        self.role.borrow().clone()
    }

    fn roles(&self) -> watch::Receiver<Role> {
        self.role.clone()
    }

    fn leadership(&self) -> Option<Leadership> {
        let leader = self.raft.leader();
        let own = leader.borrow().as_ref().filter(|leader| leader.id == self.raft.id())?.leadership;
        Some(own)
    }

    fn has_quorum(&self) -> bool {
        self.raft.has_quorum()
    }

    fn progress(&self) -> Option<Progress> {
        let progress = self.raft.progress();
        Some(Progress {
            committed: progress.committed.unwrap_or_default(),
            applied: progress.applied.unwrap_or_default(),
        })
    }

    fn initialize<'a>(
        &'a self,
        cluster_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Founded>, Error>> {
        Box::pin(async move { self.found(cluster_id).await.map(Some) })
    }

    fn forward<'a>(
        &'a self,
        leader: &'a Leader,
        forwarded: &'a Forwarded,
    ) -> BoxFuture<'a, Result<Outcome, ForwardError>> {
        Box::pin(async move {
            let info = leader.info();
            let answered = self.cluster.forward(leader.id, &info, forwarded).await;
            answered.map(|(outcome, applied)| {
                self.backups.note_applied(applied);
                outcome
            })
        })
    }

    fn upload<'a>(
        &'a self,
        leader: &'a Leader,
        forwarded: &'a Forwarded,
        body: BodyChunks,
    ) -> BoxFuture<'a, Result<Outcome, ForwardError>> {
        Box::pin(async move {
            let info = leader.info();
            let answered = self.cluster.upload(leader.id, &info, forwarded, body).await;
            answered.map(|(outcome, applied)| {
                self.backups.note_applied(applied);
                outcome
            })
        })
    }

    fn hand_over(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async {
            let taken = self.raft.hand_over().await;
            taken.map(|_| ()).map_err(|error| Error::Unavailable(error.to_string()))
        })
    }

    fn follow_seal(&self) {
        self.standing.follow();
    }

    fn storage_type(&self) -> &'static str {
        "raft"
    }

    fn replicated(&self) -> Option<&Replicated> {
        Some(self)
    }

    fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.raft.stopped()
    }

    fn shut_down(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.close_port();
            self.raft.shutdown().await;
        })
    }
}

/// Serves the cluster's port on raft's own threads.
fn serve(
    raft: &Arc<RaftLog>,
    cluster: &Arc<Cluster>,
    (forward, admits): (Arc<dyn ForwardHandler>, Arc<dyn Admits>),
    listener: TcpListener,
    stop: watch::Receiver<bool>,
) -> Result<(), StartError> {
    watch_leader(raft, cluster)?;
    let runtime = raft.runtime().ok_or("raft has no runtime")?;
    let services = Services {
        raft: raft.service(),
        forward,
        admits: Some(admits),
        applied: raft.applied(),
        requests: tokio::runtime::Handle::current(),
    };
    let cluster = cluster.clone();
    // The listener was registered with this runtime, and is moved to the other.
    let listener = listener.into_std()?;
    drop(runtime.spawn(async move {
        match TcpListener::from_std(listener) {
            Ok(listener) => cluster.serve(listener, services, stop).await,
            Err(error) => tracing::error!(%error, "the cluster's port is lost"),
        }
    }));
    Ok(())
}

/// Publishes this node's role whenever leadership changes.
fn follow_role(raft: &Arc<RaftLog>) -> Result<watch::Receiver<Role>, StartError> {
    let id = raft.id();
    let of = move |leader: Option<&crate::raft::Leader>| match leader {
        Some(leader) if leader.id == id => Role::Active,
        other => Role::Standby(other.map(|leader| Leader {
            id: leader.id,
            term: leader.leadership.term,
            name: leader.info.name.clone(),
            api_address: leader.info.api_address.clone(),
            cluster_address: leader.info.cluster_address.clone(),
        })),
    };
    let mut leaders = raft.leader();
    let (role, seen) = watch::channel(of(leaders.borrow_and_update().as_ref()));
    drop(raft.runtime().ok_or("raft has no runtime")?.spawn(async move {
        while leaders.changed().await.is_ok() {
            let now = of(leaders.borrow_and_update().as_ref());
            role.send_replace(now);
        }
        role.send_replace(Role::Standby(None));
    }));
    Ok(seen)
}

/// Tells the leader when this node's disk is below its reserve, so that it takes no more writes.
fn watch_disk(
    raft: &Arc<RaftLog>,
    log: SegmentLog,
    state: Arc<DiskStateStore>,
    folder: PathBuf,
) -> Result<(), StartError> {
    let runtime = raft.runtime().ok_or("raft has no runtime")?;
    let raft = Arc::downgrade(raft);
    drop(runtime.spawn(async move {
        let mut was_low = false;
        while let Some(raft) = raft.upgrade() {
            let room = state.state().checkpoint_bytes();
            match room.and_then(|room| log.disk(room)) {
                Ok(space) => {
                    let low = space.is_low();
                    if low != was_low {
                        tell_disk(&folder, space);
                    }
                    raft.set_disk_low(low);
                    was_low = low;
                }
                Err(error) => tracing::warn!(%error, "free disk space is not known"),
            }
            drop(raft);
            tokio::time::sleep(DISK_PAUSE).await;
        }
    }));
    Ok(())
}

fn tell_disk(folder: &Path, space: DiskSpace) {
    let folder = folder.display();
    let DiskSpace { free: Free { bytes, files }, reserve_bytes, reserve_files } = space;
    let more = files.map_or_else(String::new, |files| {
        format!(", and room for {files} files, of which {reserve_files} are kept")
    });
    if space.is_low() {
        tracing::error!(
            "data folder {folder}: {bytes} bytes of the disk are free, {reserve_bytes} are kept \
             in reserve{more}: writes are refused until there is room; reads go on"
        );
    } else {
        tracing::info!("data folder {folder}: {bytes} bytes of the disk are free again{more}");
    }
}

fn folder(disk: &Arc<dyn Vfs>, path: &Path, name: &str) -> Result<PathBuf, StartError> {
    let folder = path.join(name);
    disk.create_folder(&folder).map_err(|error| in_folder(&folder, &error))?;
    Ok(folder)
}

fn in_folder(folder: &Path, error: &std::io::Error) -> StartError {
    let reason = match error.kind() {
        ErrorKind::AlreadyExists | ErrorKind::NotADirectory => "is not a folder".to_owned(),
        _ => plain(error),
    };
    format!("data folder {}: {reason}", folder.display()).into()
}

fn cannot_open(path: &Path, error: store::Error) -> StartError {
    let store::Error::Io { source, .. } = &error else { return error.into() };
    let remedy = match source.kind() {
        ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem => {
            "this process must be able to write there"
        }
        ErrorKind::StorageFull => "make room on its disk",
        _ => return error.into(),
    };
    format!("data folder {}: {}: {remedy}", path.display(), plain(source)).into()
}

fn cannot_listen(address: SocketAddr, error: &std::io::Error) -> StartError {
    format!("cannot listen on {address} for the cluster: {}", plain(error)).into()
}

fn node_name(configured: &str, identity: &Identity) -> String {
    match configured {
        "" => format!("node-{:016x}", identity.id()),
        name => name.to_owned(),
    }
}

/// The log names the node that wrote it: another one's votes and entries must not be taken for
/// this one's. Must be called with the folder locked.
fn check_owner(log: &Path, identity: &Identity) -> Result<(), StartError> {
    let file = log.join("owner");
    let own = format!("{}\n", identity.id());
    match std::fs::read_to_string(&file) {
        Ok(owner) if owner == own => Ok(()),
        // A crash can leave it empty, before anything else was written.
        Ok(owner) if !owner.is_empty() => Err(format!(
            "data folder {}: the log was written by node {}, but `node` is of node {}: put back \
             `node` and `log` of one and the same node, or start with an empty folder and join again",
            log.parent().unwrap_or(log).display(),
            owner.trim(),
            identity.id(),
        )
        .into()),
        Err(error) if error.kind() != ErrorKind::NotFound => Err(in_folder(log, &error)),
        _ => {
            let mut options = OpenOptions::new();
            let options = options.write(true).create(true).truncate(true).mode(0o600);
            let written = options.open(&file).and_then(|mut file| file.write_all(own.as_bytes()));
            written.map_err(|error| in_folder(log, &error))
        }
    }
}

/// A node gets its certificate before the first entry of its cluster's log: state without one, or
/// with another's, was put together from two nodes' folders.
fn check_cluster(
    path: &Path,
    identity: &Identity,
    state: &dyn StateStore,
) -> Result<(), StartError> {
    let Some((_, record)) = state.view().system(SystemKey::Cluster)? else {
        return Ok(());
    };
    let of_state = wire::Cluster::decode(record)?.id;
    let of_certificate = identity.issued().map(|issued| issued.name.cluster.clone());
    if of_certificate.as_deref() == Some(of_state.as_str()) {
        return Ok(());
    }
    let certificate = match of_certificate {
        Some(cluster) => format!("is of cluster {cluster}"),
        None => "is missing".to_owned(),
    };
    Err(format!(
        "data folder {}: its state is of cluster {of_state}, but the node's certificate \
         {certificate}: put back `node` and `log` of one and the same node, or start with an empty \
         folder and join again",
        path.display(),
    )
    .into())
}

/// `host:0` becomes `host:port`.
fn with_port(address: &str, port: u16) -> String {
    match address.strip_suffix(":0") {
        Some(host) => format!("{host}:{port}"),
        None => address.to_owned(),
    }
}

/// As Vault shows it; the membership holds `host:port`.
pub(super) fn url_of(cluster_address: &str) -> String {
    if cluster_address.is_empty() || cluster_address.contains("://") {
        return cluster_address.to_owned();
    }
    format!("https://{cluster_address}")
}

/// Shows to other nodes that this one is unsealed.
struct BarrierProof(Arc<Barrier>);

impl BarrierProof {
    fn role(role: cluster::Role) -> ProofRole {
        match role {
            cluster::Role::Dialler => ProofRole::Dialler,
            cluster::Role::Listener => ProofRole::Listener,
        }
    }
}

impl UnsealedProof for BarrierProof {
    fn prove(&self, exporter: &[u8; 32], role: cluster::Role, ends: Ends) -> Option<[u8; 32]> {
        let keyring = self.0.keyring().ok()?;
        Some(keyring.forward_proof(exporter, Self::role(role), ends.dialler, ends.listener))
    }

    fn verify(&self, exporter: &[u8; 32], role: cluster::Role, ends: Ends, mac: &[u8; 32]) -> bool {
        self.0.keyring().is_ok_and(|keyring| {
            let role = Self::role(role);
            keyring.verify_forward_proof(exporter, role, ends.dialler, ends.listener, mac)
        })
    }
}

/// The replicated list of nodes that may not come back.
struct Removed(Arc<dyn View>);

impl RemovedNodes for Removed {
    fn is_removed(&self, node: u64) -> bool {
        let record = self.0.system(SystemKey::RemovedNodes).ok().flatten();
        record.is_some_and(|(_, ids)| {
            ids.chunks_exact(8).any(|id| id == node.to_be_bytes().as_slice())
        })
    }
}

/// How often free disk space is looked at.
const DISK_PAUSE: std::time::Duration = std::time::Duration::from_secs(1);

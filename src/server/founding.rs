//! How a node becomes the first of a cluster, and what it notes on its disk beside its log.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;

use super::consensus::{Founded, Role};
use super::replicated::Replicated;
use crate::cluster::{Authority, NodeName};
use crate::log::ReplicatedLog as _;
use crate::record::SystemKey;
use crate::request::Error;

/// Facts of this node that its next process must know before the log is read. Each is a file that
/// is there or not.
pub(super) struct Marks {
    removed: watch::Sender<bool>,
    removed_file: PathBuf,
    /// There from before the node's certificate is made until the cluster's first entry is
    /// committed: a certificate alone does not show that there is a cluster.
    founding_file: PathBuf,
}

impl Marks {
    /// In the node's own folder.
    pub(super) fn open(folder: &Path) -> Self {
        let removed_file = folder.join(REMOVED_FILE);
        let removed = watch::Sender::new(removed_file.exists());
        Self { removed, removed_file, founding_file: folder.join(FOUNDING_FILE) }
    }

    /// Of this node's own files.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.removed_file.parent()
    }

    /// Whether this node was taken out of its cluster.
    pub(super) fn removed(&self) -> watch::Receiver<bool> {
        self.removed.subscribe()
    }

    fn begin_founding(&self) -> io::Result<()> {
        make(&self.founding_file)
    }

    fn is_founding(&self) -> bool {
        self.founding_file.exists()
    }

    fn end_founding(&self) -> io::Result<()> {
        std::fs::remove_file(&self.founding_file)
    }
}

impl Replicated {
    /// Durably, before anyone is told.
    pub(super) fn note_own_removal(&self) -> io::Result<()> {
        make(&self.marks.removed_file)?;
        self.marks.removed.send_replace(true);
        Ok(())
    }

    /// Whether the node's certificate shows that there is a cluster that it is part of, whether
    /// or not its log has been read.
    pub(super) fn belongs_to_cluster(&self) -> bool {
        self.cluster.identity().issued().is_some() && !self.marks.is_founding()
    }

    /// The cluster's first entry is committed.
    pub(super) async fn note_founded(&self) {
        if let Err(error) = self.marks.end_founding() {
            // It is asked only while the log has not been read.
            tracing::warn!(%error, "the mark of a cluster that is being founded stays");
        }
        self.checkpoint().await;
    }

    /// Puts what is applied into the state's checkpoint: how the cluster is sealed is known at
    /// once then, when this node starts again.
    pub(super) async fn checkpoint(&self) {
        let state = self.state.clone();
        let made = tokio::task::spawn_blocking(move || state.checkpoint()).await;
        if let Ok(Err(error)) = made {
            tracing::warn!(%error, "no checkpoint could be made");
        }
    }

    /// May be repeated after it was broken off: what a log from then says comes first.
    pub(super) async fn found(&self, cluster_id: &str) -> Result<Founded, Error> {
        let identity = self.cluster.identity();
        if !self.raft.is_initialized().await.map_err(Error::internal)? {
            if identity.issued().is_some() {
                return Err(Error::bad_request(
                    "this node has joined a cluster, whose log has not arrived yet: unseal it \
                     instead",
                ));
            }
            let alone = BTreeMap::from([(identity.id(), self.info.clone())]);
            self.raft.initialize(alone).await.map_err(Error::internal)?;
        }
        self.lead().await?;
        let point = self.raft.begin().await.map_err(Error::internal)?;
        if point.view.system(SystemKey::Cluster).map_err(Error::internal)?.is_some() {
            return Err(Error::bad_request("Vault is already initialized"));
        }
        let now = self.clock.now();
        let authority =
            Authority::generate(cluster_id, now, self.rng.as_ref()).map_err(Error::internal)?;
        let name = NodeName { cluster: cluster_id.to_owned(), node: identity.id() };
        let request = identity.request().map_err(Error::internal)?;
        let certificate =
            authority.issue(&request, &name, now, self.rng.as_ref()).map_err(Error::internal)?;
        self.marks.begin_founding().map_err(Error::internal)?;
        self.cluster
            .found(certificate, std::slice::from_ref(authority.certificate()))
            .map_err(Error::internal)?;
        Ok(Founded {
            certificates: Bytes::from(authority.certificate_pem()),
            authority_key: authority.key_pem(),
        })
    }

    /// Waits until this node, which is alone, leads: sealed nodes do not stand by themselves.
    async fn lead(&self) -> Result<(), Error> {
        let mut roles = self.role.clone();
        for _ in 0..ELECTIONS_MAX {
            if *roles.borrow_and_update() == Role::Active {
                return Ok(());
            }
            self.raft.elect().await.map_err(Error::internal)?;
            let timeout = ELECTION_WAIT;
            // Either it leads, or it is asked again.
            drop(tokio::time::timeout(timeout, roles.wait_for(|role| *role == Role::Active)).await);
        }
        Err(Error::Unavailable("this node could not be elected: try again".into()))
    }
}

/// Durably.
fn make(file: &Path) -> io::Result<()> {
    File::create(file)?.sync_all()?;
    file.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

/// In the folder `node`.
const REMOVED_FILE: &str = "removed";

const FOUNDING_FILE: &str = "founding";

/// Of this node alone: each lasts a few milliseconds.
const ELECTIONS_MAX: usize = 50;

const ELECTION_WAIT: Duration = Duration::from_millis(200);

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::watch;

use super::replicated::Replicated;
use crate::barrier::Barrier;
use crate::cluster::{BodyChunks, ForwardError, Forwarded, Outcome};
use crate::log::{BoxFuture, MemoryLog, ReplicatedLog};
use crate::raft::NodeInfo;
use crate::record::{Leadership, SealedBatch, View};
use crate::request::Error;
use crate::seal::KeyringRecord;
use crate::secret::Secret;

/// What a node asks of what replicates, besides the log itself.
pub trait Consensus: Send + Sync {
    fn log(self: Arc<Self>) -> Arc<dyn ReplicatedLog>;

    /// What this node has applied: good for what it answers of itself, not for requests.
    fn view(&self) -> Arc<dyn View>;

    fn role(&self) -> Role;

    /// Changes with each election.
    fn roles(&self) -> watch::Receiver<Role>;

    /// This node's own, while it leads: another one each time that it begins to.
    fn leadership(&self) -> Option<Leadership>;

    /// Whether a quorum still follows this node, which leads: where not, no request can succeed.
    fn has_quorum(&self) -> bool {
        self.leadership().is_some()
    }

    fn progress(&self) -> Option<Progress>;

    /// Makes a cluster of this node alone, which leads from then on. What it was founded with
    /// belongs into the first entry. May be repeated until that is committed.
    ///
    /// # Errors
    /// Where the log cannot be written.
    fn initialize<'a>(
        &'a self,
        cluster_id: &'a str,
    ) -> BoxFuture<'a, Result<Option<Founded>, Error>>;

    /// Sends a request to the active node.
    ///
    /// # Errors
    /// Where there is no answer; the variants say whether it may be sent again.
    fn forward<'a>(
        &'a self,
        leader: &'a Leader,
        forwarded: &'a Forwarded,
    ) -> BoxFuture<'a, Result<Outcome, ForwardError>>;

    /// As [`Self::forward`], for a request with a body that is no parameters.
    ///
    /// # Errors
    /// As [`Self::forward`]; the body is gone, whatever it is.
    fn upload<'a>(
        &'a self,
        leader: &'a Leader,
        forwarded: &'a Forwarded,
        body: BodyChunks,
    ) -> BoxFuture<'a, Result<Outcome, ForwardError>>;

    /// Gives leadership to the best node there is.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where no other node can take it.
    fn hand_over(&self) -> BoxFuture<'_, Result<(), Error>>;

    /// To be called after the barrier was opened or closed: a sealed node does not stand for
    /// leadership, and forwards nothing.
    fn follow_seal(&self);

    /// The node among others, where it is one.
    fn replicated(&self) -> Option<&Replicated> {
        None
    }

    /// Set once, when replication has stopped for good: the process must end.
    fn stopped(&self) -> watch::Receiver<Option<String>>;

    /// Ends replication; what was acknowledged is on disk.
    fn shut_down(&self) -> BoxFuture<'_, ()>;

    /// As `sys/seal-status` shows it: `raft` or `inmem`.
    fn storage_type(&self) -> &'static str;
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Role {
    /// This node leads.
    Active,
    /// Another leads, or none that is known.
    Standby(Option<Leader>),
}

/// What a cluster's nodes know each other by.
pub struct Founded {
    /// PEM, stored in clear: needed before unsealing.
    pub certificates: Bytes,
    /// PEM, stored behind the barrier.
    pub authority_key: Secret<String>,
}

/// Where the active node is reached.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Leader {
    pub id: u64,
    /// In which it leads.
    pub term: u64,
    pub name: String,
    pub api_address: String,
    pub cluster_address: String,
}

impl Leader {
    pub(super) fn info(&self) -> NodeInfo {
        NodeInfo {
            name: self.name.clone(),
            cluster_address: self.cluster_address.clone(),
            api_address: self.api_address.clone(),
        }
    }
}

#[derive(Clone, Copy, Debug)]
pub struct Progress {
    pub committed: u64,
    pub applied: u64,
}

/// A node alone, which leads as long as it runs.
pub struct Alone {
    log: Arc<MemoryLog>,
    role: watch::Sender<Role>,
    stopped: watch::Sender<Option<String>>,
}

impl Alone {
    /// With a barrier that follows the keyrings in the log, as a node among others does.
    pub fn of(barrier: &Arc<Barrier>) -> Self {
        let alone = Self::default();
        alone.log.observe(follow(barrier.clone()));
        alone
    }
}

/// Takes over the keyring that an entry has written.
pub fn follow(barrier: Arc<Barrier>) -> impl Fn(&SealedBatch) + Send + Sync {
    move |batch| {
        let Ok(keyring) = barrier.keyring() else {
            return;
        };
        match KeyringRecord::followed(batch, &keyring) {
            Some(Ok(next)) => barrier.replace(Arc::new(next)),
            Some(Err(_)) => barrier.close(),
            None => {}
        }
    }
}

impl Default for Alone {
    fn default() -> Self {
        Self {
            log: Arc::default(),
            role: watch::Sender::new(Role::Active),
            stopped: watch::Sender::new(None),
        }
    }
}

impl Consensus for Alone {
    fn log(self: Arc<Self>) -> Arc<dyn ReplicatedLog> {
        self.log.clone()
    }

    fn view(&self) -> Arc<dyn View> {
        self.log.view()
    }

    fn role(&self) -> Role {
        Role::Active
    }

    fn roles(&self) -> watch::Receiver<Role> {
        self.role.subscribe()
    }

    fn leadership(&self) -> Option<Leadership> {
        Some(Leadership { term: 1, node: 1 })
    }

    fn progress(&self) -> Option<Progress> {
        None
    }

    fn initialize<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<Founded>, Error>> {
        Box::pin(async { Ok(None) })
    }

    fn stopped(&self) -> watch::Receiver<Option<String>> {
        self.stopped.subscribe()
    }

    fn shut_down(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {})
    }

    fn forward<'a>(
        &'a self,
        _: &'a Leader,
        _: &'a Forwarded,
    ) -> BoxFuture<'a, Result<Outcome, ForwardError>> {
        Box::pin(async { Err(ForwardError::NotSent("this node is alone".into())) })
    }

    fn upload<'a>(
        &'a self,
        _: &'a Leader,
        _: &'a Forwarded,
        _: BodyChunks,
    ) -> BoxFuture<'a, Result<Outcome, ForwardError>> {
        Box::pin(async { Err(ForwardError::NotSent("this node is alone".into())) })
    }

    fn hand_over(&self) -> BoxFuture<'_, Result<(), Error>> {
        Box::pin(async { Err(Error::Unavailable("there is no other node to hand over to".into())) })
    }

    fn follow_seal(&self) {}

    fn storage_type(&self) -> &'static str {
        "inmem"
    }
}

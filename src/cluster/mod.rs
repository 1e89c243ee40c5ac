//! Node to node: who is who, and the connections between them.
//!
//! **Invariant:** raft's messages need a certificate of the cluster; forwarded requests need both
//! ends unsealed besides; joining alone needs neither.

mod authority;
mod dial;
mod forward;
mod forwarding;
mod hello;
mod identity;
mod join;
mod route;
mod serve;
mod tls;

pub use authority::{Authority, CertificateError, NodeName, renew_at, validity};
pub use forward::{ForwardError, Forwarded, Outcome, Wanted};
pub use forwarding::{BodyChunks, ForwardHandler};
pub use hello::{Ends, Refusal, Role, UnsealedProof};
pub use identity::{Identity, IdentityError, Issued};
pub use join::{Admission, Admits, Application, JoinError, JoinRefusal, Renewed};
pub use serve::RemovedNodes;
pub use tls::is_issued_by;

use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{broadcast, watch};

use crate::proto::cluster::certificates_server::CertificatesServer;
use crate::proto::cluster::join_server::JoinServer;
use crate::proto::cluster::raft_server::RaftServer;
use crate::proto::forward::forward_server::ForwardServer;
use crate::raft::{MESSAGE_BYTES_MAX, NodeInfo, Peers, RaftService, Timing};
use dial::Dialler;
use forwarding::Forwarding;
use join::Joining;
use route::Routes;
use serve::{Offered, Open, Server};
use tls::Trust;

/// This node's connections to the others, both ways.
pub struct Cluster {
    identity: Arc<Identity>,
    trust: Arc<Trust>,
    dialler: Arc<Dialler>,
    open: Arc<Open>,
    server: Arc<Server>,
}

/// What a node offers to the others.
pub struct Services {
    pub raft: RaftService,
    pub forward: Arc<dyn ForwardHandler>,
    /// Without it nobody joins by token, and no certificate is renewed.
    pub admits: Option<Arc<dyn Admits>>,
    /// As `RaftLog::applied` tells it.
    pub applied: watch::Receiver<u64>,
    /// Where what is not raft's runs.
    pub requests: Handle,
}

impl Cluster {
    /// # Errors
    /// Where the authorities that the identity names are none.
    pub fn new(
        identity: Arc<Identity>,
        proof: Arc<dyn UnsealedProof>,
        removed: Arc<dyn RemovedNodes>,
        timing: &Timing,
    ) -> Result<Self, rustls::Error> {
        let trust = Trust::new();
        if let Some(issued) = identity.issued() {
            trust.set(&issued.name.cluster, &issued.authorities)?;
        }
        let connect_timeout = timing.election_max.max(CONNECT_TIMEOUT_MIN);
        let dialler = Dialler::new(identity.clone(), trust.clone(), proof.clone(), connect_timeout);
        let open = Arc::new(Open::default());
        let server = Server {
            identity: identity.clone(),
            trust: trust.clone(),
            proof,
            removed,
            open: open.clone(),
            handshake_timeout: HANDSHAKE_TIMEOUT,
            lost: broadcast::Sender::new(LOST_MAX),
        };
        let (dialler, server) = (Arc::new(dialler), Arc::new(server));
        Ok(Self { identity, trust, dialler, open, server })
    }

    pub fn identity(&self) -> &Arc<Identity> {
        &self.identity
    }

    /// For raft.
    pub fn peers(&self) -> Arc<dyn Peers> {
        self.dialler.clone()
    }

    /// As [`Self::install`], for the first node of a new cluster: a certificate of a cluster that
    /// was never committed is void.
    ///
    /// # Errors
    /// As [`Self::install`].
    pub fn found(
        &self,
        certificate: CertificateDer<'static>,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), IdentityError> {
        self.identity.forget();
        self.install(certificate, authorities)
    }

    /// Takes a certificate for this node, durably, and uses it from the next connection on.
    ///
    /// # Errors
    /// Where it is not this node's, or cannot be written.
    pub fn install(
        &self,
        certificate: CertificateDer<'static>,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), IdentityError> {
        let name = NodeName::of(&certificate)?;
        self.identity.install(certificate, authorities.to_vec())?;
        let trusted = self.trust.set(&name.cluster, authorities);
        trusted.map_err(|_| IdentityError::Certificate(CertificateError::Unreadable))
    }

    /// The authorities whose certificates this node accepts.
    pub fn authorities(&self) -> Vec<CertificateDer<'static>> {
        self.trust.authorities()
    }

    /// Serves the cluster's port until `stop`. Must run on raft's runtime.
    pub async fn serve(
        &self,
        listener: TcpListener,
        services: Services,
        stop: watch::Receiver<bool>,
    ) {
        let raft = RaftServer::new(services.raft)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let forwarding = Forwarding {
            handler: services.forward,
            applied: services.applied,
            requests: services.requests.clone(),
        };
        let forwarding = ForwardServer::new(forwarding)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let mut replication = Routes::builder().add(raft);
        let mut joining = None;
        if let Some(admits) = services.admits {
            let service = Joining { id: self.identity.id(), admits };
            replication = replication.add(CertificatesServer::new(service.clone()));
            joining = Some(Routes::builder().add(JoinServer::new(service)).build());
        }
        let offered = Offered {
            replication: replication.build(),
            forwarding: Some(Routes::builder().add(forwarding).build()),
            joining,
            requests: services.requests,
        };
        self.server.clone().run(listener, Arc::new(offered), stop).await;
    }

    /// Ends every connection on which requests are forwarded: this node has sealed.
    pub fn close_forwarding(&self) {
        self.dialler.close_forwarding();
        self.open.close_forwarding();
    }

    /// Ends every connection with a node: it was removed.
    pub fn close_node(&self, node: u64) {
        self.dialler.forget(node);
        self.open.close_node(node);
    }

    /// Asks a member whether this node was removed; false where there is no answer.
    pub async fn says_removed(&self, node: u64, info: &NodeInfo) -> bool {
        self.dialler.says_removed(node, info).await
    }

    /// Nodes that have ended a connection on which they replicated to this one, as it happens.
    pub fn lost(&self) -> broadcast::Receiver<u64> {
        self.server.lost.subscribe()
    }

    /// Becomes true when a member says that this node was removed.
    pub fn removed(&self) -> watch::Receiver<bool> {
        self.dialler.removed()
    }
}

const CONNECT_TIMEOUT_MIN: Duration = Duration::from_millis(250);
/// Those that nobody has looked at yet.
const LOST_MAX: usize = 64;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests;

//! Becoming a member, and staying one: applications, admissions and the next certificate.
//!
//! Whether to admit is decided above: by a token here, by shares over the API.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use rustls::pki_types::CertificateDer;
use tonic::{Request, Response, Status};

use super::Cluster;
use super::dial::{Dialler, token_channel};
use super::identity::Identity;
use crate::log::BoxFuture;
use crate::proto::cluster as proto;
use crate::proto::cluster::certificates_client::CertificatesClient;
use crate::proto::cluster::certificates_server;
use crate::proto::cluster::join_client::JoinClient;
use crate::proto::cluster::join_refusal::Reason;
use crate::proto::cluster::join_response::Result as Answer;
use crate::proto::cluster::join_server;
use crate::proto::raft::Member;
use crate::raft::{Lane, NodeInfo, PeerId, Peers as _};
use crate::secret::Secret;

/// Whoever wants to join.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Application {
    pub id: u64,
    pub info: NodeInfo,
    /// A certificate signing request, DER.
    pub request: Bytes,
}

/// What makes a node a member.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Admission {
    pub cluster: String,
    pub certificate: CertificateDer<'static>,
    pub authorities: Vec<CertificateDer<'static>>,
    pub members: Vec<(u64, NodeInfo)>,
}

/// Why a node is not admitted.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum JoinRefusal {
    #[error("the node is not active")]
    NotActive,
    #[error("the token is wrong, was used, or is too old")]
    Token,
    #[error("a member that is in contact has this name")]
    NameTaken,
    #[error("the node's id is a member's, or was removed: empty its data folder")]
    IdTaken,
    #[error("the application cannot be read")]
    Application,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum JoinError {
    #[error(transparent)]
    Refused(#[from] JoinRefusal),
    /// Nothing is known of what became of it: a token may be used up.
    #[error("no answer: {0}")]
    NoAnswer(String),
    #[error("the answer cannot be read")]
    Malformed,
}

/// Decides who becomes a member; on the active node, unsealed.
pub trait Admits: Send + Sync + 'static {
    /// Checks the token, uses it up, issues a certificate and adds the node as learner.
    fn join(
        &self,
        application: Application,
        token: Secret<String>,
    ) -> BoxFuture<'static, Result<Admission, JoinRefusal>>;

    /// The next certificate of a member, whose id its connection has proven.
    fn renew(&self, node: u64, request: Bytes) -> BoxFuture<'static, Result<Renewed, JoinRefusal>>;
}

/// A member's next certificate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Renewed {
    pub certificate: CertificateDer<'static>,
    pub authorities: Vec<CertificateDer<'static>>,
}

impl Application {
    /// # Errors
    /// Where the signing request cannot be made.
    pub fn of(identity: &Identity, info: NodeInfo) -> Result<Self, super::CertificateError> {
        Ok(Self { id: identity.id(), info, request: identity.request()?.into() })
    }

    /// What is sent, and what a MAC is made over where shares show who may join.
    pub fn encode(&self) -> Bytes {
        let node = Some(member(self.id, &self.info));
        let message = proto::Application { version: VERSION, node, request: self.request.clone() };
        message.encode_to_vec().into()
    }

    /// # Errors
    /// Where it is none, or a newer program's.
    pub fn decode(bytes: Bytes) -> Result<Self, JoinRefusal> {
        let message = proto::Application::decode(bytes).map_err(|_| JoinRefusal::Application)?;
        let node = message.node.ok_or(JoinRefusal::Application)?;
        let (id, info) = info(node);
        if message.version > VERSION || id == 0 || info.name.is_empty() {
            return Err(JoinRefusal::Application);
        }
        Ok(Self { id, info, request: message.request })
    }
}

impl Admission {
    pub fn encode(&self) -> Bytes {
        let members = self.members.iter().map(|(id, info)| member(*id, info));
        let message = proto::Admission {
            version: VERSION,
            cluster: self.cluster.clone(),
            certificate: Bytes::copy_from_slice(&self.certificate),
            authorities: copies(&self.authorities),
            members: members.collect(),
        };
        message.encode_to_vec().into()
    }

    /// # Errors
    /// Where it is none, or a newer program's.
    pub fn decode(bytes: Bytes) -> Result<Self, JoinError> {
        let message = proto::Admission::decode(bytes).map_err(|_| JoinError::Malformed)?;
        if message.version > VERSION {
            return Err(JoinError::Malformed);
        }
        Ok(Self {
            cluster: message.cluster,
            certificate: message.certificate.to_vec().into(),
            authorities: certificates(&message.authorities),
            members: message.members.into_iter().map(info).collect(),
        })
    }
}

impl Cluster {
    /// Asks the node at `address` to be admitted. The token goes out only once that node has
    /// shown a certificate of the authority with this fingerprint (`Authority::fingerprint`).
    ///
    /// # Errors
    /// Where it is refused, or there is no answer.
    pub async fn join(
        &self,
        address: &str,
        fingerprint: [u8; 32],
        application: &Application,
        token: &Secret<String>,
    ) -> Result<Admission, JoinError> {
        let mut client = JoinClient::new(token_channel(address, fingerprint));
        let request =
            proto::JoinRequest { application: application.encode(), token: token.expose().clone() };
        let answer = answer(client.join(request)).await?;
        match answer.result.ok_or(JoinError::Malformed)? {
            Answer::Admission(admission) => Admission::decode(admission),
            Answer::Refusal(refusal) => Err(refused(refusal.reason()).into()),
        }
    }

    /// Asks the active node for this node's next certificate.
    ///
    /// # Errors
    /// Where it is refused, or there is no answer.
    pub async fn renew(&self, node: u64, info: &NodeInfo) -> Result<Renewed, JoinError> {
        let request = self.identity.request().map_err(|_| JoinError::Malformed)?;
        let dialler: &Dialler = &self.dialler;
        let mut client = CertificatesClient::new(dialler.channel(node, info, Lane::Control));
        let header = proto::Header { version: VERSION, sender: self.identity.id(), target: node };
        let request = proto::RenewRequest { header: Some(header), request: request.into() };
        let answer = answer(client.renew(request)).await?;
        Ok(Renewed {
            certificate: answer.certificate.to_vec().into(),
            authorities: certificates(&answer.authorities),
        })
    }
}

/// The receiving end of both.
#[derive(Clone)]
pub(super) struct Joining {
    pub(super) id: u64,
    pub(super) admits: Arc<dyn Admits>,
}

#[tonic::async_trait]
impl join_server::Join for Joining {
    async fn join(
        &self,
        request: Request<proto::JoinRequest>,
    ) -> Result<Response<proto::JoinResponse>, Status> {
        let message = request.into_inner();
        let token = Secret::new(message.token);
        let admitted = match Application::decode(message.application) {
            Ok(application) => self.admits.join(application, token).await,
            Err(refusal) => Err(refusal),
        };
        let result = match admitted {
            Ok(admission) => Answer::Admission(admission.encode()),
            Err(refusal) => {
                tracing::warn!(%refusal, "a node was not admitted");
                Answer::Refusal(proto::JoinRefusal { reason: reason(refusal).into() })
            }
        };
        Ok(Response::new(proto::JoinResponse { result: Some(result) }))
    }
}

#[tonic::async_trait]
impl certificates_server::Certificates for Joining {
    async fn renew(
        &self,
        request: Request<proto::RenewRequest>,
    ) -> Result<Response<proto::RenewResponse>, Status> {
        let peer = request.extensions().get::<PeerId>().copied();
        let PeerId(peer) = peer.ok_or_else(|| Status::unauthenticated("no certificate"))?;
        let message = request.into_inner();
        let header = message.header.ok_or_else(|| Status::invalid_argument("no header"))?;
        if header.version > VERSION || header.sender != peer || header.target != self.id {
            return Err(Status::permission_denied("the message is not this connection's"));
        }
        match self.admits.renew(peer, message.request).await {
            Ok(renewed) => Ok(Response::new(proto::RenewResponse {
                certificate: Bytes::copy_from_slice(&renewed.certificate),
                authorities: copies(&renewed.authorities),
            })),
            Err(refusal) => Err(Status::failed_precondition(refusal.to_string())),
        }
    }
}

async fn answer<T>(
    call: impl Future<Output = Result<Response<T>, Status>>,
) -> Result<T, JoinError> {
    match tokio::time::timeout(ANSWER_TIMEOUT, call).await {
        Ok(Ok(response)) => Ok(response.into_inner()),
        Ok(Err(status)) => Err(JoinError::NoAnswer(status.message().into())),
        Err(_) => Err(JoinError::NoAnswer("in time".into())),
    }
}

fn reason(refusal: JoinRefusal) -> Reason {
    match refusal {
        JoinRefusal::NotActive => Reason::NotActive,
        JoinRefusal::Token => Reason::Token,
        JoinRefusal::NameTaken => Reason::NameTaken,
        JoinRefusal::IdTaken => Reason::IdTaken,
        JoinRefusal::Application => Reason::Application,
    }
}

fn refused(reason: Reason) -> JoinRefusal {
    match reason {
        Reason::NotActive => JoinRefusal::NotActive,
        Reason::Token => JoinRefusal::Token,
        Reason::NameTaken => JoinRefusal::NameTaken,
        Reason::IdTaken => JoinRefusal::IdTaken,
        Reason::Application | Reason::Unknown => JoinRefusal::Application,
    }
}

fn member(node: u64, info: &NodeInfo) -> Member {
    Member {
        node,
        name: info.name.clone(),
        cluster_address: info.cluster_address.clone(),
        api_address: info.api_address.clone(),
    }
}

fn info(member: Member) -> (u64, NodeInfo) {
    let Member { node, name, cluster_address, api_address } = member;
    (node, NodeInfo { name, cluster_address, api_address })
}

fn copies(certificates: &[CertificateDer<'static>]) -> Vec<Bytes> {
    certificates.iter().map(|der| Bytes::copy_from_slice(der)).collect()
}

fn certificates(ders: &[Bytes]) -> Vec<CertificateDer<'static>> {
    ders.iter().map(|der| der.to_vec().into()).collect()
}

/// Of application, admission and renewal.
const VERSION: u32 = 1;

/// A certificate is issued and a membership committed meanwhile.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(20);

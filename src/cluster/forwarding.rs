//! Sending requests to the active node, and taking them from others.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::watch;
use tonic::{Request, Response, Status};

use super::Cluster;
use super::forward::{
    ForwardError, Forwarded, Outcome, decode, decode_answer, encode, encode_answer,
};
use super::hello::refusal;
use crate::log::BoxFuture;
use crate::proto::forward as proto;
use crate::proto::forward::forward_client::ForwardClient;
use crate::proto::forward::forward_server;
use crate::raft::{MESSAGE_BYTES_MAX, NodeInfo, PeerId};

/// Handles what other nodes forward.
pub trait ForwardHandler: Send + Sync + 'static {
    fn handle(&self, forwarded: Forwarded) -> BoxFuture<'static, Outcome>;
}

impl Cluster {
    /// Sends a request to another node, which should be the active one, and waits for at most
    /// what is left of its time. Also tells what that node had applied when it answered.
    ///
    /// # Errors
    /// Where there is no answer; the variants say whether the request may be sent again.
    pub async fn forward(
        &self,
        node: u64,
        info: &NodeInfo,
        forwarded: &Forwarded,
    ) -> Result<(Outcome, u64), ForwardError> {
        let message = encode(forwarded);
        let message = message.map_err(|_| ForwardError::Malformed("request"))?;
        let mut client = ForwardClient::new(self.dialler.forward_channel(node, info))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let answer = tokio::time::timeout(forwarded.remaining, client.handle(message)).await;
        match answer {
            Ok(Ok(answer)) => {
                let answer = answer.into_inner();
                let applied = answer.applied;
                Ok((decode_answer(answer)?, applied))
            }
            Ok(Err(status)) => Err(forward_error(&status)),
            Err(_) => Err(ForwardError::Unknown("no answer in time".into())),
        }
    }
}

/// What became of a request without an answer. In doubt it may have taken effect.
fn forward_error(status: &Status) -> ForwardError {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<std::io::Error>()
            && let Some(refusal) = refusal(error)
        {
            return ForwardError::Refused(refusal);
        }
        if error.is::<tonic::ConnectError>() {
            if let Some(refusal) = deep_refusal(error) {
                return ForwardError::Refused(refusal);
            }
            return ForwardError::NotSent(status.message().into());
        }
        cause = error.source();
    }
    match status.code() {
        // The service's own refusals: see `Forwarding::handle`.
        tonic::Code::ResourceExhausted | tonic::Code::InvalidArgument => {
            ForwardError::NotSent(status.message().into())
        }
        _ => ForwardError::Unknown(status.message().into()),
    }
}

fn deep_refusal(error: &(dyn std::error::Error + 'static)) -> Option<super::Refusal> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(refusal) = error.downcast_ref::<std::io::Error>().and_then(refusal) {
            return Some(refusal);
        }
        cause = error.source();
    }
    None
}

/// The receiving end.
#[derive(Clone)]
pub(super) struct Forwarding {
    pub(super) handler: Arc<dyn ForwardHandler>,
    pub(super) applied: watch::Receiver<u64>,
    pub(super) requests: Handle,
}

#[tonic::async_trait]
impl forward_server::Forward for Forwarding {
    async fn handle(
        &self,
        request: Request<proto::Request>,
    ) -> Result<Response<proto::Answer>, Status> {
        let peer = request.extensions().get::<PeerId>().map(|PeerId(peer)| peer.to_string());
        let forwarded = decode(request.into_inner());
        let mut forwarded =
            forwarded.map_err(|error| Status::invalid_argument(error.to_string()))?;
        if forwarded.hops > HOPS_MAX {
            return Err(Status::resource_exhausted("forwarded too often"));
        }
        forwarded.remaining = forwarded.remaining.min(REMAINING_MAX);
        forwarded.request.forwarded_from = peer;
        // In a task of its own: who sent it may hang up, and it must not stop half-way.
        let handling = self.requests.spawn(self.handler.handle(forwarded));
        let outcome = handling.await.map_err(|_| Status::aborted("the request broke off"))?;
        Ok(Response::new(encode_answer(outcome, *self.applied.borrow())))
    }
}

/// From the node that the client reached to a leader, and from there to the next one.
const HOPS_MAX: u32 = 2;

/// Whatever another node says.
const REMAINING_MAX: Duration = Duration::from_secs(600);

//! Sending requests to the active node, and taking them from others.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt as _};
use tokio::runtime::Handle;
use tokio::sync::watch;
use tonic::{Request, Response, Status, Streaming};

use super::Cluster;
use super::forward::{
    ForwardError, Forwarded, Outcome, decode, decode_answer, encode, encode_answer,
};
use super::hello::refusal;
use crate::log::BoxFuture;
use crate::proto::forward as proto;
use crate::proto::forward::forward_client::ForwardClient;
use crate::proto::forward::forward_server;
use crate::proto::forward::upload_part::Part;
use crate::raft::{MESSAGE_BYTES_MAX, NodeInfo, PeerId};

/// Handles what other nodes forward.
pub trait ForwardHandler: Send + Sync + 'static {
    fn handle(&self, forwarded: Forwarded) -> BoxFuture<'static, Outcome>;

    /// A request whose body is no parameters. An error in the body says that it was broken off.
    fn upload(&self, forwarded: Forwarded, body: BodyChunks) -> BoxFuture<'static, Outcome>;
}

/// A body as it arrives, piece by piece.
pub type BodyChunks = BoxStream<'static, io::Result<Bytes>>;

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

    /// As [`Self::forward`], for a request with a body that is no parameters, which is sent as it
    /// arrives. It takes as long as it takes.
    ///
    /// # Errors
    /// As [`Self::forward`]; the body is gone, whatever it is.
    pub async fn upload(
        &self,
        node: u64,
        info: &NodeInfo,
        forwarded: &Forwarded,
        body: BodyChunks,
    ) -> Result<(Outcome, u64), ForwardError> {
        let message = encode(forwarded).map_err(|_| ForwardError::Malformed("request"))?;
        let mut client = ForwardClient::new(self.dialler.forward_channel(node, info))
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let first = stream::once(async { Part::Request(message) });
        let parts = first.chain(parts(body)).map(|part| proto::UploadPart { part: Some(part) });
        match client.upload(parts).await {
            Ok(answer) => {
                let answer = answer.into_inner();
                let applied = answer.applied;
                Ok((decode_answer(answer)?, applied))
            }
            Err(status) => Err(forward_error(&status)),
        }
    }
}

/// Ends without [`Part::End`] where the body is broken off.
fn parts(body: BodyChunks) -> impl Stream<Item = Part> + Send + 'static {
    stream::unfold(Some(body), |body| async move {
        let mut body = body?;
        match body.next().await {
            Some(Ok(chunk)) => Some((Part::Chunk(chunk), Some(body))),
            Some(Err(error)) => {
                tracing::debug!(%error, "a request's body was broken off");
                None
            }
            None => Some((Part::End(proto::UploadEnd {}), None)),
        }
    })
}

/// What [`parts`] has made of a body.
fn body(received: Streaming<proto::UploadPart>) -> BodyChunks {
    let chunks = stream::unfold(Some(received), |received| async move {
        let mut received = received?;
        match received.message().await {
            Ok(Some(proto::UploadPart { part: Some(Part::Chunk(chunk)) })) => {
                Some((Ok(chunk), Some(received)))
            }
            Ok(Some(proto::UploadPart { part: Some(Part::End(_)) })) => None,
            Ok(_) => Some((Err(io::ErrorKind::UnexpectedEof.into()), None)),
            Err(status) => Some((Err(io::Error::other(status)), None)),
        }
    });
    chunks.boxed()
}

/// What became of a request without an answer. In doubt it may have taken effect.
fn forward_error(status: &Status) -> ForwardError {
    let mut cause = std::error::Error::source(status);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>()
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
        if let Some(refusal) = error.downcast_ref::<io::Error>().and_then(refusal) {
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
        let peer = peer(&request);
        let forwarded = received(request.into_inner(), peer)?;
        self.run(self.handler.handle(forwarded)).await
    }

    async fn upload(
        &self,
        request: Request<Streaming<proto::UploadPart>>,
    ) -> Result<Response<proto::Answer>, Status> {
        let peer = peer(&request);
        let mut parts = request.into_inner();
        let Some(proto::UploadPart { part: Some(Part::Request(message)) }) =
            parts.message().await?
        else {
            return Err(Status::invalid_argument("an upload begins with its request"));
        };
        let forwarded = received(message, peer)?;
        self.run(self.handler.upload(forwarded, body(parts))).await
    }
}

impl Forwarding {
    /// In a task of its own: who sent it may hang up, and it must not stop half-way.
    async fn run(
        &self,
        handling: BoxFuture<'static, Outcome>,
    ) -> Result<Response<proto::Answer>, Status> {
        let handling = self.requests.spawn(handling);
        let outcome = handling.await.map_err(|_| Status::aborted("the request broke off"))?;
        Ok(Response::new(encode_answer(outcome, *self.applied.borrow())))
    }
}

fn peer<T>(request: &Request<T>) -> Option<String> {
    request.extensions().get::<PeerId>().map(|PeerId(peer)| peer.to_string())
}

fn received(message: proto::Request, peer: Option<String>) -> Result<Forwarded, Status> {
    let forwarded = decode(message);
    let mut forwarded = forwarded.map_err(|error| Status::invalid_argument(error.to_string()))?;
    if forwarded.hops > HOPS_MAX {
        return Err(Status::resource_exhausted("forwarded too often"));
    }
    forwarded.remaining = forwarded.remaining.min(REMAINING_MAX);
    forwarded.request.forwarded_from = peer;
    Ok(forwarded)
}

/// From the node that the client reached to a leader, and from there to the next one.
const HOPS_MAX: u32 = 2;

/// Whatever another node says.
const REMAINING_MAX: Duration = Duration::from_secs(600);

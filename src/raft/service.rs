//! Raft's messages on their way in.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{Stream, StreamExt as _};
use openraft::ReadPolicy;
use openraft::async_runtime::watch::WatchReceiver as _;
use openraft::errors::{Fatal, RaftError};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, StreamAppendError, StreamAppendResult,
    TransferLeaderError, TransferLeaderRequest, VoteRequest, VoteResponse,
};
use tonic::{Request, Response, Status, Streaming};

use super::Raft;
use super::candidacy::Candidacy;
use super::network::VERSION;
use super::peers::NodeStatus;
use super::snapshot::{Receiving, SnapshotData};
use super::state::StateStore;
use super::state_machine::Snapshot;
use super::types::{
    LogId, Malformed, SnapshotMeta, TypeConfig, Vote, decode_entry, decode_log_id_option,
    decode_vote, encode_log_id, encode_vote,
};
use crate::proto::cluster as proto;
use crate::proto::cluster::append_response::Result as AppendResult;
use crate::proto::cluster::raft_server;

/// Whose certificate a connection showed. Whoever serves [`RaftService`] puts it into the
/// request's extensions; without it every message is refused.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct PeerId(pub u64);

/// What this node says of itself.
pub(super) type StatusSource = Arc<dyn Fn() -> NodeStatus + Send + Sync>;

/// Answers the other nodes' raft.
#[derive(Clone)]
pub struct RaftService {
    pub(super) id: u64,
    pub(super) raft: Raft,
    pub(super) state: Arc<dyn StateStore>,
    pub(super) candidacy: Arc<Candidacy>,
    pub(super) status: StatusSource,
}

/// Who sent a message, and to whom, as its connection has proven.
#[derive(Clone, Copy)]
struct Admitted {
    peer: u64,
    this: u64,
}

impl Admitted {
    /// `claimed` is the node on whose behalf the message speaks.
    fn check(self, header: Option<&proto::Header>, claimed: u64) -> Result<(), Status> {
        let header = header.ok_or_else(|| Status::invalid_argument("message without header"))?;
        if header.version > VERSION {
            return Err(Status::unimplemented(format!(
                "message has version {}, newer than the {VERSION} this node reads: upgrade it",
                header.version
            )));
        }
        if header.sender != self.peer || claimed != self.peer {
            tracing::warn!(
                peer = self.peer,
                sender = header.sender,
                claimed,
                "a node speaks for another"
            );
            return Err(Status::permission_denied("sender is not the certificate's node"));
        }
        if header.target != self.this {
            return Err(Status::failed_precondition("message is for another node"));
        }
        Ok(())
    }
}

impl RaftService {
    fn admit<T>(&self, request: &Request<T>) -> Result<Admitted, Status> {
        let peer = request.extensions().get::<PeerId>();
        let peer = peer.ok_or_else(|| Status::unauthenticated("connection without certificate"))?;
        Ok(Admitted { peer: peer.0, this: self.id })
    }

    fn answer(&self, result: AppendResult) -> proto::AppendResponse {
        proto::AppendResponse { result: Some(result), status: Some((self.status)().encode()) }
    }

    /// This node's vote and log, with no vote granted.
    fn refuse_vote(&self) -> proto::VoteResponse {
        let vote = self.raft.server_metrics().borrow_watched().vote;
        let last = self.raft.data_metrics().borrow_watched().last_log;
        proto::VoteResponse {
            vote: Some(encode_vote(&vote)),
            granted: false,
            last: last.as_ref().map(encode_log_id),
        }
    }

    fn decode_vote_request(
        &self,
        request: Request<proto::VoteRequest>,
    ) -> Result<VoteRequest<TypeConfig>, Status> {
        let admitted = self.admit(&request)?;
        let message = request.into_inner();
        let vote = decode_vote(message.vote.as_ref()).map_err(malformed)?;
        admitted.check(message.header.as_ref(), vote.leader_id.node_id)?;
        let last = decode_log_id_option(message.last.as_ref()).map_err(malformed)?;
        let mut request = VoteRequest::new(vote, last);
        request.leadership_transfer = message.leadership_transfer;
        Ok(request)
    }
}

#[tonic::async_trait]
impl raft_server::Raft for RaftService {
    async fn append(
        &self,
        request: Request<proto::AppendRequest>,
    ) -> Result<Response<proto::AppendResponse>, Status> {
        let admitted = self.admit(&request)?;
        let request = decode_append(admitted, request.into_inner())?;
        let result = match self.raft.append_entries(request).await.map_err(raft_error)? {
            AppendEntriesResponse::Success | AppendEntriesResponse::PartialSuccess(_) => {
                self.candidacy.hear();
                AppendResult::Success(proto::Success {})
            }
            AppendEntriesResponse::Conflict => {
                self.candidacy.hear();
                AppendResult::Conflict(proto::Conflict {})
            }
            AppendEntriesResponse::HigherVote(vote) => AppendResult::HigherVote(encode_vote(&vote)),
        };
        Ok(Response::new(self.answer(result)))
    }

    type AppendStreamStream =
        Pin<Box<dyn Stream<Item = Result<proto::AppendResponse, Status>> + Send>>;

    async fn append_stream(
        &self,
        request: Request<Streaming<proto::AppendRequest>>,
    ) -> Result<Response<Self::AppendStreamStream>, Status> {
        let admitted = self.admit(&request)?;
        let refusal = Arc::new(Mutex::new(None));
        let requests = decoded(admitted, request.into_inner(), refusal.clone());
        let service = self.clone();
        let answers = self.raft.stream_append(requests).map(move |result| match result {
            Ok(result) => {
                if !matches!(result, Err(StreamAppendError::HigherVote(_))) {
                    service.candidacy.hear();
                }
                Ok(service.answer(encode_stream_result(&result)))
            }
            Err(fatal) => Err(fatal_error(&fatal)),
        });
        let refused = futures_util::stream::once(async move {
            refusal.lock().unwrap_or_else(PoisonError::into_inner).take().map(Err)
        });
        let refused = refused.filter_map(|refused| async move { refused });
        Ok(Response::new(Box::pin(answers.chain(refused))))
    }

    async fn vote(
        &self,
        request: Request<proto::VoteRequest>,
    ) -> Result<Response<proto::VoteResponse>, Status> {
        let request = self.decode_vote_request(request)?;
        if !self.candidacy.may_vote(request.leadership_transfer) {
            return Ok(Response::new(self.refuse_vote()));
        }
        let answer = self.raft.vote(request).await.map_err(raft_error)?;
        Ok(Response::new(encode_vote_response(&answer)))
    }

    async fn pre_vote(
        &self,
        request: Request<proto::VoteRequest>,
    ) -> Result<Response<proto::VoteResponse>, Status> {
        let request = self.decode_vote_request(request)?;
        if !self.candidacy.may_vote(request.leadership_transfer) {
            return Ok(Response::new(self.refuse_vote()));
        }
        let answer = self.raft.pre_vote(request).await.map_err(raft_error)?;
        Ok(Response::new(encode_vote_response(&answer)))
    }

    async fn transfer_leader(
        &self,
        request: Request<proto::TransferRequest>,
    ) -> Result<Response<proto::TransferResponse>, Status> {
        use proto::transfer_response::Result as Answer;
        let admitted = self.admit(&request)?;
        let message = request.into_inner();
        let from = decode_vote(message.from.as_ref()).map_err(malformed)?;
        admitted.check(message.header.as_ref(), from.leader_id.node_id)?;
        let last = decode_log_id_option(message.last.as_ref()).map_err(malformed)?;
        if message.to == self.id && !self.candidacy.accepts_transfer() {
            let answer = Answer::NotCandidate(proto::NotCandidate {});
            return Ok(Response::new(proto::TransferResponse { result: Some(answer) }));
        }
        let request = TransferLeaderRequest::new(from, message.to, last);
        let answer = self.raft.handle_transfer_leader(request).await;
        let answer = match answer.map_err(|fatal| fatal_error(&fatal))? {
            Ok(()) => Answer::Accepted(proto::Success {}),
            Err(TransferLeaderError::VoteChanged { actual, .. }) => {
                Answer::VoteChanged(encode_vote(&actual))
            }
            Err(TransferLeaderError::LogNotFlushed { actual, .. }) => {
                let last = actual.as_ref().map(encode_log_id);
                Answer::LogNotFlushed(proto::LogNotFlushed { last })
            }
        };
        Ok(Response::new(proto::TransferResponse { result: Some(answer) }))
    }

    async fn install_snapshot(
        &self,
        request: Request<Streaming<proto::SnapshotChunk>>,
    ) -> Result<Response<proto::SnapshotResponse>, Status> {
        let admitted = self.admit(&request)?;
        let (vote, snapshot) = self.receive(admitted, request.into_inner()).await?;
        self.candidacy.hear();
        let answer = self.raft.install_full_snapshot(vote, snapshot).await;
        let vote = answer.map_err(|fatal| fatal_error(&fatal))?.vote;
        Ok(Response::new(proto::SnapshotResponse { vote: Some(encode_vote(&vote)) }))
    }

    async fn read_index(
        &self,
        request: Request<proto::ReadIndexRequest>,
    ) -> Result<Response<proto::ReadIndexResponse>, Status> {
        let admitted = self.admit(&request)?;
        admitted.check(request.get_ref().header.as_ref(), admitted.peer)?;
        match self.raft.get_read_linearizer(ReadPolicy::ReadIndex).await {
            Ok(linearizer) => {
                let read = encode_log_id(linearizer.read_log_id().log_id());
                Ok(Response::new(proto::ReadIndexResponse { read: Some(read) }))
            }
            Err(RaftError::APIError(_)) => Err(Status::unavailable("this node does not lead")),
            Err(RaftError::Fatal(fatal)) => Err(fatal_error(&fatal)),
        }
    }
}

impl RaftService {
    async fn receive(
        &self,
        admitted: Admitted,
        mut messages: Streaming<proto::SnapshotChunk>,
    ) -> Result<(Vote, Snapshot), Status> {
        use proto::snapshot_chunk::Part;
        let early = || Status::invalid_argument("the snapshot ends early");
        let first = messages.message().await?.and_then(|message| message.part);
        let Some(Part::Header(header)) = first else { return Err(early()) };
        let vote = decode_vote(header.vote.as_ref()).map_err(malformed)?;
        admitted.check(header.header.as_ref(), vote.leader_id.node_id)?;
        let mut receiving = Receiving::start(&*self.state).await.map_err(io_error)?;
        let end = loop {
            match messages.message().await?.ok_or_else(early)?.part {
                Some(Part::Data(data)) => receiving.write(&data).await.map_err(io_error)?,
                Some(Part::End(end)) => break end,
                Some(Part::Header(_)) | None => return Err(early()),
            }
        };
        let image = receiving.finish(&end).await.map_err(io_error)?;
        let state = self.state.clone();
        let inspect = tokio::task::spawn_blocking(move || {
            let position = state.inspect(&image);
            position.map(|position| (position, image))
        });
        let (position, image) = inspect
            .await
            .map_err(|error| Status::internal(error.to_string()))?
            .map_err(io_error)?;
        // What is in the snapshot counts, not what anyone says of it.
        let meta = SnapshotMeta {
            last_log_id: position.last_applied,
            last_membership: position.membership,
        };
        Ok((vote, Snapshot { meta, snapshot: SnapshotData::Received(image) }))
    }
}

/// The requests of a stream, up to the first that is refused.
fn decoded(
    admitted: Admitted,
    messages: Streaming<proto::AppendRequest>,
    refusal: Arc<Mutex<Option<Status>>>,
) -> impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + 'static {
    futures_util::stream::unfold(messages, move |mut messages| {
        let refusal = refusal.clone();
        async move {
            let message = messages.message().await;
            let request = match message {
                Ok(None) => return None,
                Ok(Some(message)) => decode_append(admitted, message),
                Err(status) => Err(status),
            };
            match request {
                Ok(request) => Some((request, messages)),
                Err(status) => {
                    *refusal.lock().unwrap_or_else(PoisonError::into_inner) = Some(status);
                    None
                }
            }
        }
    })
}

fn decode_append(
    admitted: Admitted,
    message: proto::AppendRequest,
) -> Result<AppendEntriesRequest<TypeConfig>, Status> {
    let vote = decode_vote(message.vote.as_ref()).map_err(malformed)?;
    admitted.check(message.header.as_ref(), vote.leader_id.node_id)?;
    if !vote.committed {
        return Err(Status::invalid_argument("only a leader appends"));
    }
    let prev_log_id = decode_log_id_option(message.previous.as_ref()).map_err(malformed)?;
    let entries = message.entries.into_iter().map(decode_entry);
    let entries: Vec<_> = entries.collect::<Result<_, _>>().map_err(malformed)?;
    let mut next = prev_log_id.map_or(0, |id: LogId| id.index.saturating_add(1));
    for entry in &entries {
        if entry.log_id.index != next {
            return Err(Status::invalid_argument("entries with a hole between them"));
        }
        next = next.saturating_add(1);
    }
    let leader_commit = decode_log_id_option(message.committed.as_ref()).map_err(malformed)?;
    Ok(AppendEntriesRequest { vote, prev_log_id, entries, leader_commit })
}

fn encode_stream_result(result: &StreamAppendResult<TypeConfig>) -> AppendResult {
    match result {
        Ok(_) => AppendResult::Success(proto::Success {}),
        Err(StreamAppendError::Conflict(_)) => AppendResult::Conflict(proto::Conflict {}),
        Err(StreamAppendError::HigherVote(vote)) => AppendResult::HigherVote(encode_vote(vote)),
    }
}

fn encode_vote_response(answer: &VoteResponse<TypeConfig>) -> proto::VoteResponse {
    proto::VoteResponse {
        vote: Some(encode_vote(&answer.vote)),
        granted: answer.vote_granted,
        last: answer.last_log_id.as_ref().map(encode_log_id),
    }
}

fn malformed(error: Malformed) -> Status {
    Status::invalid_argument(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn io_error(error: std::io::Error) -> Status {
    Status::internal(error.to_string())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn raft_error(error: RaftError<TypeConfig>) -> Status {
    Status::unavailable(error.to_string())
}

fn fatal_error(error: &Fatal<TypeConfig>) -> Status {
    Status::unavailable(error.to_string())
}

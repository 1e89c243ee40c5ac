//! Raft's messages on their way out.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::{FutureExt as _, Stream, StreamExt as _};
use openraft::base::{BoxFuture, BoxStream};
use openraft::errors::{RPCError, ReplicationClosed, StreamingError, Unreachable};
use openraft::network::{
    Backoff, RPCOption, RaftNetworkFactory, RaftNetworkV2, stream_append_sequential,
};
use openraft::raft::{
    AppendEntriesRequest, AppendEntriesResponse, SnapshotResponse, StreamAppendError,
    StreamAppendResult, TransferLeaderError, TransferLeaderRequest, TransferLeaderResponse,
    VoteRequest, VoteResponse,
};
use tonic::Streaming;
use tonic::transport::Channel;

use super::peers::{Lane, Peers, Statuses};
use super::snapshot::{SnapshotData, chunks};
use super::types::{
    LogId, NodeInfo, TypeConfig, Vote, decode_log_id_option, decode_vote, encode_entry,
    encode_log_id, encode_vote,
};
use crate::proto::cluster as proto;
use crate::proto::cluster::raft_client::RaftClient;

/// Makes the connections to each member.
pub(super) struct Network {
    pub(super) id: u64,
    pub(super) peers: Arc<dyn Peers>,
    pub(super) statuses: Arc<Statuses>,
    /// Between two attempts to reach a node; the last one for all further ones.
    pub(super) backoff: Vec<Duration>,
    pub(super) snapshot_timeout: Duration,
}

impl Network {
    fn connection(&self, target: u64, node: &NodeInfo, lane: Lane) -> Connection {
        let channel = self.peers.channel(target, node, lane);
        let client = RaftClient::new(channel)
            .max_decoding_message_size(MESSAGE_BYTES_MAX)
            .max_encoding_message_size(MESSAGE_BYTES_MAX);
        let header = proto::Header { version: VERSION, sender: self.id, target };
        Connection {
            client,
            header,
            lane,
            statuses: self.statuses.clone(),
            backoff: self.backoff.clone(),
            snapshot_timeout: self.snapshot_timeout,
        }
    }
}

impl RaftNetworkFactory<TypeConfig> for Network {
    type Network = Connection;

    async fn new_client(&mut self, target: u64, node: &NodeInfo) -> Connection {
        self.connection(target, node, Lane::Append)
    }

    async fn new_heartbeat_client(&mut self, target: u64, node: &NodeInfo) -> Connection {
        self.connection(target, node, Lane::Control)
    }

    async fn new_snapshot_client(&mut self, target: u64, node: &NodeInfo) -> Connection {
        self.connection(target, node, Lane::Snapshot)
    }
}

/// One member, seen from here.
pub(super) struct Connection {
    client: RaftClient<Channel>,
    header: proto::Header,
    lane: Lane,
    statuses: Arc<Statuses>,
    backoff: Vec<Duration>,
    snapshot_timeout: Duration,
}

impl Connection {
    fn note(&self, response: &proto::AppendResponse) {
        if let Some(status) = &response.status {
            self.statuses.note(self.header.target, status);
        }
    }

    fn encode_append(
        header: proto::Header,
        request: &AppendEntriesRequest<TypeConfig>,
    ) -> proto::AppendRequest {
        proto::AppendRequest {
            header: Some(header),
            vote: Some(encode_vote(&request.vote)),
            previous: request.prev_log_id.as_ref().map(encode_log_id),
            entries: request.entries.iter().map(encode_entry).collect(),
            committed: request.leader_commit.as_ref().map(encode_log_id),
        }
    }

    /// Sends while earlier messages are still under way.
    async fn pipeline<'s>(
        &mut self,
        input: impl Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    ) -> Result<AppendResponses<'s>, RPCError<TypeConfig>> {
        // openraft backs off as it makes the first request. A call that fails before it wants one
        // (a refused connection) would be made again at once, without end.
        let mut input = input.peekable();
        if Pin::new(&mut input).peek().await.is_none() {
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        let sent = Arc::new(Mutex::new(VecDeque::new()));
        let (header, sending) = (self.header, sent.clone());
        let requests = input.map(move |request| {
            let last = request.entries.last().map(|entry| entry.log_id);
            let range = Range { previous: request.prev_log_id, last: last.or(request.prev_log_id) };
            sending.lock().unwrap_or_else(PoisonError::into_inner).push_back(range);
            Self::encode_append(header, &request)
        });
        let call = within(APPEND_STALL, self.client.append_stream(requests)).await?;
        let responses = Responses {
            stream: call.into_inner(),
            sent,
            target: self.header.target,
            statuses: self.statuses.clone(),
        };
        let stream = futures_util::stream::unfold(Some(responses), |responses| async move {
            let mut responses = responses?;
            let result = responses.next().await.transpose()?;
            let goes_on = matches!(result, Ok(Ok(_)));
            Some((result, goes_on.then_some(responses)))
        });
        Ok(Box::pin(stream))
    }
}

type AppendResponses<'s> =
    BoxStream<'s, Result<StreamAppendResult<TypeConfig>, RPCError<TypeConfig>>>;

/// What one message in a pipeline carried.
struct Range {
    previous: Option<LogId>,
    last: Option<LogId>,
}

struct Responses {
    stream: Streaming<proto::AppendResponse>,
    sent: Arc<Mutex<VecDeque<Range>>>,
    target: u64,
    statuses: Arc<Statuses>,
}

impl Responses {
    async fn next(
        &mut self,
    ) -> Result<Option<StreamAppendResult<TypeConfig>>, RPCError<TypeConfig>> {
        let response = loop {
            match tokio::time::timeout(APPEND_STALL, self.stream.message()).await {
                Ok(Ok(Some(response))) => break response,
                Ok(Ok(None)) => return Ok(None),
                Ok(Err(status)) => return Err(unreachable(&status)),
                // Nothing is under way: nothing need come back.
                Err(_) if self.lock().is_empty() => {}
                Err(_) => return Err(unreachable_because("no answer to appended entries")),
            }
        };
        if let Some(status) = &response.status {
            self.statuses.note(self.target, status);
        }
        let range =
            self.lock().pop_front().ok_or_else(|| unreachable_because("an answer too many"))?;
        Ok(Some(match decode_append(&response, range.previous)? {
            AppendEntriesResponse::Success => Ok(range.last),
            AppendEntriesResponse::PartialSuccess(matching) => Ok(matching),
            AppendEntriesResponse::Conflict => {
                let conflict = range.previous.ok_or_else(|| unreachable_because(NO_CONFLICT))?;
                Err(StreamAppendError::Conflict(conflict))
            }
            AppendEntriesResponse::HigherVote(vote) => Err(StreamAppendError::HigherVote(vote)),
        }))
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Range>> {
        self.sent.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl RaftNetworkV2<TypeConfig> for Connection {
    type SnapshotData = SnapshotData;

    async fn append_entries(
        &mut self,
        request: AppendEntriesRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
        let message = Self::encode_append(self.header, &request);
        let response = within(option.soft_ttl(), self.client.append(message)).await?.into_inner();
        self.note(&response);
        decode_append(&response, request.prev_log_id)
    }

    fn stream_append<'s, S>(
        &'s mut self,
        input: S,
        option: RPCOption,
    ) -> BoxFuture<'s, Result<AppendResponses<'s>, RPCError<TypeConfig>>>
    where
        S: Stream<Item = AppendEntriesRequest<TypeConfig>> + Send + Unpin + 'static,
    {
        if self.lane == Lane::Append {
            return self.pipeline(input).boxed();
        }
        stream_append_sequential(self, input, option)
    }

    async fn vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let message = encode_vote_request(self.header, &request);
        let response = within(option.soft_ttl(), self.client.vote(message)).await?;
        decode_vote_response(&response.into_inner())
    }

    async fn pre_vote(
        &mut self,
        request: VoteRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
        let message = encode_vote_request(self.header, &request);
        let response = within(option.soft_ttl(), self.client.pre_vote(message)).await?;
        decode_vote_response(&response.into_inner())
    }

    async fn full_snapshot(
        &mut self,
        vote: Vote,
        snapshot: openraft::alias::SnapshotOf<TypeConfig, SnapshotData>,
        cancel: impl Future<Output = ReplicationClosed> + Send + 'static,
        _option: RPCOption,
    ) -> Result<SnapshotResponse<TypeConfig>, StreamingError<TypeConfig>> {
        let header =
            proto::SnapshotHeader { header: Some(self.header), vote: Some(encode_vote(&vote)) };
        let messages = chunks(header, snapshot.snapshot);
        let call = within(self.snapshot_timeout, self.client.install_snapshot(messages));
        let response = tokio::select! {
            closed = cancel => return Err(StreamingError::Closed(closed)),
            response = call => response?,
        };
        let vote = decode_vote(response.into_inner().vote.as_ref());
        Ok(SnapshotResponse::new(vote.map_err(|error| unreachable_for(&error))?))
    }

    async fn transfer_leader(
        &mut self,
        request: TransferLeaderRequest<TypeConfig>,
        option: RPCOption,
    ) -> Result<TransferLeaderResponse<TypeConfig>, RPCError<TypeConfig>> {
        use proto::transfer_response::Result as Answer;
        let message = proto::TransferRequest {
            header: Some(self.header),
            from: Some(encode_vote(request.from_leader())),
            to: *request.to_node_id(),
            last: request.last_log_id().map(encode_log_id),
        };
        let response = within(option.soft_ttl(), self.client.transfer_leader(message)).await?;
        match response.into_inner().result {
            Some(Answer::Accepted(_)) => Ok(Ok(())),
            Some(Answer::VoteChanged(vote)) => Ok(Err(TransferLeaderError::VoteChanged {
                expected: *request.from_leader(),
                actual: decode_vote(Some(&vote)).map_err(|error| unreachable_for(&error))?,
            })),
            Some(Answer::LogNotFlushed(log)) => Ok(Err(TransferLeaderError::LogNotFlushed {
                expected: request.last_log_id().copied(),
                actual: decode_log_id_option(log.last.as_ref())
                    .map_err(|error| unreachable_for(&error))?,
            })),
            Some(Answer::NotCandidate(_)) => {
                Err(unreachable_because("the node is sealed or has just started"))
            }
            None => Err(unreachable_because("an answer of a kind this program knows not")),
        }
    }

    fn backoff(&self) -> Option<Backoff> {
        let last = self.backoff.last().copied().unwrap_or(BACKOFF_LAST);
        let steps = self.backoff.clone().into_iter();
        Some(Backoff::new(steps.chain(std::iter::repeat(last))))
    }
}

fn encode_vote_request(
    header: proto::Header,
    request: &VoteRequest<TypeConfig>,
) -> proto::VoteRequest {
    proto::VoteRequest {
        header: Some(header),
        vote: Some(encode_vote(&request.vote)),
        last: request.last_log_id.as_ref().map(encode_log_id),
        leadership_transfer: request.leadership_transfer,
    }
}

fn decode_vote_response(
    response: &proto::VoteResponse,
) -> Result<VoteResponse<TypeConfig>, RPCError<TypeConfig>> {
    let vote = decode_vote(response.vote.as_ref()).map_err(|error| unreachable_for(&error))?;
    let last =
        decode_log_id_option(response.last.as_ref()).map_err(|error| unreachable_for(&error))?;
    Ok(VoteResponse::new(vote, last, response.granted))
}

fn decode_append(
    response: &proto::AppendResponse,
    previous: Option<LogId>,
) -> Result<AppendEntriesResponse<TypeConfig>, RPCError<TypeConfig>> {
    use proto::append_response::Result as Answer;
    match &response.result {
        Some(Answer::Success(_)) => Ok(AppendEntriesResponse::Success),
        // openraft panics on a conflict at the very beginning of the log: it cannot be one.
        Some(Answer::Conflict(_)) if previous.is_none() => Err(unreachable_because(NO_CONFLICT)),
        Some(Answer::Conflict(_)) => Ok(AppendEntriesResponse::Conflict),
        Some(Answer::HigherVote(vote)) => {
            let vote = decode_vote(Some(vote)).map_err(|error| unreachable_for(&error))?;
            Ok(AppendEntriesResponse::HigherVote(vote))
        }
        None => Err(unreachable_because("an answer of a kind this program knows not")),
    }
}

/// Whatever keeps an answer away is `Unreachable`: raft then backs off, and never takes silence
/// for a grant.
async fn within<T>(
    limit: Duration,
    call: impl Future<Output = Result<T, tonic::Status>>,
) -> Result<T, RPCError<TypeConfig>> {
    match tokio::time::timeout(limit, call).await {
        Ok(Ok(response)) => Ok(response),
        Ok(Err(status)) => Err(unreachable(&status)),
        Err(_) => Err(unreachable_because("no answer in time")),
    }
}

fn unreachable(status: &tonic::Status) -> RPCError<TypeConfig> {
    let cause = std::error::Error::source(status)
        .and_then(|cause| cause.source().map(|deeper| format!(": {cause}: {deeper}")))
        .unwrap_or_default();
    unreachable_because(&format!("{}{cause}", status.message()))
}

fn unreachable_for(error: &super::types::Malformed) -> RPCError<TypeConfig> {
    unreachable_because(&error.to_string())
}

fn unreachable_because(reason: &str) -> RPCError<TypeConfig> {
    RPCError::Unreachable(Unreachable::from_string(reason))
}

/// Of the messages in `proto/cluster.proto`.
pub const VERSION: u32 = 1;

/// At both ends. A message holds one chunk of entries, and a chunk at least one entry.
pub const MESSAGE_BYTES_MAX: usize = 64 * 1024 * 1024;

/// Without an answer to entries under way, the node is taken for unreachable.
const APPEND_STALL: Duration = Duration::from_secs(10);

const BACKOFF_LAST: Duration = Duration::from_millis(100);
const NO_CONFLICT: &str = "a conflict before the first entry";

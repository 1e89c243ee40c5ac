//! Requests and answers as they pass between nodes: everything that the pipeline knows of them,
//! and nothing of HTTP.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::hello::Refusal;
use crate::clock::Timestamp;
use crate::proto::forward as proto;
use crate::proto::forward::Operation as EncodedOperation;
use crate::record::{Numbers, OriginId, RequestId};
use crate::request::wire::{Malformed, decode_error, decode_reply, encode_error, encode_reply};
use crate::request::{Error, Operation, Reply, Request};
use crate::secret::Secret;

/// A request that another node sends on.
#[derive(Debug)]
pub struct Forwarded {
    pub request: Request,
    pub wanted: Wanted,
    /// What is left of its time.
    pub remaining: Duration,
    /// Nodes it has passed, the one that the client reached included.
    pub hops: u32,
    /// Requests of the same origin that were answered since.
    pub finished: Vec<Numbers>,
    /// In which the node leads to which it is sent.
    pub leader_term: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Wanted {
    Answer,
    /// Whether the token may do it; the node that asks does it itself.
    Verdict,
}

/// What the active node makes of it.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "nearly every one is the large one")]
pub enum Outcome {
    Answered(Result<Reply, Error>),
    /// Nothing was done: the next leader is to be asked.
    NotActive,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ForwardError {
    /// It was not received, or not acted on: it may go to the next leader.
    #[error("the request did not reach an active node: {0}")]
    NotSent(String),
    /// As [`Self::NotSent`], and the node will not take it until something is done.
    #[error("the request was not sent: {0}")]
    Refused(Refusal),
    /// It may have taken effect.
    #[error("the active node did not answer: {0}")]
    Unknown(String),
    /// The other node speaks otherwise.
    #[error("the message cannot be read: {0}")]
    Malformed(&'static str),
}

impl From<Malformed> for ForwardError {
    fn from(Malformed(part): Malformed) -> Self {
        Self::Malformed(part)
    }
}

pub(super) fn encode(forwarded: &Forwarded) -> Result<proto::Request, Error> {
    let request = &forwarded.request;
    let headers = request
        .headers
        .iter()
        .map(|(name, values)| proto::Header { name: name.clone(), values: values.clone() });
    let certificates = request.client_certificates.iter().map(|der| Bytes::copy_from_slice(der));
    let (mut origin, mut number) = Default::default();
    let (mut proxied, mut proxied_milliseconds) = Default::default();
    match &request.known_as {
        Some(RequestId::Numbered { origin: id, number: given }) => {
            (origin, number) = (Bytes::copy_from_slice(&id.0), *given);
        }
        Some(RequestId::Proxied { made, id }) => {
            (proxied, proxied_milliseconds) = (Bytes::copy_from_slice(id), made.0);
        }
        None => {}
    }
    Ok(proto::Request {
        version: VERSION,
        id: request.id.clone(),
        operation: encode_operation(request.operation).into(),
        namespace: request.namespace.clone(),
        path: request.path.clone(),
        parameters: serde_json::to_vec(&request.params).map_err(Error::internal)?.into(),
        token: request.token.as_ref().map(|token| token.expose().clone()),
        wrap_ttl_milliseconds: request.wrap_ttl.map(milliseconds),
        remote: request.remote.map(|remote| remote.to_string()),
        client_certificates: certificates.collect(),
        headers: headers.collect(),
        remaining_milliseconds: milliseconds(forwarded.remaining),
        hops: forwarded.hops,
        wanted: match forwarded.wanted {
            Wanted::Answer => proto::Wanted::Answer,
            Wanted::Verdict => proto::Wanted::Verdict,
        }
        .into(),
        origin,
        number,
        proxied,
        proxied_milliseconds,
        finished: forwarded.finished.iter().flat_map(|(first, last)| [*first, *last]).collect(),
        leader_term: forwarded.leader_term,
    })
}

pub(super) fn decode(message: proto::Request) -> Result<Forwarded, ForwardError> {
    if message.version > VERSION {
        return Err(ForwardError::Malformed("version: upgrade this node"));
    }
    let wanted = match message.wanted() {
        proto::Wanted::Answer => Wanted::Answer,
        proto::Wanted::Verdict => Wanted::Verdict,
        proto::Wanted::Unknown => return Err(ForwardError::Malformed("wanted")),
    };
    let operation = decode_operation(message.operation())?;
    let known_as = known_as(&message)?;
    let remote = message.remote.map(|remote| remote.parse()).transpose();
    let headers = message.headers.into_iter().map(|header| (header.name, header.values));
    let (finished, rest) = message.finished.as_chunks::<2>();
    if !rest.is_empty() {
        return Err(ForwardError::Malformed("finished requests"));
    }
    let request = Request {
        id: message.id,
        known_as,
        operation,
        namespace: message.namespace,
        namespace_id: String::new(),
        path: message.path,
        params: object(&message.parameters)?,
        token: message.token.map(|token| Arc::new(Secret::new(token))),
        wrap_ttl: message.wrap_ttl_milliseconds.map(Duration::from_millis),
        remote: remote.map_err(|_| ForwardError::Malformed("remote"))?,
        client_certificates: message.client_certificates.iter().map(|der| der.to_vec()).collect(),
        headers: headers.collect(),
        // Told by the connection, never by the message.
        forwarded_from: None,
    };
    Ok(Forwarded {
        request,
        wanted,
        remaining: Duration::from_millis(message.remaining_milliseconds),
        hops: message.hops,
        finished: finished.iter().map(|[first, last]| (*first, *last)).collect(),
        leader_term: message.leader_term,
    })
}

pub(super) fn encode_answer(outcome: Outcome, applied: u64) -> proto::Answer {
    use proto::answer::Result as Encoded;
    let result = match outcome {
        Outcome::Answered(Ok(reply)) => Encoded::Reply(encode_reply(&reply)),
        Outcome::Answered(Err(error)) => Encoded::Error(encode_error(&error)),
        Outcome::NotActive => Encoded::NotActive(proto::NotActive {}),
    };
    proto::Answer { result: Some(result), applied }
}

pub(super) fn decode_answer(answer: proto::Answer) -> Result<Outcome, ForwardError> {
    use proto::answer::Result as Encoded;
    Ok(match answer.result.ok_or(ForwardError::Malformed("answer"))? {
        Encoded::Reply(reply) => Outcome::Answered(Ok(decode_reply(reply)?)),
        Encoded::Error(error) => Outcome::Answered(Err(decode_error(error)?)),
        Encoded::NotActive(_) => Outcome::NotActive,
    })
}

fn encode_operation(operation: Operation) -> EncodedOperation {
    match operation {
        Operation::Create => EncodedOperation::Create,
        Operation::Delete => EncodedOperation::Delete,
        Operation::Header => EncodedOperation::Header,
        Operation::Help => EncodedOperation::Help,
        Operation::List => EncodedOperation::List,
        Operation::Patch => EncodedOperation::Patch,
        Operation::Read => EncodedOperation::Read,
        Operation::Update => EncodedOperation::Update,
    }
}

fn decode_operation(operation: EncodedOperation) -> Result<Operation, ForwardError> {
    Ok(match operation {
        EncodedOperation::Unknown => return Err(ForwardError::Malformed("operation")),
        EncodedOperation::Create => Operation::Create,
        EncodedOperation::Delete => Operation::Delete,
        EncodedOperation::Header => Operation::Header,
        EncodedOperation::Help => Operation::Help,
        EncodedOperation::List => Operation::List,
        EncodedOperation::Patch => Operation::Patch,
        EncodedOperation::Read => Operation::Read,
        EncodedOperation::Update => Operation::Update,
    })
}

/// By which a repeated request is known.
fn known_as(message: &proto::Request) -> Result<Option<RequestId>, ForwardError> {
    let id = |bytes: &Bytes| {
        bytes.as_ref().try_into().map_err(|_| ForwardError::Malformed("request id"))
    };
    Ok(match (message.origin.is_empty(), message.proxied.is_empty()) {
        (true, true) => None,
        (false, true) => {
            let origin = OriginId(id(&message.origin)?);
            Some(RequestId::Numbered { origin, number: message.number })
        }
        (true, false) => {
            let made = Timestamp(message.proxied_milliseconds);
            Some(RequestId::Proxied { made, id: id(&message.proxied)? })
        }
        (false, false) => return Err(ForwardError::Malformed("request id")),
    })
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, ForwardError> {
    serde_json::from_slice(bytes).map_err(|_| ForwardError::Malformed("JSON"))
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Of the messages in `proto/forward.proto`.
const VERSION: u32 = 2;

#[cfg(test)]
mod tests;

//! Requests and answers as they pass between nodes: everything that the pipeline knows of them,
//! and nothing of HTTP.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::hello::Refusal;
use crate::clock::Timestamp;
use crate::proto::forward as proto;
use crate::proto::forward::reply::Body as EncodedBody;
use crate::proto::forward::{Kind, Operation as EncodedOperation};
use crate::request::{
    Auth, Body, Error, Lease, Operation, RawBody, Reply, Request, TokenType, WrapInfo,
};
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
    pub origin: Origin,
}

/// Names a request across nodes and failovers, so that it takes effect once.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Origin {
    /// One start of one node.
    pub start: Bytes,
    /// Of the request, there.
    pub number: u64,
    /// Requests of that origin that were answered since.
    pub finished: Vec<u64>,
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

pub(super) fn encode(forwarded: &Forwarded) -> Result<proto::Request, Error> {
    let request = &forwarded.request;
    let headers = request
        .headers
        .iter()
        .map(|(name, values)| proto::Header { name: name.clone(), values: values.clone() });
    let certificates = request.client_certificates.iter().map(|der| Bytes::copy_from_slice(der));
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
        origin: forwarded.origin.start.clone(),
        number: forwarded.origin.number,
        finished: forwarded.origin.finished.clone(),
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
    let remote = message.remote.map(|remote| remote.parse()).transpose();
    let headers = message.headers.into_iter().map(|header| (header.name, header.values));
    let request = Request {
        id: message.id,
        operation,
        namespace: message.namespace,
        path: message.path,
        params: object(&message.parameters)?,
        token: message.token.map(|token| Arc::new(Secret::new(token))),
        wrap_ttl: message.wrap_ttl_milliseconds.map(Duration::from_millis),
        remote: remote.map_err(|_| ForwardError::Malformed("remote"))?,
        client_certificates: message.client_certificates.iter().map(|der| der.to_vec()).collect(),
        headers: headers.collect(),
    };
    Ok(Forwarded {
        request,
        wanted,
        remaining: Duration::from_millis(message.remaining_milliseconds),
        hops: message.hops,
        origin: Origin {
            start: message.origin,
            number: message.number,
            finished: message.finished,
        },
    })
}

pub(super) fn encode_answer(outcome: Outcome, applied: u64) -> proto::Answer {
    use proto::answer::Result as Encoded;
    let result = match outcome {
        Outcome::Answered(Ok(reply)) => Encoded::Reply(encode_reply(reply)),
        Outcome::Answered(Err(error)) => Encoded::Error(encode_error(error)),
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

fn encode_reply(reply: Reply) -> proto::Reply {
    let body = match reply.body {
        Body::Empty => None,
        Body::Data(data) => Some(EncodedBody::Data(json(&Value::Object(data)))),
        Body::Bare(value) => Some(EncodedBody::Bare(json(&value))),
        Body::Raw(RawBody { content_type, bytes }) => {
            Some(EncodedBody::Raw(proto::RawBody { content_type, bytes }))
        }
    };
    proto::Reply {
        body,
        warnings: reply.warnings,
        auth: reply.auth.map(encode_auth),
        lease: reply.lease.map(|lease| proto::Lease {
            id: lease.id,
            ttl_milliseconds: milliseconds(lease.ttl),
            renewable: lease.renewable,
        }),
        wrap_info: reply.wrap_info.map(|info| proto::WrapInfo {
            token: info.token,
            accessor: info.accessor,
            ttl_milliseconds: milliseconds(info.ttl),
            creation_time_milliseconds: info.creation_time.0,
            creation_path: info.creation_path,
            wrapped_accessor: info.wrapped_accessor,
        }),
        status: reply.status.map(u32::from),
        headers: pairs(reply.headers),
        mount_type: reply.mount_type,
    }
}

fn decode_reply(reply: proto::Reply) -> Result<Reply, ForwardError> {
    let body = match reply.body {
        None => Body::Empty,
        Some(EncodedBody::Data(bytes)) => Body::Data(object(&bytes)?),
        Some(EncodedBody::Bare(bytes)) => {
            Body::Bare(serde_json::from_slice(&bytes).map_err(|_| ForwardError::Malformed("body"))?)
        }
        Some(EncodedBody::Raw(raw)) => {
            Body::Raw(RawBody { content_type: raw.content_type, bytes: raw.bytes })
        }
    };
    let status = reply.status.map(u16::try_from).transpose();
    Ok(Reply {
        body,
        warnings: reply.warnings,
        auth: reply.auth.map(decode_auth).transpose()?,
        lease: reply.lease.map(|lease| Lease {
            id: lease.id,
            ttl: Duration::from_millis(lease.ttl_milliseconds),
            renewable: lease.renewable,
            ..Lease::default()
        }),
        wrap_info: reply.wrap_info.map(|info| WrapInfo {
            token: info.token,
            accessor: info.accessor,
            ttl: Duration::from_millis(info.ttl_milliseconds),
            creation_time: Timestamp(info.creation_time_milliseconds),
            creation_path: info.creation_path,
            wrapped_accessor: info.wrapped_accessor,
        }),
        status: status.map_err(|_| ForwardError::Malformed("status"))?,
        headers: map(reply.headers),
        mount_type: reply.mount_type,
        then: None,
    })
}

fn encode_auth(auth: Auth) -> proto::Auth {
    proto::Auth {
        client_token: auth.client_token,
        accessor: auth.accessor,
        policies: auth.policies,
        token_policies: auth.token_policies,
        identity_policies: auth.identity_policies,
        metadata: pairs(auth.metadata),
        ttl_milliseconds: milliseconds(auth.ttl),
        renewable: auth.renewable,
        entity_id: auth.entity_id,
        token_type: match auth.token_type {
            TokenType::Batch => BATCH,
            TokenType::Service => SERVICE,
        }
        .into(),
        orphan: auth.orphan,
        num_uses: auth.num_uses,
        display_name: auth.display_name,
        explicit_max_ttl_milliseconds: milliseconds(auth.explicit_max_ttl),
        period_milliseconds: milliseconds(auth.period),
        bound_cidrs: auth.bound_cidrs,
        alias_name: auth.alias_name,
    }
}

fn decode_auth(auth: proto::Auth) -> Result<Auth, ForwardError> {
    Ok(Auth {
        client_token: auth.client_token,
        accessor: auth.accessor,
        policies: auth.policies,
        token_policies: auth.token_policies,
        identity_policies: auth.identity_policies,
        metadata: map(auth.metadata),
        ttl: Duration::from_millis(auth.ttl_milliseconds),
        renewable: auth.renewable,
        entity_id: auth.entity_id,
        token_type: match auth.token_type.as_str() {
            BATCH => TokenType::Batch,
            SERVICE => TokenType::Service,
            _ => return Err(ForwardError::Malformed("type of token")),
        },
        orphan: auth.orphan,
        num_uses: auth.num_uses,
        display_name: auth.display_name,
        explicit_max_ttl: Duration::from_millis(auth.explicit_max_ttl_milliseconds),
        period: Duration::from_millis(auth.period_milliseconds),
        bound_cidrs: auth.bound_cidrs,
        alias_name: auth.alias_name,
        ..Auth::default()
    })
}

fn encode_error(error: Error) -> proto::Error {
    let mut reply = None;
    let (kind, text) = match error {
        Error::BadRequest(text) => (Kind::BadRequest, text),
        Error::Conflict => (Kind::Conflict, String::new()),
        Error::Denied => (Kind::Denied, String::new()),
        Error::Forbidden(text) => (Kind::Forbidden, text),
        // For the other node's log: its client sees none of it.
        Error::Internal(source) => (Kind::Internal, source.to_string()),
        Error::Failed(text) => (Kind::Failed, text),
        Error::LeadershipLost => (Kind::LeadershipLost, String::new()),
        // The service says so in another way; what is left says nothing of this request.
        Error::NotActive => (Kind::Unavailable, "no active node".into()),
        Error::NotFound => (Kind::NotFound, String::new()),
        Error::NotFoundWith(with) => {
            reply = Some(encode_reply(*with));
            (Kind::NotFoundWith, String::new())
        }
        Error::NoRoute(path) => (Kind::NoRoute, path),
        Error::StateNotPresent => (Kind::StateNotPresent, String::new()),
        Error::Missing(text) => (Kind::Missing, text),
        Error::Sealed => (Kind::Sealed, String::new()),
        Error::Unavailable(text) => (Kind::Unavailable, text),
        Error::DiskFull => (Kind::DiskFull, String::new()),
        Error::TooLarge(text) => (Kind::TooLarge, text),
        Error::TooMany(text) => (Kind::TooMany, text),
        Error::Uninitialized => (Kind::Uninitialized, String::new()),
        Error::UnsupportedPath => (Kind::UnsupportedPath, String::new()),
        Error::UnsupportedOperation => (Kind::UnsupportedOperation, String::new()),
    };
    proto::Error { kind: kind.into(), text, reply }
}

fn decode_error(error: proto::Error) -> Result<Error, ForwardError> {
    let kind = error.kind();
    let text = error.text;
    Ok(match kind {
        Kind::Unknown => return Err(ForwardError::Malformed("kind of error")),
        Kind::BadRequest => Error::BadRequest(text),
        Kind::Conflict => Error::Conflict,
        Kind::Denied => Error::Denied,
        Kind::Forbidden => Error::Forbidden(text),
        Kind::Internal => Error::internal(format!("on the active node: {text}")),
        Kind::Failed => Error::Failed(text),
        Kind::LeadershipLost => Error::LeadershipLost,
        Kind::NotFound => Error::NotFound,
        Kind::NotFoundWith => {
            let reply = error.reply.ok_or(ForwardError::Malformed("error"))?;
            Error::NotFoundWith(Box::new(decode_reply(reply)?))
        }
        Kind::NoRoute => Error::NoRoute(text),
        Kind::StateNotPresent => Error::StateNotPresent,
        Kind::Missing => Error::Missing(text),
        Kind::Sealed => Error::Sealed,
        Kind::Unavailable => Error::Unavailable(text),
        Kind::DiskFull => Error::DiskFull,
        Kind::TooLarge => Error::TooLarge(text),
        Kind::TooMany => Error::TooMany(text),
        Kind::Uninitialized => Error::Uninitialized,
        Kind::UnsupportedPath => Error::UnsupportedPath,
        Kind::UnsupportedOperation => Error::UnsupportedOperation,
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

fn object(bytes: &[u8]) -> Result<Map<String, Value>, ForwardError> {
    serde_json::from_slice(bytes).map_err(|_| ForwardError::Malformed("JSON"))
}

fn json(value: &Value) -> Bytes {
    value.to_string().into()
}

fn pairs(map: BTreeMap<String, String>) -> Vec<proto::Pair> {
    map.into_iter().map(|(name, value)| proto::Pair { name, value }).collect()
}

fn map(pairs: Vec<proto::Pair>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Of the messages in `proto/forward.proto`.
const VERSION: u32 = 1;

const BATCH: &str = "batch";
const SERVICE: &str = "service";

#[cfg(test)]
mod tests;

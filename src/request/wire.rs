//! Replies and errors as messages: on their way between nodes, and as they are kept for whoever
//! repeats a request.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use prost::Message as _;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Auth, Body, Error, Lease, RawBody, Reply, Then, TokenType, WrapInfo};
use crate::clock::Timestamp;
use crate::proto::forward as proto;
use crate::proto::forward::Kind;
use crate::proto::forward::reply::{Body as EncodedBody, Then as EncodedThen};

/// A message that is not what [`encode_reply`] or [`encode_error`] makes: which part of it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("the message cannot be read: {0}")]
pub struct Malformed(pub &'static str);

pub fn encode_reply(reply: &Reply) -> proto::Reply {
    let body = match &reply.body {
        Body::Empty => None,
        Body::Data(data) => Some(EncodedBody::Data(json(data))),
        Body::Bare(value) => Some(EncodedBody::Bare(json(value))),
        Body::Raw(RawBody { content_type, bytes }) => {
            let (content_type, bytes) = (content_type.clone(), bytes.clone());
            Some(EncodedBody::Raw(proto::RawBody { content_type, bytes }))
        }
    };
    proto::Reply {
        body,
        warnings: reply.warnings.clone(),
        auth: reply.auth.as_ref().map(encode_auth),
        lease: reply.lease.as_ref().map(|lease| proto::Lease {
            id: lease.id.clone(),
            ttl_milliseconds: milliseconds(lease.ttl),
            renewable: lease.renewable,
        }),
        wrap_info: reply.wrap_info.as_ref().map(|info| proto::WrapInfo {
            token: info.token.clone(),
            accessor: info.accessor.clone(),
            ttl_milliseconds: milliseconds(info.ttl),
            creation_time_milliseconds: info.creation_time.0,
            creation_path: info.creation_path.clone(),
            wrapped_accessor: info.wrapped_accessor.clone(),
        }),
        status: reply.status.map(u32::from),
        headers: pairs(&reply.headers),
        mount_type: reply.mount_type.clone(),
        then: reply.then.as_ref().and_then(encode_then),
    }
}

/// Whoever repeats the request is not to be told that it has happened while it goes on. What is
/// done within the transaction is done by then.
fn encode_then(then: &Then) -> Option<EncodedThen> {
    match then.clone() {
        Then::AwaitLease { mount, id } => {
            Some(EncodedThen::AwaitLease(proto::AwaitLease { mount, id }))
        }
        Then::AwaitPrefix { job, prefix } => {
            Some(EncodedThen::AwaitPrefix(proto::AwaitPrefix { job, prefix }))
        }
        Then::RenewLease { .. } | Then::RenewToken { .. } => None,
    }
}

fn decode_then(then: EncodedThen) -> Then {
    match then {
        EncodedThen::AwaitLease(of) => Then::AwaitLease { mount: of.mount, id: of.id },
        EncodedThen::AwaitPrefix(of) => Then::AwaitPrefix { job: of.job, prefix: of.prefix },
    }
}

/// # Errors
/// Where the message is not one of [`encode_reply`].
pub fn decode_reply(reply: proto::Reply) -> Result<Reply, Malformed> {
    let body = match reply.body {
        None => Body::Empty,
        Some(EncodedBody::Data(bytes)) => Body::Data(object(&bytes)?),
        Some(EncodedBody::Bare(bytes)) => {
            Body::Bare(serde_json::from_slice(&bytes).map_err(|_| Malformed("body"))?)
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
        status: status.map_err(|_| Malformed("status"))?,
        headers: map(reply.headers),
        mount_type: reply.mount_type,
        then: reply.then.map(decode_then),
    })
}

fn encode_auth(auth: &Auth) -> proto::Auth {
    proto::Auth {
        client_token: auth.client_token.clone(),
        accessor: auth.accessor.clone(),
        policies: auth.policies.clone(),
        token_policies: auth.token_policies.clone(),
        identity_policies: auth.identity_policies.clone(),
        metadata: pairs(&auth.metadata),
        ttl_milliseconds: milliseconds(auth.ttl),
        renewable: auth.renewable,
        entity_id: auth.entity_id.clone(),
        token_type: match auth.token_type {
            TokenType::Batch => BATCH,
            TokenType::Service => SERVICE,
        }
        .into(),
        orphan: auth.orphan,
        num_uses: auth.num_uses,
        display_name: auth.display_name.clone(),
        explicit_max_ttl_milliseconds: milliseconds(auth.explicit_max_ttl),
        period_milliseconds: milliseconds(auth.period),
        bound_cidrs: auth.bound_cidrs.clone(),
        alias_name: auth.alias_name.clone(),
    }
}

fn decode_auth(auth: proto::Auth) -> Result<Auth, Malformed> {
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
            _ => return Err(Malformed("type of token")),
        },
        orphan: auth.orphan,
        num_uses: auth.num_uses,
        display_name: auth.display_name,
        explicit_max_ttl: Duration::from_millis(auth.explicit_max_ttl_milliseconds),
        period: Duration::from_millis(auth.period_milliseconds),
        bound_cidrs: auth.bound_cidrs,
        alias_name: auth.alias_name,
        // Told at login, which is over.
        ..Auth::default()
    })
}

pub fn encode_error(error: &Error) -> proto::Error {
    let mut reply = None;
    let (kind, text) = match error {
        Error::BadRequest(text) | Error::InvalidCredentials(text) | Error::UnknownUser(text) => {
            (Kind::BadRequest, text.clone())
        }
        Error::Conflict => (Kind::Conflict, String::new()),
        Error::Denied => (Kind::Denied, String::new()),
        Error::Forbidden(text) => (Kind::Forbidden, text.clone()),
        // For the other node's log: its client sees none of it.
        Error::Internal(source) => (Kind::Internal, source.to_string()),
        Error::Failed(text) => (Kind::Failed, text.clone()),
        Error::LeadershipLost => (Kind::LeadershipLost, String::new()),
        // The service says so in another way; what is left says nothing of this request.
        Error::NotActive => (Kind::Unavailable, "no active node".into()),
        Error::NotFound => (Kind::NotFound, String::new()),
        Error::NotFoundWith(with) => {
            reply = Some(encode_reply(with));
            (Kind::NotFoundWith, String::new())
        }
        Error::NoRoute(path) => (Kind::NoRoute, path.clone()),
        Error::StateNotPresent => (Kind::StateNotPresent, String::new()),
        Error::Missing(text) => (Kind::Missing, text.clone()),
        Error::Sealed => (Kind::Sealed, String::new()),
        Error::Unavailable(text) => (Kind::Unavailable, text.clone()),
        Error::DiskFull => (Kind::DiskFull, String::new()),
        Error::TooLarge(text) => (Kind::TooLarge, text.clone()),
        Error::TooMany(text) => (Kind::TooMany, text.clone()),
        Error::TooManyWith { text, headers } => {
            let with = Reply { headers: headers.clone(), ..Reply::default() };
            reply = Some(encode_reply(&with));
            (Kind::TooMany, text.clone())
        }
        Error::Uninitialized => (Kind::Uninitialized, String::new()),
        Error::Unresolved => (Kind::Unresolved, String::new()),
        Error::UnsupportedPath => (Kind::UnsupportedPath, String::new()),
        Error::UnsupportedOperation => (Kind::UnsupportedOperation, String::new()),
    };
    proto::Error { kind: kind.into(), text, reply }
}

/// # Errors
/// Where the message is not one of [`encode_error`].
pub fn decode_error(error: proto::Error) -> Result<Error, Malformed> {
    let kind = error.kind();
    let text = error.text;
    Ok(match kind {
        Kind::Unknown => return Err(Malformed("kind of error")),
        Kind::BadRequest => Error::BadRequest(text),
        Kind::Conflict => Error::Conflict,
        Kind::Denied => Error::Denied,
        Kind::Forbidden => Error::Forbidden(text),
        Kind::Internal => Error::internal(format!("on the active node: {text}")),
        Kind::Failed => Error::Failed(text),
        Kind::LeadershipLost => Error::LeadershipLost,
        Kind::NotFound => Error::NotFound,
        Kind::NotFoundWith => {
            let reply = error.reply.ok_or(Malformed("error"))?;
            Error::NotFoundWith(Box::new(decode_reply(reply)?))
        }
        Kind::NoRoute => Error::NoRoute(text),
        Kind::StateNotPresent => Error::StateNotPresent,
        Kind::Missing => Error::Missing(text),
        Kind::Sealed => Error::Sealed,
        Kind::Unavailable => Error::Unavailable(text),
        Kind::DiskFull => Error::DiskFull,
        Kind::TooLarge => Error::TooLarge(text),
        Kind::TooMany => match error.reply {
            Some(with) => Error::TooManyWith { text, headers: map(with.headers) },
            None => Error::TooMany(text),
        },
        Kind::Uninitialized => Error::Uninitialized,
        Kind::Unresolved => Error::Unresolved,
        Kind::UnsupportedPath => Error::UnsupportedPath,
        Kind::UnsupportedOperation => Error::UnsupportedOperation,
    })
}

fn object(bytes: &[u8]) -> Result<Map<String, Value>, Malformed> {
    serde_json::from_slice(bytes).map_err(|_| Malformed("JSON"))
}

/// Maps and values of JSON alone, which never fail.
fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).unwrap_or_default().into()
}

fn pairs(map: &BTreeMap<String, String>) -> Vec<proto::Pair> {
    let pair = |(name, value): (&String, &String)| proto::Pair {
        name: name.clone(),
        value: value.clone(),
    };
    map.iter().map(pair).collect()
}

fn map(pairs: Vec<proto::Pair>) -> BTreeMap<String, String> {
    pairs.into_iter().map(|pair| (pair.name, pair.value)).collect()
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// What came of a request, to be kept.
pub fn encode_outcome(outcome: &Result<Reply, Error>) -> Vec<u8> {
    use proto::answer::Result as Encoded;
    let result = match outcome {
        Ok(reply) => Encoded::Reply(encode_reply(reply)),
        Err(error) => Encoded::Error(encode_error(error)),
    };
    proto::Answer { result: Some(result), applied: 0 }.encode_to_vec()
}

/// # Errors
/// Where the bytes are not what [`encode_outcome`] makes.
pub fn decode_outcome(bytes: &[u8]) -> Result<Result<Reply, Error>, Malformed> {
    use proto::answer::Result as Encoded;
    let answer = proto::Answer::decode(bytes).map_err(|_| Malformed("answer"))?;
    match answer.result.ok_or(Malformed("answer"))? {
        Encoded::Reply(reply) => decode_reply(reply).map(Ok),
        Encoded::Error(error) => decode_error(error).map(Err),
        Encoded::NotActive(_) => Err(Malformed("answer")),
    }
}

const BATCH: &str = "batch";
const SERVICE: &str = "service";

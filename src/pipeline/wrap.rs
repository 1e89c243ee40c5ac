//! Response wrapping: the answer goes into the cubbyhole of a token that is good for one use, in
//! the request's own transaction, and the client is given the token instead.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Map, Value};

use super::Pipeline;
use crate::auth::token::{TokenStore, Wrapped};
use crate::framework::Needs;
use crate::mount::MountEntry;
use crate::request::{Body, Error, Operation, Reply, Request, WrapInfo, envelope};
use crate::router::Target;
use crate::secret::Secret;
use crate::txn::Txn;

impl Pipeline {
    /// Wraps what a handler answered, where the request asks for it or the handler does: that it
    /// does by a `wrap_info` without a token, whose content is then its body. Errors are not
    /// wrapped, and neither is an answer without anything in it.
    pub(super) fn wrap(
        &self,
        txn: &mut Txn,
        request: &Request,
        mount: &MountEntry,
        outcome: Result<Reply, Error>,
    ) -> Result<Reply, Error> {
        let mut reply = match outcome {
            // It tells of what was there.
            Err(Error::NotFoundWith(reply)) if request.wrap_ttl.is_some() => {
                Reply { status: reply.status.or(Some(404)), ..*reply }
            }
            other => other?,
        };
        let again = reply.wrap_info.take();
        let asked = request.wrap_ttl.into_iter().chain(again.as_ref().map(|info| info.ttl));
        let Some(ttl) = asked.min() else {
            return Ok(reply);
        };
        if request.operation == Operation::List && lists_nothing(&reply) {
            // As in Vault: nobody is to unwrap that there is nothing.
            return Err(Error::Missing("unsupported path".into()));
        }
        if reply.is_empty() {
            return Ok(reply);
        }
        let info = self.keep(txn, request, mount, &reply, again, ttl)?;
        Ok(Reply { wrap_info: Some(info), ..reply })
    }

    fn keep(
        &self,
        txn: &mut Txn,
        request: &Request,
        mount: &MountEntry,
        reply: &Reply,
        again: Option<WrapInfo>,
        ttl: Duration,
    ) -> Result<WrapInfo, Error> {
        let (content, content_type) = content(reply, &request.id);
        let (path, accessor) = match again {
            Some(info) => (info.creation_path, info.wrapped_accessor),
            None => (request.path.clone(), accessor_in(reply, mount)),
        };
        let wrapped = Wrapped {
            content,
            content_type,
            status: reply.status,
            ttl,
            creation_time: txn.now(),
            creation_path: path,
            wrapped_accessor: accessor,
        };
        let mut core = txn.core();
        let (token, entry) =
            TokenStore::new(&mut core).wrap(self.rng.as_ref(), &request.path, &wrapped)?;
        Ok(WrapInfo {
            token: token.expose().clone(),
            accessor: entry.accessor,
            ttl: Duration::from_secs(entry.ttl),
            creation_time: wrapped.creation_time,
            creation_path: wrapped.creation_path,
            wrapped_accessor: wrapped.wrapped_accessor,
        })
    }
}

/// What the client is told, once audit has been told all.
pub(super) fn shown(reply: Reply) -> Reply {
    if reply.wrap_info.is_none() {
        return reply;
    }
    Reply { wrap_info: reply.wrap_info, ..Reply::default() }
}

/// An answer that was to be wrapped must not be given in clear; what a node tells anyone about
/// itself is nothing to wrap, and without storage it could not be.
pub(super) fn refuse_of_node(request: &Request, target: &Target) -> Result<(), Error> {
    let reads = matches!(request.operation, Operation::Header | Operation::Help | Operation::Read);
    let needs = target.found.map_or(Needs::Active, |found| found.needs);
    if request.wrap_ttl.is_none() || needs == Needs::Active || (reads && needs == Needs::Nothing) {
        return Ok(());
    }
    Err(Error::bad_request("the response of this path cannot be wrapped"))
}

/// What is said to a request that names a wrapping token which is none, before anyone asks
/// whose request it is: most show the wrapping token itself.
pub(super) fn refuse_token(
    txn: &mut Txn,
    request: &Request,
    target: Option<&Target>,
) -> Result<Option<Error>, Error> {
    let verifies = |target: &Target| {
        target.entry.administers()
            && matches!(
                target.path.trim_end_matches('/'),
                "wrapping/lookup" | "wrapping/rewrap" | "wrapping/unwrap"
            )
    };
    let runs = matches!(request.operation, Operation::Read | Operation::Update);
    if !runs || !target.is_some_and(verifies) {
        return Ok(None);
    }
    let refused =
        |text: &str| Ok(Some(Error::Forbidden(format!("error validating wrapping token: {text}"))));
    let given = match request.params.get("token") {
        None | Some(Value::Null) => None,
        Some(Value::String(text)) if text.is_empty() => {
            return refused("empty token in request body");
        }
        Some(Value::String(text)) => Some(Secret::new(text.clone())),
        Some(_) => return refused("could not decode token in request body"),
    };
    let Some(token) = given.as_ref().or(request.token.as_deref()) else {
        return refused("token is empty");
    };
    let now = txn.now();
    let mut core = txn.core();
    let found = TokenStore::new(&mut core).wrapping_token(token, now)?;
    Ok(found.is_none().then(|| Error::bad_request(INVALID)))
}

/// As the client would have got it, and of which type it is.
fn content(reply: &Reply, request_id: &str) -> (Bytes, String) {
    let json = |value: &Value| (Bytes::from(value.to_string()), JSON.to_owned());
    match &reply.body {
        Body::Raw(raw) => (raw.bytes.clone(), raw.content_type.clone()),
        Body::Bare(value) => json(value),
        Body::Data(data) => json(&enveloped(reply, Some(data.clone()), request_id)),
        Body::Empty => json(&enveloped(reply, None, request_id)),
    }
}

fn enveloped(reply: &Reply, data: Option<Map<String, Value>>, request_id: &str) -> Value {
    let bare = Reply {
        warnings: reply.warnings.clone(),
        auth: reply.auth.clone(),
        lease: reply.lease.clone(),
        mount_type: reply.mount_type.clone(),
        ..Reply::default()
    };
    let fields = envelope(bare, data, request_id).map(|(name, value)| (name.to_owned(), value));
    Value::Object(fields.into_iter().collect())
}

/// Whoever gave the token away can revoke what is in it by this.
fn accessor_in(reply: &Reply, mount: &MountEntry) -> Option<String> {
    if let Some(auth) = &reply.auth {
        return Some(auth.accessor.clone()).filter(|accessor| !accessor.is_empty());
    }
    match &reply.body {
        Body::Data(data) if mount.kind == "approle" => {
            data.get("secret_id_accessor").and_then(Value::as_str).map(str::to_owned)
        }
        _ => None,
    }
}

fn lists_nothing(reply: &Reply) -> bool {
    let keys = match &reply.body {
        Body::Data(data) => data.get("keys"),
        Body::Empty => None,
        Body::Bare(_) | Body::Raw(_) => return false,
    };
    reply.warnings.is_empty() && keys.and_then(Value::as_array).is_none_or(|keys| keys.is_empty())
}

const INVALID: &str = "wrapping token is not valid or does not exist";

const JSON: &str = "application/json";

//! `sys/wrapping`: what is kept in wrapping tokens. The pipeline makes them, and refuses a request
//! here that names none which is good.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::Node;
use crate::auth::token::{TokenStore, Wrapped};
use crate::framework::{AnyParams, Call, Route};
use crate::request::{Body, Error, RawBody, Reply, WrapInfo};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("wrapping/wrap", "Wrap what is sent in a token.").write(wrap),
        Route::new("wrapping/unwrap", "Read what a wrapping token holds, and end it.")
            .write(unwrap),
        Route::new("wrapping/rewrap", "Move what a wrapping token holds to a new one.")
            .write(rewrap),
        Route::new("wrapping/lookup", "When, and by which request, a wrapping token was made.")
            .unauthenticated()
            .read(lookup)
            .write(lookup),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct OfToken {
    /// The wrapping token; without it, the token that the request is sent with.
    token: Option<Secret<String>>,
}

async fn wrap(call: &mut Call<'_, Node>, input: AnyParams) -> Result<Reply, Error> {
    if call.request.wrap_ttl.is_none() {
        return Err(Error::bad_request("endpoint requires response wrapping to be used"));
    }
    Ok(Reply { mount_type: String::new(), ..Reply::data(input.0) })
}

async fn unwrap(call: &mut Call<'_, Node>, input: OfToken) -> Result<Reply, Error> {
    let wrapped = take(call, input)?;
    Ok(Reply { status: wrapped.status, ..raw(&wrapped) })
}

async fn rewrap(call: &mut Call<'_, Node>, input: OfToken) -> Result<Reply, Error> {
    let wrapped = take(call, input)?;
    let reply = raw(&wrapped);
    let again = WrapInfo {
        token: String::new(),
        accessor: String::new(),
        ttl: wrapped.ttl,
        creation_time: call.now,
        creation_path: wrapped.creation_path,
        wrapped_accessor: wrapped.wrapped_accessor,
    };
    Ok(Reply { status: wrapped.status, wrap_info: Some(again), ..reply })
}

async fn lookup(call: &mut Call<'_, Node>, input: OfToken) -> Result<Reply, Error> {
    let token = input.token.as_ref().or(call.request.token.as_deref()).ok_or_else(invalid)?;
    let now = call.now;
    let mut tokens = TokenStore::new(&mut call.storage);
    let (name, _) = tokens.wrapping_token(token, now)?.ok_or_else(invalid)?;
    let wrapped = tokens.wrapped(&name)?.ok_or_else(nothing)?;
    let mut data = Map::<String, Value>::new();
    data.insert("creation_path".into(), wrapped.creation_path.into());
    data.insert("creation_time".into(), wrapped.creation_time.rfc3339().into());
    data.insert("creation_ttl".into(), wrapped.ttl.as_secs().into());
    Ok(Reply::data(data))
}

/// Ends the wrapping token too, in the same transaction, so that of many who come at the same
/// time one gets what it holds. The caller's own token is ended by its use.
fn take(call: &mut Call<'_, Node>, input: OfToken) -> Result<Wrapped, Error> {
    let (now, request) = (call.now, call.request);
    let is_own = |token: &Secret<String>| {
        request.token.as_ref().is_some_and(|own| own.matches(token.expose().as_bytes()))
    };
    let mut tokens = TokenStore::new(&mut call.storage);
    let (name, is_own) = match input.token.filter(|token| !is_own(token)) {
        Some(token) => (tokens.wrapping_token(&token, now)?.ok_or_else(invalid)?.0, false),
        None => (call.caller.ok_or(Error::Denied)?.token.clone(), true),
    };
    let wrapped = tokens.wrapped(&name)?.ok_or_else(nothing)?;
    if !is_own {
        tokens.revoke(&name)?;
    }
    Ok(wrapped)
}

fn raw(wrapped: &Wrapped) -> Reply {
    let (content_type, bytes) = (wrapped.content_type.clone(), wrapped.content.clone());
    Reply { body: Body::Raw(RawBody { content_type, bytes }), ..Reply::default() }
}

fn invalid() -> Error {
    Error::bad_request("wrapping token is not valid or does not exist")
}

fn nothing() -> Error {
    Error::bad_request("no information found; the wrapping token holds nothing any more")
}

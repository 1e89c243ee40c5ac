//! A place for each token, which no other token can see, and which goes with it.

use serde_json::Value;

use crate::framework::{AnyParams, Call, Engine, Overlap, Route};
use crate::request::{Error, Params, Reply, TokenType};

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let route = Route::new("{path...}", "Keep a secret that only this token can read.")
        .exists(exists)
        .read(read)
        .write(write)
        .delete(delete)
        .list(list);
    Engine::new("cubbyhole", "Private storage of each token.", [route])
}

async fn exists(call: &mut Call<'_>, input: AnyParams) -> Result<bool, Error> {
    let key = key(call, &input)?;
    Ok(call.storage.get_bytes(&key)?.is_some())
}

async fn read(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let key = key(call, &input)?;
    if key.ends_with('/') {
        return Err(Error::NotFound);
    }
    let secret: Params = call.storage.get(&key)?.ok_or(Error::NotFound)?;
    let reply = Reply::data(secret);
    // Where clients of old look for what was wrapped.
    let is_response = input.0.get("path").is_some_and(|path| path == "response");
    Ok(if is_response { reply.warn(RESPONSE_WARNING) } else { reply })
}

async fn write(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let key = key(call, &input)?;
    if key.ends_with('/') {
        return Err(Error::bad_request("cannot write to a path ending in '/'"));
    }
    if call.request.params.is_empty() {
        return Err(Error::bad_request("missing data fields"));
    }
    call.storage.put(&key, &call.request.params)?;
    Ok(Reply::default())
}

async fn delete(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let key = key(call, &input)?;
    if !key.ends_with('/') {
        call.storage.delete(&key)?;
    }
    Ok(Reply::default())
}

async fn list(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let directory = key(call, &input)?;
    Ok(Reply::keys(call.storage.list(&directory)?))
}

/// # Errors
/// [`Error::BadRequest`] for a batch token: nothing is kept of it that the place could go with.
fn key(call: &Call<'_>, input: &AnyParams) -> Result<String, Error> {
    let caller = call.caller.ok_or(Error::Denied)?;
    if caller.token_type == TokenType::Batch {
        return Err(Error::bad_request(
            "cubbyhole operations are only supported by 'service' type tokens",
        ));
    }
    let path = input.0.get("path").and_then(Value::as_str).unwrap_or_default();
    Ok(format!("{}/{path}", caller.token))
}

const RESPONSE_WARNING: &str = "Reading from 'cubbyhole/response' is deprecated. Please use \
     sys/wrapping/unwrap to unwrap responses, as it provides additional security checks and other \
     benefits.";

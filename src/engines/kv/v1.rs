//! Version 1: a path holds one value, whatever the client sent.

use std::time::Duration;

use serde_json::Value;

use super::{UNVERSIONED, unversioned_key};
use crate::duration::SignedDuration;
use crate::framework::{AnyParams, Call, Engine, Overlap, Route};
use crate::request::{Error, Lease, Params, Reply};

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let route = Route::new("{path...}", "Keep a secret at a path of your choice.")
        .exists(exists)
        .read(read)
        .write(write)
        .delete(delete)
        .list(list);
    Engine::new("kv", "Key/value secrets, without versions.", [route])
}

async fn exists(call: &mut Call<'_>, input: AnyParams) -> Result<bool, Error> {
    let key = unversioned_key(path(&input));
    Ok(call.storage.get_bytes(&key)?.is_some())
}

async fn read(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let path = path(&input);
    if path.is_empty() || path.ends_with('/') {
        return Err(Error::NotFound);
    }
    let secret: Params = call.storage.get(&unversioned_key(path))?.ok_or(Error::NotFound)?;
    let ttl = lease_seconds(&secret).unwrap_or(call.ttl.default);
    let lease = Lease { ttl: Duration::from_secs(ttl), ..Lease::default() };
    Ok(Reply { lease: Some(lease), ..Reply::data(secret) })
}

/// Keeps what the client sent, not what was made of it: a key of it may be named `path`.
async fn write(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let key = unversioned_key(path(&input));
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
    let key = unversioned_key(path(&input));
    // As in Vault: nothing is stored there, which is no error.
    if !key.ends_with('/') {
        call.storage.delete(&key)?;
    }
    Ok(Reply::default())
}

async fn list(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let keys = call.storage.list(&format!("{UNVERSIONED}{}", path(&input)))?;
    Ok(Reply::keys(keys))
}

fn path(input: &AnyParams) -> &str {
    input.0.get("path").and_then(Value::as_str).unwrap_or_default()
}

/// What a secret tells of its own life: a hint to clients, nothing is revoked.
fn lease_seconds(secret: &Params) -> Option<u64> {
    let told = secret.get("ttl").or_else(|| secret.get("lease"))?;
    let seconds = match told {
        Value::String(text) => SignedDuration::parse(text).ok()?.whole_seconds(),
        other => other.as_i64()?,
    };
    u64::try_from(seconds).ok()
}

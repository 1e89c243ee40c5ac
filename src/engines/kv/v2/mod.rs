//! Version 2: a path keeps the last few values, each of which can be deleted, restored or
//! destroyed.

mod config;
mod custom;
mod data;
mod json;
mod metadata;
mod secret;
mod versions;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use crate::framework::{AnyParams, Call, Engine, Overlap, Route};
use crate::request::{Error, Operation, Reply};

/// # Errors
/// Where two routes match the same paths.
pub fn engine() -> Result<Engine, Overlap> {
    let routes = [
        Route::new("config", "Settings of all secrets of the mount.")
            .read(config::read)
            .write(config::write),
        Route::new("data/{path...}", "Read, write, patch or delete a secret's newest version.")
            .exists(exists)
            .read(data::read)
            .write(data::write)
            .patch(data::patch)
            .delete(data::delete),
        Route::new("subkeys/{path...}", "The keys of a secret, without its values.")
            .read(data::subkeys),
        Route::new("delete/{path...}", "Delete versions; they can be restored.")
            .write(versions::delete),
        Route::new("undelete/{path...}", "Restore deleted versions.").write(versions::undelete),
        Route::new("destroy/{path...}", "Destroy versions for good.").write(versions::destroy),
        Route::new("metadata/{path...}", "A secret's settings and its versions; list secrets.")
            .exists(exists)
            .read(metadata::read)
            .write(metadata::write)
            .patch(metadata::patch)
            .delete(metadata::delete)
            .list(metadata::list),
        Route::new("detailed-metadata/{path...}", "List secrets, each with its metadata.")
            .list(metadata::list_detailed),
        Route::new("{path...}", "Nothing: secrets are below `data/`.")
            .read(wrong_path)
            .write(wrong_path)
            .patch(wrong_path)
            .delete(wrong_path)
            .list(wrong_path),
    ];
    Engine::new("kv", "Key/value secrets, with versions.", routes)
}

async fn exists(call: &mut Call<'_>, input: AnyParams) -> Result<bool, Error> {
    let path = input.0.get("path").and_then(Value::as_str).unwrap_or_default();
    Ok(secret::Secret::load(call, path)?.is_some())
}

/// Of a route that takes nothing but the path.
#[derive(Deserialize, JsonSchema)]
struct AtPath {
    /// Where the secret is.
    path: String,
}

/// What was meant for version 1, as clients send it that do not know the mount's version.
async fn wrong_path(call: &mut Call<'_>, input: AnyParams) -> Result<Reply, Error> {
    let path = input.0.get("path").and_then(Value::as_str).unwrap_or_default();
    let (command, below) = match call.request.operation {
        Operation::List => ("list", "metadata"),
        Operation::Delete => ("delete", "data"),
        Operation::Patch => ("patch", "data"),
        Operation::Create | Operation::Update => ("put", "data"),
        Operation::Read | Operation::Header | Operation::Help => ("get", "data"),
    };
    let reply = Reply::default().warn(format!(
        "Invalid path for a versioned K/V secrets engine. See the API docs for the appropriate \
         API endpoints to use. If using the Vault CLI, use 'vault kv {command}' for this \
         operation."
    ));
    let right = format!("{}{below}/{path}", call.mount.path);
    let reply = reply.warn(format!("The path on this mount is {right:?}."));
    Err(Error::NotFoundWith(Box::new(reply)))
}

/// Where something is to be read.
///
/// # Errors
/// [`Error::NotFound`] for what can be listed only.
fn readable(call: &Call<'_>, path: String) -> Result<String, Error> {
    not_root(call, &path)?;
    if path.is_empty() || path.ends_with('/') {
        return Err(Error::NotFound);
    }
    Ok(path)
}

/// Where something is to be written.
///
/// # Errors
/// [`Error::BadRequest`] for what can be listed only.
fn writable(call: &Call<'_>, path: String) -> Result<String, Error> {
    not_root(call, &path)?;
    if path.is_empty() || path.ends_with('/') {
        return Err(Error::bad_request("cannot write to a path ending in '/'"));
    }
    Ok(path)
}

/// As in Vault, `data` is told from `data/`.
fn not_root(call: &Call<'_>, path: &str) -> Result<(), Error> {
    if !path.is_empty() || call.request.path.ends_with('/') {
        return Ok(());
    }
    let warning = "Non-listing operations on the root of a K/V v2 mount are not supported.";
    Err(Error::NotFoundWith(Box::new(Reply::default().warn(warning))))
}

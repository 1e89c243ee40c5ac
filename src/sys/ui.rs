//! `sys/internal/ui`: what command lines and user interfaces ask before they do anything.

use serde_json::{Map, Value, json};

use super::Node;
use super::capabilities::caller_acl;
use super::mounts::{MountPath, describe, entries, options};
use crate::framework::{Call, NoParams, Route};
use crate::mount::{MountEntry, Table};
use crate::namespace::NamespaceStore;
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("internal/ui/mounts", "The mounts that the caller can see.")
            .optional_token()
            .read(visible_mounts),
        Route::new("internal/ui/mounts/{path...}", "The mount that a path is in.")
            .any_token()
            .read(mount_of_path),
        Route::new("internal/ui/feature-flags", "Features that are switched on: none.")
            .unauthenticated()
            .read(feature_flags),
        Route::new("internal/ui/namespaces", "The namespaces that the caller can see.")
            .any_token()
            .read(namespaces),
        Route::new("internal/ui/version", "The version that clients are told.")
            .any_token()
            .read(version),
        Route::new("internal/ui/unauthenticated-messages", "Messages of the login page: none.")
            .unauthenticated()
            .read(messages)
            .list(messages),
        Route::new("internal/ui/authenticated-messages", "Messages after the login: none.")
            .any_token()
            .read(messages)
            .list(messages),
        Route::new("internal/ui/resultant-acl", "What the caller may do.")
            .any_token()
            .read(resultant_acl),
    ]
}

/// Without a token, what is tuned to be seen on the login page; with one, also what the token can
/// do something with.
async fn visible_mounts(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let acl = if call.caller.is_some() { Some(caller_acl(call)?) } else { None };
    let mut data = Map::new();
    for (name, table) in [("secret", Table::Secret), ("auth", Table::Auth)] {
        let mut shown = Map::new();
        for entry in entries(call, table)? {
            let granted = acl.as_ref().is_some_and(|acl| acl.preflight(&entry.api_path()));
            if granted {
                shown.insert(entry.path.clone(), describe(&entry));
            } else if entry.config.listing_visibility == "unauth" {
                let listed = json!({
                    "type": entry.kind,
                    "description": entry.description,
                    "options": options(&entry),
                });
                shown.insert(entry.path.clone(), listed);
            }
        }
        data.insert(name.into(), Value::Object(shown));
    }
    Ok(Reply::data(data))
}

/// Whoever can do nothing there is told no more than that: not whether the mount exists.
async fn mount_of_path(call: &mut Call<'_, Node>, input: MountPath) -> Result<Reply, Error> {
    let refusal = || {
        Error::Forbidden(format!(
            "preflight capability check returned 403, please ensure client's policies grant \
             access to path \"{}/\"",
            input.path.trim_matches('/')
        ))
    };
    let acl = caller_acl(call)?;
    let entry = containing(call, &input.path)?.ok_or_else(refusal)?;
    if !acl.preflight(&entry.api_path()) {
        return Err(refusal());
    }
    let Value::Object(mut data) = describe(&entry) else {
        return Err(Error::internal("a mount is described by an object"));
    };
    data.insert("path".into(), entry.api_path().into());
    Ok(Reply::data(data))
}

fn containing(call: &mut Call<'_, Node>, path: &str) -> Result<Option<MountEntry>, Error> {
    let path = format!("{}/", path.trim_matches('/'));
    let (table, local) = match path.strip_prefix("auth/") {
        Some(local) => (Table::Auth, local),
        None => (Table::Secret, path.as_str()),
    };
    let entries = entries(call, table)?;
    Ok(entries.into_iter().find(|entry| local.starts_with(&entry.path)))
}

async fn resultant_acl(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::data(caller_acl(call)?.resultant()))
}

async fn feature_flags(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::bare(&json!({ "feature_flags": [] }))
}

/// Those right below that the caller can do something in.
async fn namespaces(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let acl = caller_acl(call)?;
    let mut keys = Vec::new();
    for name in NamespaceStore::new(&mut call.storage).names()? {
        let found = NamespaceStore::new(&mut call.storage).get(&name)?;
        let path = format!("{name}/");
        if found.is_some_and(|found| !found.tainted) && acl.preflight(&path) {
            keys.push(path);
        }
    }
    // Not 404 where there is none.
    if keys.is_empty() { Ok(Reply::data(Map::new())) } else { Ok(Reply::keys(keys)) }
}

async fn version(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({ "version": call.state.seal_status().await?.version }))
}

/// Nobody can write any; user interfaces ask for them all the same.
async fn messages(_: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({ "keys": [], "key_info": {} }))
}

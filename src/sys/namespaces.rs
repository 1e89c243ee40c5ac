//! `sys/namespaces`: those right below the request's namespace, and their locks.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Node;
use super::first::write_own_records;
use super::mounts::entries;
use crate::crypto::sha256;
use crate::framework::{Call, NoParams, Route};
use crate::identity::check_custom_metadata;
use crate::job::{Job, JobKind};
use crate::mount::Table;
use crate::namespace::{
    self, Known, NOT_FOUND, Namespace, NamespaceStore, Own, ROOT_HOME, check_name,
};
use crate::request::{Error, Reply};
use crate::text::hex;

pub(super) fn routes() -> Vec<Route<Node>> {
    let (lock_about, unlock_about) = (
        "Refuse every request to a namespace and those below it.",
        "Let requests to a namespace through again.",
    );
    vec![
        Route::new("namespaces", "The namespaces right below this one.").list(list),
        Route::new("namespaces/{path...}", "Create a namespace, show, change or delete it.")
            .read(read)
            .write(write)
            .patch(patch)
            .delete(delete),
        Route::new("namespaces/api-lock/lock", lock_about).write(lock),
        Route::new("namespaces/api-lock/lock/{path...}", lock_about).write(lock),
        Route::new("namespaces/api-lock/unlock", unlock_about).write(unlock),
        Route::new("namespaces/api-lock/unlock/{path...}", unlock_about).write(unlock),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Named {
    /// Name of the namespace, right below the request's.
    path: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the namespace, right below the request's.
    path: String,
    /// For people: texts by name.
    #[serde(default)]
    custom_metadata: Map<String, Value>,
}

#[derive(Deserialize, JsonSchema)]
struct Lock {
    /// Path of the namespace from the request's; empty: that itself.
    #[serde(default)]
    path: String,
}

#[derive(Deserialize, JsonSchema)]
struct Unlock {
    /// Path of the namespace from the request's; empty: that itself.
    #[serde(default)]
    path: String,
    /// What locking it has answered; without it, sudo is needed.
    #[serde(default)]
    unlock_key: String,
}

async fn list(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let mut store = NamespaceStore::new(&mut call.storage);
    let (mut keys, mut details) = (Vec::new(), Map::new());
    for name in store.names()? {
        if let Some(found) = store.get(&name)? {
            let key = format!("{name}/");
            details.insert(key.clone(), describe(&found));
            keys.push(key);
        }
    }
    if keys.is_empty() {
        return Ok(Reply::default());
    }
    Reply::of(&json!({ "keys": keys, "key_info": details }))
}

async fn read(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    let name = name(&input.path)?;
    let found = NamespaceStore::new(&mut call.storage).get(name)?.ok_or(Error::NotFound)?;
    Reply::of(&describe(&found))
}

/// What is there keeps all but its metadata.
async fn write(call: &mut Call<'_, Node>, input: Write) -> Result<Reply, Error> {
    let name = name(&input.path)?;
    check_name(name)?;
    let metadata = texts(&input.custom_metadata)?;
    check_custom_metadata(&metadata)?;
    let found = NamespaceStore::new(&mut call.storage).get(name)?;
    let namespace = match found {
        Some(found) if found.tainted => return Err(being_deleted(name)),
        Some(found) => Namespace { custom_metadata: metadata, ..Namespace::clone(&found) },
        None => create(call, name, metadata)?,
    };
    NamespaceStore::new(&mut call.storage).put(&namespace)?;
    Reply::of(&describe(&namespace))
}

/// All but its record.
fn create(
    call: &mut Call<'_, Node>,
    name: &str,
    custom_metadata: BTreeMap<String, String>,
) -> Result<Namespace, Error> {
    let start = format!("{name}/");
    if let Some(mount) =
        entries(call, Table::Secret)?.into_iter().find(|mount| mount.path.starts_with(&start))
    {
        return Err(Error::BadRequest(format!(
            "new namespace conflicts with existing mount: {}",
            mount.path
        )));
    }
    let path = format!("{}{start}", Own::of(&mut call.storage)?.path);
    if path.len() > PATH_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "a namespace's path cannot have more than {PATH_BYTES_MAX} bytes"
        )));
    }
    let (rng, now) = (call.rng, call.now);
    let uuid = rng.uuid();
    let id = call.storage.core_of(ROOT_HOME, |root| {
        if namespace::number(root)? >= NAMESPACES_MAX {
            return Err(Error::BadRequest(format!(
                "there are {NAMESPACES_MAX} namespaces: delete some first"
            )));
        }
        let mut id = rng.base62(ID_LENGTH);
        while namespace::known(root, &id)?.is_some() {
            id = rng.base62(ID_LENGTH);
        }
        let known = Known { uuid: uuid.clone(), path: path.clone(), tainted: false };
        namespace::note_known(root, &id, Some(&known))?;
        Ok(id)
    })?;
    call.storage.core_of(&uuid, |core| {
        Own { id: id.clone(), path: path.clone() }.note(core)?;
        write_own_records(core, rng, now)
    })?;
    Ok(Namespace { id, uuid, path, custom_metadata, ..Namespace::default() })
}

/// A merge patch (RFC 7396) of the metadata.
async fn patch(call: &mut Call<'_, Node>, input: Write) -> Result<Reply, Error> {
    let name = name(&input.path)?;
    let found = NamespaceStore::new(&mut call.storage).get(name)?;
    let found = found.ok_or_else(|| Error::bad_request(NOT_FOUND))?;
    if found.tainted {
        return Err(being_deleted(name));
    }
    let (removed, set): (Map<_, _>, Map<_, _>) =
        input.custom_metadata.into_iter().partition(|(_, value)| value.is_null());
    let mut namespace = Namespace::clone(&found);
    namespace.custom_metadata.retain(|name, _| !removed.contains_key(name));
    namespace.custom_metadata.extend(texts(&set)?);
    check_custom_metadata(&namespace.custom_metadata)?;
    NamespaceStore::new(&mut call.storage).put(&namespace)?;
    Reply::of(&describe(&namespace))
}

/// From this entry on nothing leads to it; a job ends its leases and tokens, and deletes what it
/// has stored.
async fn delete(call: &mut Call<'_, Node>, input: Named) -> Result<Reply, Error> {
    let name = name(&input.path)?;
    let Some(found) = NamespaceStore::new(&mut call.storage).get(name)? else {
        return Ok(Reply::default().warn("requested namespace does not exist"));
    };
    let children = call.storage.core_of(&found.uuid, |core| NamespaceStore::new(core).names())?;
    if !children.is_empty() {
        return Err(Error::bad_request("unable to delete namespace containing child namespaces"));
    }
    if !found.tainted {
        let tainted = Namespace { tainted: true, ..Namespace::clone(&found) };
        NamespaceStore::new(&mut call.storage).put(&tainted)?;
        let known = Known { uuid: found.uuid.clone(), path: found.path.clone(), tainted: true };
        call.storage
            .core_of(ROOT_HOME, |root| namespace::note_known(root, &found.id, Some(&known)))?;
        let job = Job { kind: JobKind::DeleteNamespace { namespace: Box::new(tainted) } };
        job.file(&format!("delete-namespace-{}", found.uuid), &mut call.storage)?;
    }
    Reply::of(&json!({ "status": "in-progress" }))
}

async fn lock(call: &mut Call<'_, Node>, input: Lock) -> Result<Reply, Error> {
    let (above, found) = find(call, &input.path)?;
    if found.lock.is_some() {
        return Err(Error::BadRequest(format!(
            "cannot lock namespace {:?}: is already locked",
            found.path
        )));
    }
    let key = call.rng.base62(KEY_LENGTH);
    let locked = Namespace { lock: Some(digest(&key)), ..Namespace::clone(&found) };
    call.storage.core_of(&above, |core| NamespaceStore::new(core).put(&locked))?;
    Reply::of(&json!({ "unlock_key": key }))
}

async fn unlock(call: &mut Call<'_, Node>, input: Unlock) -> Result<Reply, Error> {
    let (above, found) = find(call, &input.path)?;
    let Some(kept) = &found.lock else {
        return Err(Error::BadRequest(format!("namespace {:?} is not locked", found.path)));
    };
    let mut reply = Reply::default();
    if !input.unlock_key.is_empty() {
        if digest(&input.unlock_key) != *kept {
            return Err(Error::bad_request("incorrect unlock key"));
        }
    } else if call.caller.is_some_and(|caller| caller.has_sudo) {
        reply = reply.warn("Namespace unlocked using sudo capabilities");
    } else {
        return Err(Error::bad_request("without an unlock key, sudo is needed to unlock"));
    }
    let unlocked = Namespace { lock: None, ..Namespace::clone(&found) };
    call.storage.core_of(&above, |core| NamespaceStore::new(core).put(&unlocked))?;
    Ok(reply)
}

/// A namespace by its path from the request's, and the home of the one above it.
fn find(call: &mut Call<'_, Node>, below: &str) -> Result<(String, Arc<Namespace>), Error> {
    let path = format!("{}{below}", call.request.namespace);
    let mut at: Option<(String, Arc<Namespace>)> = None;
    for name in path.split('/').filter(|name| !name.is_empty()) {
        let above = at.map_or_else(|| ROOT_HOME.to_owned(), |(_, found)| found.uuid.clone());
        let found = call.storage.core_of(&above, |core| NamespaceStore::new(core).get(name))?;
        let found = found.filter(|found| !found.tainted);
        let found =
            found.ok_or_else(|| Error::bad_request("requested namespace does not exist"))?;
        at = Some((above, found));
    }
    at.ok_or_else(|| Error::bad_request("root namespace cannot be locked/unlocked"))
}

fn name(path: &str) -> Result<&str, Error> {
    let name = path.trim_end_matches('/');
    if name.contains('/') {
        return Err(Error::bad_request("namespace name cannot contain /"));
    }
    if name.is_empty() {
        return Err(Error::UnsupportedOperation);
    }
    Ok(name)
}

fn texts(given: &Map<String, Value>) -> Result<BTreeMap<String, String>, Error> {
    let text = |(name, value): (&String, &Value)| {
        let text = value
            .as_str()
            .ok_or_else(|| Error::bad_request("custom_metadata values must be strings"))?;
        Ok((name.clone(), text.to_owned()))
    };
    given.iter().map(text).collect()
}

fn describe(namespace: &Namespace) -> Value {
    json!({
        "custom_metadata": namespace.custom_metadata,
        "id": namespace.id,
        "locked": namespace.lock.is_some(),
        "path": namespace.path,
        "tainted": namespace.tainted,
        "uuid": namespace.uuid,
    })
}

fn being_deleted(name: &str) -> Error {
    Error::BadRequest(format!("namespace \"{name}/\" is being deleted: try again later"))
}

/// Keys are drawn: nobody can guess what was hashed.
fn digest(key: &str) -> String {
    hex(&sha256(&[b"namespace unlock key\0", key.as_bytes()]))
}

/// As the ids that tokens end with.
const ID_LENGTH: usize = 6;

/// Of an unlock key: 142 bits.
const KEY_LENGTH: usize = 24;

/// Each is looked after by the active node.
const NAMESPACES_MAX: u64 = 10_000;

const PATH_BYTES_MAX: usize = 1024;

//! `sys/remount`: another path for a mount.
//!
//! The mount keeps its uuid, its accessor and all it has stored: one entry changes its record, so
//! the move is done when the request is answered. Nor are tokens or leases revoked, as Vault does
//! because it files them below the mount's path: here they belong to its accessor, which stays,
//! so that disabling the mount at its new path still ends them all.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::Node;
use super::mounts::{check_free, get, is_built_in, key, normalise, put};
use crate::framework::{Call, Route};
use crate::lease::MountPlaces;
use crate::mount::Table;
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("remount", "Move a mount to another path.").sudo().write(remount),
        Route::new("remount/status/{migration_id}", "What became of a move.").read(status),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Remount {
    /// The mount's path; that of an auth method begins with `auth/`.
    #[serde(default)]
    from: String,
    /// The path it is to have.
    #[serde(default)]
    to: String,
}

/// A move that was made.
#[derive(Clone, Deserialize, Serialize)]
struct Migration {
    id: String,
    source: String,
    target: String,
}

async fn remount(call: &mut Call<'_, Node>, input: Remount) -> Result<Reply, Error> {
    if input.from.is_empty() || input.to.is_empty() {
        return Err(Error::bad_request("both 'from' and 'to' path must be specified as a string"));
    }
    let ((table, from), (to_table, to)) = (place(&input.from)?, place(&input.to)?);
    if table != to_table {
        return Err(Error::bad_request(
            "an auth method stays below \"auth/\", and a secrets engine outside of it",
        ));
    }
    let [source, target] = [&from, &to].map(|path| format!("{}{path}", url_space(table)));
    if is_built_in(table, &from) {
        return Err(Error::BadRequest(format!("cannot remount {source:?}")));
    }
    let Some(mut entry) = get(call, table, &from)? else {
        return Err(Error::BadRequest(format!("no matching mount at {source:?}")));
    };
    if from == to {
        return Err(Error::BadRequest(format!("path is already in use at {target}")));
    }
    check_free(call, table, &to, Some(&from))?;
    call.storage.delete(&key(table, &from))?;
    // Leases keep the ids that their holders know.
    MountPlaces::new(&mut call.storage).moved(&entry)?;
    entry.path = to;
    put(call, &entry)?;
    let migration = Migration { id: call.rng.uuid(), source, target };
    let answer = json!({ "migration_id": migration.id });
    let mut recent = call.storage.get::<Vec<Migration>>(RECENT)?.unwrap_or_default();
    recent.insert(0, migration);
    recent.truncate(RECENT_MAX);
    call.storage.put(RECENT, &recent)?;
    Ok(Reply::of(&answer)?.warn(
        "The mount has been moved. What its path names, such as policies, is not changed with it.",
    ))
}

#[derive(Deserialize, JsonSchema)]
struct ReadStatus {
    /// As the move was answered.
    migration_id: String,
}

async fn status(call: &mut Call<'_, Node>, input: ReadStatus) -> Result<Reply, Error> {
    let recent = call.storage.get::<Vec<Migration>>(RECENT)?.unwrap_or_default();
    let found = recent.into_iter().find(|migration| migration.id == input.migration_id);
    let Migration { id, source, target } = found.ok_or(Error::NotFound)?;
    let info: Value = json!({
        "source_mount": source,
        "target_mount": target,
        "status": "success",
    });
    Reply::of(&json!({ "migration_id": id, "migration_info": info }))
}

fn place(path: &str) -> Result<(Table, String), Error> {
    let path = normalise(path)?;
    match path.strip_prefix(url_space(Table::Auth)) {
        Some(below) => Ok((Table::Auth, normalise(below)?)),
        None => Ok((Table::Secret, path)),
    }
}

fn url_space(table: Table) -> &'static str {
    match table {
        Table::Auth => "auth/",
        Table::Secret => "",
    }
}

/// The last moves, the newest first.
const RECENT: &str = "remount/recent";

/// Vault keeps them until its leader changes.
const RECENT_MAX: usize = 64;

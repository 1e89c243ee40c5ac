//! `sys/version-history`: which versions of this program have led the cluster, and since when.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::Node;
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};
use crate::txn::Txn;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![Route::new("version-history", "Versions that ran, and since when.").list(history)]
}

#[derive(Debug, Deserialize, Serialize)]
struct Installed {
    version: String,
    build_date: String,
    previous: Option<String>,
    installed: Timestamp,
}

/// Notes that a version leads, unless it is known. `version` is what clients are told.
///
/// # Errors
/// Where the record cannot be read or written.
pub fn note_version(txn: &mut Txn, version: &str, build_date: &str) -> Result<(), Error> {
    let now = txn.now();
    let mut core = txn.scope(CORE);
    // The version for clients stays the same for long: what was installed is this program.
    let version = format!("{version}+strongroom.{}", env!("CARGO_PKG_VERSION"));
    let path = format!("{DIRECTORY}/{version}");
    if core.get::<Installed>(&path)?.is_some() {
        return Ok(());
    }
    let mut newest: Option<Installed> = None;
    for name in core.list(DIRECTORY)? {
        let known = core.get::<Installed>(&format!("{DIRECTORY}/{name}"))?;
        newest = newest.into_iter().chain(known).max_by_key(|known| known.installed);
    }
    let previous = newest.map(|known| known.version);
    let build_date = build_date.to_owned();
    core.put(&path, &Installed { version, build_date, previous, installed: now })
}

async fn history(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let mut known = Vec::new();
    for name in call.storage.list(DIRECTORY)? {
        known.extend(call.storage.get::<Installed>(&format!("{DIRECTORY}/{name}"))?);
    }
    known.sort_by_key(|known| known.installed);
    let keys: Vec<&str> = known.iter().map(|known| known.version.as_str()).collect();
    let details: Map<String, Value> = known
        .iter()
        .map(|known| {
            let detail = json!({
                "build_date": known.build_date,
                "previous_version": known.previous,
                "timestamp_installed": known.installed.rfc3339(),
            });
            (known.version.clone(), detail)
        })
        .collect();
    Reply::of(&json!({ "keys": keys, "key_info": details }))
}

const CORE: &str = "root/core/";

const DIRECTORY: &str = "version";

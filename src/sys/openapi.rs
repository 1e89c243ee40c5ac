//! `sys/internal/specs/openapi`: OpenAPI 3.0 of what the caller sees, from the very tables that
//! requests are routed by.

mod document;
mod schema;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::Node;
use super::capabilities::caller_acl;
use super::mounts::entries;
use crate::auth;
use crate::engines;
use crate::framework::{Call, Route, RouteFacts};
use crate::mount::{MountEntry, Table};
use crate::request::{Error, Reply};
use document::Document;

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("internal/specs/openapi", "This API as an OpenAPI document.")
            .optional_token()
            .read(openapi)
            .write(openapi),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct OpenApi {
    /// Write `{kind_mount_path}` in place of each mount's path, as generators of clients want it.
    #[serde(default)]
    generic_mount_paths: bool,
    /// Kept for clients that send it.
    #[serde(default)]
    #[expect(dead_code, reason = "known, so that it causes no warning")]
    context: String,
}

/// Whoever has no token sees no path: what is mounted is nobody's business.
async fn openapi(call: &mut Call<'_, Node>, input: OpenApi) -> Result<Reply, Error> {
    let version = call.state.seal_status().await.map(|status| status.version);
    let mut document = Document::new(version.unwrap_or_default(), input.generic_mount_paths);
    if call.caller.is_some() {
        let acl = caller_acl(call)?;
        let mut tables = BTreeMap::new();
        for table in [Table::Auth, Table::Secret] {
            for entry in entries(call, table)? {
                if !acl.preflight(&entry.api_path()) {
                    continue;
                }
                let key = (table, entry.kind.clone(), entry.options.get("version").cloned());
                let facts = match tables.get(&key) {
                    Some(facts) => facts,
                    None => tables.entry(key).or_insert(routes_of(&entry)?),
                };
                document.add(&entry, facts);
            }
        }
    }
    Reply::bare(&json!(document.finish()))
}

/// The routes of a mount, also where it is not open.
pub(super) fn routes_of(entry: &MountEntry) -> Result<Vec<RouteFacts>, Error> {
    if entry.administers() {
        return Ok(super::engine()
            .map_err(Error::internal)?
            .routes()
            .map(RouteFacts::of)
            .collect());
    }
    let opened = match entry.table {
        Table::Auth => auth::open(entry),
        Table::Secret => engines::open(entry),
    };
    let opened = opened.map_err(Error::internal)?;
    Ok(opened.map(|mount| mount.routes()).unwrap_or_default())
}

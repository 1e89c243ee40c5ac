//! `sys/internal/inspect/router`: which mount answers what, for whoever looks into trouble.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::Node;
use super::mounts::entries;
use crate::framework::{Call, Route};
use crate::mount::{ROOT_NAMESPACE, Table};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("internal/inspect/router/{tag}", "The mounts, as the router knows them.")
            .sudo()
            .read(router),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Tag {
    /// `root`, `uuid`, `accessor` or `storage`: what they are sorted by.
    tag: String,
}

async fn router(call: &mut Call<'_, Node>, input: Tag) -> Result<Reply, Error> {
    let tag = input.tag.as_str();
    if !["root", "uuid", "accessor", "storage"].contains(&tag) {
        return Err(Error::UnsupportedPath);
    }
    let mut mounts = Vec::new();
    for table in [Table::Auth, Table::Secret] {
        for entry in entries(call, table)? {
            let prefix = format!("{ROOT_NAMESPACE}{}", entry.storage_prefix());
            let mut shown = Map::from_iter([
                ("accessor".to_owned(), json!(entry.accessor)),
                ("mount_namespace".to_owned(), json!("")),
                ("mount_path".to_owned(), json!(entry.path)),
                ("mount_type".to_owned(), json!(entry.kind)),
                ("uuid".to_owned(), json!(entry.uuid)),
            ]);
            // As in Vault, only these two tell.
            if matches!(tag, "root" | "storage") {
                shown.insert("storage_prefix".into(), json!(prefix));
                shown.insert("tainted".into(), json!(entry.tainted));
            }
            let key = match tag {
                "uuid" => entry.uuid,
                "accessor" => entry.accessor,
                "storage" => prefix,
                _ => entry.api_path(),
            };
            mounts.push((key, Value::Object(shown)));
        }
    }
    mounts.sort_by(|(one, _), (other, _)| one.cmp(other));
    let mounts: Vec<Value> = mounts.into_iter().map(|(_, shown)| shown).collect();
    Reply::of(&Map::from_iter([(tag.to_owned(), Value::Array(mounts))]))
}

//! `sys/locked-users`: who is locked out after failed logins.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::Node;
use crate::auth::lockout::Locks;
use crate::framework::{Call, Route};
use crate::namespace::Own;
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route<Node>> {
    vec![
        Route::new("locked-users", "The users that are locked out after failed logins.").read(list),
        Route::new(
            "locked-users/{mount_accessor}/unlock/{alias_identifier...}",
            "Let a user log in again.",
        )
        .write(unlock),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct List {
    /// Of one auth mount alone.
    #[serde(default)]
    mount_accessor: String,
}

#[derive(Deserialize, JsonSchema)]
struct Unlock {
    /// Of the auth mount.
    mount_accessor: String,
    /// The name by which the method knows the user.
    alias_identifier: String,
}

async fn list(call: &mut Call<'_, Node>, input: List) -> Result<Reply, Error> {
    let now = call.now;
    let mut locks = Locks::new(&mut call.storage);
    let accessors = if input.mount_accessor.is_empty() {
        locks.accessors()?
    } else {
        vec![input.mount_accessor.clone()]
    };
    let (mut mounts, mut total) = (Vec::new(), 0);
    for accessor in accessors {
        let names = locks.names(&accessor, now)?;
        if names.is_empty() && input.mount_accessor.is_empty() {
            continue;
        }
        total += names.len();
        mounts.push(json!({
            "mount_accessor": accessor,
            "counts": names.len(),
            "alias_identifiers": if names.is_empty() { Value::Null } else { names.into() },
        }));
    }
    let own = Own::of(&mut call.storage)?;
    Reply::of(&json!({
        "by_namespace": [{
            "namespace_id": own.id,
            "namespace_path": own.path,
            "counts": total,
            "mount_accessors": mounts,
        }],
        "total": total,
    }))
}

async fn unlock(call: &mut Call<'_, Node>, input: Unlock) -> Result<Reply, Error> {
    Locks::new(&mut call.storage).unlock(&input.mount_accessor, &input.alias_identifier)?;
    Ok(Reply::default())
}

//! What a new cluster starts with: its own mounts, and the root token.

use super::mounts::key;
use crate::auth::token::{NewToken, TokenEntry, TokenStore};
use crate::clock::Timestamp;
use crate::mount::{MountConfig, MountEntry, ROOT_NAMESPACE, Table};
use crate::policy;
use crate::policy_store::{PolicyStore, StoredPolicy};
use crate::request::Error;
use crate::rng::Rng;
use crate::secret::Secret;
use crate::text::hex;
use crate::txn::{Scope, Txn};

/// Writes the first records and returns the root token, drawn unless `root_token` is given.
///
/// # Errors
/// Where a record cannot be written.
pub fn write_first_records(
    txn: &mut Txn,
    rng: &dyn Rng,
    root_token: Option<Secret<String>>,
) -> Result<Secret<String>, Error> {
    let now = txn.now();
    let mut scope = txn.scope("root/core/");
    write_own_records(&mut scope, rng, now)?;
    let new = self::root_token(root_token);
    let (token, _) = TokenStore::new(&mut scope).create(rng, now, new)?;
    Ok(token)
}

/// What every namespace starts with, over its `core/` scope: its own mounts and policies.
///
/// # Errors
/// Where a record cannot be written.
pub(super) fn write_own_records(
    core: &mut Scope<'_>,
    rng: &dyn Rng,
    now: Timestamp,
) -> Result<(), Error> {
    for entry in [
        built_in(rng, Table::Secret, "sys/", "system", "system endpoints used for control"),
        built_in(rng, Table::Secret, "cubbyhole/", "cubbyhole", "per-token private storage"),
        identity_entry(rng),
        built_in(rng, Table::Auth, "token/", "token", "token based credentials"),
    ] {
        core.put(&key(entry.table, &entry.path), &entry)?;
    }
    for (name, text) in policy::TEXTS {
        let stored = StoredPolicy {
            text: text.into(),
            modified: now,
            allow_wildcards_in_identity_templates: false,
            allow_slashes_in_identity_templates: false,
        };
        PolicyStore::new(core).put(name, &stored)?;
    }
    Ok(())
}

/// May do everything, and does not end; drawn unless `id` is given.
pub(super) fn root_token(id: Option<Secret<String>>) -> NewToken {
    let entry = TokenEntry {
        policies: vec!["root".into()],
        path: "auth/token/root".into(),
        display_name: "root".into(),
        ..TokenEntry::default()
    };
    NewToken { entry, id }
}

/// Writes what newer programs start with and this cluster's first records lack. The caller
/// commits.
///
/// # Errors
/// Where a record cannot be read or written.
pub fn write_missing_records(txn: &mut Txn, rng: &dyn Rng) -> Result<(), Error> {
    let entry = identity_entry(rng);
    let key = entry.table.key(&entry.path);
    let mut namespace = txn.scope(ROOT_NAMESPACE);
    match namespace.get_shared::<MountEntry>(&key)? {
        Some(_) => Ok(()),
        None => namespace.put(&key, &entry),
    }
}

fn identity_entry(rng: &dyn Rng) -> MountEntry {
    built_in(rng, Table::Secret, "identity/", "identity", "identity store")
}

/// Of `sys/`, before its record can be read.
pub fn system_entry(rng: &dyn Rng) -> MountEntry {
    built_in(rng, Table::Secret, "sys/", "system", "system endpoints used for control")
}

fn built_in(rng: &dyn Rng, table: Table, path: &str, kind: &str, description: &str) -> MountEntry {
    let auth = if table == Table::Auth { "auth_" } else { "" };
    let digits = hex(&rng.bytes::<4>());
    let passthrough = match kind {
        "system" => vec!["Accept".into()],
        // Clients of the OIDC provider may say who they are by it.
        "identity" => vec!["Authorization".into()],
        _ => Vec::new(),
    };
    MountEntry {
        table,
        path: path.into(),
        kind: kind.into(),
        description: description.into(),
        uuid: rng.uuid(),
        accessor: format!("{auth}{kind}_{digits}"),
        // A cubbyhole is its token's alone.
        local: kind == "cubbyhole",
        seal_wrap: kind == "system",
        external_entropy_access: false,
        options: std::collections::BTreeMap::new(),
        config: MountConfig {
            passthrough_request_headers: passthrough,
            token_type: if table == Table::Auth { "default-service" } else { "" }.into(),
            ..MountConfig::default()
        },
        tainted: false,
    }
}

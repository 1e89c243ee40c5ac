//! How entities, groups and aliases look in replies.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use crate::identity::{Alias, Entity, Group, IdentityStore};
use crate::mount::{MountEntry, Table};
use crate::namespace::Own;
use crate::request::Error;
use crate::txn::Scope;

/// The mounts of the namespace, by accessor.
pub(super) struct Mounts(BTreeMap<String, Arc<MountEntry>>);

impl Mounts {
    /// # Errors
    /// Where the store cannot be read.
    pub(super) fn read(core: &mut Scope<'_>) -> Result<Self, Error> {
        let mut mounts = BTreeMap::new();
        for table in [Table::Auth, Table::Secret] {
            let directory = table.directory().strip_prefix("core/").unwrap_or_default();
            for name in core.list(directory)? {
                let entry = core.get_shared::<MountEntry>(&format!("{directory}{name}"))?;
                if let Some(entry) = entry {
                    mounts.insert(entry.accessor.clone(), entry);
                }
            }
        }
        Ok(Self(mounts))
    }

    /// # Errors
    /// [`Error::BadRequest`] where nothing is mounted by this accessor.
    pub(super) fn of(&self, accessor: &str) -> Result<&MountEntry, Error> {
        let mount = self.0.get(accessor).map(Arc::as_ref);
        mount.ok_or_else(|| Error::BadRequest(format!("invalid mount accessor {accessor:?}")))
    }

    fn path_and_kind(&self, accessor: &str) -> (String, &str) {
        self.0
            .get(accessor)
            .map_or_else(Default::default, |mount| (mount.api_path(), mount.kind.as_str()))
    }
}

/// As Vault shows a list that may be empty.
pub(super) fn list_or_null(list: impl IntoIterator<Item = String>) -> Value {
    let list: Vec<String> = list.into_iter().collect();
    if list.is_empty() { Value::Null } else { list.into() }
}

pub(super) fn map_or_null(map: &BTreeMap<String, String>) -> Value {
    if map.is_empty() { Value::Null } else { json!(map) }
}

/// All that is known of an alias.
pub(super) fn alias(alias: &Alias, owner: &str, mounts: &Mounts) -> Map<String, Value> {
    let mut shown = alias_in_listing(alias, owner, mounts);
    shown.insert("creation_time".into(), alias.created.rfc3339().into());
    shown.insert("id".into(), alias.id.clone().into());
    shown.insert("last_update_time".into(), alias.updated.rfc3339().into());
    let merged = list_or_null(alias.merged_from.iter().cloned());
    shown.insert("merged_from_canonical_ids".into(), merged);
    shown
}

pub(super) fn alias_in_listing(alias: &Alias, owner: &str, mounts: &Mounts) -> Map<String, Value> {
    let (path, kind) = mounts.path_and_kind(&alias.mount_accessor);
    let pairs: [(&str, Value); 8] = [
        ("canonical_id", owner.into()),
        ("custom_metadata", map_or_null(&alias.custom_metadata)),
        ("local", alias.local.into()),
        ("metadata", map_or_null(&alias.metadata)),
        ("mount_accessor", alias.mount_accessor.clone().into()),
        ("mount_path", path.into()),
        ("mount_type", kind.into()),
        ("name", alias.name.clone().into()),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// As listings of entities and groups show an alias.
pub(super) fn alias_in_brief(alias: &Alias, mounts: &Mounts) -> Value {
    let (path, kind) = mounts.path_and_kind(&alias.mount_accessor);
    json!({
        "id": alias.id,
        "mount_accessor": alias.mount_accessor,
        "mount_path": path,
        "mount_type": kind,
        "name": alias.name,
    })
}

/// # Errors
/// Where the store cannot be read.
pub(super) fn entity(core: &mut Scope<'_>, entity: &Entity) -> Result<Map<String, Value>, Error> {
    let mounts = Mounts::read(core)?;
    let who = IdentityStore::new(core).who(&entity.id, None)?.ok_or(Error::NotFound)?;
    let of = |alias_: &Alias| Value::Object(alias(alias_, &entity.id, &mounts));
    let all = who.groups.iter().map(|group| group.id.clone());
    let inherited = all.clone().filter(|id| !who.direct_groups.contains(id));
    let pairs: [(&str, Value); 13] = [
        ("aliases", entity.aliases.iter().map(of).collect()),
        ("creation_time", entity.created.rfc3339().into()),
        ("direct_group_ids", who.direct_groups.iter().cloned().collect()),
        ("disabled", entity.disabled.into()),
        ("group_ids", all.clone().collect()),
        ("id", entity.id.clone().into()),
        ("inherited_group_ids", inherited.collect()),
        ("last_update_time", entity.updated.rfc3339().into()),
        ("merged_entity_ids", list_or_null(entity.merged.iter().cloned())),
        ("metadata", map_or_null(&entity.metadata)),
        ("name", entity.name.clone().into()),
        ("namespace_id", namespace_id(core)?),
        ("policies", entity.policies.clone().into()),
    ];
    Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// # Errors
/// Where the store cannot be read.
pub(super) fn group(core: &mut Scope<'_>, group: &Group) -> Result<Map<String, Value>, Error> {
    let mounts = Mounts::read(core)?;
    let members = IdentityStore::new(core).members(&group.id)?;
    let mut alias =
        group.alias.as_ref().map(|one| alias(one, &group.id, &mounts)).unwrap_or_default();
    // A group's alias has none of its own.
    alias.remove("custom_metadata");
    alias.remove("local");
    let pairs: [(&str, Value); 13] = [
        ("alias", Value::Object(alias)),
        ("creation_time", group.created.rfc3339().into()),
        ("id", group.id.clone().into()),
        ("last_update_time", group.updated.rfc3339().into()),
        ("member_entity_ids", list_or_null(members)),
        ("member_group_ids", list_or_null(group.groups.iter().cloned())),
        ("metadata", map_or_null(&group.metadata)),
        ("modify_index", group.modify_index.into()),
        ("name", group.name.clone().into()),
        ("namespace_id", namespace_id(core)?),
        ("parent_group_ids", list_or_null(group.parents.iter().cloned())),
        ("policies", list_or_null(group.policies.iter().cloned())),
        ("type", group.kind.name().into()),
    ];
    Ok(pairs.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
}

/// # Errors
/// Where the store cannot be read.
pub(super) fn namespace_id(core: &mut Scope<'_>) -> Result<Value, Error> {
    Ok(Own::of(core)?.id.clone().into())
}

//! `group`, by id and by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::entity::keys_with_info;
use super::shown::{self, Mounts};
use crate::engines::identity::{Call, Route};
use crate::framework::NoParams;
use crate::identity::{
    Group, GroupChange, GroupKind, IdentityStore, check_metadata, check_name, check_policies,
};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("group", "Create a group, or change one.").write(write),
        Route::new("group/id", "The ids of the groups.").list(list_ids),
        Route::new("group/id/{id}", "A group, by its id.")
            .read(read_by_id)
            .write(write)
            .delete(delete_by_id),
        Route::new("group/name", "The names of the groups.").list(list_names),
        Route::new("group/name/{name}", "A group, by its name.")
            .read(read_by_name)
            .write(write_by_name)
            .delete(delete_by_name),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// The id of a group that is to be changed.
    #[serde(default)]
    id: String,
    /// The name; without one it is drawn.
    #[serde(default)]
    name: String,
    /// `internal`, whose members are set here, or `external`, whose members an auth method tells.
    #[serde(default)]
    r#type: String,
    /// For people, and for templates in policies.
    metadata: Option<BTreeMap<String, String>>,
    /// What members may do beyond their tokens' own policies.
    policies: Option<Vec<String>>,
    /// The groups in it.
    member_group_ids: Option<BTreeSet<String>>,
    /// The entities in it.
    member_entity_ids: Option<BTreeSet<String>>,
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The group's id.
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// The group's name.
    name: String,
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let mut identities = IdentityStore::new(&mut call.storage);
    let before = if !input.id.is_empty() {
        let found = identities.group(&input.id)?;
        Some(found.ok_or_else(|| Error::bad_request("invalid group ID"))?)
    } else if input.name.is_empty() {
        None
    } else {
        identities.group_by_name(&input.name)?
    };
    save(call, before.as_deref(), input)
}

async fn write_by_name(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let before = IdentityStore::new(&mut call.storage).group_by_name(&input.name)?;
    save(call, before.as_deref(), input)
}

fn save(call: &mut Call<'_>, before: Option<&Group>, input: Write) -> Result<Reply, Error> {
    check_name(&input.name)?;
    let kind = match input.r#type.as_str() {
        "" => before.map(|before| before.kind).unwrap_or_default(),
        "internal" => GroupKind::Internal,
        "external" => GroupKind::External,
        other => return Err(Error::BadRequest(format!("invalid group type {other:?}"))),
    };
    if before.is_some_and(|before| before.kind != kind) {
        return Err(Error::bad_request("group type cannot be changed"));
    }
    input.metadata.as_ref().map_or(Ok(()), |metadata| check_metadata("group", metadata))?;
    let without_empty = |ids: BTreeSet<String>| -> BTreeSet<String> {
        ids.into_iter().filter(|id| !id.is_empty()).collect()
    };
    let change = GroupChange {
        name: Some(input.name).filter(|name| !name.is_empty()),
        metadata: input.metadata,
        policies: input.policies.map(|policies| check_policies(&policies)).transpose()?,
        entities: input.member_entity_ids.map(without_empty),
        groups: input.member_group_ids.map(without_empty),
    };
    let (rng, now) = (call.rng, call.now);
    let group = before.cloned().unwrap_or_else(|| IdentityStore::new_group(rng, now, kind));
    let group = IdentityStore::new(&mut call.storage).change_group(before, group, change, now)?;
    if before.is_some() {
        return Ok(Reply::default());
    }
    Reply::of(&json!({ "id": group.id, "name": group.name }))
}

async fn read_by_id(call: &mut Call<'_>, input: Id) -> Result<Reply, Error> {
    let found = IdentityStore::new(&mut call.storage).group(&input.id)?;
    read(call, found)
}

async fn read_by_name(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let found = IdentityStore::new(&mut call.storage).group_by_name(&input.name)?;
    read(call, found)
}

fn read(call: &mut Call<'_>, found: Option<Arc<Group>>) -> Result<Reply, Error> {
    let group = found.ok_or(Error::NotFound)?;
    Ok(Reply::data(shown::group(&mut call.storage, &group)?))
}

async fn delete_by_id(call: &mut Call<'_>, input: Id) -> Result<Reply, Error> {
    let found = IdentityStore::new(&mut call.storage).group(&input.id)?;
    delete(call, found)
}

async fn delete_by_name(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let found = IdentityStore::new(&mut call.storage).group_by_name(&input.name)?;
    delete(call, found)
}

fn delete(call: &mut Call<'_>, found: Option<Arc<Group>>) -> Result<Reply, Error> {
    if let Some(group) = found {
        IdentityStore::new(&mut call.storage).delete_group(&group)?;
    }
    Ok(Reply::default())
}

async fn list_names(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(IdentityStore::new(&mut call.storage).group_names()?))
}

async fn list_ids(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let mounts = Mounts::read(&mut call.storage)?;
    let mut identities = IdentityStore::new(&mut call.storage);
    let ids = identities.group_ids()?;
    let mut key_info = Map::new();
    for id in &ids {
        let Some(group) = identities.group(id)? else {
            continue;
        };
        let mut info = Map::new();
        if let Some(alias) = &group.alias {
            info.insert("alias".into(), shown::alias_in_brief(alias, &mounts));
        }
        info.insert("name".into(), group.name.clone().into());
        let members = identities.count_members(id)?;
        info.insert("num_member_entities".into(), members.into());
        info.insert("num_parent_groups".into(), group.parents.len().into());
        key_info.insert(id.clone(), Value::Object(info));
    }
    Ok(keys_with_info(ids, key_info))
}

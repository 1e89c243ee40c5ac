//! `group-alias`: the name by which an auth method knows an external group.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::entity::keys_with_info;
use super::shown::{self, Mounts};
use crate::engines::identity::{Call, Route};
use crate::framework::NoParams;
use crate::identity::{Alias, Group, GroupKind, IdentityStore, check_name};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("group-alias", "The name by which a mount knows a group: create, change.")
            .write(write),
        Route::new("group-alias/id", "The ids of the groups' aliases.").list(list),
        Route::new("group-alias/id/{id}", "A group's alias, by its id.")
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// The id of an alias that is to be changed.
    #[serde(default)]
    id: String,
    /// The name by which the auth method knows the group.
    #[serde(default)]
    name: String,
    /// The accessor of the auth method's mount.
    #[serde(default)]
    mount_accessor: String,
    /// The group's id; without one an external group is made.
    #[serde(default)]
    canonical_id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The alias's id.
    id: String,
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    check_name(&input.name)?;
    let mut identities = IdentityStore::new(&mut call.storage);
    let owner = if input.id.is_empty() {
        None
    } else {
        let owner = identities.group_by_alias_id(&input.id)?;
        Some(owner.ok_or_else(|| Error::bad_request("invalid group alias ID"))?)
    };
    if input.name.is_empty() {
        return Err(Error::bad_request("missing alias name"));
    }
    if input.mount_accessor.is_empty() {
        return Err(Error::bad_request("missing mount_accessor"));
    }
    let local = Mounts::read(&mut call.storage)?.of(&input.mount_accessor)?.local;
    let (rng, now) = (call.rng, call.now);
    let mut identities = IdentityStore::new(&mut call.storage);
    let taken = identities.group_by_alias(&input.mount_accessor, &input.name)?;
    let of_it = |group: &Group| group.alias.as_ref().is_some_and(|alias| alias.id == input.id);
    if taken.is_some_and(|group| !of_it(&group)) {
        return Err(Error::bad_request(
            "combination of mount and group alias name is already in use",
        ));
    }
    let target = if !input.canonical_id.is_empty() {
        let group = identities.group(&input.canonical_id)?;
        let problem = "invalid group ID given in 'canonical_id'";
        Some(group.ok_or_else(|| Error::bad_request(problem))?)
    } else {
        owner.clone()
    };
    if target.as_ref().is_some_and(|group| group.kind == GroupKind::Internal) {
        return Err(Error::bad_request("alias can't be set on an internal group"));
    }
    let before = owner.as_ref().and_then(|owner| owner.alias.clone());
    let alias = Alias {
        id: before.as_ref().map_or_else(|| rng.uuid(), |before| before.id.clone()),
        name: input.name,
        mount_accessor: input.mount_accessor,
        local,
        created: before.as_ref().map_or(now, |before| before.created),
        updated: now,
        ..Alias::default()
    };
    let moves = owner.as_ref().zip(target.as_ref()).is_some_and(|(from, to)| from.id != to.id);
    if let Some(before) = &before
        && !moves
        && before.name == alias.name
        && before.mount_accessor == alias.mount_accessor
    {
        return Ok(Reply::default());
    }
    if let Some(owner) = owner.filter(|_| moves) {
        let mut left = Group { alias: None, ..Group::clone(&owner) };
        identities.put_group(Some(&owner), &mut left, now)?;
    }
    let mut group = target.as_deref().cloned();
    let group =
        group.get_or_insert_with(|| IdentityStore::new_group(rng, now, GroupKind::External));
    let reply = json!({ "canonical_id": group.id, "id": alias.id });
    group.alias = Some(alias);
    identities.put_group(target.as_deref(), group, now)?;
    Reply::of(&reply)
}

async fn read(call: &mut Call<'_>, input: Id) -> Result<Reply, Error> {
    let owner = IdentityStore::new(&mut call.storage).group_by_alias_id(&input.id)?;
    let owner = owner.ok_or(Error::NotFound)?;
    let alias = owner.alias.as_ref().ok_or(Error::NotFound)?;
    let mounts = Mounts::read(&mut call.storage)?;
    let mut data = shown::alias(alias, &owner.id, &mounts);
    data.insert("namespace_id".into(), shown::NAMESPACE_ID.into());
    Ok(Reply::data(data))
}

async fn delete(call: &mut Call<'_>, input: Id) -> Result<Reply, Error> {
    let now = call.now;
    let mut identities = IdentityStore::new(&mut call.storage);
    if let Some(owner) = identities.group_by_alias_id(&input.id)? {
        let mut changed = Group { alias: None, ..Group::clone(&owner) };
        identities.put_group(Some(&owner), &mut changed, now)?;
    }
    Ok(Reply::default())
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let mounts = Mounts::read(&mut call.storage)?;
    let mut identities = IdentityStore::new(&mut call.storage);
    let ids = identities.group_alias_ids()?;
    let mut key_info = Map::new();
    for id in &ids {
        if let Some(owner) = identities.group_by_alias_id(id)?
            && let Some(alias) = &owner.alias
        {
            let info = shown::alias_in_listing(alias, &owner.id, &mounts);
            key_info.insert(id.clone(), Value::Object(info));
        }
    }
    Ok(keys_with_info(ids, key_info))
}

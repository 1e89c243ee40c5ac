//! `entity-alias`, and its names of old.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::entity::keys_with_info;
use super::shown::{self, Mounts};
use crate::engines::identity::{Call, Route};
use crate::framework::NoParams;
use crate::identity::{Alias, Entity, IdentityStore, check_custom_metadata, check_name};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    let own = [
        ("entity-alias", "entity-alias/id", "entity-alias/id/{id}"),
        ("alias", "alias/id", "alias/id/{id}"),
        ("persona", "persona/id", "persona/id/{id}"),
    ];
    own.into_iter()
        .flat_map(|(all, ids, one)| {
            [
                Route::new(all, "The name by which a mount knows an entity: create, change.")
                    .write(write),
                Route::new(ids, "The ids of the aliases.").list(list),
                Route::new(one, "An alias, by its id.").read(read).write(write).delete(delete),
            ]
        })
        .collect()
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// The id of an alias that is to be changed.
    #[serde(default)]
    id: String,
    /// The name by which the auth method knows the entity.
    #[serde(default)]
    name: String,
    /// The accessor of the auth method's mount.
    #[serde(default)]
    mount_accessor: String,
    /// The entity's id; without one an entity is made.
    #[serde(default)]
    canonical_id: String,
    /// `canonical_id`, as it was called once.
    #[serde(default)]
    entity_id: String,
    /// For people, and for templates in policies.
    custom_metadata: Option<BTreeMap<String, String>>,
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The alias's id.
    id: String,
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    check_name(&input.name)?;
    input.custom_metadata.as_ref().map_or(Ok(()), check_custom_metadata)?;
    let mut identities = IdentityStore::new(&mut call.storage);
    let owner = if !input.id.is_empty() {
        let owner = identities.entity_by_alias_id(&input.id)?;
        let owner = owner.ok_or_else(|| Error::bad_request("invalid alias ID provided"))?;
        Some((owner, input.id.clone()))
    } else {
        if input.name.is_empty() || input.mount_accessor.is_empty() {
            return Err(Error::bad_request("'id' or 'mount_accessor' and 'name' must be provided"));
        }
        match identities.alias_ref(&input.mount_accessor, &input.name)? {
            Some(found) => identities.entity(&found.owner)?.map(|owner| (owner, found.id.clone())),
            None => None,
        }
    };
    if !input.mount_accessor.is_empty() {
        Mounts::read(&mut call.storage)?.of(&input.mount_accessor)?;
    }
    match owner {
        Some((owner, id)) => change(call, &owner, &id, input),
        None => create(call, input),
    }
}

fn create(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let canonical_id = canonical(&input);
    let local = Mounts::read(&mut call.storage)?.of(&input.mount_accessor)?.local;
    let mut identities = IdentityStore::new(&mut call.storage);
    let before =
        if canonical_id.is_empty() { None } else { Some(entity(&mut identities, &canonical_id)?) };
    if before.as_ref().is_some_and(|entity| has_alias(entity, &input.mount_accessor, "")) {
        return Err(Error::bad_request(
            "Alias already exists for requested entity and mount accessor",
        ));
    }
    let alias = Alias {
        id: call.rng.uuid(),
        name: input.name,
        mount_accessor: input.mount_accessor,
        custom_metadata: input.custom_metadata.unwrap_or_default(),
        local,
        created: call.now,
        updated: call.now,
        ..Alias::default()
    };
    let mut changed =
        before.as_deref().cloned().unwrap_or_else(|| IdentityStore::new_entity(call.rng, call.now));
    let reply = json!({ "canonical_id": changed.id, "id": alias.id });
    changed.aliases.push(alias);
    identities.put_entity(before.as_deref(), &changed)?;
    Reply::of(&reply)
}

fn change(
    call: &mut Call<'_>,
    owner: &Arc<Entity>,
    id: &str,
    input: Write,
) -> Result<Reply, Error> {
    let canonical_id = canonical(&input);
    let mut identities = IdentityStore::new(&mut call.storage);
    let before = owner.aliases.iter().find(|alias| alias.id == id);
    let before = before.ok_or_else(|| Error::internal("an alias is not its owner's"))?;
    let or = |given: String, before: &String| if given.is_empty() { before.clone() } else { given };
    let mut alias = Alias {
        name: or(input.name, &before.name),
        mount_accessor: or(input.mount_accessor, &before.mount_accessor),
        custom_metadata: input.custom_metadata.unwrap_or_else(|| before.custom_metadata.clone()),
        ..before.clone()
    };
    let moves = !canonical_id.is_empty() && canonical_id != owner.id;
    if alias == *before && !moves {
        return Ok(Reply::default());
    }
    let other = identities.alias_ref(&alias.mount_accessor, &alias.name)?;
    if other.is_some_and(|other| other.id != alias.id) {
        return Err(Error::bad_request(
            "alias with combination of mount accessor and name already exists",
        ));
    }
    let target = if moves { entity(&mut identities, &canonical_id)? } else { owner.clone() };
    if has_alias(&target, &alias.mount_accessor, &alias.id) {
        return Err(Error::bad_request(
            "Alias cannot be updated as the given entity already has an alias for this mount ",
        ));
    }
    // What the method told of another name is not this one's.
    if alias.bond() != before.bond() {
        alias.metadata.clear();
    }
    alias.updated = call.now;
    let reply = json!({ "canonical_id": target.id, "id": alias.id });
    if moves {
        let mut left = Entity::clone(owner);
        left.aliases.retain(|other| other.id != alias.id);
        identities.put_entity(Some(owner), &left)?;
        let mut joined = Entity::clone(&target);
        joined.aliases.push(alias);
        identities.put_entity(Some(&target), &joined)?;
    } else {
        let mut changed = Entity::clone(owner);
        for one in changed.aliases.iter_mut().filter(|one| one.id == alias.id) {
            *one = alias.clone();
        }
        identities.put_entity(Some(owner), &changed)?;
    }
    Reply::of(&reply)
}

fn canonical(input: &Write) -> String {
    let given = [&input.canonical_id, &input.entity_id];
    given.into_iter().find(|id| !id.is_empty()).cloned().unwrap_or_default()
}

fn entity(identities: &mut IdentityStore<'_, '_>, id: &str) -> Result<Arc<Entity>, Error> {
    identities.entity(id)?.ok_or_else(|| Error::bad_request("invalid canonical ID"))
}

/// Another than `id`, in this mount.
fn has_alias(entity: &Entity, mount_accessor: &str, id: &str) -> bool {
    let mut aliases = entity.aliases.iter();
    aliases.any(|alias| alias.mount_accessor == mount_accessor && alias.id != id)
}

async fn read(call: &mut Call<'_>, input: Id) -> Result<Reply, Error> {
    let owner = IdentityStore::new(&mut call.storage).entity_by_alias_id(&input.id)?;
    let owner = owner.ok_or(Error::NotFound)?;
    let alias = owner.aliases.iter().find(|alias| alias.id == input.id).ok_or(Error::NotFound)?;
    let mounts = Mounts::read(&mut call.storage)?;
    let mut data = shown::alias(alias, &owner.id, &mounts);
    data.insert("namespace_id".into(), shown::NAMESPACE_ID.into());
    Ok(Reply::data(data))
}

async fn delete(call: &mut Call<'_>, input: Id) -> Result<Reply, Error> {
    let mut identities = IdentityStore::new(&mut call.storage);
    if let Some(owner) = identities.entity_by_alias_id(&input.id)? {
        let mut changed = Entity::clone(&owner);
        changed.aliases.retain(|alias| alias.id != input.id);
        identities.put_entity(Some(&owner), &changed)?;
    }
    Ok(Reply::default())
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let mounts = Mounts::read(&mut call.storage)?;
    let mut identities = IdentityStore::new(&mut call.storage);
    let ids = identities.alias_ids()?;
    let mut key_info = Map::new();
    for id in &ids {
        if let Some(owner) = identities.entity_by_alias_id(id)?
            && let Some(alias) = owner.aliases.iter().find(|alias| alias.id == *id)
        {
            let info = shown::alias_in_listing(alias, &owner.id, &mounts);
            key_info.insert(id.clone(), Value::Object(info));
        }
    }
    Ok(keys_with_info(ids, key_info))
}

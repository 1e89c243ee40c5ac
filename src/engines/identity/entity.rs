//! `entity`, by id and by name.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::shown::{self, Mounts};
use crate::engines::identity::{Call, Route};
use crate::framework::NoParams;
use crate::identity::{
    Clash, Entity, IdentityStore, Merge, Merged, check_metadata, check_name, check_policies,
};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("entity", "Create an entity, or change one.").write(write),
        Route::new("entity/id", "The ids of the entities.").list(list_ids),
        Route::new("entity/id/{id}", "An entity, by its id.")
            .read(read_by_id)
            .write(write)
            .delete(delete_by_id),
        Route::new("entity/name", "The names of the entities.").list(list_names),
        Route::new("entity/name/{name}", "An entity, by its name.")
            .read(read_by_name)
            .write(write_by_name)
            .delete(delete_by_name),
        Route::new("entity/batch-delete", "Delete several entities.").write(batch_delete),
        Route::new("entity/merge", "Make one entity of several.").write(merge),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// The id of an entity that is to be changed.
    #[serde(default)]
    id: String,
    /// The name; without one it is drawn.
    #[serde(default)]
    name: String,
    /// For people, and for templates in policies.
    metadata: Option<BTreeMap<String, String>>,
    /// What its tokens may do beyond their own policies.
    policies: Option<Vec<String>>,
    /// Refuse its tokens.
    disabled: Option<bool>,
}

#[derive(Deserialize, JsonSchema)]
struct Id {
    /// The entity's id.
    id: String,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// The entity's name.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Ids {
    /// The entities' ids.
    #[serde(default)]
    entity_ids: Vec<String>,
}

#[derive(Deserialize, JsonSchema)]
struct MergeInput {
    /// The ids of those that will be gone.
    #[serde(default)]
    from_entity_ids: Vec<String>,
    /// The id of the one that stays.
    #[serde(default)]
    to_entity_id: String,
    /// Of clients that know it; there is nothing here to be forced.
    #[serde(default)]
    #[expect(dead_code, reason = "taken without a warning, as in Vault")]
    force: bool,
    /// Where both have an alias in one mount, the ids of those that stay.
    #[serde(default)]
    conflicting_alias_ids_to_keep: BTreeSet<String>,
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let mut identities = IdentityStore::new(&mut call.storage);
    let before = if !input.id.is_empty() {
        let found = identities.entity(&input.id)?;
        Some(found.ok_or_else(|| Error::bad_request("entity not found from id"))?)
    } else if input.name.is_empty() {
        None
    } else {
        identities.entity_by_name(&input.name)?
    };
    save(call, before.as_deref(), input)
}

/// What the path says wins over the body, and an entity of that name over one of an id.
async fn write_by_name(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let before = IdentityStore::new(&mut call.storage).entity_by_name(&input.name)?;
    save(call, before.as_deref(), input)
}

fn save(call: &mut Call<'_>, before: Option<&Entity>, input: Write) -> Result<Reply, Error> {
    check_name(&input.name)?;
    let mut entity =
        before.cloned().unwrap_or_else(|| IdentityStore::new_entity(call.rng, call.now));
    if !input.name.is_empty() {
        entity.name = input.name;
    }
    if let Some(metadata) = input.metadata {
        check_metadata("entity", &metadata)?;
        entity.metadata = metadata;
    }
    if let Some(policies) = input.policies {
        entity.policies = check_policies(&policies)?;
    }
    entity.disabled = input.disabled.unwrap_or(entity.disabled);
    entity.updated = call.now;
    IdentityStore::new(&mut call.storage).put_entity(before, &entity)?;
    if before.is_some() {
        return Ok(Reply::default());
    }
    Reply::of(&json!({ "aliases": null, "id": entity.id, "name": entity.name }))
}

async fn read_by_id(call: &mut Call<'_>, input: Id) -> Result<Reply, Error> {
    let found = IdentityStore::new(&mut call.storage).entity(&input.id)?;
    read(call, found)
}

async fn read_by_name(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let found = IdentityStore::new(&mut call.storage).entity_by_name(&input.name)?;
    read(call, found)
}

fn read(call: &mut Call<'_>, found: Option<Arc<Entity>>) -> Result<Reply, Error> {
    let entity = found.ok_or(Error::NotFound)?;
    Ok(Reply::data(shown::entity(&mut call.storage, &entity)?))
}

async fn delete_by_id(call: &mut Call<'_>, input: Id) -> Result<Reply, Error> {
    let found = IdentityStore::new(&mut call.storage).entity(&input.id)?;
    delete(call, found)
}

async fn delete_by_name(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let found = IdentityStore::new(&mut call.storage).entity_by_name(&input.name)?;
    delete(call, found)
}

fn delete(call: &mut Call<'_>, found: Option<Arc<Entity>>) -> Result<Reply, Error> {
    if let Some(entity) = found {
        IdentityStore::new(&mut call.storage).delete_entity(&entity)?;
    }
    Ok(Reply::default())
}

async fn batch_delete(call: &mut Call<'_>, input: Ids) -> Result<Reply, Error> {
    if input.entity_ids.is_empty() {
        return Err(Error::bad_request("missing entity ids to delete"));
    }
    let mut identities = IdentityStore::new(&mut call.storage);
    for id in &input.entity_ids {
        if let Some(entity) = identities.entity(id)? {
            identities.delete_entity(&entity)?;
        }
    }
    Ok(Reply::default())
}

async fn list_names(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(IdentityStore::new(&mut call.storage).entity_names()?))
}

async fn list_ids(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let mounts = Mounts::read(&mut call.storage)?;
    let mut identities = IdentityStore::new(&mut call.storage);
    let ids = identities.entity_ids()?;
    let mut key_info = Map::new();
    for id in &ids {
        let Some(entity) = identities.entity(id)? else {
            continue;
        };
        let mut info = Map::new();
        if !entity.aliases.is_empty() {
            let aliases = entity.aliases.iter();
            let aliases: Value =
                aliases.map(|alias| shown::alias_in_brief(alias, &mounts)).collect();
            info.insert("aliases".into(), aliases);
        }
        info.insert("name".into(), entity.name.clone().into());
        key_info.insert(id.clone(), Value::Object(info));
    }
    Ok(keys_with_info(ids, key_info))
}

pub(super) fn keys_with_info(keys: Vec<String>, key_info: Map<String, Value>) -> Reply {
    if keys.is_empty() {
        return Reply::default();
    }
    let mut data = Map::new();
    data.insert("key_info".into(), Value::Object(key_info));
    data.insert("keys".into(), keys.into());
    Reply::data(data)
}

async fn merge(call: &mut Call<'_>, input: MergeInput) -> Result<Reply, Error> {
    let merge = Merge {
        from: input.from_entity_ids,
        to: input.to_entity_id,
        keep: input.conflicting_alias_ids_to_keep,
    };
    let now = call.now;
    match IdentityStore::new(&mut call.storage).merge(&merge, now)? {
        Merged::Done => Ok(Reply::default()),
        Merged::Clashes(clashes) => clash(call, &clashes),
    }
}

/// A refusal that tells in `data` what is to be decided.
fn clash(call: &mut Call<'_>, clashes: &[Clash]) -> Result<Reply, Error> {
    let mounts = Mounts::read(&mut call.storage)?;
    let mut problems = vec![
        "toEntity and at least one fromEntity have aliases with the same mount accessor, repeat \
         the merge request specifying exactly one fromEntity, clashes: "
            .to_owned(),
    ];
    let mut data = Vec::new();
    for clash in clashes {
        problems.push(format!(
            "mountAccessor: {}, toEntity ID: {}, fromEntity ID: {}, conflicting toEntity alias \
             ID: {}, conflicting fromEntity alias ID: {}",
            clash.to_alias.mount_accessor,
            clash.to.id,
            clash.from.id,
            clash.to_alias.id,
            clash.from_alias.id
        ));
        for (entity, alias) in [(&clash.to, &clash.to_alias), (&clash.from, &clash.from_alias)] {
            let brief = shown::alias_in_brief(alias, &mounts);
            data.push(json!({
                "alias": alias.name,
                "entity": entity.name,
                "entity_id": entity.id,
                "mount": brief.get("mount_type"),
                "mount_path": brief.get("mount_path"),
            }));
        }
    }
    let problems: String = problems.iter().map(|problem| format!("\t* {problem}\n")).collect();
    let error = format!("{} errors occurred:\n{problems}\n", clashes.len() + 1);
    let reply = Reply::bare(&json!({ "errors": [error], "data": data }))?;
    Ok(Reply { status: Some(400), ..reply })
}

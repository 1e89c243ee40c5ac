//! `oidc/assignment`: who may log in to which clients.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::client::Client;
use super::{ALLOW_ALL, ASSIGNMENTS, CLIENTS, EVERY, all, check_unused, names_with};
use crate::engines::identity::{Call, Route};
use crate::framework::NoParams;
use crate::identity::Who;
use crate::request::{Error, Reply};
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("oidc/assignment", "The names of the assignments.").list(list),
        Route::new("oidc/assignment/{name}", "Entities and groups that may log in.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Assignment {
    entity_ids: Vec<String>,
    group_ids: Vec<String>,
}

impl Assignment {
    /// Whether someone is in it, by themselves or by a group that they are in.
    pub(super) fn has(&self, who: &Who) -> bool {
        let is = |list: &[String], id: &str| list.iter().any(|one| one == id || one == EVERY);
        is(&self.entity_ids, &who.entity.id)
            || who.groups.iter().any(|group| is(&self.group_ids, &group.id))
    }
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the assignment.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the assignment.
    name: String,
    /// Ids of entities.
    entity_ids: Option<Vec<String>>,
    /// Ids of groups.
    group_ids: Option<Vec<String>>,
}

pub(super) fn get(core: &mut Scope<'_>, name: &str) -> Result<Option<Arc<Assignment>>, Error> {
    if name == ALLOW_ALL {
        let every = vec![EVERY.to_owned()];
        let all = Assignment { entity_ids: every.clone(), group_ids: every };
        return Ok(Some(Arc::new(all)));
    }
    core.get_shared(&key(name))
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(names_with(&mut call.storage, ASSIGNMENTS, ALLOW_ALL)?))
}

async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(get(&mut call.storage, &input.name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    Reply::of(&*get(&mut call.storage, &input.name)?.ok_or(Error::NotFound)?)
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    if input.name == ALLOW_ALL {
        return Err(Error::BadRequest(format!(
            "modification of assignment {ALLOW_ALL:?} not allowed"
        )));
    }
    let found = get(&mut call.storage, &input.name)?;
    let mut assignment = found.as_deref().cloned().unwrap_or_default();
    assignment.entity_ids = input.entity_ids.unwrap_or(assignment.entity_ids);
    assignment.group_ids = input.group_ids.unwrap_or(assignment.group_ids);
    call.storage.put(&key(&input.name), &assignment)?;
    Ok(Reply::default())
}

async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    if input.name == ALLOW_ALL {
        return Err(Error::BadRequest(format!("deletion of assignment {ALLOW_ALL:?} not allowed")));
    }
    let clients = all::<Client>(&mut call.storage, CLIENTS)?;
    let users = clients
        .into_iter()
        .filter(|(_, client)| client.assignments.contains(&input.name))
        .map(|(name, _)| name);
    check_unused("assignment", &input.name, "clients", &users.collect::<Vec<_>>())?;
    call.storage.delete(&key(&input.name))?;
    Ok(Reply::default())
}

fn key(name: &str) -> String {
    format!("{ASSIGNMENTS}/{name}")
}

//! `lookup/entity` and `lookup/group`: by whatever is known of one.

use schemars::JsonSchema;
use serde::Deserialize;

use super::shown;
use crate::engines::identity::{Call, Route};
use crate::identity::IdentityStore;
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("lookup/entity", "Find an entity.").write(entity),
        Route::new("lookup/group", "Find a group.").write(group),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Lookup {
    /// Its name.
    #[serde(default)]
    name: String,
    /// Its id.
    #[serde(default)]
    id: String,
    /// The id of an alias of it.
    #[serde(default)]
    alias_id: String,
    /// The name of an alias of it, together with `alias_mount_accessor`.
    #[serde(default)]
    alias_name: String,
    /// The accessor of the mount that knows it by `alias_name`.
    #[serde(default)]
    alias_mount_accessor: String,
}

/// What is asked by: exactly one.
enum By<'a> {
    Name(&'a str),
    Id(&'a str),
    AliasId(&'a str),
    Alias { mount_accessor: &'a str, name: &'a str },
}

impl Lookup {
    fn by(&self) -> Result<By<'_>, Error> {
        let given = |text: &str| !text.is_empty();
        if given(&self.alias_name) != given(&self.alias_mount_accessor) {
            return Err(Error::bad_request(
                "both 'alias_name' and 'alias_mount_accessor' needs to be set",
            ));
        }
        let (mount_accessor, name) = (&self.alias_mount_accessor, &self.alias_name);
        let mut all = [
            (given(&self.name), By::Name(&self.name)),
            (given(&self.id), By::Id(&self.id)),
            (given(&self.alias_id), By::AliasId(&self.alias_id)),
            (given(name), By::Alias { mount_accessor, name }),
        ]
        .into_iter()
        .filter_map(|(is_given, by)| is_given.then_some(by));
        let first = all.next().ok_or_else(|| Error::bad_request("query parameter not supplied"))?;
        if all.next().is_some() {
            return Err(Error::bad_request(
                "query parameter conflict; please supply distinct set of query parameters",
            ));
        }
        Ok(first)
    }
}

async fn entity(call: &mut Call<'_>, input: Lookup) -> Result<Reply, Error> {
    let mut identities = IdentityStore::new(&mut call.storage);
    let found = match input.by()? {
        By::Name(name) => identities.entity_by_name(name)?,
        By::Id(id) => identities.entity(id)?,
        By::AliasId(id) => identities.entity_by_alias_id(id)?,
        By::Alias { mount_accessor, name } => identities.entity_by_alias(mount_accessor, name)?,
    };
    match found {
        Some(entity) => Ok(Reply::data(shown::entity(&mut call.storage, &entity)?)),
        None => Ok(Reply::default()),
    }
}

async fn group(call: &mut Call<'_>, input: Lookup) -> Result<Reply, Error> {
    let mut identities = IdentityStore::new(&mut call.storage);
    let found = match input.by()? {
        By::Name(name) => identities.group_by_name(name)?,
        By::Id(id) => identities.group(id)?,
        By::AliasId(id) => identities.group_by_alias_id(id)?,
        By::Alias { mount_accessor, name } => identities.group_by_alias(mount_accessor, name)?,
    };
    match found {
        Some(group) => Ok(Reply::data(shown::group(&mut call.storage, &group)?)),
        None => Ok(Reply::default()),
    }
}

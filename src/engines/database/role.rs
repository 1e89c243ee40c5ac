//! `roles/`: what new users may do, and for how long.

use std::collections::BTreeMap;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::credential::{Credential, CredentialKind};
use super::{State, names, statements, static_role};
use crate::framework::{Call, NoParams, Seconds};
use crate::request::{Error, Reply};

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) db_name: String,
    pub(super) creation_statements: Vec<String>,
    pub(super) revocation_statements: Vec<String>,
    pub(super) rollback_statements: Vec<String>,
    pub(super) renew_statements: Vec<String>,
    /// Seconds; 0: the mount's.
    pub(super) default_ttl: u64,
    pub(super) max_ttl: u64,
    pub(super) credential: Credential,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Name {
    /// Name of the role.
    pub(super) name: String,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Write {
    /// Name of the role.
    name: String,
    /// Name of the connection.
    db_name: Option<String>,
    /// What makes a user: `{{name}}`, `{{password}}`, `{{expiration}}`.
    creation_statements: Option<Value>,
    /// What takes a user away; none: what the database usually needs.
    revocation_statements: Option<Value>,
    /// What undoes a creation that failed.
    rollback_statements: Option<Value>,
    /// What extends a user's time.
    renew_statements: Option<Value>,
    /// 0: the mount's.
    default_ttl: Option<Seconds>,
    /// 0: the mount's.
    max_ttl: Option<Seconds>,
    /// `password`, unless something else is said.
    credential_type: Option<String>,
    /// Of the type.
    credential_config: Option<BTreeMap<String, String>>,
}

impl Role {
    pub(super) fn find(call: &mut Call<'_, State>, name: &str) -> Result<Option<Arc<Self>>, Error> {
        if names::check(name).is_err() {
            return Ok(None);
        }
        call.storage.get_shared(&key(name))
    }
}

pub(super) async fn list(call: &mut Call<'_, State>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(DIRECTORY)?))
}

pub(super) async fn exists(call: &mut Call<'_, State>, input: Name) -> Result<bool, Error> {
    Ok(Role::find(call, &input.name)?.is_some())
}

/// What is not said stays as it is.
pub(super) async fn write(call: &mut Call<'_, State>, input: Write) -> Result<Reply, Error> {
    names::check(&input.name)?;
    let known = Role::find(call, &input.name)?;
    let mut role = known.map(|known| Role::clone(&known)).unwrap_or_default();
    if let Some(name) = input.db_name {
        role.db_name = name;
    }
    if role.db_name.is_empty() {
        return Err(Error::bad_request("database name is required"));
    }
    names::check(&role.db_name)?;
    if call.storage.get::<Value>(&static_role::key(&input.name))?.is_some() {
        return Err(Error::bad_request("Role and Static Role names must be unique"));
    }
    let lists = [
        ("creation_statements", &mut role.creation_statements, input.creation_statements),
        ("revocation_statements", &mut role.revocation_statements, input.revocation_statements),
        ("rollback_statements", &mut role.rollback_statements, input.rollback_statements),
        ("renew_statements", &mut role.renew_statements, input.renew_statements),
    ];
    for (field, to, given) in lists {
        if let Some(given) = statements::read(field, given)? {
            *to = given;
        }
    }
    let times = [
        ("default_ttl", &mut role.default_ttl, input.default_ttl),
        ("max_ttl", &mut role.max_ttl, input.max_ttl),
    ];
    for (field, to, given) in times {
        if let Some(Seconds(given)) = given {
            *to = u64::try_from(given)
                .map_err(|_| Error::BadRequest(format!("{field} must not be less than 0")))?;
        }
    }
    role.credential.change(input.credential_type, input.credential_config)?;
    call.storage.put(&key(&input.name), &role)?;
    Ok(Reply::default())
}

pub(super) async fn read(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    let role = Role::find(call, &input.name)?.ok_or(Error::NotFound)?;
    let mut data = Map::from_iter([
        ("creation_statements".to_owned(), json!(role.creation_statements)),
        ("credential_type".to_owned(), json!(role.credential.kind)),
        ("db_name".to_owned(), json!(role.db_name)),
        ("default_ttl".to_owned(), role.default_ttl.into()),
        ("max_ttl".to_owned(), role.max_ttl.into()),
        ("renew_statements".to_owned(), json!(role.renew_statements)),
        ("revocation_statements".to_owned(), json!(role.revocation_statements)),
        ("rollback_statements".to_owned(), json!(role.rollback_statements)),
    ]);
    role.credential.show(&mut data);
    Ok(Reply::data(data))
}

/// Its users stay until their leases end.
pub(super) async fn delete(call: &mut Call<'_, State>, input: Name) -> Result<Reply, Error> {
    if Role::find(call, &input.name)?.is_some() {
        call.storage.delete(&key(&input.name))?;
    }
    Ok(Reply::default())
}

/// # Errors
/// Where no database here has such credentials.
pub(super) fn supported(credential: &Credential) -> Result<&str, String> {
    match credential.kind {
        CredentialKind::Password => Ok(credential.password_policy()),
        other => Err(format!("unsupported credential_type: {:?}", other.name())),
    }
}

pub(super) fn key(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

const DIRECTORY: &str = "role";

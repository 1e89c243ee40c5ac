use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::store::{Role, delete_role, normal, put_role, role, role_names};
use crate::auth::cidr;
use crate::auth::token_parameters::{TokenParameters, TokenParametersInput};
use crate::framework::{Call, NoParams, Route, Seconds};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("role", "The names of the roles.").list(list),
        Route::new("role/{role_name}", "A role: which secret ids it has, and what tokens may do.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
        Route::new("role/{role_name}/role-id", "A role's id, which programs log in with.")
            .read(read_role_id)
            .write(write_role_id),
    ]
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct RoleName {
    /// Name of the role.
    pub(super) role_name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the role.
    role_name: String,
    /// Its id; drawn where a new role is given none.
    role_id: Option<String>,
    /// Secret ids stay in this cluster.
    local_secret_ids: Option<bool>,
    #[serde(flatten)]
    fields: RoleFields,
}

/// What can be changed at any time, by the role or by a path of its own.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
pub(super) struct RoleFields {
    /// Whether a secret id is needed to log in.
    pub(super) bind_secret_id: Option<bool>,
    /// From where programs may log in: addresses and blocks of them.
    pub(super) secret_id_bound_cidrs: Option<Vec<String>>,
    /// `secret_id_bound_cidrs`, as it was called once.
    pub(super) bound_cidr_list: Option<Vec<String>>,
    /// How often a secret id can be used; 0: without limit.
    pub(super) secret_id_num_uses: Option<i64>,
    /// How long a secret id lives.
    pub(super) secret_id_ttl: Option<Seconds>,
    #[serde(flatten)]
    pub(super) token: TokenParametersInput,
}

#[derive(Deserialize, JsonSchema)]
struct WriteRoleId {
    /// Name of the role.
    role_name: String,
    /// Its id.
    #[serde(default)]
    role_id: String,
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(role_names(&mut call.storage)?))
}

async fn exists(call: &mut Call<'_>, input: RoleName) -> Result<bool, Error> {
    Ok(role(call, &input.role_name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: RoleName) -> Result<Reply, Error> {
    let role = role(call, &input.role_name)?.ok_or(Error::NotFound)?;
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
    add("bind_secret_id", role.bind_secret_id.into());
    add("local_secret_ids", role.local_secret_ids.into());
    add("secret_id_bound_cidrs", list_or_null(&role.secret_id_bound_cidrs));
    add("secret_id_num_uses", role.secret_id_num_uses.into());
    add("secret_id_ttl", role.secret_id_ttl.into());
    role.token.describe(&mut data);
    Ok(Reply::data(data))
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let before = role(call, &input.role_name)?;
    let mut role = match &before {
        Some(role) => role.clone(),
        None => Role {
            name: normal(&input.role_name),
            uuid: call.rng.uuid(),
            role_id: call.rng.uuid(),
            bind_secret_id: true,
            secret_id_bound_cidrs: Vec::new(),
            secret_id_num_uses: 0,
            secret_id_ttl: 0,
            local_secret_ids: input.local_secret_ids.unwrap_or_default(),
            token: TokenParameters::default(),
        },
    };
    if input.local_secret_ids.is_some_and(|local| local != role.local_secret_ids) {
        return Err(Error::bad_request(
            "local_secret_ids can only be modified during role creation",
        ));
    }
    if let Some(role_id) = input.role_id.filter(|role_id| !role_id.is_empty()) {
        role.role_id = role_id;
    }
    change(&mut role, input.fields)?;
    put_role(&mut call.storage, &role, before.as_ref())?;
    let warning = role.token.warning(call.ttl.max);
    Ok(Reply { warnings: warning.into_iter().collect(), ..Reply::default() })
}

/// What is not given stays as it was.
///
/// # Errors
/// [`Error::BadRequest`] with what does not fit; it is then half changed, and must not be stored.
pub(super) fn change(role: &mut Role, fields: RoleFields) -> Result<(), Error> {
    role.bind_secret_id = fields.bind_secret_id.unwrap_or(role.bind_secret_id);
    if let Some(cidrs) = fields.secret_id_bound_cidrs.or(fields.bound_cidr_list) {
        cidr::check_blocks(&cidrs)?;
        role.secret_id_bound_cidrs = cidrs;
    }
    if let Some(uses) = fields.secret_id_num_uses {
        role.secret_id_num_uses = u64::try_from(uses)
            .map_err(|_| Error::bad_request("secret_id_num_uses cannot be negative"))?;
    }
    if let Some(Seconds(ttl)) = fields.secret_id_ttl {
        role.secret_id_ttl = u64::try_from(ttl).map_err(|_| {
            Error::BadRequest(format!(
                "error converting input for field \"secret_id_ttl\": cannot provide negative \
                 value '{ttl}'"
            ))
        })?;
    }
    role.token.change(fields.token)?;
    let is_bound = role.bind_secret_id
        || !role.secret_id_bound_cidrs.is_empty()
        || !role.token.token_bound_cidrs.is_empty();
    if !is_bound {
        return Err(Error::bad_request("at least one constraint should be enabled on the role"));
    }
    Ok(())
}

async fn delete(call: &mut Call<'_>, input: RoleName) -> Result<Reply, Error> {
    if let Some(role) = role(call, &input.role_name)? {
        delete_role(call, &role)?;
    }
    Ok(Reply::default())
}

async fn read_role_id(call: &mut Call<'_>, input: RoleName) -> Result<Reply, Error> {
    let role = role(call, &input.role_name)?.ok_or(Error::NotFound)?;
    Ok(Reply::data(Map::from_iter([("role_id".to_owned(), role.role_id.into())])))
}

async fn write_role_id(call: &mut Call<'_>, input: WriteRoleId) -> Result<Reply, Error> {
    if input.role_id.is_empty() {
        return Err(Error::bad_request("missing role_id"));
    }
    let before = role(call, &input.role_name)?.ok_or(Error::UnsupportedPath)?;
    let role = Role { role_id: input.role_id, ..before.clone() };
    put_role(&mut call.storage, &role, Some(&before))?;
    Ok(Reply::default())
}

/// As in Vault, where there are none.
pub(super) fn list_or_null(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { list.to_vec().into() }
}

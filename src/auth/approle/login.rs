use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::store::{
    Role, SecretId, delete_secret_id, digest, put_secret_id, role, role_by_id, secret_id,
};
use crate::auth::cidr;
use crate::framework::{self, Call, LoginTerms, Route};
use crate::request::{Auth, Error, Params, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("login", "Log in with a role's id and a secret id.")
            .login_as(lock_name)
            .write(login),
    ]
}

/// Under which failures are counted.
fn lock_name(params: &Params) -> Option<String> {
    params.get("role_id")?.as_str().map(str::to_owned)
}

#[derive(Deserialize, JsonSchema)]
struct Login {
    /// The role's id.
    #[serde(default)]
    role_id: String,
    /// A secret id of the role, unless it needs none.
    secret_id: Option<Secret<String>>,
}

async fn login(call: &mut Call<'_>, input: Login) -> Result<Reply, Error> {
    if input.role_id.is_empty() {
        return Err(Error::bad_request("missing role_id"));
    }
    let role = role_by_id(&mut call.storage, &input.role_id)?;
    let role = role.ok_or_else(|| Error::UnknownUser(REFUSED.into()))?;
    let secret =
        if role.bind_secret_id { Some(spend(call, &role, input.secret_id)?) } else { None };
    check_address(call, &role.secret_id_bound_cidrs, "by CIDR restrictions on the role")?;
    let mut metadata = secret.as_ref().map(|secret| secret.metadata.clone()).unwrap_or_default();
    metadata.insert(ROLE_NAME.into(), role.name.clone());
    let mut auth = Auth { metadata, alias_name: role.role_id.clone(), ..Auth::default() };
    let mut token = role.token;
    if let Some(narrower) = secret.map(|secret| secret.token_bound_cidrs)
        && !narrower.is_empty()
    {
        token.token_bound_cidrs = narrower;
    }
    token.grant(call.mount, call.request, &mut auth)?;
    Ok(Reply { auth: Some(auth), ..Reply::default() })
}

/// What a renewal of a token of a role may grant, by the role as it is now.
///
/// # Errors
/// [`Error::BadRequest`] where the role is gone.
pub(super) async fn renew(
    call: &mut Call<'_>,
    login: framework::Login<IgnoredAny>,
) -> Result<LoginTerms, Error> {
    let name = login.metadata.get(ROLE_NAME).map(String::as_str).unwrap_or_default();
    let role = if name.is_empty() { None } else { role(call, name)? };
    let role = role
        .ok_or_else(|| Error::BadRequest(format!("role {name:?} does not exist during renewal")))?;
    Ok(role.token.renewal())
}

/// One use of a secret id, in the login's own transaction: of two that come for its last use one
/// finds it gone.
fn spend(
    call: &mut Call<'_>,
    role: &Role,
    given: Option<Secret<String>>,
) -> Result<SecretId, Error> {
    let given = given.filter(|given| !given.expose().is_empty());
    let given = given.ok_or_else(|| Error::bad_request("missing secret_id"))?;
    let digest = digest(role, given.expose());
    let now = call.now;
    let found = secret_id(&mut call.storage, &role.uuid, &digest)?;
    let Some(secret) = found.filter(|secret| !secret.has_expired(now)) else {
        return Err(Error::InvalidCredentials(REFUSED.into()));
    };
    // What the role was narrowed to since holds too.
    if !role.secret_id_bound_cidrs.is_empty()
        && !secret.cidr_list.is_empty()
        && !cidr::are_within(&secret.cidr_list, &role.secret_id_bound_cidrs)
    {
        return Err(Error::bad_request(
            "the CIDR blocks of the secret ID are not within those of the role any more",
        ));
    }
    check_address(call, &secret.cidr_list, "through CIDR restrictions on the secret ID")?;
    match secret.num_uses {
        0 => {}
        1 => delete_secret_id(&mut call.storage, &role.uuid, &digest, &secret)?,
        uses => {
            let used = SecretId { num_uses: uses - 1, updated: now, ..secret.clone() };
            put_secret_id(&mut call.storage, &role.uuid, &digest, &used)?;
        }
    }
    Ok(secret)
}

fn check_address(call: &Call<'_>, blocks: &[String], by: &str) -> Result<(), Error> {
    let address = call.request.remote.map(|remote| remote.ip().to_canonical());
    if cidr::is_within(blocks, address) {
        return Ok(());
    }
    let address = address.map(|address| address.to_string()).unwrap_or_default();
    Err(Error::BadRequest(format!("source address {address:?} unauthorized {by}")))
}

/// What a token's metadata calls the role, whatever the secret id's says.
const ROLE_NAME: &str = "role_name";

const REFUSED: &str = "invalid role or secret ID";

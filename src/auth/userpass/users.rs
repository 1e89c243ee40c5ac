use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Map;

use super::{DIRECTORY, User, key, normal};
use crate::auth::passwords;
use crate::auth::token_parameters::TokenParametersInput;
use crate::crypto::is_password_hash;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("users", "The names of the users.").list(list),
        Route::new("users/{username}", "A user: who may log in, and what their tokens may do.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
        Route::new("users/{username}/password", "Change a user's password.").write(set_password),
        Route::new("users/{username}/policies", "Change what a user's tokens may do.")
            .write(set_policies),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Username {
    /// The user's name.
    username: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// The user's name.
    username: String,
    /// The password.
    password: Option<Secret<String>>,
    /// Instead of the password: its hash by bcrypt or Argon2.
    password_hash: Option<Secret<String>>,
    #[serde(flatten)]
    token: TokenParametersInput,
}

#[derive(Deserialize, JsonSchema)]
struct SetPassword {
    /// The user's name.
    username: String,
    /// The password.
    password: Option<Secret<String>>,
    /// Instead of the password: its hash by bcrypt or Argon2.
    password_hash: Option<Secret<String>>,
}

#[derive(Deserialize, JsonSchema)]
struct SetPolicies {
    /// The user's name.
    username: String,
    /// What the user's tokens may do.
    token_policies: Option<Vec<String>>,
    /// `token_policies`, as it was called once.
    policies: Option<Vec<String>>,
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(DIRECTORY)?))
}

async fn exists(call: &mut Call<'_>, input: Username) -> Result<bool, Error> {
    Ok(get(call, &normal(&input.username))?.is_some())
}

async fn read(call: &mut Call<'_>, input: Username) -> Result<Reply, Error> {
    let user = get(call, &normal(&input.username))?.ok_or(Error::NotFound)?;
    let mut data = Map::new();
    user.token.describe(&mut data);
    Ok(Reply::data(data))
}

async fn delete(call: &mut Call<'_>, input: Username) -> Result<Reply, Error> {
    call.storage.delete(&key(&normal(&input.username)))?;
    Ok(Reply::default())
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let name = normal(&input.username);
    let found = get(call, &name)?;
    let mut user = found.clone().unwrap_or_default();
    user.token.change(input.token)?;
    let given = given_hash(call, input.password, input.password_hash).await?;
    match given {
        Some(hash) => user.password_hash = hash,
        None if found.is_none() => return Err(neither()),
        None => {}
    }
    call.storage.put(&key(&name), &user)?;
    let warning = user.token.warning(call.ttl.max);
    Ok(Reply { warnings: warning.into_iter().collect(), ..Reply::default() })
}

async fn set_password(call: &mut Call<'_>, input: SetPassword) -> Result<Reply, Error> {
    let name = normal(&input.username);
    let mut user = get(call, &name)?.ok_or_else(unknown)?;
    let given = given_hash(call, input.password, input.password_hash).await?;
    user.password_hash = given.ok_or_else(neither)?;
    call.storage.put(&key(&name), &user)?;
    Ok(Reply::default())
}

async fn set_policies(call: &mut Call<'_>, input: SetPolicies) -> Result<Reply, Error> {
    let name = normal(&input.username);
    let mut user = get(call, &name)?.ok_or_else(unknown)?;
    if input.token_policies.is_none() && input.policies.is_none() {
        return Err(Error::bad_request("missing token_policies"));
    }
    user.token.change(TokenParametersInput {
        token_policies: input.token_policies,
        policies: input.policies,
        ..TokenParametersInput::default()
    })?;
    call.storage.put(&key(&name), &user)?;
    Ok(Reply::default())
}

/// `None` where neither a password nor a hash is given.
async fn given_hash(
    call: &Call<'_>,
    password: Option<Secret<String>>,
    hash: Option<Secret<String>>,
) -> Result<Option<String>, Error> {
    let password = password.filter(|password| !password.expose().is_empty());
    let hash = hash.filter(|hash| !hash.expose().is_empty());
    match (password, hash) {
        (Some(_), Some(_)) => {
            Err(Error::bad_request("only one of password or password_hash may be provided"))
        }
        (None, None) => Ok(None),
        (Some(password), None) => passwords::hash(call.rng, &password).await.map(Some),
        (None, Some(hash)) if is_password_hash(hash.expose()) => Ok(Some(hash.expose().clone())),
        (None, Some(_)) => Err(Error::bad_request(
            "password_hash is not a valid bcrypt or Argon2 hash, or one that costs too much to \
             check",
        )),
    }
}

fn get(call: &mut Call<'_>, name: &str) -> Result<Option<User>, Error> {
    call.storage.get(&key(name))
}

fn neither() -> Error {
    Error::bad_request("must provide either password or password_hash")
}

fn unknown() -> Error {
    Error::bad_request("username does not exist")
}

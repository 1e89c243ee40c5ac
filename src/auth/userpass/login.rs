use std::sync::Arc;

use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::{User, key, normal};
use crate::auth::passwords;
use crate::crypto::{NOBODY, is_outdated};
use crate::framework::{self, Call, LoginTerms, Route};
use crate::request::{Auth, Error, Params, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![Route::new("login/{username}", "Log in.").login_as(lock_name).write(login)]
}

/// Under which failures are counted.
fn lock_name(params: &Params) -> Option<String> {
    params.get("username")?.as_str().map(normal)
}

#[derive(Deserialize, JsonSchema)]
struct Login {
    /// The user's name.
    username: String,
    /// The user's password.
    password: Option<Secret<String>>,
}

/// A user who does not exist takes as long to refuse as a wrong password.
async fn login(call: &mut Call<'_>, input: Login) -> Result<Reply, Error> {
    let name = normal(&input.username);
    let password = input.password.filter(|password| !password.expose().is_empty());
    let password = password.ok_or_else(|| Error::bad_request("missing password"))?;
    let user = call.storage.get_shared::<User>(&key(&name))?;
    let hash = user.as_ref().map_or(NOBODY, |user| user.password_hash.as_str());
    let matches = passwords::verify(&password, hash).await?;
    let user = match user {
        Some(user) if matches => user,
        Some(_) => return Err(Error::InvalidCredentials(REFUSED.into())),
        None => return Err(Error::UnknownUser(REFUSED.into())),
    };
    let mut auth = Auth {
        metadata: [(USERNAME.to_owned(), name.clone())].into(),
        display_name: name.clone(),
        alias_name: name.clone(),
        ..Auth::default()
    };
    user.token.grant(call.mount, call.request, &mut auth)?;
    if is_outdated(&user.password_hash) {
        // Once it is like all others, it takes as long to check.
        let hash = passwords::hash(call.rng, &password).await?;
        let user = User { password_hash: hash, ..Arc::unwrap_or_clone(user) };
        call.storage.put(&key(&name), &user)?;
    }
    Ok(Reply { auth: Some(auth), ..Reply::default() })
}

/// What a renewal of a user's token may grant, by the user as they are now.
///
/// # Errors
/// [`Error::BadRequest`] where the user is gone, or their policies are others now.
pub(super) async fn renew(
    call: &mut Call<'_>,
    login: framework::Login<IgnoredAny>,
) -> Result<LoginTerms, Error> {
    let name = login.metadata.get(USERNAME).map(|name| normal(name)).unwrap_or_default();
    let user = if name.is_empty() { None } else { call.storage.get_shared::<User>(&key(&name))? };
    let user = user.ok_or_else(|| {
        Error::bad_request("the user does not exist any more: the token cannot be renewed")
    })?;
    if !user.token.gives(&login.policies) {
        return Err(Error::bad_request("policies have changed, not renewing"));
    }
    Ok(user.token.renewal())
}

/// What a token's metadata calls the user.
const USERNAME: &str = "username";

const REFUSED: &str = "invalid username or password";

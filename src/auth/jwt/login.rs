use schemars::JsonSchema;
use serde::Deserialize;
use serde::de::IgnoredAny;

use super::claims::{ROLE, check_bound, identify};
use super::config::Config;
use super::role::{Role, RoleType};
use super::sources::verify;
use super::{Call, Route};
use crate::auth::jose::{Expected, JoseError, Token, texts};
use crate::auth::token_parameters::TokenParameters;
use crate::framework::{self, LoginTerms};
use crate::request::{Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("login", "Log in with a token that another system has signed.")
            .login()
            .write(login),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Login {
    /// The role; the mount's default where none is given.
    #[serde(default)]
    role: String,
    /// The signed token.
    jwt: Option<Secret<String>>,
}

async fn login(call: &mut Call<'_>, input: Login) -> Result<Reply, Error> {
    let config = Config::get(call)?;
    let (name, role) = role(call, &config, &input.role)?;
    if role.role_type == RoleType::Oidc {
        return Err(Error::bad_request("role with oidc role_type is not allowed"));
    }
    let text = input.jwt.filter(|jwt| !jwt.expose().is_empty());
    let text = text.ok_or_else(|| Error::bad_request("missing token"))?;
    let refused = |error: JoseError| Error::BadRequest(format!("error validating token: {error}"));
    let token = Token::parse(text.expose()).map_err(refused)?;
    let verified = verify(call, &config, &token)?;
    let algorithms = config.algorithms();
    let expected = Expected {
        issuer: &config.bound_issuer,
        subject: &role.bound_subject,
        audiences: &role.bound_audiences,
        algorithms: &algorithms,
        leeways: role.leeways(),
    };
    expected.check(&verified, call.now).map_err(refused)?;
    let claims = &verified.claims;
    let audiences = texts(claims, "aud", "aud must be a string or a list of strings");
    if role.bound_audiences.is_empty() && !audiences.map_err(refused)?.is_empty() {
        return Err(Error::bad_request(
            "audience claim found in JWT but no audiences bound to the role",
        ));
    }
    check_bound(&role, claims)?;
    let mut auth = identify(&role, &name, claims)?;
    role.token.grant(call.mount, call.request, &mut auth)?;
    Ok(Reply { auth: Some(auth), ..Reply::default() })
}

/// The role of this name, or the default one.
///
/// # Errors
/// [`Error::BadRequest`] where there is none.
pub(super) fn role(
    call: &mut Call<'_>,
    config: &Config,
    given: &str,
) -> Result<(String, Role), Error> {
    let name = if given.is_empty() { &config.default_role } else { given };
    if name.is_empty() {
        return Err(Error::bad_request("missing role"));
    }
    let role = Role::get(call, name)?;
    let role =
        role.ok_or_else(|| Error::BadRequest(format!("role {name:?} could not be found")))?;
    Ok((name.to_owned(), role))
}

/// What a renewal of a token of a role may grant, by the role as it is now.
///
/// # Errors
/// [`Error::BadRequest`] where the role is gone.
pub(super) async fn renew(
    call: &mut Call<'_>,
    login: framework::Login<IgnoredAny>,
) -> Result<LoginTerms, Error> {
    let name = login.metadata.get(ROLE).map(String::as_str).unwrap_or_default();
    let role = if name.is_empty() { None } else { Role::get(call, name)? };
    TokenParameters::renewal_by(name, role.as_ref().map(|role| &role.token))
}

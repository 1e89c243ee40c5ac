//! Which tokens may log in, and what the tokens that they get may do.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::claims::BoundClaims;
use super::{Call, Route};
use crate::auth::jose::Leeways;
use crate::auth::token_parameters::{TokenParameters, TokenParametersInput};
use crate::framework::{NoParams, Seconds};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("role", "The names of the roles.").list(list),
        Route::new("role/{name}", "A role: which tokens log in, and what their tokens may do.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

/// As stored.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) role_type: RoleType,
    pub(super) bound_audiences: Vec<String>,
    pub(super) bound_subject: String,
    pub(super) bound_claims: Map<String, Value>,
    pub(super) bound_claims_type: BoundClaims,
    pub(super) user_claim: String,
    pub(super) user_claim_json_pointer: bool,
    pub(super) groups_claim: String,
    pub(super) claim_mappings: BTreeMap<String, String>,
    /// Seconds; 0: Vault's own; negative: none.
    pub(super) clock_skew_leeway: i64,
    pub(super) expiration_leeway: i64,
    pub(super) not_before_leeway: i64,
    /// Seconds since the person was asked; 0: any.
    pub(super) max_age: u64,
    pub(super) allowed_redirect_uris: Vec<String>,
    pub(super) oidc_scopes: Vec<String>,
    pub(super) verbose_oidc_logging: bool,
    #[serde(flatten)]
    pub(super) token: TokenParameters,
}

#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum RoleType {
    Jwt,
    #[default]
    Oidc,
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Name of the role.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the role.
    name: String,
    /// `oidc` (where none is given) or `jwt`.
    role_type: Option<String>,
    /// One of these must be in a token's `aud`.
    bound_audiences: Option<Vec<String>>,
    /// What a token's `sub` must be.
    bound_subject: Option<String>,
    /// Claims, or JSON pointers to them, and the value or values that they may have.
    bound_claims: Option<Map<String, Value>>,
    /// `string`, or `glob`: `*` in a value stands for anything.
    bound_claims_type: Option<String>,
    /// The claim that names who logs in.
    user_claim: Option<String>,
    /// `user_claim` is a JSON pointer.
    user_claim_json_pointer: Option<bool>,
    /// The claim, or JSON pointer, that names the groups.
    groups_claim: Option<String>,
    /// Claims, or JSON pointers to them, and the names that they have in the token's metadata.
    claim_mappings: Option<BTreeMap<String, String>>,
    /// By which clocks may differ; 0: 60 s; negative: not at all.
    clock_skew_leeway: Option<Seconds>,
    /// For how long a token without `exp` is good; 0: 150 s; negative: not at all.
    expiration_leeway: Option<Seconds>,
    /// For how long before `exp` a token without `nbf` and `iat` is good; 0: 150 s; negative: not
    /// at all.
    not_before_leeway: Option<Seconds>,
    /// Of an OIDC role: how long ago the person may have been asked; 0: any time.
    max_age: Option<Seconds>,
    /// Of an OIDC role: where the provider may send people back to.
    allowed_redirect_uris: Option<Vec<String>>,
    /// Of an OIDC role: what is asked for besides `openid`.
    oidc_scopes: Option<Vec<String>>,
    /// Log what the provider answers, at the level debug: for trials only.
    verbose_oidc_logging: Option<bool>,
    #[serde(flatten)]
    token: TokenParametersInput,
}

impl Role {
    /// # Errors
    /// Where it cannot be read.
    pub(super) fn get(call: &mut Call<'_>, name: &str) -> Result<Option<Self>, Error> {
        call.storage.get(&key(name))
    }

    pub(super) fn leeways(&self) -> Leeways {
        Leeways {
            expiration: self.expiration_leeway,
            not_before: self.not_before_leeway,
            clock_skew: self.clock_skew_leeway,
        }
    }

    fn change(&mut self, input: Write) -> Result<(), Error> {
        match input.role_type.as_deref() {
            None => {}
            Some("" | "oidc") => self.role_type = RoleType::Oidc,
            Some("jwt") => self.role_type = RoleType::Jwt,
            Some(other) => {
                return Err(Error::BadRequest(format!("invalid 'role_type': {other}")));
            }
        }
        match input.bound_claims_type.as_deref() {
            None => {}
            Some("" | "string") => self.bound_claims_type = BoundClaims::String,
            Some("glob") => self.bound_claims_type = BoundClaims::Glob,
            Some(other) => {
                return Err(Error::BadRequest(format!("invalid 'bound_claims_type': {other}")));
            }
        }
        set(&mut self.bound_audiences, input.bound_audiences);
        set(&mut self.bound_subject, input.bound_subject);
        set(&mut self.bound_claims, input.bound_claims);
        set(&mut self.user_claim, input.user_claim);
        set(&mut self.user_claim_json_pointer, input.user_claim_json_pointer);
        set(&mut self.groups_claim, input.groups_claim);
        set(&mut self.claim_mappings, input.claim_mappings);
        let seconds = |given: Option<Seconds>| given.map(|Seconds(seconds)| seconds);
        set(&mut self.clock_skew_leeway, seconds(input.clock_skew_leeway));
        set(&mut self.expiration_leeway, seconds(input.expiration_leeway));
        set(&mut self.not_before_leeway, seconds(input.not_before_leeway));
        if let Some(Seconds(given)) = input.max_age {
            self.max_age = u64::try_from(given).map_err(|_| {
                Error::BadRequest(format!(
                    "error converting input for field \"max_age\": cannot provide negative value \
                     '{given}'"
                ))
            })?;
        }
        set(&mut self.allowed_redirect_uris, input.allowed_redirect_uris);
        set(&mut self.oidc_scopes, input.oidc_scopes);
        set(&mut self.verbose_oidc_logging, input.verbose_oidc_logging);
        self.token.change(input.token)?;
        self.check()
    }

    fn check(&self) -> Result<(), Error> {
        if self.user_claim.is_empty() {
            return Err(Error::bad_request("a user claim must be defined on the role"));
        }
        self.bound_claims_type.check(&self.bound_claims)?;
        let mut names = std::collections::BTreeSet::new();
        for name in self.claim_mappings.values() {
            if name == "role" {
                return Err(Error::bad_request(
                    "metadata key \"role\" is reserved and may not be a mapping destination",
                ));
            }
            if !names.insert(name) {
                return Err(Error::BadRequest(format!(
                    "multiple keys are mapped to metadata key {name:?}"
                )));
            }
        }
        if self.role_type == RoleType::Oidc {
            if self.allowed_redirect_uris.is_empty() {
                return Err(Error::bad_request(
                    "'allowed_redirect_uris' must be set if 'role_type' is 'oidc' or unspecified.",
                ));
            }
            return Ok(());
        }
        let is_bound = !self.bound_audiences.is_empty()
            || !self.bound_subject.is_empty()
            || !self.bound_claims.is_empty()
            || !self.token.token_bound_cidrs.is_empty();
        if !is_bound {
            return Err(Error::bad_request(
                "must have at least one bound constraint when creating/updating a role",
            ));
        }
        Ok(())
    }
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(DIRECTORY)?))
}

async fn exists(call: &mut Call<'_>, input: Name) -> Result<bool, Error> {
    Ok(Role::get(call, &input.name)?.is_some())
}

async fn read(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let role = Role::get(call, &input.name)?.ok_or(Error::NotFound)?;
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
    add("allowed_redirect_uris", list_or_null(&role.allowed_redirect_uris));
    add("bound_audiences", list_or_null(&role.bound_audiences));
    let claims = (!role.bound_claims.is_empty()).then_some(Value::Object(role.bound_claims));
    add("bound_claims", claims.unwrap_or_default());
    add("bound_claims_type", role.bound_claims_type.name().into());
    add("bound_subject", role.bound_subject.into());
    let mappings = role.claim_mappings.into_iter().map(|(claim, name)| (claim, name.into()));
    let mappings: Map<String, Value> = mappings.collect();
    let mappings = (!mappings.is_empty()).then_some(Value::Object(mappings));
    add("claim_mappings", mappings.unwrap_or_default());
    add("clock_skew_leeway", role.clock_skew_leeway.into());
    add("expiration_leeway", role.expiration_leeway.into());
    add("groups_claim", role.groups_claim.into());
    add("max_age", role.max_age.into());
    add("not_before_leeway", role.not_before_leeway.into());
    add("oidc_scopes", list_or_null(&role.oidc_scopes));
    let kind = if role.role_type == RoleType::Jwt { "jwt" } else { "oidc" };
    add("role_type", kind.into());
    add("user_claim", role.user_claim.into());
    add("user_claim_json_pointer", role.user_claim_json_pointer.into());
    add("verbose_oidc_logging", role.verbose_oidc_logging.into());
    role.token.describe(&mut data);
    Ok(Reply::data(data))
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let key = key(&input.name);
    let mut role = call.storage.get::<Role>(&key)?.unwrap_or_default();
    role.change(input)?;
    call.storage.put(&key, &role)?;
    let mut warnings: Vec<String> = role.token.warning(call.ttl.max).into_iter().collect();
    if role.verbose_oidc_logging {
        warnings.push(
            "verbose_oidc_logging has been enabled for this role. This is not recommended in \
             production since sensitive information may be present in OIDC responses."
                .into(),
        );
    }
    Ok(Reply { warnings, ..Reply::default() })
}

async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    call.storage.delete(&key(&input.name))?;
    Ok(Reply::default())
}

fn set<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

/// As in Vault, where there are none.
fn list_or_null(list: &[String]) -> Value {
    if list.is_empty() { Value::Null } else { list.to_vec().into() }
}

fn key(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

const DIRECTORY: &str = "role";

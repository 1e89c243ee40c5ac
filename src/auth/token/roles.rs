//! Roles: rules for tokens, so that who creates them needs no sudo.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::auth::cidr;
use crate::framework::{Call, NoParams, Route, Seconds};
use crate::policy::sanitize_names;
use crate::request::{Error, Reply};
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("roles", "The names of the roles.").list(list),
        Route::new("roles/{role_name}", "Rules for the tokens that are created by this role.")
            .exists(exists)
            .read(read)
            .write(write)
            .delete(delete),
    ]
}

/// As stored. Durations in seconds; empty or 0: not limited.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Role {
    pub(super) name: String,
    pub(super) allowed_policies: Vec<String>,
    pub(super) disallowed_policies: Vec<String>,
    pub(super) allowed_policies_glob: Vec<String>,
    pub(super) disallowed_policies_glob: Vec<String>,
    pub(super) allowed_entity_aliases: Vec<String>,
    pub(super) orphan: bool,
    pub(super) renewable: bool,
    pub(super) path_suffix: String,
    pub(super) bound_cidrs: Vec<String>,
    pub(super) explicit_max_ttl: u64,
    pub(super) no_default_policy: bool,
    pub(super) num_uses: i64,
    pub(super) period: u64,
    /// `service`, `batch`, `default-service` or `default-batch`.
    pub(super) token_type: String,
    /// What was written by its name of old is shown by it too.
    pub(super) old_bound_cidrs: bool,
    pub(super) old_explicit_max_ttl: bool,
    pub(super) old_period: bool,
}

impl Role {
    pub(super) fn limits_policies(&self) -> bool {
        [
            &self.allowed_policies,
            &self.disallowed_policies,
            &self.allowed_policies_glob,
            &self.disallowed_policies_glob,
        ]
        .into_iter()
        .any(|list| !list.is_empty())
    }
}

#[derive(Deserialize, JsonSchema)]
struct RoleName {
    /// Name of the role.
    role_name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the role.
    role_name: String,
    /// The only policies that tokens may get.
    allowed_policies: Option<Vec<String>>,
    /// Policies that tokens may not get.
    disallowed_policies: Option<Vec<String>>,
    /// Patterns of policies that tokens may get.
    allowed_policies_glob: Option<Vec<String>>,
    /// Patterns of policies that tokens may not get.
    disallowed_policies_glob: Option<Vec<String>>,
    /// Names that tokens may take in the identity store; `*` stands for any text.
    allowed_entity_aliases: Option<Vec<String>>,
    /// Tokens have no parent.
    orphan: Option<bool>,
    /// Tokens can be renewed.
    renewable: Option<bool>,
    /// Ends the path by which tokens are revoked together.
    path_suffix: Option<String>,
    /// From where tokens may be used.
    token_bound_cidrs: Option<Vec<String>>,
    /// No renewal goes beyond this.
    token_explicit_max_ttl: Option<Seconds>,
    /// Leave out the policy `default`.
    token_no_default_policy: Option<bool>,
    /// How often a token can be used.
    token_num_uses: Option<i64>,
    /// Each renewal gives as much again, without end.
    token_period: Option<Seconds>,
    /// `service`, `batch`, `default-service` or `default-batch`.
    token_type: Option<String>,
    /// `token_bound_cidrs`, as it was called once.
    bound_cidrs: Option<Vec<String>>,
    /// `token_explicit_max_ttl`, as it was called once.
    explicit_max_ttl: Option<Seconds>,
    /// `token_period`, as it was called once.
    period: Option<Seconds>,
}

pub(super) fn get(scope: &mut Scope<'_>, name: &str) -> Result<Option<Arc<Role>>, Error> {
    scope.get_shared(&key(name))
}

async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(DIRECTORY)?))
}

async fn exists(call: &mut Call<'_>, input: RoleName) -> Result<bool, Error> {
    Ok(get(&mut call.storage, &input.role_name)?.is_some())
}

async fn delete(call: &mut Call<'_>, input: RoleName) -> Result<Reply, Error> {
    call.storage.delete(&key(&input.role_name))?;
    Ok(Reply::default())
}

async fn read(call: &mut Call<'_>, input: RoleName) -> Result<Reply, Error> {
    let role = get(&mut call.storage, &input.role_name)?.ok_or(Error::NotFound)?;
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
    let aliases = role.allowed_entity_aliases.clone();
    add("allowed_entity_aliases", if aliases.is_empty() { Value::Null } else { aliases.into() });
    add("allowed_policies", role.allowed_policies.clone().into());
    add("allowed_policies_glob", role.allowed_policies_glob.clone().into());
    if role.old_bound_cidrs && !role.bound_cidrs.is_empty() {
        add("bound_cidrs", role.bound_cidrs.clone().into());
    }
    add("disallowed_policies", role.disallowed_policies.clone().into());
    add("disallowed_policies_glob", role.disallowed_policies_glob.clone().into());
    let old_max = if role.old_explicit_max_ttl { role.explicit_max_ttl } else { 0 };
    add("explicit_max_ttl", old_max.into());
    add("name", role.name.clone().into());
    add("orphan", role.orphan.into());
    add("path_suffix", role.path_suffix.clone().into());
    add("period", if role.old_period { role.period } else { 0 }.into());
    add("renewable", role.renewable.into());
    if !role.bound_cidrs.is_empty() {
        add("token_bound_cidrs", role.bound_cidrs.clone().into());
    }
    add("token_explicit_max_ttl", role.explicit_max_ttl.into());
    add("token_no_default_policy", role.no_default_policy.into());
    if role.num_uses > 0 {
        add("token_num_uses", role.num_uses.into());
    }
    add("token_period", role.period.into());
    add("token_type", role.token_type.clone().into());
    Ok(Reply::data(data))
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let before = get(&mut call.storage, &input.role_name)?;
    let mut role = before.map_or_else(
        || Role {
            name: input.role_name.clone(),
            renewable: true,
            token_type: "default-service".into(),
            ..Role::default()
        },
        |role| (*role).clone(),
    );
    change(&mut role, input)?;
    check(&role)?;
    let mut reply = Reply::default();
    if role.explicit_max_ttl > call.ttl.max {
        reply = reply.warn(format!(
            "Given explicit max TTL of {} is greater than system/mount allowed value of {} \
             seconds; tokens of this role live no longer than that value",
            role.explicit_max_ttl, call.ttl.max
        ));
    }
    call.storage.put(&key(&role.name), &role)?;
    Ok(reply)
}

/// What is not given stays as it was. Of two names of one field the newer one wins.
fn change(role: &mut Role, input: Write) -> Result<(), Error> {
    set(&mut role.allowed_policies, input.allowed_policies.map(sanitize_names));
    set(&mut role.disallowed_policies, input.disallowed_policies.map(sanitize_names));
    set(&mut role.allowed_policies_glob, input.allowed_policies_glob.map(sanitize_names));
    set(&mut role.disallowed_policies_glob, input.disallowed_policies_glob.map(sanitize_names));
    set(&mut role.allowed_entity_aliases, input.allowed_entity_aliases.map(sanitize_names));
    set(&mut role.orphan, input.orphan);
    set(&mut role.renewable, input.renewable);
    set(&mut role.path_suffix, input.path_suffix);
    set(&mut role.no_default_policy, input.token_no_default_policy);
    set(&mut role.num_uses, input.token_num_uses);
    let seconds = |value: Option<Seconds>, name: &str| match value {
        Some(Seconds(negative)) if negative < 0 => Err(Error::BadRequest(format!(
            "error converting input for field {name:?}: cannot provide negative value \
             '{negative}'"
        ))),
        other => Ok(other.map(Seconds::unsigned)),
    };
    let token_max = seconds(input.token_explicit_max_ttl, "token_explicit_max_ttl")?;
    let max = seconds(input.explicit_max_ttl, "explicit_max_ttl")?;
    let token_period = seconds(input.token_period, "token_period")?;
    let period = seconds(input.period, "period")?;
    set_renamed(&mut role.explicit_max_ttl, &mut role.old_explicit_max_ttl, token_max, max);
    set_renamed(&mut role.period, &mut role.old_period, token_period, period);
    set_renamed(
        &mut role.bound_cidrs,
        &mut role.old_bound_cidrs,
        input.token_bound_cidrs,
        input.bound_cidrs,
    );
    if let Some(token_type) = input.token_type {
        role.token_type = match token_type.as_str() {
            "" | "default" => "default-service".into(),
            "service" | "batch" | "default-service" | "default-batch" => token_type,
            other => {
                return Err(Error::BadRequest(format!("invalid 'token_type' value {other:?}")));
            }
        };
    }
    Ok(())
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

fn set_renamed<T>(field: &mut T, is_old: &mut bool, value: Option<T>, old: Option<T>) {
    if value.is_some() || old.is_some() {
        *is_old = value.is_none();
    }
    set(field, value.or(old));
}

fn check(role: &Role) -> Result<(), Error> {
    if role.num_uses < 0 {
        return Err(Error::bad_request(
            "error parsing role fields: 'token_num_uses' cannot be negative",
        ));
    }
    cidr::check_blocks(&role.bound_cidrs)?;
    if !role.path_suffix.is_empty() && !is_suffix(&role.path_suffix) {
        return Err(Error::bad_request(
            "given role path suffix contains invalid characters; must match \\w[\\w-.]+\\w",
        ));
    }
    if role.token_type == "batch" {
        for (refused, tokens) in [
            (!role.orphan, "non-orphan tokens"),
            (role.period != 0, "periodic tokens"),
            (role.renewable, "renewable tokens"),
            (role.explicit_max_ttl != 0, "tokens with an explicit max TTL"),
        ] {
            if refused {
                return Err(Error::BadRequest(format!(
                    "'token_type' cannot be 'batch' when role is set to generate {tokens}"
                )));
            }
        }
    }
    Ok(())
}

/// Letters, digits and `_` at both ends; between them `-` and `.` too.
fn is_suffix(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    text.len() >= 3
        && text.starts_with(is_word)
        && text.ends_with(is_word)
        && text.chars().all(|c| is_word(c) || matches!(c, '-' | '.'))
}

fn key(name: &str) -> String {
    format!("{DIRECTORY}/{name}")
}

const DIRECTORY: &str = "token/roles";

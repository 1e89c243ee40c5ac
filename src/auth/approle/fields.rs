//! Each of a role's fields at a path of its own, so that policies can grant it alone.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::roles::{RoleFields, change, list_or_null};
use super::store::{Role, put_role, role};
use crate::auth::token_parameters::TokenParametersInput;
use crate::framework::{Call, Route, Seconds};
use crate::request::{Error, Reply};

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new(
            "role/{role_name}/{field}",
            "One field of a role: policies, period, token-ttl, token-max-ttl, token-num-uses, \
             token-bound-cidrs, bind-secret-id, secret-id-ttl, secret-id-num-uses, \
             secret-id-bound-cidrs, bound-cidr-list or local-secret-ids.",
        )
        .read(read)
        .write(write)
        .delete(delete),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct OfField {
    /// Name of the role.
    role_name: String,
    /// Of the path: which field.
    field: String,
}

#[derive(Deserialize, JsonSchema)]
struct Write {
    /// Name of the role.
    role_name: String,
    /// Of the path: which field.
    field: String,
    #[serde(flatten)]
    fields: RoleFields,
}

#[derive(Clone, Copy)]
enum Field {
    BindSecretId,
    BoundCidrList,
    LocalSecretIds,
    Period,
    Policies,
    SecretIdBoundCidrs,
    SecretIdNumUses,
    SecretIdTtl,
    TokenBoundCidrs,
    TokenMaxTtl,
    TokenNumUses,
    TokenTtl,
}

impl Field {
    fn parse(name: &str) -> Result<Self, Error> {
        Ok(match name {
            "bind-secret-id" => Self::BindSecretId,
            "bound-cidr-list" => Self::BoundCidrList,
            "local-secret-ids" => Self::LocalSecretIds,
            "period" => Self::Period,
            "policies" => Self::Policies,
            "secret-id-bound-cidrs" => Self::SecretIdBoundCidrs,
            "secret-id-num-uses" => Self::SecretIdNumUses,
            "secret-id-ttl" => Self::SecretIdTtl,
            "token-bound-cidrs" => Self::TokenBoundCidrs,
            "token-max-ttl" => Self::TokenMaxTtl,
            "token-num-uses" => Self::TokenNumUses,
            "token-ttl" => Self::TokenTtl,
            _ => return Err(Error::UnsupportedPath),
        })
    }

    /// As a read shows it.
    fn shown(self, role: &Role) -> (&'static str, Value) {
        let token = &role.token;
        match self {
            Self::BindSecretId => ("bind_secret_id", role.bind_secret_id.into()),
            Self::BoundCidrList => ("bound_cidr_list", list_or_null(&role.secret_id_bound_cidrs)),
            Self::LocalSecretIds => ("local_secret_ids", role.local_secret_ids.into()),
            Self::Period => ("token_period", token.token_period.into()),
            Self::Policies => ("token_policies", token.token_policies.clone().into()),
            Self::SecretIdBoundCidrs => {
                ("secret_id_bound_cidrs", list_or_null(&role.secret_id_bound_cidrs))
            }
            Self::SecretIdNumUses => ("secret_id_num_uses", role.secret_id_num_uses.into()),
            Self::SecretIdTtl => ("secret_id_ttl", role.secret_id_ttl.into()),
            Self::TokenBoundCidrs => ("token_bound_cidrs", list_or_null(&token.token_bound_cidrs)),
            Self::TokenMaxTtl => ("token_max_ttl", token.token_max_ttl.into()),
            Self::TokenNumUses => ("token_num_uses", token.token_num_uses.into()),
            Self::TokenTtl => ("token_ttl", token.token_ttl.into()),
        }
    }

    /// Of what a request writes this field alone; `None` where it is not given.
    fn alone(self, given: RoleFields) -> Option<RoleFields> {
        let mut only = RoleFields::default();
        let token = given.token;
        match self {
            Self::BindSecretId => only.bind_secret_id = Some(given.bind_secret_id?),
            Self::BoundCidrList => only.bound_cidr_list = Some(given.bound_cidr_list?),
            Self::LocalSecretIds => return None,
            Self::Period => {
                (only.token.token_period, only.token.period) = (token.token_period, token.period);
                only.token.token_period.or(only.token.period)?;
            }
            Self::Policies => {
                only.token.token_policies = token.token_policies;
                only.token.policies = token.policies;
                only.token.token_policies.as_ref().or(only.token.policies.as_ref())?;
            }
            Self::SecretIdBoundCidrs => {
                only.secret_id_bound_cidrs = Some(given.secret_id_bound_cidrs?);
            }
            Self::SecretIdNumUses => only.secret_id_num_uses = Some(given.secret_id_num_uses?),
            Self::SecretIdTtl => only.secret_id_ttl = Some(given.secret_id_ttl?),
            Self::TokenBoundCidrs => only.token.token_bound_cidrs = Some(token.token_bound_cidrs?),
            Self::TokenMaxTtl => only.token.token_max_ttl = Some(token.token_max_ttl?),
            Self::TokenNumUses => only.token.token_num_uses = Some(token.token_num_uses?),
            Self::TokenTtl => only.token.token_ttl = Some(token.token_ttl?),
        }
        Some(only)
    }

    fn default(self) -> RoleFields {
        let all = RoleFields {
            bind_secret_id: Some(true),
            secret_id_bound_cidrs: Some(Vec::new()),
            bound_cidr_list: Some(Vec::new()),
            secret_id_num_uses: Some(0),
            secret_id_ttl: Some(Seconds(0)),
            token: TokenParametersInput {
                token_bound_cidrs: Some(Vec::new()),
                token_max_ttl: Some(Seconds(0)),
                token_num_uses: Some(0),
                token_period: Some(Seconds(0)),
                token_policies: Some(Vec::new()),
                token_ttl: Some(Seconds(0)),
                ..TokenParametersInput::default()
            },
        };
        self.alone(all).unwrap_or_default()
    }
}

async fn read(call: &mut Call<'_>, input: OfField) -> Result<Reply, Error> {
    let field = Field::parse(&input.field)?;
    let role = role(call, &input.role_name)?.ok_or(Error::NotFound)?;
    let (name, value) = field.shown(&role);
    let mut data = Map::new();
    if matches!(field, Field::Policies) && role.token.old_names.contains("policies") {
        data.insert("policies".into(), value.clone());
    }
    if matches!(field, Field::Period) && role.token.old_names.contains("period") {
        data.insert("period".into(), value.clone());
    }
    data.insert(name.to_owned(), value);
    let reply = Reply::data(data);
    Ok(if matches!(field, Field::BoundCidrList) { reply.warn(BOUND_CIDR_LIST) } else { reply })
}

async fn write(call: &mut Call<'_>, input: Write) -> Result<Reply, Error> {
    let field = changeable(&input.field)?;
    let before = role(call, &input.role_name)?.ok_or(Error::UnsupportedPath)?;
    let missing = || Error::BadRequest(format!("missing {}", field.shown(&before).0));
    let given = field.alone(input.fields).ok_or_else(missing)?;
    store(call, &before, given)
}

async fn delete(call: &mut Call<'_>, input: OfField) -> Result<Reply, Error> {
    let field = changeable(&input.field)?;
    match role(call, &input.role_name)? {
        Some(before) => store(call, &before, field.default()),
        None => Ok(Reply::default()),
    }
}

fn store(call: &mut Call<'_>, before: &Role, fields: RoleFields) -> Result<Reply, Error> {
    let mut role = before.clone();
    change(&mut role, fields)?;
    put_role(&mut call.storage, &role, Some(before))?;
    let warning = role.token.warning(call.ttl.max);
    Ok(Reply { warnings: warning.into_iter().collect(), ..Reply::default() })
}

fn changeable(name: &str) -> Result<Field, Error> {
    match Field::parse(name)? {
        Field::LocalSecretIds => Err(Error::UnsupportedOperation),
        field => Ok(field),
    }
}

const BOUND_CIDR_LIST: &str = "The \"bound_cidr_list\" field is deprecated and will be removed. \
     Please use \"secret_id_bound_cidrs\" instead.";

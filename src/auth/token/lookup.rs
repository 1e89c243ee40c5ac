use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::home;
use super::store::TokenStore;
use super::{Named, by_accessor, by_token, listed, own};
use crate::framework::{Call, NoParams, Route};
use crate::identity::IdentityStore;
use crate::namespace::Own;
use crate::request::{Error, Reply, TokenType};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("accessors", "The accessors of all tokens.").sudo().list(list_accessors),
        Route::new("lookup", "What is known of a token.").read(lookup).write(lookup),
        Route::new("lookup-accessor", "What is known of a token, by its accessor.")
            .write(lookup_accessor),
        Route::new("lookup-self", "What is known of the caller's token.")
            .read(lookup_self)
            .write(lookup_self),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct OfToken {
    /// The token; the caller's own where none is given.
    token: Option<Secret<String>>,
}

#[derive(Deserialize, JsonSchema)]
struct OfAccessor {
    /// The token's accessor.
    #[serde(default)]
    accessor: String,
}

async fn list_accessors(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(TokenStore::new(&mut call.storage).accessors()?))
}

async fn lookup(call: &mut Call<'_>, input: OfToken) -> Result<Reply, Error> {
    let found = match input.token.filter(|token| !token.expose().is_empty()) {
        Some(token) => by_token(call, &token)?,
        None => Some(own(call)?),
    };
    let found = found.ok_or_else(|| Error::Forbidden("bad token".into()))?;
    describe(call, &found)
}

async fn lookup_self(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let found = own(call)?;
    describe(call, &found)
}

async fn lookup_accessor(call: &mut Call<'_>, input: OfAccessor) -> Result<Reply, Error> {
    let found = by_accessor(call, &input.accessor)?;
    let found = found.ok_or_else(|| listed("invalid accessor"))?;
    describe(call, &found)
}

fn describe(call: &mut Call<'_>, found: &Named) -> Result<Reply, Error> {
    let (entry, now) = (&found.entry, call.now);
    let mut of_identity = Vec::new();
    let home = home::of_name(call.storage.home(), &found.name);
    let own = call.storage.core_of(&home, |core| {
        if !entry.entity_id.is_empty()
            && !entry.no_identity_policies
            && let Some(who) = IdentityStore::new(core).who(&entry.entity_id, None)?
        {
            of_identity.clone_from(&who.policies);
        }
        Own::of(core)
    })?;
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
    add("accessor", entry.accessor.clone().into());
    if !entry.bound_cidrs.is_empty() {
        add("bound_cidrs", entry.bound_cidrs.clone().into());
    }
    add("creation_time", entry.created.seconds().into());
    add("creation_ttl", entry.ttl.into());
    add("display_name", entry.display_name.clone().into());
    add("entity_id", entry.entity_id.clone().into());
    add("expire_time", entry.expires.map_or(Value::Null, |expires| expires.rfc3339().into()));
    add("explicit_max_ttl", entry.explicit_max_ttl.into());
    if !of_identity.is_empty() {
        add("external_namespace_policies", Value::Object(Map::new()));
        add("identity_policies", of_identity.into());
    }
    add("id", found.id.clone().into());
    // As in Vault: the first root token has no lease, so nothing is said of one.
    let is_leased = entry.path != FIRST_ROOT_PATH;
    if is_leased {
        add("issue_time", entry.created.rfc3339().into());
    }
    if let Some(renewal) = entry.last_renewal {
        add("last_renewal", renewal.rfc3339().into());
        add("last_renewal_time", renewal.seconds().into());
    }
    let meta = entry.meta.iter().map(|(name, value)| (name.clone(), value.clone().into()));
    let meta = if entry.meta.is_empty() { Value::Null } else { Value::Object(meta.collect()) };
    add("meta", meta);
    if !own.path.is_empty() {
        add("namespace_path", own.path.clone().into());
    }
    add("num_uses", entry.num_uses.into());
    add("orphan", entry.is_orphan().into());
    add("path", entry.path.clone().into());
    if entry.period > 0 {
        add("period", entry.period.into());
    }
    add("policies", entry.policies.clone().into());
    if is_leased {
        add("renewable", entry.renewable.into());
    }
    if !entry.role.is_empty() {
        add("role", entry.role.clone().into());
    }
    add("ttl", entry.ttl_left(now).into());
    let name = if entry.token_type == TokenType::Batch { "batch" } else { "service" };
    add("type", name.into());
    Ok(Reply::data(data))
}

/// Of the token that `sys/init` gives out.
pub(super) const FIRST_ROOT_PATH: &str = "auth/token/root";

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::roles::RoleName;
use super::store::{
    EXPIRY_KIND, Role, SecretId, accessors, by_accessor, delete_secret_id, digest, put_accessor,
    put_secret_id, role, secret_id,
};
use crate::auth::cidr;
use crate::expiry::{Expiry, Filing};
use crate::framework::{Call, Route, Seconds};
use crate::request::{Error, Reply};
use crate::secret::Secret;

pub(super) fn routes() -> Vec<Route> {
    vec![
        Route::new("role/{role_name}/secret-id", "Draw a secret id; list the accessors of all.")
            .list(list)
            .write(draw),
        Route::new("role/{role_name}/custom-secret-id", "Make a secret id of one's own.")
            .write(custom),
        Route::new("role/{role_name}/secret-id/lookup", "What is known of a secret id.")
            .write(lookup),
        Route::new("role/{role_name}/secret-id/destroy", "End a secret id.")
            .write(destroy)
            .delete(destroy),
        Route::new(
            "role/{role_name}/secret-id-accessor/lookup",
            "What is known of a secret id, by its accessor.",
        )
        .write(lookup_accessor),
        Route::new(
            "role/{role_name}/secret-id-accessor/destroy",
            "End a secret id, by its accessor.",
        )
        .write(destroy_accessor)
        .delete(destroy_accessor),
    ]
}

#[derive(Deserialize, JsonSchema)]
struct Draw {
    /// Name of the role.
    role_name: String,
    /// Of a custom one: the secret id.
    secret_id: Option<Secret<String>>,
    /// Goes into the tokens' metadata: a map, or JSON text of one.
    #[serde(default)]
    metadata: BTreeMap<String, String>,
    /// From where it may be used: addresses and blocks of them, within the role's.
    #[serde(default)]
    cidr_list: Vec<String>,
    /// From where its tokens may be used, within the role's.
    #[serde(default)]
    token_bound_cidrs: Vec<String>,
    /// How often it can be used; no more than the role says.
    num_uses: Option<i64>,
    /// How long it lives; no longer than the role says.
    ttl: Option<Seconds>,
}

#[derive(Deserialize, JsonSchema)]
struct OfSecretId {
    /// Name of the role.
    role_name: String,
    /// The secret id.
    secret_id: Option<Secret<String>>,
}

#[derive(Deserialize, JsonSchema)]
struct OfAccessor {
    /// Name of the role.
    role_name: String,
    /// The secret id's accessor.
    #[serde(default)]
    secret_id_accessor: String,
}

async fn list(call: &mut Call<'_>, input: RoleName) -> Result<Reply, Error> {
    let role = existing(call, &input.role_name)?;
    Ok(Reply::keys(accessors(&mut call.storage, &role.uuid)?))
}

async fn draw(call: &mut Call<'_>, input: Draw) -> Result<Reply, Error> {
    let drawn = Secret::new(call.rng.uuid());
    create(call, input, &drawn)
}

async fn custom(call: &mut Call<'_>, mut input: Draw) -> Result<Reply, Error> {
    let given = input.secret_id.take().filter(|given| !given.expose().is_empty());
    let given = given.ok_or_else(|| Error::bad_request("missing secret_id"))?;
    if given.expose().len() > CUSTOM_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "secret_id must not be longer than {CUSTOM_BYTES_MAX} bytes"
        )));
    }
    create(call, input, &given)
}

fn create(call: &mut Call<'_>, input: Draw, id: &Secret<String>) -> Result<Reply, Error> {
    let role = role(call, &input.role_name)?
        .ok_or_else(|| Error::Missing(format!("role {:?} does not exist", input.role_name)))?;
    if !role.bind_secret_id {
        return Err(Error::bad_request("bind_secret_id is not set on the role"));
    }
    check_cidrs(&role, &input)?;
    let num_uses = uses(&role, input.num_uses)?;
    let ttl = ttl(&role, input.ttl)?;
    let digest = digest(&role, id.expose());
    let now = call.now;
    match secret_id(&mut call.storage, &role.uuid, &digest)? {
        Some(other) if other.has_expired(now) => {
            delete_secret_id(&mut call.storage, &role.uuid, &digest, &other)?;
        }
        Some(_) => {
            return Err(Error::bad_request(
                "failed to store secret_id: SecretID is already registered",
            ));
        }
        None => {}
    }
    let lives = if ttl == 0 { 0 } else { ttl.min(call.ttl.max) };
    let expires = (lives > 0).then(|| now.plus(Duration::from_secs(lives)));
    let secret = SecretId {
        accessor: call.rng.uuid(),
        num_uses,
        ttl,
        cidr_list: input.cidr_list,
        token_bound_cidrs: input.token_bound_cidrs,
        metadata: input.metadata,
        created: now,
        updated: now,
        expires,
    };
    put_secret_id(&mut call.storage, &role.uuid, &digest, &secret)?;
    put_accessor(&mut call.storage, &role.uuid, &digest, &secret.accessor)?;
    if let Some(expires) = expires {
        let filed = format!("{EXPIRY_KIND}{}.{}.{digest}", call.mount.uuid, role.uuid);
        call.storage
            .beside("core/", |core| Expiry::new(core).file(&filed, expires, Filing::default()))?;
    }
    let mut data = Map::<String, Value>::new();
    data.insert("secret_id".into(), id.expose().clone().into());
    data.insert("secret_id_accessor".into(), secret.accessor.into());
    data.insert("secret_id_num_uses".into(), num_uses.into());
    data.insert("secret_id_ttl".into(), ttl.into());
    Ok(Reply::data(data))
}

/// A secret id may narrow what its role allows, never widen it.
fn check_cidrs(role: &Role, input: &Draw) -> Result<(), Error> {
    for (own, of_role, name) in [
        (&input.cidr_list, &role.secret_id_bound_cidrs, "cidr_list"),
        (&input.token_bound_cidrs, &role.token.token_bound_cidrs, "token_bound_cidrs"),
    ] {
        cidr::check_blocks(own)?;
        if !of_role.is_empty() && !own.is_empty() && !cidr::are_within(own, of_role) {
            return Err(Error::BadRequest(format!(
                "{name} is not within the CIDR blocks of the role"
            )));
        }
    }
    Ok(())
}

fn uses(role: &Role, asked: Option<i64>) -> Result<u64, Error> {
    let Some(asked) = asked else {
        return Ok(role.secret_id_num_uses);
    };
    let asked =
        u64::try_from(asked).map_err(|_| Error::bad_request("num_uses cannot be negative"))?;
    let most = role.secret_id_num_uses;
    if most > 0 && (asked == 0 || asked > most) {
        return Err(Error::bad_request(
            "num_uses cannot be higher than the role's secret_id_num_uses",
        ));
    }
    Ok(asked)
}

fn ttl(role: &Role, asked: Option<Seconds>) -> Result<u64, Error> {
    let Some(Seconds(asked)) = asked else {
        return Ok(role.secret_id_ttl);
    };
    let asked = u64::try_from(asked).map_err(|_| Error::bad_request("ttl cannot be negative"))?;
    let most = role.secret_id_ttl;
    if most > 0 && (asked == 0 || asked > most) {
        return Err(Error::bad_request("ttl cannot be longer than the role's secret_id_ttl"));
    }
    Ok(asked)
}

async fn lookup(call: &mut Call<'_>, input: OfSecretId) -> Result<Reply, Error> {
    let (role, digest) = named(call, &input)?;
    let found = secret_id(&mut call.storage, &role.uuid, &digest)?;
    Ok(found.map_or_else(Reply::default, |secret| describe(&secret)))
}

async fn destroy(call: &mut Call<'_>, input: OfSecretId) -> Result<Reply, Error> {
    let (role, digest) = named(call, &input)?;
    if let Some(secret) = secret_id(&mut call.storage, &role.uuid, &digest)? {
        delete_secret_id(&mut call.storage, &role.uuid, &digest, &secret)?;
    }
    Ok(Reply::default())
}

async fn lookup_accessor(call: &mut Call<'_>, input: OfAccessor) -> Result<Reply, Error> {
    let role = existing(call, &input.role_name)?;
    match find(call, &role, &input)? {
        Some((_, secret)) => Ok(describe(&secret)),
        None => {
            // As in Vault: clients read it from the data.
            let data = Map::from_iter([("error".to_owned(), unknown(&input).into())]);
            Err(Error::NotFoundWith(Box::new(Reply::data(data))))
        }
    }
}

async fn destroy_accessor(call: &mut Call<'_>, input: OfAccessor) -> Result<Reply, Error> {
    let role = existing(call, &input.role_name)?;
    let found = find(call, &role, &input)?;
    let (digest, secret) = found.ok_or_else(|| Error::BadRequest(unknown(&input)))?;
    delete_secret_id(&mut call.storage, &role.uuid, &digest, &secret)?;
    Ok(Reply::default())
}

fn named(call: &mut Call<'_>, input: &OfSecretId) -> Result<(Role, String), Error> {
    let given = input.secret_id.as_ref().filter(|given| !given.expose().is_empty());
    let given = given.ok_or_else(|| Error::bad_request("missing secret_id"))?;
    let role = existing(call, &input.role_name)?;
    let digest = digest(&role, given.expose());
    Ok((role, digest))
}

fn find(
    call: &mut Call<'_>,
    role: &Role,
    input: &OfAccessor,
) -> Result<Option<(String, SecretId)>, Error> {
    if input.secret_id_accessor.is_empty() {
        return Err(Error::bad_request("missing secret_id_accessor"));
    }
    by_accessor(&mut call.storage, &role.uuid, &input.secret_id_accessor)
}

fn existing(call: &mut Call<'_>, name: &str) -> Result<Role, Error> {
    role(call, name)?.ok_or_else(|| Error::BadRequest(format!("role {name:?} does not exist")))
}

fn unknown(input: &OfAccessor) -> String {
    let accessor = &input.secret_id_accessor;
    format!("failed to find accessor entry for secret_id_accessor: {accessor:?}")
}

fn describe(secret: &SecretId) -> Reply {
    let mut data = Map::new();
    let mut add = |name: &str, value: Value| data.insert(name.to_owned(), value);
    add("cidr_list", secret.cidr_list.clone().into());
    add("creation_time", secret.created.rfc3339().into());
    let never = || NEVER.to_owned();
    let expires = secret.expires.map_or_else(never, |expires| expires.rfc3339());
    add("expiration_time", expires.into());
    add("last_updated_time", secret.updated.rfc3339().into());
    let metadata = secret.metadata.iter().map(|(key, value)| (key.clone(), value.clone().into()));
    add("metadata", Value::Object(metadata.collect()));
    add("secret_id_accessor", secret.accessor.clone().into());
    add("secret_id_num_uses", secret.num_uses.into());
    add("secret_id_ttl", secret.ttl.into());
    add("token_bound_cidrs", secret.token_bound_cidrs.clone().into());
    Reply::data(data)
}

/// Go's zero time.
const NEVER: &str = "0001-01-01T00:00:00Z";

const CUSTOM_BYTES_MAX: usize = 4096;

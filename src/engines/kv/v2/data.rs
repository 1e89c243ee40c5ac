use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::config::Config;
use super::json::{merge_patch, subkeys as subkeys_of};
use super::secret::Secret;
use super::{AtPath, readable, writable};
use crate::framework::Call;
use crate::request::{Error, Reply};

#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadData {
    /// Where the secret is.
    path: String,
    /// 0: the newest.
    #[serde(default)]
    version: i64,
}

pub(super) async fn read(call: &mut Call<'_>, input: ReadData) -> Result<Reply, Error> {
    let path = readable(call, input.path)?;
    let (data, metadata) = version(call, &path, input.version)?;
    tell("data", data, metadata)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ReadSubkeys {
    /// Where the secret is.
    path: String,
    /// 0: the newest.
    #[serde(default)]
    version: i64,
    /// How many levels are shown; 0: all.
    #[serde(default)]
    depth: i64,
}

pub(super) async fn subkeys(call: &mut Call<'_>, input: ReadSubkeys) -> Result<Reply, Error> {
    let path = readable(call, input.path)?;
    let (data, metadata) = version(call, &path, input.version)?;
    // As in OpenBao, a negative depth shows the outermost level.
    let depth = u64::try_from(input.depth).unwrap_or(1);
    tell("subkeys", data.map(|data| subkeys_of(&data, depth)), metadata)
}

/// A version's data, unless it is deleted or destroyed, and what is told beside it.
fn version(
    call: &mut Call<'_>,
    path: &str,
    number: i64,
) -> Result<(Option<Value>, Map<String, Value>), Error> {
    let secret = Secret::load(call, path)?.ok_or(Error::NotFound)?;
    let asked = u64::try_from(number).ok().filter(|number| *number > 0);
    let number = asked.unwrap_or(secret.current_version);
    let version = secret.versions.get(&number).ok_or(Error::NotFound)?;
    let metadata = secret.shown(number).ok_or(Error::NotFound)?;
    if !version.is_live(call.now) {
        return Ok((None, metadata));
    }
    Ok((Some(secret.data(call, path, number)?), metadata))
}

/// Where there is no data, 404 with the rest.
fn tell(name: &str, data: Option<Value>, metadata: Map<String, Value>) -> Result<Reply, Error> {
    let found = data.is_some();
    let reply = Reply::data(Map::from_iter([
        (name.to_owned(), data.unwrap_or_default()),
        ("metadata".to_owned(), Value::Object(metadata)),
    ]));
    if found { Ok(reply) } else { Err(Error::NotFoundWith(Box::new(reply))) }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteData {
    /// Where the secret is.
    path: String,
    /// An object: the secret.
    data: Option<Value>,
    /// An object: `cas` is the version that this one replaces, 0 where there must be none.
    options: Option<Value>,
}

pub(super) async fn write(call: &mut Call<'_>, input: WriteData) -> Result<Reply, Error> {
    let path = writable(call, input.path)?;
    let data = given(call, input.data.as_ref())?;
    let cas = cas(input.options.as_ref())?;
    let mut secret = match Secret::load_to_change(call, &path)? {
        Some(secret) => secret,
        None => Secret::new(call),
    };
    let config = Config::load(call)?;
    check(cas, &config, &secret)?;
    let number = secret.add(call, &config, &data)?;
    secret.save(call, &path)?;
    Ok(Reply::data(secret.shown(number).unwrap_or_default()))
}

pub(super) async fn patch(call: &mut Call<'_>, input: WriteData) -> Result<Reply, Error> {
    let path = writable(call, input.path)?;
    let patch = given(call, input.data.as_ref())?;
    let cas = cas(input.options.as_ref())?;
    let mut secret = Secret::load_to_change(call, &path)?.ok_or(Error::NotFound)?;
    let config = Config::load(call)?;
    check(cas, &config, &secret)?;
    let current = secret.current_version;
    let version = secret.versions.get(&current).ok_or(Error::NotFound)?;
    if !version.is_live(call.now) {
        let told = Reply::data(secret.shown(current).unwrap_or_default());
        return Err(Error::NotFoundWith(Box::new(told)));
    }
    let mut data = secret.data(call, &path, current)?;
    merge_patch(&mut data, patch);
    let number = secret.add(call, &config, &data)?;
    secret.save(call, &path)?;
    Ok(Reply::data(secret.shown(number).unwrap_or_default()))
}

/// Deletes the newest version, if it is not yet.
pub(super) async fn delete(call: &mut Call<'_>, input: AtPath) -> Result<Reply, Error> {
    super::not_root(call, &input.path)?;
    let path = input.path;
    if path.is_empty() || path.ends_with('/') {
        return Ok(Reply::default());
    }
    let Some(secret) = Secret::load(call, &path)? else {
        return Ok(Reply::default());
    };
    super::versions::mark_deleted(call, &path, &[secret.current_version])?;
    Ok(Reply::default())
}

/// As in Vault, null is data; none at all is an error. What the client sent, not what was made of
/// it for the handler: on that way a number `-0` becomes `0`.
fn given(call: &Call<'_>, data: Option<&Value>) -> Result<Value, Error> {
    match data {
        Some(data @ Value::Object(_)) => {
            let sent = call.request.params.get("data").filter(|sent| sent.is_object());
            Ok(sent.unwrap_or(data).clone())
        }
        Some(_) => Err(not_object("data")),
        None if call.request.params.contains_key("data") => Ok(Value::Null),
        None => Err(Error::bad_request("no data provided")),
    }
}

/// The version that the caller says is the newest.
fn cas(options: Option<&Value>) -> Result<Option<i64>, Error> {
    let cas = match options {
        None => return Ok(None),
        Some(Value::Object(options)) => options.get("cas"),
        Some(_) => return Err(not_object("options")),
    };
    let number = match cas {
        None => return Ok(None),
        // As in Vault's weak typing.
        Some(Value::Null) => Some(0),
        Some(Value::Number(number)) => number.as_i64(),
        Some(Value::String(text)) => text.parse().ok(),
        Some(_) => None,
    };
    number.map(Some).ok_or_else(|| Error::bad_request("error parsing check-and-set parameter"))
}

fn check(cas: Option<i64>, config: &Config, secret: &Secret) -> Result<(), Error> {
    match cas {
        Some(cas) if u64::try_from(cas) == Ok(secret.current_version) => Ok(()),
        Some(_) => {
            Err(Error::bad_request("check-and-set parameter did not match the current version"))
        }
        None if config.cas_required || secret.cas_required => {
            Err(Error::bad_request("check-and-set parameter required for this call"))
        }
        None => Ok(()),
    }
}

fn not_object(field: &str) -> Error {
    Error::BadRequest(format!("error converting input for field {field:?}: expected an object"))
}

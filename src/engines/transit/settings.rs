//! `config/keys`, `cache-config`, `random` and `hash`.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::hash::Hash;
use crate::framework::{Call, NoParams};
use crate::request::{Error, Reply};
use crate::text::hex;

/// Of the whole mount.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Settings {
    /// `encrypt/` makes no keys.
    #[serde(default)]
    pub(super) disable_upsert: bool,
    /// Kept for who reads it back: what is cached here is bounded by memory, not by number.
    #[serde(default)]
    cache_size: u32,
}

impl Settings {
    pub(super) fn load(call: &mut Call<'_>) -> Result<Arc<Self>, Error> {
        Ok(call.storage.get_shared(SETTINGS)?.unwrap_or_default())
    }
}

pub(super) async fn read_keys(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({ "disable_upsert": Settings::load(call)?.disable_upsert }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteKeys {
    /// `encrypt/` makes no keys.
    disable_upsert: Option<bool>,
}

pub(super) async fn write_keys(call: &mut Call<'_>, input: WriteKeys) -> Result<Reply, Error> {
    let mut settings = Settings::clone(&*Settings::load(call)?);
    settings.disable_upsert = input.disable_upsert.unwrap_or(settings.disable_upsert);
    call.storage.put(SETTINGS, &settings)?;
    read_keys(call, NoParams {}).await
}

pub(super) async fn read_cache(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Reply::of(&json!({ "size": Settings::load(call)?.cache_size }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct WriteCache {
    /// At least 10; 0: without limit.
    size: Option<i64>,
}

pub(super) async fn write_cache(call: &mut Call<'_>, input: WriteCache) -> Result<Reply, Error> {
    let size = u32::try_from(input.size.unwrap_or(0)).ok().filter(|size| *size == 0 || *size >= 10);
    let size =
        size.ok_or_else(|| Error::bad_request("size must be 0 or a value of at least 10"))?;
    let settings = Settings { cache_size: size, ..Settings::clone(&*Settings::load(call)?) };
    call.storage.put(SETTINGS, &settings)?;
    Ok(Reply::default().warn(
        "the size is kept but has no effect: keys that are used are cached within a bound of memory",
    ))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Random {
    /// `platform`, `seal` or `all`: all are the system's generator.
    source: Option<String>,
    urlbytes: Option<String>,
    /// How many; 32 where nothing is said.
    bytes: Option<i64>,
    /// `base64` or `hex`.
    format: Option<String>,
}

pub(super) async fn random(call: &mut Call<'_>, input: Random) -> Result<Reply, Error> {
    let mut asked = input.urlbytes;
    match input.source.as_deref().unwrap_or_default() {
        "" | "platform" | "seal" | "all" => {}
        // `random/64`
        number if asked.is_none() && number.parse::<i64>().is_ok() => asked = input.source.clone(),
        _ => return Err(Error::bad_request("unsupported entropy source: platform, seal or all")),
    }
    let bytes = match asked.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().ok(),
        None => Some(input.bytes.unwrap_or(32)),
    };
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.filter(|bytes| (1..=RANDOM_BYTES_MAX).contains(bytes)).ok_or_else(|| {
        Error::BadRequest(format!("\"bytes\" must be from 1 to {RANDOM_BYTES_MAX}"))
    })?;
    let mut made = vec![0; bytes];
    call.rng.fill(&mut made);
    let text = encoded(&made, input.format.as_deref().unwrap_or("base64"))?;
    Reply::of(&json!({ "random_bytes": text }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct HashInput {
    /// As `algorithm`.
    urlalgorithm: Option<String>,
    /// Such as `sha2-256`, the default.
    algorithm: Option<String>,
    /// Base64.
    input: Option<String>,
    /// `hex` or `base64`.
    format: Option<String>,
}

pub(super) async fn hash(_: &mut Call<'_>, input: HashInput) -> Result<Reply, Error> {
    let given = [&input.urlalgorithm, &input.algorithm];
    let mut given = given.into_iter().filter_map(|name| name.as_deref());
    let hash = Hash::parse(given.find(|name| !name.is_empty()).unwrap_or("sha2-256"))?;
    if hash == Hash::Sha1 {
        return Err(Error::bad_request("unsupported algorithm sha1"));
    }
    let text = input.input.ok_or_else(|| Error::bad_request("missing input"))?;
    let bytes = BASE64
        .decode(text)
        .map_err(|error| Error::BadRequest(format!("unable to decode input as base64: {error}")))?;
    let sum = encoded(&hash.of(&bytes), input.format.as_deref().unwrap_or("hex"))?;
    Reply::of(&json!({ "sum": sum }))
}

fn encoded(bytes: &[u8], format: &str) -> Result<String, Error> {
    match format {
        "base64" => Ok(BASE64.encode(bytes)),
        "hex" => Ok(hex(bytes)),
        _ => Err(Error::bad_request("unsupported encoding format; must be \"hex\" or \"base64\"")),
    }
}

const SETTINGS: &str = "settings";

/// As in Vault.
const RANDOM_BYTES_MAX: usize = 128 * 1024;

//! `sign/`, `verify/` and `hmac/`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};

use super::batch::{Item, Items, joined, split};
use super::encrypt::fields;
use super::hash::Hash;
use super::key::Key;
use super::kind::Kind;
use super::signature::{Manner, Marshaling, Padding, Salt};
use crate::crypto::equal;
use crate::framework::Call;
use crate::request::{Error, Reply};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Sign {
    /// Of the key.
    name: String,
    /// As `hash_algorithm`.
    urlalgorithm: Option<String>,
    /// As `hash_algorithm`.
    algorithm: Option<String>,
    /// Such as `sha2-256`, the default; `none` signs a digest as it is.
    hash_algorithm: Option<String>,
    /// `pss` or `pkcs1v15`, of RSA keys.
    signature_algorithm: Option<String>,
    /// `asn1` or `jws`.
    marshaling_algorithm: Option<String>,
    /// `auto`, `hash` or a number of bytes, of RSA-PSS.
    salt_length: Option<String>,
    /// The input is a digest already.
    prehashed: Option<bool>,
    /// Base64.
    input: Option<Value>,
    /// Base64; of derived keys.
    context: Option<Value>,
    /// 0: the newest.
    key_version: Option<Value>,
    /// Of `verify`: as `sign` gave it.
    signature: Option<Value>,
    /// Of `verify`: as `hmac` gave it.
    hmac: Option<Value>,
    /// Many items at once, each with `input`, `context`, `signature`, `hmac` and a `reference`.
    batch_input: Option<Value>,
    /// Status where some items fail and others do not.
    partial_failure_response_code: Option<i64>,
}

impl Sign {
    /// # Errors
    /// [`Error::BadRequest`] where a word is unknown.
    fn manner(&self) -> Result<Manner, Error> {
        let hash = match self.hash_name() {
            "none" => None,
            name => Some(Hash::parse(name)?),
        };
        let padding = match self.signature_algorithm.as_deref().unwrap_or_default() {
            "" | "pss" => Padding::Pss,
            "pkcs1v15" => Padding::Pkcs1v15,
            _ => return Err(Error::bad_request("signature_algorithm must be pss or pkcs1v15")),
        };
        let marshaling = match self.marshaling_algorithm.as_deref().unwrap_or_default() {
            "" | "asn1" => Marshaling::Asn1,
            "jws" => Marshaling::Jws,
            _ => return Err(Error::bad_request("marshaling_algorithm must be asn1 or jws")),
        };
        let salt = match self.salt_length.as_deref().unwrap_or_default() {
            "" | "auto" => Salt::Auto,
            "hash" => Salt::Hash,
            number => Salt::Bytes(number.parse().map_err(|_| {
                Error::bad_request("salt_length must be auto, hash or a number of bytes")
            })?),
        };
        let prehashed = self.prehashed.unwrap_or(false);
        if hash.is_none() && !prehashed {
            return Err(Error::bad_request("hash_algorithm=none requires both prehashed=true"));
        }
        Ok(Manner { hash, prehashed, padding, marshaling, salt, context: None })
    }

    fn hash_name(&self) -> &str {
        let given = [&self.urlalgorithm, &self.hash_algorithm, &self.algorithm];
        let mut given = given.into_iter().filter_map(|name| name.as_deref());
        given.find(|name| !name.is_empty()).unwrap_or("sha2-256")
    }

    fn items(&self) -> Result<Items, Error> {
        let single = Item::new([
            ("input", self.input.clone()),
            ("context", self.context.clone()),
            ("key_version", self.key_version.clone()),
            ("signature", self.signature.clone()),
            ("hmac", self.hmac.clone()),
        ]);
        Items::new(single, self.batch_input.clone(), self.partial_failure_response_code)
    }
}

/// Ed25519 signs the message itself: its hash is part of it.
fn manner_of(key: &Key, input: &Sign) -> Result<Manner, Error> {
    if !key.kind.signs() {
        return Err(Error::BadRequest(format!(
            "key type {} does not support signing",
            key.kind.name()
        )));
    }
    input.manner()
}

pub(super) async fn sign(call: &mut Call<'_>, input: Sign) -> Result<Reply, Error> {
    let key = Key::load(call, &input.name).await?;
    let manner = manner_of(&key, &input)?;
    input
        .items()?
        .each(key.kind, |item| {
            let message = message(item)?;
            let number = key.to_encrypt(item.number("key_version")?)?;
            let manner = Manner { context: item.extra(&key)?.context, ..manner.clone() };
            let version = key.version(call, number)?;
            let signature = version.sign(&message, &manner)?;
            let signature = joined(number, &manner.marshaling.encode(&signature));
            let mut result = fields(json!({ "signature": signature, "key_version": number }));
            // Nobody else can know the key that was derived.
            if key.derived
                && let Some(public) = version.public_key(manner.context.as_deref())?
            {
                result.insert("public_key".into(), public.into());
            }
            Ok(result)
        })
        .await
}

pub(super) async fn verify(call: &mut Call<'_>, input: Sign) -> Result<Reply, Error> {
    let key = Key::load(call, &input.name).await?;
    let items = input.items()?;
    items
        .each(key.kind, |item| {
            let signature = item.text("signature")?.filter(|text| !text.is_empty());
            let hmac = item.text("hmac")?.filter(|text| !text.is_empty());
            let valid = match (signature, hmac) {
                (Some(signature), None) => {
                    let manner = manner_of(&key, &input)?;
                    verify_signature(call, &key, item, signature, &manner)?
                }
                (None, Some(hmac)) => verify_hmac(call, &key, item, hmac, input.hash_name())?,
                (None, None) => {
                    return Err(Error::bad_request(
                        "neither a 'signature' nor an 'hmac' were given to verify",
                    ));
                }
                (Some(_), Some(_)) => {
                    return Err(Error::bad_request(
                        "provide one of 'signature' or 'hmac', not both",
                    ));
                }
            };
            Ok(fields(json!({ "valid": valid })))
        })
        .await
}

fn verify_signature(
    call: &mut Call<'_>,
    key: &Key,
    item: &Item,
    signature: &str,
    manner: &Manner,
) -> Result<bool, Error> {
    let message = message(item)?;
    let (number, encoded) = split(signature, "signature")?;
    let number = key.to_decrypt(number)?;
    let signature = manner
        .marshaling
        .decode(encoded)
        .ok_or_else(|| Error::bad_request("invalid signature: could not decode base64"))?;
    let manner = Manner { context: item.extra(key)?.context, ..manner.clone() };
    key.version(call, number)?.verify(&message, &signature, &manner)
}

fn verify_hmac(
    call: &mut Call<'_>,
    key: &Key,
    item: &Item,
    hmac: &str,
    hash: &str,
) -> Result<bool, Error> {
    let message = message(item)?;
    let (number, encoded) = split(hmac, "HMAC")?;
    let number = key.to_decrypt(number)?;
    let given = BASE64
        .decode(encoded)
        .map_err(|_| Error::bad_request("invalid HMAC: could not decode base64"))?;
    let version = key.version(call, number)?;
    let computed = Hash::parse(hash)?.hmac(version.hmac.expose(), &message);
    Ok(computed.is_some_and(|computed| equal(&computed, &given)))
}

pub(super) async fn hmac(call: &mut Call<'_>, input: Sign) -> Result<Reply, Error> {
    let hash = Hash::parse(input.hash_name())?;
    let key = Key::load(call, &input.name).await?;
    input
        .items()?
        .each(Kind::Hmac, |item| {
            let message = message(item)?;
            let number = key.to_encrypt(item.number("key_version")?)?;
            let version = key.version(call, number)?;
            let hmac = hash
                .hmac(version.hmac.expose(), &message)
                .ok_or_else(|| Error::bad_request("unsupported algorithm for HMAC: sha1"))?;
            Ok(fields(json!({ "hmac": joined(number, &BASE64.encode(hmac)) })))
        })
        .await
}

fn message(item: &Item) -> Result<Vec<u8>, Error> {
    item.bytes("input")?.ok_or_else(|| Error::bad_request("missing input"))
}

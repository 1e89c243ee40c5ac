//! `encrypt/`, `decrypt/`, `rewrap/` and `datakey/`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::batch::{Item, Items, joined, split};
use super::key::Key;
use super::keys::{Wanted, make};
use crate::framework::Call;
use crate::request::{Error, Operation, Reply};
use crate::secret::Secret;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Encrypt {
    /// Of the key.
    name: String,
    /// Base64.
    plaintext: Option<Value>,
    /// Base64; of derived keys.
    context: Option<Value>,
    /// Not taken: nonces are chosen here.
    nonce: Option<Value>,
    /// Base64: authenticated, not encrypted.
    associated_data: Option<Value>,
    /// 0: the newest.
    key_version: Option<Value>,
    /// Of a key that is made now.
    r#type: Option<String>,
    /// Of a key that is made now.
    convergent_encryption: Option<bool>,
    /// Many items at once, each with the fields above and a `reference` of the caller's.
    batch_input: Option<Value>,
    /// Status where some items fail and others do not.
    partial_failure_response_code: Option<i64>,
}

/// Whether the key is there: who may not create it gets no new one.
pub(super) async fn exists(call: &mut Call<'_>, input: Encrypt) -> Result<bool, Error> {
    Key::exists(call, &input.name)
}

pub(super) async fn encrypt(call: &mut Call<'_>, input: Encrypt) -> Result<Reply, Error> {
    let single = Item::new([
        ("plaintext", input.plaintext),
        ("context", input.context.clone()),
        ("nonce", input.nonce),
        ("associated_data", input.associated_data),
        ("key_version", input.key_version),
    ]);
    let items = Items::new(single, input.batch_input, input.partial_failure_response_code)?;
    let key = match Key::find(call, &input.name).await? {
        Some(_) => Key::load(call, &input.name).await?,
        None if call.request.operation == Operation::Update => {
            if super::settings::Settings::load(call)?.disable_upsert {
                return Err(Error::bad_request(super::key::NO_KEY));
            }
            // As in Vault: derived where a context is given.
            let has_context =
                |item: &Item| matches!(item.text("context"), Ok(Some(text)) if !text.is_empty());
            let wanted = Wanted {
                kind: input.r#type.as_deref().unwrap_or("aes256-gcm96"),
                derived: items.items().iter().any(has_context),
                convergent: input.convergent_encryption.unwrap_or(false),
                ..Wanted::default()
            };
            make(call, &input.name, &wanted).await?;
            Key::load(call, &input.name).await?
        }
        None => return Err(Error::bad_request(super::key::NO_KEY)),
    };
    items
        .each(key.kind, |item| {
            let plaintext = item.bytes("plaintext")?.map(Secret::new);
            let plaintext =
                plaintext.ok_or_else(|| Error::bad_request("missing plaintext to encrypt"))?;
            let (ciphertext, number) = seal(call, &key, item, plaintext.expose())?;
            Ok(fields(json!({ "ciphertext": ciphertext, "key_version": number })))
        })
        .await
}

fn seal(
    call: &mut Call<'_>,
    key: &Key,
    item: &Item,
    plaintext: &[u8],
) -> Result<(String, u32), Error> {
    let number = key.to_encrypt(item.number("key_version")?)?;
    let extra = item.extra(key)?;
    let sealed = key.version(call, number)?.encrypt(plaintext, &extra, call.rng)?;
    Ok((joined(number, &BASE64.encode(sealed)), number))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Decrypt {
    /// Of the key.
    name: String,
    /// As `encrypt` gave it.
    ciphertext: Option<Value>,
    /// Base64; of derived keys.
    context: Option<Value>,
    /// Not taken: it is part of the ciphertext.
    nonce: Option<Value>,
    /// Base64, as at encryption.
    associated_data: Option<Value>,
    /// Of `rewrap`; 0: the newest.
    key_version: Option<Value>,
    /// Many items at once, each with the fields above and a `reference` of the caller's.
    batch_input: Option<Value>,
    /// Status where some items fail and others do not.
    partial_failure_response_code: Option<i64>,
}

impl Decrypt {
    fn items(self) -> Result<Items, Error> {
        let single = Item::new([
            ("ciphertext", self.ciphertext),
            ("context", self.context),
            ("nonce", self.nonce),
            ("associated_data", self.associated_data),
            ("key_version", self.key_version),
        ]);
        Items::new(single, self.batch_input, self.partial_failure_response_code)
    }
}

pub(super) async fn decrypt(call: &mut Call<'_>, input: Decrypt) -> Result<Reply, Error> {
    let key = Key::load(call, &input.name).await?;
    input
        .items()?
        .each(key.kind, |item| {
            let plaintext = open(call, &key, item)?;
            Ok(fields(json!({ "plaintext": BASE64.encode(plaintext.expose()) })))
        })
        .await
}

pub(super) async fn rewrap(call: &mut Call<'_>, input: Decrypt) -> Result<Reply, Error> {
    let key = Key::load(call, &input.name).await?;
    input
        .items()?
        .each(key.kind, |item| {
            let plaintext = open(call, &key, item)?;
            let (ciphertext, number) = seal(call, &key, item, plaintext.expose())?;
            Ok(fields(json!({ "ciphertext": ciphertext, "key_version": number })))
        })
        .await
}

fn open(call: &mut Call<'_>, key: &Key, item: &Item) -> Result<Secret<Vec<u8>>, Error> {
    let ciphertext = item.text("ciphertext")?.filter(|text| !text.is_empty());
    let ciphertext =
        ciphertext.ok_or_else(|| Error::bad_request("missing ciphertext to decrypt"))?;
    let (number, sealed) = split(ciphertext, "ciphertext")?;
    let number = key.to_decrypt(number)?;
    let sealed = BASE64
        .decode(sealed)
        .map_err(|_| Error::bad_request("invalid ciphertext: could not decode base64"))?;
    let extra = item.extra(key)?;
    key.version(call, number)?.decrypt(&sealed, &extra)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct DataKey {
    /// `plaintext` or `wrapped`.
    plaintext: String,
    /// Of the key that encrypts the new one.
    name: String,
    /// Base64; of derived keys.
    context: Option<Value>,
    /// Not taken: nonces are chosen here.
    nonce: Option<Value>,
    /// 128, 256 or 512.
    bits: Option<i64>,
    /// Of the key that encrypts; 0: the newest.
    key_version: Option<Value>,
}

pub(super) async fn data_key(call: &mut Call<'_>, input: DataKey) -> Result<Reply, Error> {
    let shows = match input.plaintext.as_str() {
        "plaintext" => true,
        "wrapped" => false,
        _ => {
            return Err(Error::bad_request("Invalid path, must be 'plaintext' or 'wrapped'"));
        }
    };
    let bytes = match input.bits.unwrap_or(256) {
        128 => 16,
        256 => 32,
        512 => 64,
        _ => return Err(Error::bad_request("invalid bit length: 128, 256 or 512")),
    };
    let key = Key::load(call, &input.name).await?;
    let item = Item::new([
        ("context", input.context),
        ("nonce", input.nonce),
        ("key_version", input.key_version),
    ]);
    let mut made = vec![0; bytes];
    call.rng.fill(&mut made);
    let made = Secret::new(made);
    let (ciphertext, number) = seal(call, &key, &item, made.expose())?;
    let mut data = fields(json!({ "ciphertext": ciphertext, "key_version": number }));
    if shows {
        data.insert("plaintext".into(), BASE64.encode(made.expose()).into());
    }
    Ok(Reply::data(data))
}

pub(super) fn fields(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(fields) => fields,
        _ => Map::new(),
    }
}

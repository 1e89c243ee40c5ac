//! `keys/`: make, read, list, delete, configure, rotate, trim.

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::batch::Item;
use super::key::{KEYS, Key};
use super::kind::Kind;
use super::material::{HMAC_BYTES_MAX, HMAC_BYTES_MIN};
use crate::framework::{Call, NoParams, Seconds};
use crate::request::{Error, Reply};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Name {
    /// Of the key.
    pub(super) name: String,
}

pub(super) async fn list(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    Ok(Reply::keys(call.storage.list(KEYS)?))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Create {
    /// Of the key.
    name: String,
    /// `aes256-gcm96` unless something else is said.
    r#type: Option<String>,
    /// A key of its own for each context.
    #[serde(default)]
    derived: bool,
    /// Equal plaintexts give equal ciphertexts; of derived keys.
    #[serde(default)]
    convergent_encryption: bool,
    /// Cannot be taken back.
    #[serde(default)]
    exportable: bool,
    /// Cannot be taken back.
    #[serde(default)]
    allow_plaintext_backup: bool,
    /// At least an hour; 0: never.
    auto_rotate_period: Option<Seconds>,
    /// Bytes, of `hmac` keys.
    key_size: Option<i64>,
    /// Base64: read the key as it is derived for this.
    context: Option<Value>,
}

/// What a new key is to be.
#[derive(Default)]
pub(super) struct Wanted<'w> {
    pub(super) kind: &'w str,
    pub(super) derived: bool,
    pub(super) convergent: bool,
    pub(super) exportable: bool,
    pub(super) allow_plaintext_backup: bool,
    pub(super) auto_rotate_period: Option<Seconds>,
    pub(super) key_size: Option<i64>,
}

pub(super) async fn create(call: &mut Call<'_>, input: Create) -> Result<Reply, Error> {
    if let Some(key) = Key::find(call, &input.name).await? {
        let warning = format!("key {} already existed", input.name);
        return shown(call, &key, None).map(|reply| reply.warn(warning));
    }
    let wanted = Wanted {
        kind: input.r#type.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("aes256-gcm96"),
        derived: input.derived,
        convergent: input.convergent_encryption,
        exportable: input.exportable,
        allow_plaintext_backup: input.allow_plaintext_backup,
        auto_rotate_period: input.auto_rotate_period,
        key_size: input.key_size,
    };
    let key = make(call, &input.name, &wanted).await?;
    let context = Item::new([("context", input.context)]).bytes("context")?;
    shown(call, &key, context.as_deref())
}

/// Makes a key that is not there yet.
///
/// # Errors
/// [`Error::BadRequest`] where such a key cannot be.
pub(super) async fn make(
    call: &mut Call<'_>,
    name: &str,
    wanted: &Wanted<'_>,
) -> Result<Key, Error> {
    let mut key = configured(name, wanted, call)?;
    key.rotate(call).await?;
    key.save(call)?;
    Ok(key)
}

/// Without a version.
///
/// # Errors
/// As [`make`].
pub(super) fn configured(name: &str, wanted: &Wanted<'_>, call: &Call<'_>) -> Result<Key, Error> {
    super::key::check_name(name)?;
    let kind = Kind::parse(wanted.kind)?;
    if wanted.derived && !kind.derives() {
        return Err(Error::BadRequest(format!(
            "key derivation and convergent encryption not supported for keys of type {}",
            kind.name()
        )));
    }
    if wanted.convergent && !kind.is_aead() {
        return Err(Error::bad_request("convergent encryption needs an AES or ChaCha20 key"));
    }
    if wanted.convergent && !wanted.derived {
        return Err(Error::bad_request("convergent encryption requires derivation to be enabled"));
    }
    let hmac_bytes = match (wanted.key_size, kind) {
        (None | Some(0), _) => None,
        (Some(size), Kind::Hmac) => Some(
            usize::try_from(size)
                .ok()
                .filter(|size| (HMAC_BYTES_MIN..=HMAC_BYTES_MAX).contains(size))
                .ok_or_else(|| {
                    Error::BadRequest(format!(
                        "key_size must be from {HMAC_BYTES_MIN} to {HMAC_BYTES_MAX} bytes"
                    ))
                })?,
        ),
        (Some(_), _) => {
            return Err(Error::bad_request("key_size is for keys of type hmac"));
        }
    };
    Ok(Key {
        derived: wanted.derived,
        convergent: wanted.convergent,
        exportable: wanted.exportable,
        allow_plaintext_backup: wanted.allow_plaintext_backup,
        auto_rotate_period: wanted.auto_rotate_period.map_or(Ok(0), period)?,
        hmac_bytes,
        ..Key::new(name, kind, call.now)
    })
}

fn period(seconds: Seconds) -> Result<u64, Error> {
    match u64::try_from(seconds.0) {
        Ok(seconds) if seconds == 0 || seconds >= PERIOD_MIN => Ok(seconds),
        _ => Err(Error::bad_request("auto rotate period must be 0 to disable or at least an hour")),
    }
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Read {
    /// Of the key.
    name: String,
    /// Base64: show public keys as they are derived for this.
    context: Option<Value>,
}

pub(super) async fn read(call: &mut Call<'_>, input: Read) -> Result<Reply, Error> {
    let key = Key::find(call, &input.name).await?.ok_or(Error::NotFound)?;
    let context = Item::new([("context", input.context)]).bytes("context")?;
    shown(call, &key, context.as_deref())
}

pub(super) fn shown(
    call: &mut Call<'_>,
    key: &Key,
    context: Option<&[u8]>,
) -> Result<Reply, Error> {
    let mut keys = Map::new();
    for number in key.min_decryption.max(key.min_available).max(1)..=key.latest {
        let version = key.version(call, number)?;
        let value = if key.kind.is_asymmetric() {
            let public = match (key.derived, context) {
                (true, None) => None,
                (true, context) => version.public_key(context)?,
                (false, _) => version.public_key(None)?,
            };
            json!({
                "name": key.kind.public_name(),
                "public_key": public.unwrap_or_default(),
                "certificate_chain": "",
                "creation_time": version.created.rfc3339(),
            })
        } else {
            version.created.seconds().into()
        };
        keys.insert(number.to_string(), value);
    }
    let mut data = Map::from_iter([
        ("name".to_owned(), key.name.clone().into()),
        ("type".to_owned(), key.kind.name().into()),
        ("latest_version".to_owned(), key.latest.into()),
        ("min_available_version".to_owned(), key.min_available.into()),
        ("min_decryption_version".to_owned(), key.min_decryption.into()),
        ("min_encryption_version".to_owned(), key.min_encryption.into()),
        ("deletion_allowed".to_owned(), key.deletion_allowed.into()),
        ("derived".to_owned(), key.derived.into()),
        ("exportable".to_owned(), key.exportable.into()),
        ("allow_plaintext_backup".to_owned(), key.allow_plaintext_backup.into()),
        ("auto_rotate_period".to_owned(), key.auto_rotate_period.into()),
        ("imported_key".to_owned(), key.imported.into()),
        ("supports_encryption".to_owned(), key.kind.encrypts().into()),
        ("supports_decryption".to_owned(), key.kind.encrypts().into()),
        ("supports_derivation".to_owned(), key.kind.derives().into()),
        ("supports_signing".to_owned(), key.kind.signs().into()),
        ("soft_deleted".to_owned(), key.soft_deleted.into()),
    ]);
    // As in Vault, of an HMAC key there is nothing to tell.
    if key.kind != Kind::Hmac {
        data.insert("keys".into(), Value::Object(keys));
    }
    if key.imported {
        let allowed = key.allow_imported_rotation;
        data.insert("imported_key_allow_rotation".into(), allowed.into());
    }
    if key.derived {
        data.insert("kdf".into(), "hkdf_sha256".into());
        data.insert("convergent_encryption".into(), key.convergent.into());
        if key.convergent {
            // As in Vault: each version has its own.
            data.insert("convergent_encryption_version".into(), (-1).into());
        }
    }
    if let Some(bytes) = key.hmac_bytes {
        data.insert("key_size".into(), bytes.into());
    }
    Ok(Reply::data(data))
}

pub(super) async fn delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let refuse =
        |why: &str| Error::BadRequest(format!("error deleting policy {}: {why}", input.name));
    let key = Key::find(call, &input.name).await?;
    let key = key.ok_or_else(|| refuse("could not delete key; not found"))?;
    if !key.deletion_allowed {
        return Err(refuse("deletion is not allowed for this key"));
    }
    key.delete(call)?;
    Ok(Reply::default())
}

/// It can be restored, and is of no use until then.
pub(super) async fn soft_delete(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    set_soft_deleted(call, &input.name, true).await
}

pub(super) async fn soft_delete_restore(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    set_soft_deleted(call, &input.name, false).await
}

async fn set_soft_deleted(call: &mut Call<'_>, name: &str, deleted: bool) -> Result<Reply, Error> {
    let key = Key::find(call, name).await?.ok_or_else(|| Error::bad_request(super::key::NO_KEY))?;
    Key { soft_deleted: deleted, ..Key::clone(&key) }.save(call)?;
    Ok(Reply::default())
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Configure {
    /// Of the key.
    name: String,
    /// Older versions decrypt and verify nothing.
    min_decryption_version: Option<i64>,
    /// Older versions encrypt and sign nothing; 0: the newest.
    min_encryption_version: Option<i64>,
    deletion_allowed: Option<bool>,
    /// Cannot be taken back.
    exportable: Option<bool>,
    /// Cannot be taken back.
    allow_plaintext_backup: Option<bool>,
    /// At least an hour; 0: never.
    auto_rotate_period: Option<Seconds>,
}

pub(super) async fn configure(call: &mut Call<'_>, input: Configure) -> Result<Reply, Error> {
    let found = Key::find(call, &input.name).await?;
    let found = found.ok_or_else(|| {
        Error::BadRequest(format!("no existing key named {} could be found", input.name))
    })?;
    let mut key = Key::clone(&found);
    let version = |name: &str, given: i64| {
        u32::try_from(given).ok().filter(|given| *given <= key.latest).ok_or_else(|| {
            Error::BadRequest(format!(
                "{name} must be from 0 to the newest version, {}",
                key.latest
            ))
        })
    };
    let mut warning = None;
    let min_decryption = input
        .min_decryption_version
        .map(|given| version("min decryption version", given))
        .transpose()?;
    let min_encryption = input
        .min_encryption_version
        .map(|given| version("min encryption version", given))
        .transpose()?;
    if let Some(given) = min_decryption {
        if given == 0 {
            warning = Some("since Vault 0.3, transit decryption versions start at 1, not 0");
        }
        key.min_decryption = given.max(1);
    }
    if let Some(given) = min_encryption {
        key.min_encryption = given;
    }
    if key.min_encryption > 0 && key.min_encryption < key.min_decryption {
        return Err(Error::BadRequest(format!(
            "cannot set min encryption/decryption values; min encryption version of {} must be \
             greater than or equal to min decryption version of {}",
            key.min_encryption, key.min_decryption
        )));
    }
    if key.min_decryption < key.min_available {
        return Err(Error::BadRequest(format!(
            "min decryption version should not be less than min available version, {}",
            key.min_available
        )));
    }
    key.deletion_allowed = input.deletion_allowed.unwrap_or(key.deletion_allowed);
    key.exportable |= input.exportable.unwrap_or(false);
    key.allow_plaintext_backup |= input.allow_plaintext_backup.unwrap_or(false);
    if let Some(given) = input.auto_rotate_period {
        key.auto_rotate_period = period(given)?;
    }
    key.save(call)?;
    let reply = shown(call, &key, None)?;
    Ok(match warning {
        Some(warning) => reply.warn(warning),
        None => reply,
    })
}

pub(super) async fn rotate(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let mut key = Key::clone(&*Key::load(call, &input.name).await?);
    if key.imported && !key.allow_imported_rotation {
        return Err(Error::bad_request(
            "imported key does not allow rotation within Vault: import a new version",
        ));
    }
    key.rotate(call).await?;
    key.save(call)?;
    shown(call, &key, None)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Trim {
    /// Of the key.
    name: String,
    /// Versions before it are deleted for good.
    min_available_version: Option<i64>,
}

pub(super) async fn trim(call: &mut Call<'_>, input: Trim) -> Result<Reply, Error> {
    let mut key = Key::clone(&*Key::load(call, &input.name).await?);
    let given = input.min_available_version;
    let given = given.ok_or_else(|| Error::bad_request("missing min_available_version"))?;
    let refuse = |text: &str| Err(Error::BadRequest(text.to_owned()));
    let Ok(given) = u32::try_from(given) else {
        return refuse("min available version cannot be negative");
    };
    if key.min_encryption == 0 {
        return refuse(
            "minimum available version cannot be set when minimum encryption version is not set",
        );
    }
    if given < key.min_available {
        return refuse("minimum available version cannot be decremented");
    }
    if given > key.latest || given > key.min_decryption || given > key.min_encryption {
        return refuse(
            "min available version cannot be greater than the newest version, the min decryption \
             version or the min encryption version",
        );
    }
    for number in key.min_available.max(1)..given {
        key.delete_version(call, number)?;
    }
    key.min_available = given;
    key.save(call)?;
    shown(call, &key, None)
}

/// As in Vault.
const PERIOD_MIN: u64 = 3600;

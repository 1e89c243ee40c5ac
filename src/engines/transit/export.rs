//! `export/`, `byok-export/`, `backup/` and `restore/`.

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrapPadded as _};
use aws_lc_rs::rsa::{OaepPublicEncryptingKey, PublicEncryptingKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::key::{Key, NO_KEY, VERSIONS_MAX};
use super::keys::Name;
use super::kind::Kind;
use super::material::{Material, StoredVersion, Version, failed};
use crate::framework::{Call, Seconds};
use crate::request::{Error, Reply};
use crate::secret::Secret;

#[derive(Deserialize, JsonSchema)]
pub(super) struct Export {
    /// `encryption-key`, `signing-key`, `hmac-key` or `public-key`.
    r#type: String,
    /// Of the key.
    name: String,
    /// A number, or `latest`; all where nothing is said.
    version: Option<String>,
}

pub(super) async fn export(call: &mut Call<'_>, input: Export) -> Result<Reply, Error> {
    let key = Key::load(call, &input.name).await?;
    if input.r#type != "public-key" && !key.exportable {
        return Err(Error::bad_request("private key material is not exportable"));
    }
    let kind = key.kind;
    let fits = match input.r#type.as_str() {
        "encryption-key" => kind.encrypts(),
        "signing-key" => kind.signs(),
        "hmac-key" => true,
        "public-key" => kind.is_asymmetric() && !key.derived,
        _ => {
            return Err(Error::bad_request(
                "invalid export type: encryption-key, signing-key, hmac-key or public-key",
            ));
        }
    };
    if !fits {
        return Err(Error::BadRequest(format!(
            "a key of type {} has no {}",
            kind.name(),
            input.r#type
        )));
    }
    let numbers = match input.version.as_deref().unwrap_or_default() {
        "" => key.min_decryption.max(key.min_available).max(1)..=key.latest,
        text => numbered(&key, text)?..=numbered(&key, text)?,
    };
    let mut keys = Map::new();
    for number in numbers {
        let version = key.version(call, number)?;
        let material = match input.r#type.as_str() {
            "hmac-key" => BASE64.encode(version.hmac.expose()),
            "public-key" => version.public_key(None)?.unwrap_or_default(),
            _ => version.private_key()?,
        };
        keys.insert(number.to_string(), material.into());
    }
    Reply::of(&json!({ "name": key.name, "type": kind.name(), "keys": keys }))
}

fn numbered(key: &Key, text: &str) -> Result<u32, Error> {
    if text == "latest" {
        return Ok(key.latest);
    }
    let number = text.parse().map_err(|_| Error::bad_request("invalid key version"))?;
    if number < key.min_decryption.max(key.min_available) {
        return Err(Error::bad_request("version for export is below minimum decryption version"));
    }
    if number > key.latest {
        return Err(Error::bad_request("version does not exist or cannot be found"));
    }
    Ok(number)
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct ByokExport {
    /// An RSA key here, whose other half is where the key goes.
    destination: String,
    /// The key that goes.
    source: String,
    /// A number, or `latest`; all where nothing is said.
    version: Option<String>,
}

/// As `import` takes it, at the other end.
pub(super) async fn byok_export(call: &mut Call<'_>, input: ByokExport) -> Result<Reply, Error> {
    let destination = Key::load(call, &input.destination).await?;
    let source = Key::load(call, &input.source).await?;
    if !destination.kind.is_rsa() {
        return Err(Error::bad_request("the destination must be an RSA key"));
    }
    if !source.exportable {
        return Err(Error::bad_request("key is not exportable"));
    }
    let wrapping = destination.version(call, destination.latest)?;
    let Material::Rsa(wrapping) = &wrapping.material else {
        return Err(Error::internal("an RSA key is none"));
    };
    let numbers = match input.version.as_deref().unwrap_or_default() {
        "" => source.min_decryption.max(source.min_available).max(1)..=source.latest,
        text => numbered(&source, text)?..=numbered(&source, text)?,
    };
    let public = {
        use aws_lc_rs::encoding::AsDer as _;
        use aws_lc_rs::signature::KeyPair as _;
        let der = wrapping.signing.public_key().as_der().map_err(failed)?;
        let key = PublicEncryptingKey::from_der(der.as_ref()).map_err(Error::internal)?;
        OaepPublicEncryptingKey::new(key).map_err(failed)?
    };
    let mut keys = Map::new();
    for number in numbers {
        let stored = source.stored(call, number)?;
        let secret = Secret::new(BASE64.decode(&stored.secret).map_err(Error::internal)?);
        let ephemeral = Secret::new(call.rng.bytes::<32>().to_vec());
        let mut wrapped = vec![0; public.ciphertext_size()];
        public
            .encrypt(
                &aws_lc_rs::rsa::OAEP_SHA256_MGF1SHA256,
                ephemeral.expose(),
                &mut wrapped,
                None,
            )
            .map_err(failed)?;
        let kek = AesKek::new(&AES_256, ephemeral.expose()).map_err(failed)?;
        let mut blob = vec![0; secret.expose().len() + 16];
        let blob = kek.wrap_with_padding(secret.expose(), &mut blob).map_err(failed)?;
        wrapped.extend_from_slice(blob);
        keys.insert(number.to_string(), BASE64.encode(&wrapped).into());
    }
    Reply::of(&json!({ "name": source.name, "type": source.kind.name(), "keys": keys }))
}

/// A whole key, as text that only whoever may restore it should see.
#[derive(Deserialize, Serialize)]
struct Backup {
    format: u32,
    key: Key,
    versions: Vec<StoredVersion>,
}

pub(super) async fn backup(call: &mut Call<'_>, input: Name) -> Result<Reply, Error> {
    let key = Key::load(call, &input.name).await?;
    if !key.exportable {
        return Err(Error::bad_request("exporting is disallowed on the policy"));
    }
    if !key.allow_plaintext_backup {
        return Err(Error::bad_request("plaintext backup is disallowed on the policy"));
    }
    let mut versions = Vec::new();
    for number in key.numbers() {
        versions.push(key.stored(call, number)?);
    }
    let backup = Backup { format: BACKUP_FORMAT, key: Key::clone(&key), versions };
    let json = Secret::new(serde_json::to_vec(&backup).map_err(Error::internal)?);
    Reply::of(&json!({ "backup": BASE64.encode(json.expose()) }))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Restore {
    /// Of the key; as in the backup where nothing is said.
    name: Option<String>,
    /// As `backup` gave it.
    backup: Option<Secret<String>>,
    /// Replace a key of this name.
    #[serde(default)]
    force: bool,
}

pub(super) async fn restore(call: &mut Call<'_>, input: Restore) -> Result<Reply, Error> {
    let bad = || Error::bad_request("the backup cannot be read: give it as `backup` returned it");
    let text = input.backup.ok_or_else(|| Error::bad_request("'backup' must be supplied"))?;
    let json = BASE64.decode(text.expose().trim()).map(Secret::new).map_err(|_| bad())?;
    let backup: Backup = serde_json::from_slice(json.expose()).map_err(|_| bad())?;
    if backup.format > BACKUP_FORMAT {
        return Err(Error::bad_request("the backup is a newer program's"));
    }
    let (mut key, versions) = checked(call, backup, input.name)?;
    if let Some(present) = Key::find(call, &key.name).await? {
        if !input.force {
            return Err(Error::BadRequest(format!("key {:?} already exists", key.name)));
        }
        present.delete(call)?;
    }
    let rotated = key.rotated;
    for version in &versions {
        key.add(call, version)?;
    }
    key.rotated = rotated;
    key.save(call)?;
    Ok(Reply::default())
}

/// The key without its versions yet, and those. A backup is whoever's who holds it: what it says
/// must be what a key made here could be.
fn checked(
    call: &Call<'_>,
    backup: Backup,
    name: Option<String>,
) -> Result<(Key, Vec<StoredVersion>), Error> {
    let bad = |why: &str| Error::BadRequest(format!("the backup is of no key that can be: {why}"));
    let Backup { key: given, mut versions, .. } = backup;
    let number = |number: u64| i64::try_from(number).map_err(|_| bad("a number is too large"));
    let wanted = super::keys::Wanted {
        kind: given.kind.name(),
        derived: given.derived,
        convergent: given.convergent,
        exportable: given.exportable,
        allow_plaintext_backup: given.allow_plaintext_backup,
        auto_rotate_period: Some(Seconds(number(given.auto_rotate_period)?)),
        key_size: given.hmac_bytes.map(|bytes| number(bytes as u64)).transpose()?,
    };
    let name = name.filter(|name| !name.is_empty()).unwrap_or(given.name);
    let key = super::keys::configured(&name, &wanted, call)?;
    let first = given.min_available.max(1);
    let count = u32::try_from(versions.len()).ok().filter(|count| *count <= VERSIONS_MAX);
    let count = count.filter(|count| first.checked_add(*count) == given.latest.checked_add(1));
    let Some(count) = count.filter(|count| *count > 0 && given.latest <= LATEST_MAX) else {
        return Err(bad("its versions are not those that it says it has"));
    };
    let decrypts = first..=given.latest;
    let encrypts = given.min_encryption == 0
        || (given.min_decryption..=given.latest).contains(&given.min_encryption);
    if !decrypts.contains(&given.min_decryption) || !encrypts {
        return Err(bad("its minimum versions are not among those that it has"));
    }
    for version in &mut versions {
        if version.kind != given.kind || !version.is_sound() {
            return Err(bad("a version cannot be read"));
        }
        version.created = version.created.min(call.now);
    }
    let key = Key {
        latest: given.latest - count,
        min_available: given.min_available,
        min_decryption: given.min_decryption,
        min_encryption: given.min_encryption,
        deletion_allowed: given.deletion_allowed,
        imported: given.imported,
        allow_imported_rotation: given.allow_imported_rotation,
        rotated: given.rotated.min(call.now),
        ..key
    };
    Ok((key, versions))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Import {
    /// Of the key.
    name: String,
    /// Of the key: as in `keys/`.
    r#type: Option<String>,
    /// Base64: an AES-256 key, encrypted with the wrapping key by RSA-OAEP, then the key to
    /// import, wrapped with it (RFC 5649).
    ciphertext: Option<String>,
    /// Of OAEP: SHA256, SHA1, SHA384 or SHA512.
    hash_function: Option<String>,
    #[serde(default)]
    derived: bool,
    #[serde(default)]
    exportable: bool,
    #[serde(default)]
    allow_plaintext_backup: bool,
    /// Whether it may be rotated here.
    #[serde(default)]
    allow_rotation: bool,
    auto_rotate_period: Option<Seconds>,
}

pub(super) async fn import(call: &mut Call<'_>, input: Import) -> Result<Reply, Error> {
    if Key::find(call, &input.name).await?.is_some() {
        return Err(Error::bad_request(
            "the import path cannot be used with an existing key; use import-version to rotate an existing imported key",
        ));
    }
    let period = input.auto_rotate_period.filter(|period| period.0 != 0);
    if period.is_some() && !input.allow_rotation {
        return Err(Error::bad_request(
            "allow_rotation must be set to true if auto-rotation is enabled",
        ));
    }
    let wanted = super::keys::Wanted {
        kind: input.r#type.as_deref().filter(|kind| !kind.is_empty()).unwrap_or("aes256-gcm96"),
        derived: input.derived,
        exportable: input.exportable,
        allow_plaintext_backup: input.allow_plaintext_backup,
        auto_rotate_period: period,
        ..super::keys::Wanted::default()
    };
    let mut key = super::keys::configured(&input.name, &wanted, call)?;
    let version = unwrap(call, key.kind, input.ciphertext, input.hash_function.as_deref())?;
    key.allow_imported_rotation = input.allow_rotation;
    key.add(call, &version)?;
    key.imported = true;
    key.save(call)?;
    Ok(Reply::default())
}

pub(super) async fn import_version(call: &mut Call<'_>, input: Import) -> Result<Reply, Error> {
    let key = Key::find(call, &input.name).await?.ok_or_else(|| Error::bad_request(NO_KEY))?;
    if !key.imported {
        return Err(Error::bad_request(
            "the import_version endpoint can only be used with an imported key",
        ));
    }
    let mut key = Key::clone(&key);
    let version = unwrap(call, key.kind, input.ciphertext, input.hash_function.as_deref())?;
    key.add(call, &version)?;
    key.save(call)?;
    Ok(Reply::default())
}

fn unwrap(
    call: &mut Call<'_>,
    kind: Kind,
    ciphertext: Option<String>,
    hash_function: Option<&str>,
) -> Result<StoredVersion, Error> {
    use aws_lc_rs::rsa::{
        OAEP_SHA1_MGF1SHA1, OAEP_SHA256_MGF1SHA256, OAEP_SHA384_MGF1SHA384, OAEP_SHA512_MGF1SHA512,
        OaepPrivateDecryptingKey, PrivateDecryptingKey,
    };
    let algorithm = match hash_function.unwrap_or_default().to_ascii_uppercase().as_str() {
        "" | "SHA256" | "SHA2-256" => &OAEP_SHA256_MGF1SHA256,
        "SHA1" => &OAEP_SHA1_MGF1SHA1,
        "SHA384" | "SHA2-384" => &OAEP_SHA384_MGF1SHA384,
        "SHA512" | "SHA2-512" => &OAEP_SHA512_MGF1SHA512,
        _ => {
            return Err(Error::bad_request(
                "unsupported hash_function: SHA1, SHA256, SHA384 or SHA512",
            ));
        }
    };
    let bad = || Error::bad_request("the ciphertext cannot be unwrapped with the wrapping key");
    let text = ciphertext.ok_or_else(|| Error::bad_request("missing ciphertext to import"))?;
    let bytes =
        BASE64.decode(text.trim()).map_err(|_| Error::bad_request("ciphertext is no base64"))?;
    // Nobody can have wrapped a key for one that nobody was shown: none is made for it.
    let wrapping: StoredVersion = call.storage.get(WRAPPING)?.ok_or_else(|| {
        Error::bad_request("nothing was wrapped for this mount yet: read wrapping_key first")
    })?;
    let pkcs8 = Secret::new(BASE64.decode(&wrapping.secret).map_err(Error::internal)?);
    let private = PrivateDecryptingKey::from_pkcs8(pkcs8.expose()).map_err(Error::internal)?;
    let private = OaepPrivateDecryptingKey::new(private).map_err(failed)?;
    let (wrapped, blob) = bytes.split_at_checked(private.key_size_bytes()).ok_or_else(bad)?;
    let mut ephemeral = vec![0; private.min_output_size()];
    let length =
        private.decrypt(algorithm, wrapped, &mut ephemeral, None).map_err(|_| bad())?.len();
    ephemeral.truncate(length);
    let ephemeral = Secret::new(ephemeral);
    let kek = AesKek::new(&AES_256, ephemeral.expose()).map_err(|_| bad())?;
    let mut key = vec![0; blob.len()];
    let length = kek.unwrap_with_padding(blob, &mut key).map_err(|_| bad())?.len();
    key.truncate(length);
    StoredVersion::import(kind, &Secret::new(key), call.rng, call.now)
}

/// The mount's own RSA key, made when it is first asked for.
async fn wrapping(call: &mut Call<'_>) -> Result<StoredVersion, Error> {
    if let Some(stored) = call.storage.get(WRAPPING)? {
        return Ok(stored);
    }
    let stored = StoredVersion::generate(Kind::Rsa4096, None, call.rng, call.now).await?;
    call.storage.put(WRAPPING, &stored)?;
    Ok(stored)
}

pub(super) async fn wrapping_key(
    call: &mut Call<'_>,
    _: crate::framework::NoParams,
) -> Result<Reply, Error> {
    let version = Version::try_from(wrapping(call).await?).map_err(Error::internal)?;
    let public = version.public_key(None)?;
    Reply::of(&json!({ "public_key": public.map_or(Value::Null, Value::from) }))
}

const BACKUP_FORMAT: u32 = 1;

/// Room for the versions to come.
const LATEST_MAX: u32 = u32::MAX / 2;

const WRAPPING: &str = "wrapping-key";

//! What is kept of roles and secret ids. A secret id itself is not: only a digest of it, as a
//! name.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::auth::token_parameters::TokenParameters;
use crate::clock::Timestamp;
use crate::crypto::sha256;
use crate::framework::Call;
use crate::job::{Job, JobKind};
use crate::request::Error;
use crate::txn::Scope;

#[derive(Clone, Debug, Deserialize, Serialize)]
pub(super) struct Role {
    /// In lower case.
    pub(super) name: String,
    /// Names what belongs to it: a role that is made again has none of what it had.
    pub(super) uuid: String,
    pub(super) role_id: String,
    pub(super) bind_secret_id: bool,
    pub(super) secret_id_bound_cidrs: Vec<String>,
    /// Of each secret id; 0: without limit.
    pub(super) secret_id_num_uses: u64,
    /// Seconds; 0: the longest that the mount allows.
    pub(super) secret_id_ttl: u64,
    pub(super) local_secret_ids: bool,
    #[serde(flatten)]
    pub(super) token: TokenParameters,
}

#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct SecretId {
    pub(super) accessor: String,
    /// Left; 0: without limit.
    pub(super) num_uses: u64,
    /// Seconds.
    pub(super) ttl: u64,
    pub(super) cidr_list: Vec<String>,
    pub(super) token_bound_cidrs: Vec<String>,
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) expires: Option<Timestamp>,
}

impl SecretId {
    pub(super) fn has_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| now >= expires)
    }
}

pub(super) fn normal(name: &str) -> String {
    name.to_lowercase()
}

pub(super) fn role(call: &mut Call<'_>, name: &str) -> Result<Option<Role>, Error> {
    let found = call.storage.get_shared::<Role>(&role_key(&normal(name)))?;
    Ok(found.map(Arc::unwrap_or_clone))
}

pub(super) fn role_by_id(scope: &mut Scope<'_>, role_id: &str) -> Result<Option<Role>, Error> {
    let Some(name) = scope.get_shared::<String>(&role_id_key(role_id))? else {
        return Ok(None);
    };
    let found = scope.get_shared::<Role>(&role_key(&name))?;
    Ok(found.map(Arc::unwrap_or_clone).filter(|role| role.role_id == role_id))
}

/// Stores a role, and by its id where that is new.
///
/// # Errors
/// [`Error::BadRequest`] where another role has the id.
pub(super) fn put_role(
    scope: &mut Scope<'_>,
    role: &Role,
    before: Option<&Role>,
) -> Result<(), Error> {
    let old_id = before.map(|role| role.role_id.as_str());
    if old_id != Some(role.role_id.as_str()) {
        let key = role_id_key(&role.role_id);
        if scope.get::<String>(&key)?.is_some_and(|name| name != role.name) {
            return Err(Error::bad_request("role_id already in use"));
        }
        if let Some(old_id) = old_id {
            scope.delete(&role_id_key(old_id))?;
        }
        scope.put(&key, &role.name)?;
    }
    scope.put(&role_key(&role.name), role)
}

/// Its secret ids are good for nothing from now on; a job takes their records away.
pub(super) fn delete_role(call: &mut Call<'_>, role: &Role) -> Result<(), Error> {
    call.storage.delete(&role_key(&role.name))?;
    call.storage.delete(&role_id_key(&role.role_id))?;
    let directory = format!("{}secrets/{}", call.mount.storage_prefix(), role.uuid);
    let job = Job { kind: JobKind::DeleteTree { directory } };
    let name = format!("delete-approle-{}", role.uuid);
    call.storage.beside("core/", |core| job.file(&name, core))
}

pub(super) fn role_names(scope: &mut Scope<'_>) -> Result<Vec<String>, Error> {
    scope.list("role")
}

/// Under which a secret id of a role is stored: 64 hexadecimal digits. The role's uuid is in it,
/// so that the same custom id has another digest in each.
pub(super) fn digest(role: &Role, secret_id: &str) -> String {
    digest_of(&[role.uuid.as_bytes(), b"/", secret_id.as_bytes()])
}

pub(super) fn secret_id(
    scope: &mut Scope<'_>,
    role_uuid: &str,
    digest: &str,
) -> Result<Option<SecretId>, Error> {
    scope.get(&secret_id_key(role_uuid, digest))
}

pub(super) fn put_secret_id(
    scope: &mut Scope<'_>,
    role_uuid: &str,
    digest: &str,
    secret: &SecretId,
) -> Result<(), Error> {
    scope.put(&secret_id_key(role_uuid, digest), secret)
}

pub(super) fn put_accessor(
    scope: &mut Scope<'_>,
    role_uuid: &str,
    digest: &str,
    accessor: &str,
) -> Result<(), Error> {
    scope.put(&accessor_key(role_uuid, accessor), &digest)
}

pub(super) fn delete_secret_id(
    scope: &mut Scope<'_>,
    role_uuid: &str,
    digest: &str,
    secret: &SecretId,
) -> Result<(), Error> {
    scope.delete(&accessor_key(role_uuid, &secret.accessor))?;
    scope.delete(&secret_id_key(role_uuid, digest))
}

/// The digest of a secret id, and what is kept of it.
pub(super) fn by_accessor(
    scope: &mut Scope<'_>,
    role_uuid: &str,
    accessor: &str,
) -> Result<Option<(String, SecretId)>, Error> {
    if accessor.contains('/') || accessor.starts_with('.') {
        return Ok(None);
    }
    let Some(digest) = scope.get::<String>(&accessor_key(role_uuid, accessor))? else {
        return Ok(None);
    };
    Ok(secret_id(scope, role_uuid, &digest)?.map(|secret| (digest, secret)))
}

pub(super) fn accessors(scope: &mut Scope<'_>, role_uuid: &str) -> Result<Vec<String>, Error> {
    scope.list(&format!("secrets/{role_uuid}/accessor"))
}

pub(super) fn role_key(name: &str) -> String {
    format!("role/{name}")
}

/// A role's id may be any text: its digest is a name.
fn role_id_key(role_id: &str) -> String {
    format!("role-id/{}", digest_of(&[role_id.as_bytes()]))
}

fn accessor_key(role_uuid: &str, accessor: &str) -> String {
    format!("secrets/{role_uuid}/accessor/{accessor}")
}

/// A role may have a million: 256 directories keep each listing short.
fn secret_id_key(role_uuid: &str, digest: &str) -> String {
    let bucket = digest.get(..2).unwrap_or_default();
    format!("{}/{bucket}/{digest}", secret_ids_directory(role_uuid))
}

/// Of directories; in them are the secret ids of a role.
pub(super) fn secret_ids_directory(role_uuid: &str) -> String {
    format!("secrets/{role_uuid}/id")
}

fn digest_of(parts: &[&[u8]]) -> String {
    crate::text::hex(&sha256(parts))
}

/// What the filings of secret ids begin with: then the mount's uuid, the role's and the digest,
/// with dots between them.
pub const EXPIRY_KIND: &str = "approle.";

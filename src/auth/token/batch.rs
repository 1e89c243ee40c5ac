//! Batch tokens: the entry itself, sealed, given to whoever owns it. Nothing is stored.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::{Deserialize, Serialize};

use super::store::TokenEntry;
use crate::clock::Timestamp;
use crate::request::{Error, TokenType};
use crate::rng::Rng;
use crate::secret::Secret;
use crate::txn::Scope;

/// What it carries, with short names: it travels with each request.
#[derive(Deserialize, Serialize)]
struct Carried {
    #[serde(rename = "v")]
    version: u32,
    #[serde(rename = "p")]
    policies: Vec<String>,
    #[serde(rename = "u", default, skip_serializing_if = "String::is_empty")]
    parent: String,
    #[serde(rename = "w", default, skip_serializing_if = "String::is_empty")]
    parent_accessor: String,
    #[serde(rename = "a")]
    path: String,
    #[serde(rename = "m", default, skip_serializing_if = "BTreeMap::is_empty")]
    meta: BTreeMap<String, String>,
    #[serde(rename = "d")]
    display_name: String,
    #[serde(rename = "c")]
    created: Timestamp,
    #[serde(rename = "t")]
    ttl: u64,
    #[serde(rename = "x")]
    expires: Timestamp,
    #[serde(rename = "e", default, skip_serializing_if = "String::is_empty")]
    entity_id: String,
    #[serde(rename = "n", default, skip_serializing_if = "std::ops::Not::not")]
    no_identity_policies: bool,
    #[serde(rename = "b", default, skip_serializing_if = "Vec::is_empty")]
    bound_cidrs: Vec<String>,
    #[serde(rename = "r", default, skip_serializing_if = "String::is_empty")]
    role: String,
    /// The namespace's UUID; empty: the root namespace.
    #[serde(rename = "s", default, skip_serializing_if = "String::is_empty")]
    home: String,
    #[serde(rename = "o", default, skip_serializing_if = "String::is_empty")]
    mount_accessor: String,
}

pub(super) fn is_batch(token: &Secret<String>) -> bool {
    token.expose().starts_with(PREFIX)
}

/// # Errors
/// [`Error::BadRequest`] where it would not fit into a header, or would never expire.
pub(super) fn seal(
    scope: &Scope<'_>,
    rng: &dyn Rng,
    entry: &TokenEntry,
    suffix: &str,
) -> Result<Secret<String>, Error> {
    let expires =
        entry.expires.ok_or_else(|| Error::bad_request("batch tokens must have a time to live"))?;
    let carried = Carried {
        version: VERSION,
        policies: entry.policies.clone(),
        parent: entry.parent.clone(),
        parent_accessor: entry.parent_accessor.clone(),
        path: entry.path.clone(),
        meta: entry.meta.clone(),
        display_name: entry.display_name.clone(),
        created: entry.created,
        ttl: entry.ttl,
        expires,
        entity_id: entry.entity_id.clone(),
        no_identity_policies: entry.no_identity_policies,
        bound_cidrs: entry.bound_cidrs.clone(),
        role: entry.role.clone(),
        home: Some(scope.home()).filter(|home| *home != ROOT).unwrap_or_default().to_owned(),
        mount_accessor: entry.mount_accessor.clone(),
    };
    let plaintext = Secret::new(serde_json::to_vec(&carried).map_err(Error::internal)?);
    let sealed = scope.seal(rng, CONTEXT, &plaintext)?;
    let token = Secret::new(format!("{PREFIX}{}{suffix}", URL_SAFE_NO_PAD.encode(sealed)));
    if token.expose().len() > BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "policies and metadata are too long for a batch token: it would exceed {BYTES_MAX} \
             bytes"
        )));
    }
    Ok(token)
}

/// `None` for what this cluster did not seal, or not in this namespace.
pub(super) fn open(scope: &Scope<'_>, home: &str, token: &Secret<String>) -> Option<TokenEntry> {
    let text = token.expose().strip_prefix(PREFIX).filter(|text| text.len() <= BYTES_MAX)?;
    // What follows names the namespace, which is sealed in it too; nothing does in the root's.
    let text = match text.split_once('.') {
        Some((sealed, _)) if home != ROOT => sealed,
        _ => text,
    };
    let sealed = URL_SAFE_NO_PAD.decode(text).ok()?;
    let plaintext = scope.open(CONTEXT, &sealed)?;
    let carried: Carried = serde_json::from_slice(plaintext.expose()).ok()?;
    let sealed_home = if carried.home.is_empty() { ROOT } else { carried.home.as_str() };
    if carried.version > VERSION || sealed_home != home {
        return None;
    }
    Some(TokenEntry {
        policies: carried.policies,
        parent: carried.parent,
        parent_accessor: carried.parent_accessor,
        path: carried.path,
        meta: carried.meta,
        display_name: carried.display_name,
        created: carried.created,
        ttl: carried.ttl,
        expires: Some(carried.expires),
        token_type: TokenType::Batch,
        entity_id: carried.entity_id,
        no_identity_policies: carried.no_identity_policies,
        bound_cidrs: carried.bound_cidrs,
        role: carried.role,
        mount_accessor: carried.mount_accessor,
        ..TokenEntry::default()
    })
}

const PREFIX: &str = "hvb.";

/// As [`Scope::home`] names the root namespace.
const ROOT: &str = "root";

/// Of [`Carried`].
const VERSION: u32 = 1;

const CONTEXT: &[u8] = b"batch token";

/// What common proxies take as one header.
const BYTES_MAX: usize = 4096;

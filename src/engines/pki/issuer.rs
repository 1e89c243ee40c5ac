//! Issuers and their keys, as they are stored and found.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer as _;
use x509_parser::x509::SubjectPublicKeyInfo;

use super::key::{self, PrivateKey};
use crate::clock::Timestamp;
use crate::framework::Call;
use crate::request::Error;

/// As stored.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Issuer {
    pub(super) id: String,
    /// Empty: none.
    pub(super) name: String,
    /// Empty: its key is not here.
    pub(super) key_id: String,
    /// DER in base64.
    pub(super) certificate: String,
    /// What becomes of certificates that would outlive it: `err`, `truncate` or `permit`.
    pub(super) leaf_not_after_behavior: String,
}

/// As stored.
#[derive(Serialize)]
pub(super) struct NewKey {
    id: String,
    name: String,
    key: String,
}

/// As found: parsed once, and kept while its record stands.
#[derive(Deserialize)]
pub(super) struct StoredKey {
    pub(super) id: String,
    /// Empty: none.
    pub(super) name: String,
    pub(super) key: PrivateKey,
}

/// Which issuer and which key are the default ones; empty: none.
#[derive(Clone, Default, Deserialize, Serialize)]
pub(super) struct Defaults {
    pub(super) issuer: String,
    pub(super) key: String,
    pub(super) follows_latest_issuer: bool,
}

/// What a certificate says.
pub(super) struct Facts {
    /// As [`without_zeros`] leaves it.
    pub(super) serial: Vec<u8>,
    pub(super) subject: Vec<u8>,
    pub(super) issuer: Vec<u8>,
    pub(super) not_after: Timestamp,
    pub(super) public_key: Vec<u8>,
    pub(super) key_identifier: Vec<u8>,
    pub(super) is_authority: bool,
    /// How many authorities may follow; `None`: any number.
    pub(super) path_length: Option<u32>,
}

impl Facts {
    /// `None` where it is no certificate.
    pub(super) fn of(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let public_key = certificate.public_key().raw.to_vec();
        let own = certificate.iter_extensions().find_map(|one| match one.parsed_extension() {
            ParsedExtension::SubjectKeyIdentifier(id) => Some(id.0.to_vec()),
            _ => None,
        });
        let key_identifier = match own {
            Some(id) => id,
            None => key::key_identifier(&public_key).ok()?,
        };
        let constraints = certificate.basic_constraints().ok()?;
        let time = |seconds: i64| Timestamp::from_seconds(u64::try_from(seconds).unwrap_or(0));
        Some(Self {
            serial: without_zeros(certificate.raw_serial()),
            subject: certificate.subject().as_raw().to_vec(),
            issuer: certificate.issuer().as_raw().to_vec(),
            not_after: time(certificate.validity().not_after.timestamp()),
            public_key,
            key_identifier,
            is_authority: constraints.as_ref().is_some_and(|one| one.value.ca),
            path_length: constraints.and_then(|one| one.value.path_len_constraint),
        })
    }

    pub(super) fn is_self_issued(&self) -> bool {
        self.subject == self.issuer
    }
}

impl Issuer {
    /// # Errors
    /// Where the record was damaged.
    pub(super) fn der(&self) -> Result<Vec<u8>, Error> {
        BASE64.decode(&self.certificate).map_err(Error::internal)
    }

    /// # Errors
    /// As [`Self::der`].
    pub(super) fn facts(&self) -> Result<Facts, Error> {
        Facts::of(&self.der()?).ok_or_else(|| Error::internal("an issuer is no certificate"))
    }
}

/// Whether a certificate was signed by the key of another.
pub(super) fn is_signed_by(der: &[u8], issuer: &Facts) -> bool {
    let Ok((_, certificate)) = X509Certificate::from_der(der) else {
        return false;
    };
    let Ok((_, key)) = SubjectPublicKeyInfo::from_der(&issuer.public_key) else {
        return false;
    };
    let by_p521 = key::verified_by_p521(
        &key,
        &certificate.signature_algorithm,
        certificate.tbs_certificate.as_ref(),
        &certificate.signature_value.data,
    );
    certificate.issuer().as_raw() == issuer.subject
        && by_p521.unwrap_or_else(|| certificate.verify_signature(Some(&key)).is_ok())
}

/// Of a number in big-endian; 0 is one zero.
pub(super) fn without_zeros(bytes: &[u8]) -> Vec<u8> {
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    bytes.iter().copied().skip(zeros.min(bytes.len().saturating_sub(1))).collect()
}

/// All that signing takes.
pub(super) struct Signer {
    pub(super) issuer: Arc<Issuer>,
    pub(super) facts: Facts,
    pub(super) key: Arc<StoredKey>,
}

/// # Errors
/// [`Error::BadRequest`] where there is no such issuer, or its key is not here.
pub(super) fn signer(call: &mut Call<'_>, reference: &str) -> Result<Signer, Error> {
    let issuer = get(call, reference).map_err(|error| match error {
        Error::BadRequest(why) => {
            Error::BadRequest(format!("could not fetch the CA certificate (was one set?): {why}"))
        }
        other => other,
    })?;
    if issuer.key_id.is_empty() {
        return Err(Error::BadRequest(format!(
            "issuer {} has no key here: import it, or take another issuer",
            issuer.id
        )));
    }
    let key = key_by_id(call, &issuer.key_id)?;
    Ok(Signer { facts: issuer.facts()?, issuer, key })
}

pub(super) fn defaults(call: &mut Call<'_>) -> Result<Defaults, Error> {
    Ok(call.storage.get(DEFAULTS)?.unwrap_or_default())
}

pub(super) fn set_defaults(call: &mut Call<'_>, defaults: &Defaults) -> Result<(), Error> {
    call.storage.put(DEFAULTS, defaults)
}

/// By `default`, id or name.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn find(call: &mut Call<'_>, reference: &str) -> Result<Option<Arc<Issuer>>, Error> {
    let id = match reference {
        "default" => defaults(call)?.issuer,
        other => other.to_owned(),
    };
    if id.is_empty() || id.contains('/') {
        return Ok(None);
    }
    if let Some(issuer) = call.storage.get_shared(&format!("{ISSUERS}/{id}"))? {
        return Ok(Some(issuer));
    }
    Ok(all(call)?.into_iter().find(|issuer| !issuer.name.is_empty() && issuer.name == reference))
}

/// # Errors
/// [`Error::BadRequest`] where there is none.
pub(super) fn get(call: &mut Call<'_>, reference: &str) -> Result<Arc<Issuer>, Error> {
    find(call, reference)?.ok_or_else(|| match reference {
        "default" => Error::bad_request(NO_DEFAULT),
        _ => Error::BadRequest(format!("unable to find PKI issuer for reference: {reference}")),
    })
}

/// # Errors
/// Where the store cannot be read.
pub(super) fn all(call: &mut Call<'_>) -> Result<Vec<Arc<Issuer>>, Error> {
    let ids = call.storage.list(ISSUERS)?;
    let mut issuers = Vec::with_capacity(ids.len());
    for id in ids {
        issuers.extend(call.storage.get_shared(&format!("{ISSUERS}/{id}"))?);
    }
    Ok(issuers)
}

/// The first becomes the default.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn add(call: &mut Call<'_>, issuer: &Issuer) -> Result<(), Error> {
    save(call, issuer)?;
    let mut defaults = defaults(call)?;
    if defaults.issuer.is_empty() || defaults.follows_latest_issuer {
        defaults.issuer.clone_from(&issuer.id);
        set_defaults(call, &defaults)?;
    }
    Ok(())
}

pub(super) fn save(call: &mut Call<'_>, issuer: &Issuer) -> Result<(), Error> {
    call.storage.put(&format!("{ISSUERS}/{}", issuer.id), issuer)
}

/// The first becomes the default. Returns its id.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn add_key(call: &mut Call<'_>, name: &str, key: &PrivateKey) -> Result<String, Error> {
    let stored = NewKey { id: call.rng.uuid(), name: name.to_owned(), key: key.to_base64() };
    save_key(call, &stored)?;
    let mut defaults = defaults(call)?;
    if defaults.key.is_empty() {
        defaults.key.clone_from(&stored.id);
        set_defaults(call, &defaults)?;
    }
    Ok(stored.id.clone())
}

/// Under another name.
///
/// # Errors
/// Where it cannot be written.
pub(super) fn rename_key(call: &mut Call<'_>, key: &StoredKey, name: &str) -> Result<(), Error> {
    let renamed = NewKey { id: key.id.clone(), name: name.to_owned(), key: key.key.to_base64() };
    save_key(call, &renamed)
}

fn save_key(call: &mut Call<'_>, key: &NewKey) -> Result<(), Error> {
    call.storage.put(&format!("{KEYS}/{}", key.id), key)
}

fn key_by_id(call: &mut Call<'_>, id: &str) -> Result<Arc<StoredKey>, Error> {
    let key = call.storage.get_shared(&format!("{KEYS}/{id}"))?;
    key.ok_or_else(|| Error::BadRequest(format!("the issuer's key {id} was deleted")))
}

/// # Errors
/// Where the store cannot be read.
pub(super) fn all_keys(call: &mut Call<'_>) -> Result<Vec<Arc<StoredKey>>, Error> {
    let ids = call.storage.list(KEYS)?;
    let mut keys = Vec::with_capacity(ids.len());
    for id in ids {
        keys.extend(call.storage.get_shared(&format!("{KEYS}/{id}"))?);
    }
    Ok(keys)
}

/// By `default`, id or name.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn find_key(
    call: &mut Call<'_>,
    reference: &str,
) -> Result<Option<Arc<StoredKey>>, Error> {
    let id = match reference {
        "default" => defaults(call)?.key,
        other => other.to_owned(),
    };
    if id.is_empty() || id.contains('/') {
        return Ok(None);
    }
    if let Some(key) = call.storage.get_shared(&format!("{KEYS}/{id}"))? {
        return Ok(Some(key));
    }
    Ok(all_keys(call)?.into_iter().find(|key| !key.name.is_empty() && key.name == reference))
}

/// # Errors
/// [`Error::BadRequest`] where there is none.
pub(super) fn get_key(call: &mut Call<'_>, reference: &str) -> Result<Arc<StoredKey>, Error> {
    find_key(call, reference)?.ok_or_else(|| match reference {
        "default" => Error::bad_request("no default key currently configured"),
        _ => Error::BadRequest(format!("unable to find PKI key for reference: {reference}")),
    })
}

/// The issuer's own certificate, then those above it, as far as they are here.
///
/// # Errors
/// Where the store cannot be read.
pub(super) fn chain(call: &mut Call<'_>, issuer: &Issuer) -> Result<Vec<Vec<u8>>, Error> {
    let known = all(call)?;
    let mut chain = vec![issuer.der()?];
    let mut facts = issuer.facts()?;
    while !facts.is_self_issued() && chain.len() < CHAIN_MAX {
        let mut above = None;
        for other in &known {
            let of_other = other.facts()?;
            let der = other.der()?;
            let last = chain.last().map(Vec::as_slice).unwrap_or_default();
            if of_other.subject == facts.issuer
                && !chain.contains(&der)
                && is_signed_by(last, &of_other)
            {
                above = Some((of_other, der));
                break;
            }
        }
        let Some((next, der)) = above else {
            break;
        };
        chain.push(der);
        facts = next;
    }
    Ok(chain)
}

/// A name for an issuer or a key: no reference may be ambiguous. Empty: none.
///
/// # Errors
/// [`Error::BadRequest`] where it may not be.
pub(super) fn check_name(name: &str, what: &str) -> Result<(), Error> {
    let is_word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name == "default" {
        return Err(Error::BadRequest(format!(
            "reserved keyword 'default' can not be used as {what} name"
        )));
    }
    if !name.chars().all(is_word) || name.len() > NAME_BYTES_MAX {
        return Err(Error::BadRequest(format!(
            "{what} name contained invalid characters, or is longer than {NAME_BYTES_MAX} bytes"
        )));
    }
    Ok(())
}

pub(super) const NO_DEFAULT: &str = "no default issuer currently configured";
pub(super) const ISSUERS: &str = "issuers";
pub(super) const KEYS: &str = "keys";
const DEFAULTS: &str = "config/defaults";
const CHAIN_MAX: usize = 16;
const NAME_BYTES_MAX: usize = 128;

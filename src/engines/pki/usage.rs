//! What a key may be used for, by the names that Vault (and Go) give it.

use super::der::{self, Oid};
use super::role::Role;
use crate::request::Error;

/// The bits of the names that are known (RFC 5280, section 4.2.1.3).
pub(super) fn key_usage(names: &[String]) -> u16 {
    names.iter().filter_map(|name| key_usage_bit(name)).fold(0, |flags, bit| flags | 1 << bit)
}

fn key_usage_bit(name: &str) -> Option<usize> {
    let name = name.trim().to_lowercase();
    let name = name.strip_prefix("keyusage").unwrap_or(&name);
    KEY_USAGES.iter().position(|known| *known == name)
}

/// Of a role's flags, names and object identifiers.
///
/// # Errors
/// [`Error::BadRequest`] where an identifier is none.
pub(super) fn extended(role: &Role) -> Result<Vec<Oid>, Error> {
    let flags = [
        (role.server_flag, "serverauth"),
        (role.client_flag, "clientauth"),
        (role.code_signing_flag, "codesigning"),
        (role.email_protection_flag, "emailprotection"),
    ];
    let flags = flags.into_iter().filter(|(set, _)| *set).filter_map(|(_, name)| purpose(name));
    let mut oids: Vec<Oid> = Vec::new();
    let named = role.ext_key_usage.iter().filter_map(|name| purpose(name));
    for oid in flags.chain(named) {
        if !oids.contains(&oid) {
            oids.push(oid);
        }
    }
    for text in &role.ext_key_usage_oids {
        let oid = oid(text)?;
        if !oids.contains(&oid) {
            oids.push(oid);
        }
    }
    Ok(oids)
}

fn purpose(name: &str) -> Option<Oid> {
    let name = name.trim().to_lowercase();
    let name = name.strip_prefix("extkeyusage").unwrap_or(&name);
    PURPOSES.iter().find(|(known, _)| *known == name).map(|(_, oid)| oid.to_vec())
}

/// # Errors
/// [`Error::BadRequest`] where the text is no object identifier.
pub(super) fn oid(text: &str) -> Result<Oid, Error> {
    der::parse_oid(text).ok_or_else(|| {
        Error::BadRequest(format!(
            "{text:?} could not be parsed as a valid oid for an extended key usage"
        ))
    })
}

/// Those names that mean nothing.
pub(super) fn unknown<'n>(
    key_usage: &'n [String],
    extended: &'n [String],
) -> impl Iterator<Item = &'n String> {
    let usages = key_usage.iter().filter(|name| key_usage_bit(name).is_none());
    let purposes = extended.iter().filter(|name| purpose(name).is_none());
    usages.chain(purposes).filter(|name| !name.is_empty())
}

/// Vault's, where nothing is said.
pub(super) fn usual() -> Vec<String> {
    ["DigitalSignature", "KeyAgreement", "KeyEncipherment"].map(str::to_owned).to_vec()
}

/// Of an authority: it signs certificates and lists of revoked ones.
pub(super) const AUTHORITY: u16 = 1 << 5 | 1 << 6;

/// By bit.
const KEY_USAGES: &[&str] = &[
    "digitalsignature",
    "contentcommitment",
    "keyencipherment",
    "dataencipherment",
    "keyagreement",
    "certsign",
    "crlsign",
    "encipheronly",
    "decipheronly",
];

const PURPOSES: &[(&str, &[u64])] = &[
    ("any", &[2, 5, 29, 37, 0]),
    ("serverauth", &[1, 3, 6, 1, 5, 5, 7, 3, 1]),
    ("clientauth", &[1, 3, 6, 1, 5, 5, 7, 3, 2]),
    ("codesigning", &[1, 3, 6, 1, 5, 5, 7, 3, 3]),
    ("emailprotection", &[1, 3, 6, 1, 5, 5, 7, 3, 4]),
    ("ipsecendsystem", &[1, 3, 6, 1, 5, 5, 7, 3, 5]),
    ("ipsectunnel", &[1, 3, 6, 1, 5, 5, 7, 3, 6]),
    ("ipsecuser", &[1, 3, 6, 1, 5, 5, 7, 3, 7]),
    ("timestamping", &[1, 3, 6, 1, 5, 5, 7, 3, 8]),
    ("ocspsigning", &[1, 3, 6, 1, 5, 5, 7, 3, 9]),
    ("microsoftservergatedcrypto", &[1, 3, 6, 1, 4, 1, 311, 10, 3, 3]),
    ("netscapeservergatedcrypto", &[2, 16, 840, 1, 113_730, 4, 1]),
];

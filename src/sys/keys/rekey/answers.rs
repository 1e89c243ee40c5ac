//! What is told of a rekey.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use zeroize::Zeroize as _;

use super::Rekey;
use crate::crypto::PgpKey;
use crate::request::Error;
use crate::rng::Rng;
use crate::seal::Share;
use crate::text::hex;

/// New shares, as they are given out.
pub(super) struct Texts {
    hex: Vec<String>,
    base64: Vec<String>,
}

impl Drop for Texts {
    fn drop(&mut self) {
        self.hex.zeroize();
        self.base64.zeroize();
    }
}

pub(super) type Kept = std::collections::BTreeMap<String, Vec<String>>;

pub(super) fn texts(
    rng: &dyn Rng,
    pgp_keys: &[PgpKey],
    shares: &[Share],
) -> Result<(Texts, Kept), Error> {
    let mut texts = Texts { hex: Vec::new(), base64: Vec::new() };
    let mut kept = Kept::new();
    for (index, share) in shares.iter().enumerate() {
        match pgp_keys.get(index) {
            Some(key) => {
                let message = key
                    .encrypt(rng, share.hex().expose().as_bytes())
                    .map_err(|error| Error::BadRequest(error.to_string()))?;
                kept.entry(key.fingerprint()).or_default().push(hex(&message));
                texts.hex.push(hex(&message));
                texts.base64.push(STANDARD.encode(&message));
            }
            None => {
                texts.hex.push(share.hex().expose().clone());
                texts.base64.push(share.base64().expose().clone());
            }
        }
    }
    Ok((texts, kept))
}

pub(super) fn reply(rekey: &Rekey, texts: &Texts) -> Map<String, Value> {
    object(json!({
        "nonce": rekey.nonce,
        "complete": true,
        "keys": texts.hex,
        "keys_base64": texts.base64,
        "pgp_fingerprints": fingerprints(rekey),
        "backup": rekey.backup,
        "verification_required": rekey.verification,
    }))
}

/// As `GET sys/rekey/init` answers.
pub(super) fn status(rekey: Option<&Rekey>, required: u8) -> Map<String, Value> {
    let Some(rekey) = rekey else {
        return object(json!({
            "nonce": "", "started": false, "t": 0, "n": 0, "progress": 0, "required": required,
            "pgp_fingerprints": null, "backup": false, "verification_required": false,
        }));
    };
    let mut status = object(json!({
        "nonce": rekey.nonce,
        "started": true,
        "t": rekey.division.threshold(),
        "n": rekey.division.shares(),
        "progress": if rekey.made.is_some() { 0 } else { rekey.quorum.progress() },
        "required": required,
        "pgp_fingerprints": fingerprints(rekey),
        "backup": rekey.backup,
        "verification_required": rekey.verification,
    }));
    if let Some(made) = &rekey.made {
        status.insert("verification_nonce".into(), json!(made.nonce));
    }
    status
}

/// As `GET sys/rekey/verify` answers.
pub(super) fn verification(rekey: &Rekey) -> Map<String, Value> {
    object(json!({
        "nonce": rekey.made.as_ref().map_or("", |made| made.nonce.as_str()),
        "started": rekey.made.is_some(),
        "t": rekey.division.threshold(),
        "n": rekey.division.shares(),
        "progress": rekey.made.as_ref().map_or(0, |made| made.quorum.progress()),
    }))
}

fn fingerprints(rekey: &Rekey) -> Value {
    if rekey.pgp_keys.is_empty() {
        return Value::Null;
    }
    rekey.pgp_keys.iter().map(|key| Value::String(key.fingerprint())).collect()
}

pub(super) fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}

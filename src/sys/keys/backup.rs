//! New shares as encrypted for PGP, kept for whoever loses what they were given.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Node;
use super::authority::CORE;
use super::rekey::Target;
use crate::framework::{Call, NoParams, Route};
use crate::request::{Error, Reply};
use crate::text::of_hex;
use crate::txn::Scope;

pub(super) fn routes() -> Vec<Route<Node>> {
    let help = "The new keys of the last rekey, as encrypted for PGP; forget them.";
    let templates = [
        "rekey/backup",
        "rekey/recovery-key-backup",
        "rotate/root/backup",
        "rotate/recovery/backup",
    ];
    templates.map(|template| Route::new(template, help).read(read).delete(delete)).into()
}

#[derive(Deserialize, Serialize)]
pub(super) struct Backup {
    /// Of the rekey that made them.
    pub(super) nonce: String,
    /// PGP messages in hexadecimal, by the fingerprint of who can read them.
    pub(super) keys: BTreeMap<String, Vec<String>>,
}

pub(super) fn put(storage: &mut Scope<'_>, target: Target, backup: &Backup) -> Result<(), Error> {
    storage.beside(CORE, |core| core.put(path(target), backup))
}

async fn read(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let path = path(target(call));
    let backup: Option<Backup> = call.storage.beside(CORE, |core| core.get(path))?;
    let backup = backup.ok_or_else(|| Error::bad_request("no backed-up keys found"))?;
    let base64 = |texts: &Vec<String>| -> Vec<String> {
        let bytes = |text: &String| of_hex(text).map(|bytes| STANDARD.encode(&*bytes));
        texts.iter().filter_map(bytes).collect()
    };
    let in_base64: BTreeMap<_, _> =
        backup.keys.iter().map(|(print, texts)| (print, base64(texts))).collect();
    Reply::of(&json!({ "nonce": backup.nonce, "keys": backup.keys, "keys_base64": in_base64 }))
}

async fn delete(call: &mut Call<'_, Node>, _: NoParams) -> Result<Reply, Error> {
    let path = path(target(call));
    call.storage.beside(CORE, |core| core.delete(path))?;
    Ok(Reply::default())
}

fn target(call: &Call<'_, Node>) -> Target {
    if call.request.path.contains("recovery") { Target::Recovery } else { Target::Barrier }
}

fn path(target: Target) -> &'static str {
    match target {
        Target::Barrier => "rekey/backup",
        Target::Recovery => "rekey/recovery-backup",
    }
}

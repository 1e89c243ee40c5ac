//! Revocation, and the tidying of what is over.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, json};

use super::certificate::{self, CERTIFICATES, Stored, colons, hyphens, parse_serial};
use super::issuer::{self, Facts};
use super::key::PrivateKey;
use super::list::Entry;
use super::{config, list};
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams, Seconds};
use crate::request::{Error, Reply};

/// As stored, under its serial number.
#[derive(Clone, Deserialize, Serialize)]
pub(super) struct Revoked {
    pub(super) at: Timestamp,
    pub(super) issuer_id: String,
    not_after: Timestamp,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Revoke {
    serial_number: Option<String>,
    /// In PEM.
    certificate: Option<String>,
    /// In PEM: proof of who may revoke.
    private_key: Option<String>,
}

pub(super) async fn revoke(call: &mut Call<'_>, input: Revoke) -> Result<Reply, Error> {
    let (serial, der) = chosen(call, &input)?;
    revoke_one(call, &serial, &der)
}

/// By whoever holds the certificate's key.
pub(super) async fn revoke_with_key(call: &mut Call<'_>, input: Revoke) -> Result<Reply, Error> {
    let (serial, der) = chosen(call, &input)?;
    let given = input.private_key.as_deref().unwrap_or_default();
    let key = pem::parse(given).ok().and_then(|block| PrivateKey::parse(block.contents()));
    let key = key.ok_or_else(|| Error::bad_request("private_key holds no key in PEM"))?;
    let facts = Facts::of(&der).ok_or_else(|| Error::internal("a certificate cannot be read"))?;
    if key.public_key()? != facts.public_key {
        return Err(Error::bad_request("the private key is not that of the certificate"));
    }
    revoke_one(call, &serial, &der)
}

/// The certificate that is meant, as this mount issued it.
fn chosen(call: &mut Call<'_>, input: &Revoke) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let given = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    match (given(&input.serial_number), given(&input.certificate)) {
        (None, None) => {
            Err(Error::bad_request("The serial number or certificate to revoke must be provided."))
        }
        (Some(_), Some(_)) => Err(Error::bad_request(
            "Must provide either the certificate or the serial to revoke; not both.",
        )),
        (Some(text), None) => {
            let missing =
                || Error::BadRequest(format!("certificate with serial {text} not found."));
            let serial = parse_serial(&text).ok_or_else(missing)?;
            let stored: Option<Stored> = call.storage.get(&path(CERTIFICATES, &serial))?;
            let der = BASE64.decode(stored.ok_or_else(missing)?.certificate);
            Ok((serial, der.map_err(Error::internal)?))
        }
        (None, Some(text)) => {
            let block = pem::parse(&text).ok().filter(|block| block.tag() == "CERTIFICATE");
            let der = block.map(pem::Pem::into_contents);
            let read = der.and_then(|der| Facts::of(&der).map(|facts| (facts.serial, der)));
            let (serial, der) = read.ok_or_else(|| {
                Error::bad_request("certificate holds no certificate in PEM: send its contents")
            })?;
            Ok((serial, der))
        }
    }
}

fn revoke_one(call: &mut Call<'_>, serial: &[u8], der: &[u8]) -> Result<Reply, Error> {
    let facts = Facts::of(der).ok_or_else(|| Error::internal("a certificate cannot be read"))?;
    if let Some(revoked) = call.storage.get::<Revoked>(&path(REVOKED, serial))? {
        return Ok(told(revoked.at));
    }
    let mut found = None;
    for one in issuer::all(call)? {
        let of_issuer = one.facts()?;
        if issuer::is_signed_by(der, &of_issuer) {
            if of_issuer.serial == facts.serial {
                return Err(Error::BadRequest(format!(
                    "adding issuer (id: {}) to its own CRL is not allowed",
                    one.id
                )));
            }
            found = Some(one);
            break;
        }
    }
    let Some(by) = found else {
        return Err(Error::bad_request("the certificate was signed by no issuer of this mount"));
    };
    if facts.not_after <= call.now && !config::crl(call)?.allow_expired_cert_revocation {
        return Ok(Reply::default().warn(format!(
            "certificate with serial {} already expired; refusing to add to CRL",
            colons(serial)
        )));
    }
    if call.storage.get::<Stored>(&path(CERTIFICATES, serial))?.is_none() {
        certificate::stored(call, serial, der)?;
    }
    let revoked = Revoked { at: call.now, issuer_id: by.id.clone(), not_after: facts.not_after };
    call.storage.put(&path(REVOKED, serial), &revoked)?;
    let entry = Entry::new(serial, call.now, facts.not_after);
    list::sign(call, &by, Some(entry), Timestamp::ZERO)?;
    Ok(told(call.now))
}

fn told(at: Timestamp) -> Reply {
    Reply::data(Map::from_iter([
        ("revocation_time".to_owned(), at.seconds().into()),
        ("revocation_time_rfc3339".to_owned(), at.rfc3339().into()),
        ("state".to_owned(), "revoked".into()),
    ]))
}

pub(super) fn find(call: &mut Call<'_>, serial: &[u8]) -> Result<Option<Revoked>, Error> {
    call.storage.get(&path(REVOKED, serial))
}

pub(super) async fn list_revoked(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let names = call.storage.list(REVOKED)?;
    Ok(Reply::keys(names.iter().map(|name| name.replace('-', ":")).collect()))
}

pub(super) async fn rotate(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    list::sign_all(call, Timestamp::ZERO)?;
    Ok(Reply::data(Map::from_iter([("success".to_owned(), true.into())])))
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct Tidy {
    /// Take away certificates that are over.
    #[serde(default)]
    tidy_cert_store: bool,
    /// Take away what was revoked and is over.
    #[serde(default)]
    tidy_revoked_certs: bool,
    /// How long after their end certificates are kept.
    safety_buffer: Option<Seconds>,
}

/// What the last tidy did, and where the next goes on; empty: at the beginning.
#[derive(Clone, Default, Deserialize, Serialize)]
#[serde(default)]
pub(super) struct Tidied {
    after: String,
    revoked_after: String,
    started: Timestamp,
    safety_buffer: u64,
    tidy_cert_store: bool,
    tidy_revoked_certs: bool,
    cert_store_deleted_count: usize,
    revoked_cert_deleted_count: usize,
}

/// Looks at a bounded number of certificates; the next call goes on where this one ended.
pub(super) async fn tidy(call: &mut Call<'_>, input: Tidy) -> Result<Reply, Error> {
    let buffer = input.safety_buffer.unwrap_or(Seconds(259_200));
    if buffer.0 < 1 {
        return Err(Error::bad_request("safety_buffer must be greater than zero"));
    }
    let accepted = |reply: Reply| Reply { status: Some(202), ..reply };
    if !input.tidy_cert_store && !input.tidy_revoked_certs {
        return Ok(accepted(Reply::default().warn(
            "Manual tidy requested but no tidy operations were set. Enable at least one tidy \
             operation to be run: tidy_cert_store / tidy_revoked_certs.",
        )));
    }
    let before: Tidied = call.storage.get(TIDIED)?.unwrap_or_default();
    let mut state = Tidied {
        started: call.now,
        safety_buffer: buffer.unsigned(),
        tidy_cert_store: input.tidy_cert_store,
        tidy_revoked_certs: input.tidy_revoked_certs,
        cert_store_deleted_count: 0,
        revoked_cert_deleted_count: 0,
        ..before
    };
    let is_over = |end: Timestamp, now: Timestamp| {
        end.seconds().saturating_add(buffer.unsigned()) < now.seconds()
    };
    let now = call.now;
    if input.tidy_revoked_certs {
        let after = std::mem::take(&mut state.revoked_after);
        let page = call.storage.page(REVOKED, some(&after), STEP_MAX)?;
        for name in &page.names {
            let at = format!("{REVOKED}/{name}");
            let record: Option<Revoked> = call.storage.get(&at)?;
            if record.is_some_and(|record| is_over(record.not_after, now)) {
                call.storage.delete(&at)?;
                call.storage.delete(&format!("{CERTIFICATES}/{name}"))?;
                state.revoked_cert_deleted_count += 1;
            }
        }
        state.revoked_after =
            page.names.last().filter(|_| !page.is_last).cloned().unwrap_or_default();
        if state.revoked_cert_deleted_count > 0 {
            let seconds = now.seconds().saturating_sub(buffer.unsigned());
            list::sign_all(call, Timestamp::from_seconds(seconds))?;
        }
    }
    if input.tidy_cert_store {
        let after = std::mem::take(&mut state.after);
        let page = call.storage.page(CERTIFICATES, some(&after), STEP_MAX)?;
        for name in &page.names {
            let at = format!("{CERTIFICATES}/{name}");
            let record: Option<Stored> = call.storage.get(&at)?;
            if record.is_some_and(|record| is_over(record.not_after, now)) {
                call.storage.delete(&at)?;
                state.cert_store_deleted_count += 1;
            }
        }
        state.after = page.names.last().filter(|_| !page.is_last).cloned().unwrap_or_default();
    }
    let goes_on = !state.after.is_empty() || !state.revoked_after.is_empty();
    call.storage.put(TIDIED, &state)?;
    Ok(accepted(Reply::default().warn(if goes_on {
        "There are more certificates than one tidy looks at: call it again to go on."
    } else {
        "Tidy operation successfully finished."
    })))
}

pub(super) async fn tidy_status(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let last: Option<Tidied> = call.storage.get(TIDIED)?;
    let state = if last.is_some() { "Finished" } else { "Inactive" };
    let last = last.unwrap_or_default();
    let time = (last.started > Timestamp::ZERO).then(|| last.started.rfc3339());
    Reply::of(&json!({
        "state": state,
        "error": null,
        "message": null,
        "time_started": time,
        "time_finished": time,
        "safety_buffer": last.safety_buffer,
        "tidy_cert_store": last.tidy_cert_store,
        "tidy_revoked_certs": last.tidy_revoked_certs,
        "cert_store_deleted_count": last.cert_store_deleted_count,
        "revoked_cert_deleted_count": last.revoked_cert_deleted_count,
    }))
}

fn some(after: &str) -> Option<&str> {
    (!after.is_empty()).then_some(after)
}

fn path(directory: &str, serial: &[u8]) -> String {
    format!("{directory}/{}", hyphens(serial))
}

pub(super) const REVOKED: &str = "revoked";
const TIDIED: &str = "tidied";
/// Of one transaction.
const STEP_MAX: usize = 1000;

//! What anyone may read: certificates and lists, as JSON, PEM and DER.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::json;

use super::certificate::{CERTIFICATES, Stored, chain, hyphens, parse_serial, pem_of};
use super::issuer::{self, Issuer, NO_DEFAULT};
use super::{crl, list};
use crate::clock::Timestamp;
use crate::framework::{Call, NoParams};
use crate::request::{Body, Error, RawBody, Reply};

#[derive(Deserialize, JsonSchema)]
pub(super) struct Serial {
    /// With colons or hyphens.
    serial: String,
}

#[derive(Deserialize, JsonSchema)]
pub(super) struct IssuerRef {
    /// `default`, an id or a name.
    issuer_ref: String,
}

/// Empty: 204.
fn raw(content_type: &str, bytes: Vec<u8>) -> Reply {
    let status = bytes.is_empty().then_some(204);
    let body = RawBody { content_type: content_type.to_owned(), bytes: Bytes::from(bytes) };
    Reply { body: Body::Raw(body), status, ..Reply::default() }
}

fn default(call: &mut Call<'_>) -> Result<Option<std::sync::Arc<Issuer>>, Error> {
    issuer::find(call, "default")
}

fn pem_lines(tag: &str, ders: &[Vec<u8>]) -> Vec<u8> {
    let blocks = ders.iter().map(|der| pem_of(tag, der));
    blocks.collect::<Vec<String>>().join("\n").into_bytes()
}

pub(super) async fn ca(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let der = default(call)?.map(|issuer| issuer.der()).transpose()?;
    Ok(raw(CERTIFICATE, der.unwrap_or_default()))
}

pub(super) async fn ca_pem(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let der = default(call)?.map(|issuer| issuer.der()).transpose()?;
    let pem = der.map(|der| pem_lines("CERTIFICATE", &[der]));
    Ok(raw(CERTIFICATE_PEM, pem.unwrap_or_default()))
}

pub(super) async fn ca_chain(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let Some(issuer) = default(call)? else {
        return Ok(raw(CERTIFICATE, Vec::new()));
    };
    Ok(raw(CERTIFICATE, pem_lines("CERTIFICATE", &chain(call, &issuer, false)?)))
}

pub(super) async fn crl(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let found = match default(call)? {
        Some(issuer) => list::current(call, &issuer)?,
        None => None,
    };
    Ok(raw(LIST, found.unwrap_or_default()))
}

pub(super) async fn crl_pem(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let found = match default(call)? {
        Some(issuer) => list::current(call, &issuer)?,
        None => None,
    };
    let pem = found.map(|der| pem_lines("X509 CRL", &[der]));
    Ok(raw("application/x-pem-file", pem.unwrap_or_default()))
}

fn told(text: &str) -> Result<Reply, Error> {
    Reply::of(&json!({
        "certificate": text,
        "revocation_time": 0,
        "revocation_time_rfc3339": "",
    }))
}

fn needed(call: &mut Call<'_>) -> Result<std::sync::Arc<Issuer>, Error> {
    default(call)?.ok_or_else(|| Error::bad_request(NO_DEFAULT))
}

pub(super) async fn cert_ca(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    told(&pem_of("CERTIFICATE", &needed(call)?.der()?))
}

pub(super) async fn cert_chain(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let issuer = needed(call)?;
    let chain = pem_lines("CERTIFICATE", &chain(call, &issuer, false)?);
    let text = String::from_utf8(chain).map_err(Error::internal)?;
    Reply::of(&json!({
        "ca_chain": text,
        "certificate": text,
        "revocation_time": 0,
        "revocation_time_rfc3339": "",
    }))
}

pub(super) async fn cert_crl(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let issuer = needed(call)?;
    let found = list::current(call, &issuer)?;
    told(&found.map(|der| pem_of("X509 CRL", &der)).unwrap_or_default())
}

fn by_serial(call: &mut Call<'_>, text: &str) -> Result<(Vec<u8>, Vec<u8>), Error> {
    let serial = parse_serial(text).ok_or(Error::NotFound)?;
    let record = call.storage.get::<Stored>(&format!("{CERTIFICATES}/{}", hyphens(&serial)))?;
    let der = BASE64.decode(record.ok_or(Error::NotFound)?.certificate).map_err(Error::internal)?;
    Ok((serial, der))
}

pub(super) async fn cert(call: &mut Call<'_>, input: Serial) -> Result<Reply, Error> {
    let (serial, der) = by_serial(call, &input.serial)?;
    let text = format!("{}\n", pem_of("CERTIFICATE", &der));
    let Some(revoked) = crl::find(call, &serial)? else {
        return told(&text);
    };
    Reply::of(&json!({
        "certificate": text,
        "issuer_id": revoked.issuer_id,
        "revocation_time": Timestamp::seconds(revoked.at),
        "revocation_time_rfc3339": revoked.at.rfc3339(),
    }))
}

pub(super) async fn cert_der(call: &mut Call<'_>, input: Serial) -> Result<Reply, Error> {
    Ok(raw(CERTIFICATE, by_serial(call, &input.serial)?.1))
}

pub(super) async fn cert_pem(call: &mut Call<'_>, input: Serial) -> Result<Reply, Error> {
    let (_, der) = by_serial(call, &input.serial)?;
    Ok(raw(CERTIFICATE_PEM, pem_lines("CERTIFICATE", &[der])))
}

pub(super) async fn certs(call: &mut Call<'_>, _: NoParams) -> Result<Reply, Error> {
    let names = call.storage.list(CERTIFICATES)?;
    Ok(Reply::keys(names.iter().map(|name| name.replace('-', ":")).collect()))
}

pub(super) async fn issuer_json(call: &mut Call<'_>, input: IssuerRef) -> Result<Reply, Error> {
    let issuer = issuer::get(call, &input.issuer_ref)?;
    let chain = chain(call, &issuer, false)?;
    let chain: Vec<String> =
        chain.iter().map(|der| format!("{}\n", pem_of("CERTIFICATE", der))).collect();
    Reply::of(&json!({
        "issuer_id": issuer.id,
        "issuer_name": issuer.name,
        "certificate": format!("{}\n", pem_of("CERTIFICATE", &issuer.der()?)),
        "ca_chain": chain,
    }))
}

pub(super) async fn issuer_der(call: &mut Call<'_>, input: IssuerRef) -> Result<Reply, Error> {
    Ok(raw(CERTIFICATE, issuer::get(call, &input.issuer_ref)?.der()?))
}

pub(super) async fn issuer_pem(call: &mut Call<'_>, input: IssuerRef) -> Result<Reply, Error> {
    let der = issuer::get(call, &input.issuer_ref)?.der()?;
    Ok(raw(CERTIFICATE_PEM, pem_lines("CERTIFICATE", &[der])))
}

fn list_of(call: &mut Call<'_>, reference: &str) -> Result<Vec<u8>, Error> {
    let issuer = issuer::get(call, reference)?;
    list::current(call, &issuer)?.ok_or(Error::NotFound)
}

pub(super) async fn issuer_crl(call: &mut Call<'_>, input: IssuerRef) -> Result<Reply, Error> {
    let list = list_of(call, &input.issuer_ref)?;
    Reply::of(&json!({ "crl": format!("{}\n", pem_of("X509 CRL", &list)) }))
}

pub(super) async fn issuer_crl_der(call: &mut Call<'_>, input: IssuerRef) -> Result<Reply, Error> {
    Ok(raw(LIST, list_of(call, &input.issuer_ref)?))
}

pub(super) async fn issuer_crl_pem(call: &mut Call<'_>, input: IssuerRef) -> Result<Reply, Error> {
    let list = list_of(call, &input.issuer_ref)?;
    Ok(raw("application/x-pem-file", pem_lines("X509 CRL", &[list])))
}

const CERTIFICATE: &str = "application/pkix-cert";
const CERTIFICATE_PEM: &str = "application/pem-certificate-chain";
const LIST: &str = "application/pkix-crl";

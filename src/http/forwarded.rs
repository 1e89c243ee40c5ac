//! Who the client is, where a proxy stands between.

use std::net::SocketAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hyper::header::{HeaderMap, HeaderName};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;

use super::decode::Origin;
use super::path;
use super::settings::ForwardedFor;
use super::status::Refusal;

/// Replaces the connection's own origin by what an authorised proxy tells of its client.
pub(super) fn origin(
    rule: &ForwardedFor,
    headers: &HeaderMap,
    origin: Origin,
) -> Result<Origin, Refusal> {
    let refused = |text: &str| Refusal::text(400, text);
    let sent: Vec<&str> = headers
        .get_all(&FORWARDED_FOR)
        .iter()
        .flat_map(|value| value.to_str().unwrap_or("?").split(','))
        .map(str::trim)
        .collect();
    if sent.is_empty() {
        return if rule.reject_not_present {
            Err(refused("missing x-forwarded-for header and configured to reject when not present"))
        } else {
            Ok(origin)
        };
    }
    let is_authorized = origin
        .remote
        .is_some_and(|peer| rule.authorized.iter().any(|network| network.contains(peer.ip())));
    if !is_authorized {
        return if rule.reject_not_authorized {
            Err(refused("client address is not authorized for x-forwarded-for"))
        } else {
            Ok(origin)
        };
    }
    let client = sent
        .len()
        .checked_sub(rule.hop_skips + 1)
        .and_then(|index| sent.get(index))
        .ok_or_else(|| refused("malformed x-forwarded-for configuration or request"))?;
    let address =
        client.parse().map_err(|_| refused("x-forwarded-for does not hold an address"))?;
    let port = origin.remote.map_or(0, |peer| peer.port());
    let mut origin = Origin { remote: Some(SocketAddr::new(address, port)), ..origin };
    if let Some(name) = &rule.client_certificate_header {
        // Possession was proven to the proxy. What the proxy itself presented is not the client's.
        origin.client_certificates = match headers.get(name) {
            None => Vec::new(),
            Some(value) => vec![
                value
                    .to_str()
                    .ok()
                    .and_then(certificate)
                    .ok_or_else(|| refused("the client certificate's header cannot be read"))?,
            ],
        };
    }
    Ok(origin)
}

/// PEM or base64 of DER, percent-encoded or not.
fn certificate(text: &str) -> Option<Vec<u8>> {
    let text = if text.contains('%') { path::decode(text)? } else { text.to_owned() };
    // Some proxies fold PEM into one line, with tabs or spaces in place of its line ends.
    if text.contains("-----BEGIN CERTIFICATE-----") {
        let base64 = text
            .replace("-----BEGIN CERTIFICATE-----", "")
            .split("-----END CERTIFICATE-----")
            .next()?
            .replace(|c: char| c.is_ascii_whitespace(), "");
        let pem = format!("-----BEGIN CERTIFICATE-----\n{base64}\n-----END CERTIFICATE-----\n");
        return CertificateDer::from_pem_slice(pem.as_bytes()).ok().map(|der| der.to_vec());
    }
    STANDARD.decode(text.trim()).ok().filter(|der| !der.is_empty())
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

#[cfg(test)]
mod tests;

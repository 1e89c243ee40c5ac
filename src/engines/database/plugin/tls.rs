//! TLS to a database: rustls, over aws-lc, as everywhere.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use super::Details;
use crate::client::LenientVerifier;

/// How much of the database's certificate is looked at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Check {
    /// Nothing: whoever answers is believed.
    Nothing,
    /// That the authority has signed it.
    Authority,
    /// That, and the name.
    Name,
}

/// # Errors
/// With a text for the operator; keys are not told.
pub(super) fn client_config(details: &Details, check: Check) -> Result<ClientConfig, String> {
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .map_err(|error| error.to_string())?;
    let builder = if check == Check::Nothing || details.tls_skip_verify {
        let verifier = LenientVerifier::of_anyone(provider);
        builder.dangerous().with_custom_certificate_verifier(verifier)
    } else {
        let roots = Arc::new(roots(&details.tls_ca)?);
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider.clone())
            .build()
            .map_err(|error| format!("unable to use tls_ca: {error}"))?;
        if check == Check::Name {
            builder.with_webpki_verifier(inner)
        } else {
            let verifier = LenientVerifier::of_any_name(inner, provider);
            builder.dangerous().with_custom_certificate_verifier(verifier)
        }
    };
    let pair = details.tls_certificate_key.expose();
    let (certificates, key) = if pair.is_empty() {
        (details.tls_certificate.as_str(), details.private_key.expose())
    } else {
        (pair, pair)
    };
    if certificates.is_empty() && key.is_empty() {
        return Ok(builder.with_no_client_auth());
    }
    let chain = certificates_of("the client's certificate", certificates)?;
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
        .map_err(|_| "unable to load the client's private key: no private key in PEM")?;
    builder
        .with_client_auth_cert(chain, key)
        .map_err(|_| "unable to load the client's certificate and private key: no pair".to_owned())
}

fn roots(pem: &str) -> Result<RootCertStore, String> {
    if pem.is_empty() {
        return Err("to check the database's certificate `tls_ca` is needed".into());
    }
    let mut roots = RootCertStore::empty();
    for certificate in certificates_of("tls_ca", pem)? {
        roots.add(certificate).map_err(|error| format!("unable to use tls_ca: {error}"))?;
    }
    Ok(roots)
}

fn certificates_of(what: &str, pem: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    let read = read.map_err(|_| format!("unable to parse {what}: no certificates in PEM"))?;
    if read.is_empty() {
        return Err(format!("unable to parse {what}: no certificates in PEM"));
    }
    Ok(read)
}

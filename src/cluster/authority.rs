//! The cluster's certificate authority, and what its certificates say.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DistinguishedName,
    DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer};
use sha2::{Digest as _, Sha256};
use time::OffsetDateTime;
use x509_parser::extensions::GeneralName;

use crate::clock::Timestamp;
use crate::rng::Rng;
use crate::secret::Secret;

/// Issues the nodes' certificates. Its key lives behind the barrier.
pub struct Authority {
    certificate: CertificateDer<'static>,
    issuer: Issuer<'static, KeyPair>,
    not_before: Timestamp,
    not_after: Timestamp,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CertificateError {
    #[error("certificate: {0}")]
    Made(#[from] rcgen::Error),
    #[error("the certificate cannot be read")]
    Unreadable,
    /// It names no node of a cluster.
    #[error("the certificate names no node")]
    Nameless,
    #[error("the key is not the certificate's")]
    Key,
    #[error("the signing request cannot be read, or is not signed by its key")]
    Request,
}

impl Authority {
    /// # Errors
    /// Where the key cannot be made.
    pub fn generate(
        cluster_id: &str,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<Self, CertificateError> {
        let key = KeyPair::generate()?;
        let not_before = Timestamp(now.0.saturating_sub(SKEW_MILLISECONDS));
        let not_after = Timestamp(now.0.saturating_add(AUTHORITY_MILLISECONDS));
        let mut params = params(&format!("Strongroom cluster {cluster_id}"), rng);
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        params.not_before = date(not_before);
        params.not_after = date(not_after);
        let certificate = params.self_signed(&key)?.der().clone();
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        Ok(Self { certificate, issuer, not_before, not_after })
    }

    /// # Errors
    /// Where either is not what [`Self::certificate_pem`] and [`Self::key_pem`] gave, or they are
    /// not of one another. Of several certificates the first counts.
    pub fn from_pem(certificate: &str, key: &Secret<String>) -> Result<Self, CertificateError> {
        let certificate = CertificateDer::from_pem_slice(certificate.as_bytes())
            .map_err(|_| CertificateError::Unreadable)?;
        let key = KeyPair::from_pem(key.expose())?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|_| CertificateError::Unreadable)?;
        if *parsed.public_key().subject_public_key.data != *key.public_key_raw() {
            return Err(CertificateError::Key);
        }
        let issuer = Issuer::from_ca_cert_der(&certificate, key)?;
        let (not_before, not_after) = validity(&certificate)?;
        Ok(Self { certificate, issuer, not_before, not_after })
    }

    pub fn certificate(&self) -> &CertificateDer<'static> {
        &self.certificate
    }

    pub fn certificate_pem(&self) -> String {
        certificate_pem(&self.certificate)
    }

    pub fn key_pem(&self) -> Secret<String> {
        Secret::new(self.issuer.key().serialize_pem())
    }

    /// SHA-256 of the certificate: what a join token names.
    pub fn fingerprint(&self) -> [u8; 32] {
        Sha256::digest(&self.certificate).into()
    }

    /// Signs what `Identity::request` made: of the request the key alone counts.
    ///
    /// # Errors
    /// Where the request is none, or is not signed by its key.
    pub fn issue(
        &self,
        request: &[u8],
        name: &NodeName,
        now: Timestamp,
        rng: &dyn Rng,
    ) -> Result<CertificateDer<'static>, CertificateError> {
        let request = CertificateSigningRequestDer::from(request);
        let mut request = CertificateSigningRequestParams::from_der(&request)
            .map_err(|_| CertificateError::Request)?;
        let uri = name.uri().try_into().map_err(|_| CertificateError::Nameless)?;
        let mut params = params(&format!("Strongroom node {}", name.node), rng);
        params.subject_alt_names = vec![SanType::URI(uri)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        // Within the authority's own dates, whatever this node's clock says.
        let begin = Timestamp(now.0.saturating_sub(SKEW_MILLISECONDS));
        let end = Timestamp(now.0.saturating_add(NODE_MILLISECONDS));
        params.not_before = date(begin.clamp(self.not_before, self.not_after));
        params.not_after = date(end.clamp(self.not_before, self.not_after));
        params.use_authority_key_identifier_extension = true;
        request.params = params;
        Ok(request.signed_by(&self.issuer)?.der().clone())
    }
}

/// Whose certificate it is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct NodeName {
    pub cluster: String,
    pub node: u64,
}

impl NodeName {
    fn uri(&self) -> String {
        format!("{SCHEME}{}/node/{}", self.cluster, self.node)
    }

    fn parse(uri: &str) -> Option<Self> {
        let (cluster, node) = uri.strip_prefix(SCHEME)?.split_once("/node/")?;
        let name = Self { cluster: cluster.into(), node: node.parse().ok()? };
        // One way to write it, so that two certificates never name one node differently.
        (name.uri() == uri && !cluster.is_empty() && !cluster.contains('/')).then_some(name)
    }

    /// # Errors
    /// Where the certificate cannot be read, or names no node.
    pub fn of(certificate: &CertificateDer<'_>) -> Result<Self, CertificateError> {
        let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
            .map_err(|_| CertificateError::Unreadable)?;
        let names = certificate.subject_alternative_name();
        let names = names.map_err(|_| CertificateError::Unreadable)?;
        let names = names.ok_or(CertificateError::Nameless)?;
        let mut named = names.value.general_names.iter().filter_map(|name| match name {
            GeneralName::URI(uri) => Self::parse(uri),
            _ => None,
        });
        match (named.next(), named.next()) {
            (Some(name), None) => Ok(name),
            _ => Err(CertificateError::Nameless),
        }
    }
}

/// From when to when.
///
/// # Errors
/// Where the certificate cannot be read.
pub fn validity(
    certificate: &CertificateDer<'_>,
) -> Result<(Timestamp, Timestamp), CertificateError> {
    let (_, certificate) = x509_parser::parse_x509_certificate(certificate)
        .map_err(|_| CertificateError::Unreadable)?;
    let seconds = |time: i64| Timestamp::from_seconds(u64::try_from(time).unwrap_or(0));
    let validity = certificate.validity();
    Ok((seconds(validity.not_before.timestamp()), seconds(validity.not_after.timestamp())))
}

/// When a node should ask for the next certificate: at two thirds of this one's life.
///
/// # Errors
/// Where the certificate cannot be read.
pub fn renew_at(certificate: &CertificateDer<'_>) -> Result<Timestamp, CertificateError> {
    let (begin, end) = validity(certificate)?;
    Ok(Timestamp(begin.0.saturating_add(end.0.saturating_sub(begin.0) / 3 * 2)))
}

pub(super) fn certificate_pem(certificate: &CertificateDer<'_>) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let mut pem = String::from("-----BEGIN CERTIFICATE-----\n");
    let mut rest = text.as_str();
    while !rest.is_empty() {
        let (line, after) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = after;
    }
    pem.push_str("-----END CERTIFICATE-----\n");
    pem
}

fn params(common_name: &str, rng: &dyn Rng) -> CertificateParams {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    let mut serial = rng.bytes::<16>();
    // A serial number is positive.
    if let Some(first) = serial.first_mut() {
        *first = *first & 0x7f | 0x40;
    }
    let mut params = CertificateParams::default();
    params.distinguished_name = name;
    params.serial_number = Some(SerialNumber::from_slice(&serial));
    params
}

fn date(time: Timestamp) -> OffsetDateTime {
    let seconds = i64::try_from(time.seconds()).unwrap_or(i64::MAX);
    OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
}

const SCHEME: &str = "strongroom://";
const DAY_MILLISECONDS: u64 = 24 * 60 * 60 * 1000;
const SKEW_MILLISECONDS: u64 = 60 * 60 * 1000;
const AUTHORITY_MILLISECONDS: u64 = 30 * 365 * DAY_MILLISECONDS;
const NODE_MILLISECONDS: u64 = 365 * DAY_MILLISECONDS;

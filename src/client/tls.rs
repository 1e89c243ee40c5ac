//! Whom the client trusts, and who it says it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme,
};

use super::Error;

/// As `VAULT_CACERT` and its like say. The first of the three sources of authorities wins; with
/// none, those of the system are trusted.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// A PEM file.
    pub ca_cert: Option<PathBuf>,
    /// PEM text.
    pub ca_cert_pem: Option<String>,
    /// A folder of PEM files.
    pub ca_path: Option<PathBuf>,
    /// A PEM file of the client's certificate and its chain.
    pub client_cert: Option<PathBuf>,
    /// A PEM file of the key to `client_cert`.
    pub client_key: Option<PathBuf>,
    /// The name that the server's certificate must hold, instead of the address's.
    pub server_name: Option<String>,
    pub verification: Verification,
}

/// Whether the server must prove who it is.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Verification {
    #[default]
    Full,
    /// Anyone in between can read and change all: for trials only.
    Skip,
}

impl Tls {
    pub(super) fn client_config(&self) -> Result<ClientConfig, Error> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::Tls(error.to_string()))?;
        let builder = match self.verification {
            Verification::Skip => builder
                .dangerous()
                .with_custom_certificate_verifier(LenientVerifier::of_anyone(provider)),
            Verification::Full => {
                let roots = Arc::new(self.roots()?);
                if roots.is_empty() {
                    // Without authorities a verifier cannot be built, but plain http can be used.
                    builder.with_root_certificates(RootCertStore::empty())
                } else {
                    let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider)
                        .build()
                        .map_err(|error| Error::Tls(error.to_string()))?;
                    builder.with_webpki_verifier(verifier)
                }
            }
        };
        match (&self.client_cert, &self.client_key) {
            (None, None) => Ok(builder.with_no_client_auth()),
            (Some(certificate), Some(key)) => builder
                .with_client_auth_cert(read_certificates(certificate)?, read_key(key)?)
                .map_err(|error| Error::Tls(format!("the client's certificate: {error}"))),
            _ => Err(Error::Tls("both a client certificate and its key must be given".into())),
        }
    }

    pub(super) fn server_name(&self) -> Result<Option<ServerName<'static>>, Error> {
        let Some(name) = &self.server_name else {
            return Ok(None);
        };
        ServerName::try_from(name.clone())
            .map(Some)
            .map_err(|_| Error::Tls(format!("`{name}` is not the name of a server")))
    }

    fn roots(&self) -> Result<RootCertStore, Error> {
        let mut roots = RootCertStore::empty();
        let given = if let Some(path) = &self.ca_cert {
            read_certificates(path)?
        } else if let Some(pem) = &self.ca_cert_pem {
            parse_certificates(pem.as_bytes())
                .map_err(|reason| Error::Tls(format!("the authorities given as text: {reason}")))?
        } else if let Some(folder) = &self.ca_path {
            read_folder(folder)?
        } else {
            roots.add_parsable_certificates(system_certificates());
            return Ok(roots);
        };
        for certificate in given {
            roots
                .add(certificate)
                .map_err(|error| Error::Tls(format!("a certificate authority: {error}")))?;
        }
        Ok(roots)
    }
}

fn read_certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |reason: String| Error::Tls(format!("{}: {reason}", path.display()));
    let pem = fs::read(path).map_err(|error| wrong(error.to_string()))?;
    parse_certificates(&pem).map_err(wrong)
}

fn parse_certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let certificates = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|error| error.to_string())?;
    if certificates.is_empty() {
        return Err("holds no PEM certificate".into());
    }
    Ok(certificates)
}

fn read_key(path: &Path) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_file(path)
        .map_err(|error| Error::Tls(format!("{}: {error}", path.display())))
}

fn read_folder(folder: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let wrong = |error: std::io::Error| Error::Tls(format!("{}: {error}", folder.display()));
    let mut certificates = Vec::new();
    for entry in fs::read_dir(folder).map_err(wrong)? {
        let path = entry.map_err(wrong)?.path();
        if path.is_file() {
            let pem = fs::read(&path).map_err(wrong)?;
            // Such a folder may hold keys and links as well: what is no certificate is passed by.
            certificates.extend(parse_certificates(&pem).unwrap_or_default());
        }
    }
    if certificates.is_empty() {
        return Err(Error::Tls(format!("{}: holds no PEM certificate", folder.display())));
    }
    Ok(certificates)
}

/// The authorities of the system, from the first file that exists, as Go looks for them.
fn system_certificates() -> Vec<CertificateDer<'static>> {
    let found = SYSTEM_BUNDLES.iter().find_map(|path| fs::read(path).ok()).unwrap_or_default();
    // One certificate that cannot be read must not take trust in all others away.
    CertificateDer::pem_slice_iter(&found).filter_map(Result::ok).collect()
}

const SYSTEM_BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Looks less closely than it should, because an operator has said so. Possession of the
/// certificate's key is checked all the same.
#[derive(Debug)]
pub struct LenientVerifier {
    chain: Option<Arc<WebPkiServerVerifier>>,
    provider: Arc<CryptoProvider>,
}

impl LenientVerifier {
    /// Believes every certificate.
    pub fn of_anyone(provider: Arc<CryptoProvider>) -> Arc<Self> {
        Arc::new(Self { chain: None, provider })
    }

    /// Believes what the verifier's authorities have signed, whatever its name.
    pub fn of_any_name(
        chain: Arc<WebPkiServerVerifier>,
        provider: Arc<CryptoProvider>,
    ) -> Arc<Self> {
        Arc::new(Self { chain: Some(chain), provider })
    }
}

impl ServerCertVerifier for LenientVerifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let Some(chain) = &self.chain else {
            return Ok(ServerCertVerified::assertion());
        };
        match chain.verify_server_cert(end_entity, intermediates, name, ocsp_response, now) {
            // The name is looked at last.
            Err(rustls::Error::InvalidCertificate(
                CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. },
            )) => Ok(ServerCertVerified::assertion()),
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

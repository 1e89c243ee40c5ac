//! TLS of a listener: which certificate, which versions, and what of its clients.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::time_provider::TimeProvider;
use rustls::{
    CipherSuite, RootCertStore, ServerConfig, SupportedCipherSuite, SupportedProtocolVersion,
};

use super::client_certificate::PossessionVerifier;
use super::settings::{ClientCertificates, TlsSettings, TlsVersion};
use crate::clock::Clock;

/// A listener's TLS, whose files can be read again while it serves.
pub struct Tls {
    settings: TlsSettings,
    clock: Arc<dyn Clock>,
    current: RwLock<Loaded>,
}

struct Loaded {
    config: Arc<ServerConfig>,
    leaf: CertificateDer<'static>,
}

impl Tls {
    /// # Errors
    /// Files that cannot be read, do not fit together, or settings that leave nothing to offer.
    pub fn load(settings: TlsSettings, clock: Arc<dyn Clock>) -> Result<Self, TlsError> {
        let loaded = load(&settings, Arc::clone(&clock))?;
        Ok(Self { settings, clock, current: RwLock::new(loaded) })
    }

    /// Reads all files again: certificates, key and client CAs. Connections that are open stay as
    /// they are; sessions cannot be resumed across it.
    ///
    /// # Errors
    /// As [`Self::load`]; what was served before is served on.
    pub fn reload(&self) -> Result<(), TlsError> {
        let loaded = load(&self.settings, Arc::clone(&self.clock))?;
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = loaded;
        Ok(())
    }

    /// The server's certificate, in DER: when it ends is worth a metric.
    pub fn certificate(&self) -> Vec<u8> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).leaf.to_vec()
    }

    /// All that [`Self::reload`] reads.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let ca_file = match &self.settings.client_certificates {
            ClientCertificates::Require { ca_file } => Some(ca_file.as_path()),
            ClientCertificates::Ask | ClientCertificates::Off => None,
        };
        let TlsSettings { certificate_file, key_file, .. } = &self.settings;
        [certificate_file.as_path(), key_file.as_path()].into_iter().chain(ca_file)
    }

    pub(super) fn current(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config)
    }
}

/// What is wrong with a listener's TLS.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {path}")]
    Read {
        path: PathBuf,
        #[source]
        source: rustls::pki_types::pem::Error,
    },
    #[error("{path} holds no certificate in PEM")]
    NoCertificate { path: PathBuf },
    #[error("{path} holds an encrypted key: decrypt it first")]
    EncryptedKey { path: PathBuf },
    #[error(
        "{key} is not the key of the certificate in {certificate}, or of no kind that is known"
    )]
    Pair {
        certificate: PathBuf,
        key: PathBuf,
        #[source]
        source: rustls::Error,
    },
    #[error("{path} holds no CA that can be used")]
    ClientCa {
        path: PathBuf,
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    #[error("`tls_cipher_suites`: `{name}` is unknown")]
    CipherSuite { name: String },
    #[error("`tls_min_version` is above `tls_max_version`")]
    Versions,
    #[error("`tls_cipher_suites` and the versions leave nothing to offer")]
    Nothing(#[source] rustls::Error),
}

fn load(settings: &TlsSettings, clock: Arc<dyn Clock>) -> Result<Loaded, TlsError> {
    let provider = Arc::new(provider(&settings.cipher_suites)?);
    let chain = certificates(&settings.certificate_file)?;
    let leaf = chain
        .first()
        .cloned()
        .ok_or_else(|| TlsError::NoCertificate { path: settings.certificate_file.clone() })?;
    let key = key(&settings.key_file)?;
    let builder =
        ServerConfig::builder_with_details(Arc::clone(&provider), Arc::new(ClockTime(clock)))
            .with_protocol_versions(&versions(settings)?)
            .map_err(TlsError::Nothing)?;
    let builder = match verifier(&settings.client_certificates, &provider)? {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(|source| TlsError::Pair {
        certificate: settings.certificate_file.clone(),
        key: settings.key_file.clone(),
        source,
    })?;
    if matches!(settings.client_certificates, ClientCertificates::Require { .. }) {
        // A session that is resumed would bring its certificate along without being judged again.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Loaded { config: Arc::new(config), leaf })
}

fn verifier(
    rule: &ClientCertificates,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, TlsError> {
    match rule {
        ClientCertificates::Off => Ok(None),
        ClientCertificates::Ask => {
            let algorithms = provider.signature_verification_algorithms;
            Ok(Some(Arc::new(PossessionVerifier::new(algorithms))))
        }
        ClientCertificates::Require { ca_file } => {
            let failed = |source| TlsError::ClientCa { path: ca_file.clone(), source };
            let mut roots = RootCertStore::empty();
            for certificate in certificates(ca_file)? {
                roots.add(certificate).map_err(|error| failed(Some(error.into())))?;
            }
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(provider))
                    .build()
                    .map_err(|error| failed(Some(error.into())))?;
            Ok(Some(verifier))
        }
    }
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let failed = |source| TlsError::Read { path: path.to_owned(), source };
    let chain: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(failed)?
        .collect::<Result<_, _>>()
        .map_err(failed)?;
    if chain.is_empty() {
        return Err(TlsError::NoCertificate { path: path.to_owned() });
    }
    Ok(chain)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_file(path).map_err(|source| {
        let is_encrypted = std::fs::read_to_string(path).is_ok_and(|text| {
            text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED")
        });
        if is_encrypted {
            TlsError::EncryptedKey { path: path.to_owned() }
        } else {
            TlsError::Read { path: path.to_owned(), source }
        }
    })
}

fn versions(settings: &TlsSettings) -> Result<Vec<&'static SupportedProtocolVersion>, TlsError> {
    if settings.version_min > settings.version_max {
        return Err(TlsError::Versions);
    }
    let all =
        [(TlsVersion::V1_3, &rustls::version::TLS13), (TlsVersion::V1_2, &rustls::version::TLS12)];
    let in_range =
        |version: &TlsVersion| (settings.version_min..=settings.version_max).contains(version);
    Ok(all.into_iter().filter(|(version, _)| in_range(version)).map(|(_, tls)| tls).collect())
}

/// Names that older configurations hold and that nothing of ours offers are passed over: the list
/// says what is allowed, not what must be had.
fn provider(names: &[String]) -> Result<CryptoProvider, TlsError> {
    let mut provider = aws_lc_rs::default_provider();
    if names.is_empty() {
        return Ok(provider);
    }
    let mut named = Vec::new();
    for name in names {
        let found = provider
            .cipher_suites
            .iter()
            .find(|suite| names_of(suite).iter().any(|own| own == name));
        match found {
            Some(suite) => named.push(*suite),
            None if NOT_OFFERED.contains(&name.as_str()) => {
                tracing::warn!(name, "`tls_cipher_suites`: not offered, being weak");
            }
            None => return Err(TlsError::CipherSuite { name: name.clone() }),
        }
    }
    let is_1_3 = |suite: &SupportedCipherSuite| suite.tls13().is_some();
    if !named.iter().any(is_1_3) {
        named.extend(provider.cipher_suites.iter().copied().filter(is_1_3));
    }
    provider.cipher_suites = named;
    Ok(provider)
}

/// IANA's names, and Go's older ones where they differ.
fn names_of(suite: &SupportedCipherSuite) -> Vec<String> {
    let name = match suite.suite() {
        CipherSuite::TLS13_AES_128_GCM_SHA256 => "TLS_AES_128_GCM_SHA256".to_owned(),
        CipherSuite::TLS13_AES_256_GCM_SHA384 => "TLS_AES_256_GCM_SHA384".to_owned(),
        CipherSuite::TLS13_CHACHA20_POLY1305_SHA256 => "TLS_CHACHA20_POLY1305_SHA256".to_owned(),
        other => format!("{other:?}"),
    };
    match name.strip_suffix("_CHACHA20_POLY1305_SHA256") {
        Some(start) if suite.tls13().is_none() => {
            let short = format!("{start}_CHACHA20_POLY1305");
            vec![name, short]
        }
        _ => vec![name],
    }
}

/// Certificates are judged at the time that the rest of the server has.
struct ClockTime(Arc<dyn Clock>);

impl TimeProvider for ClockTime {
    fn current_time(&self) -> Option<UnixTime> {
        let seconds = self.0.now().seconds();
        Some(UnixTime::since_unix_epoch(Duration::from_secs(seconds)))
    }
}

impl fmt::Debug for ClockTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("ClockTime")
    }
}

/// What Go's TLS knows beside ours: no forward secrecy, CBC or RC4.
const NOT_OFFERED: &[&str] = &[
    "TLS_ECDHE_ECDSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_ECDSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_ECDSA_WITH_RC4_128_SHA",
    "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_ECDHE_RSA_WITH_AES_256_CBC_SHA",
    "TLS_ECDHE_RSA_WITH_RC4_128_SHA",
    "TLS_RSA_WITH_3DES_EDE_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA",
    "TLS_RSA_WITH_AES_128_CBC_SHA256",
    "TLS_RSA_WITH_AES_128_GCM_SHA256",
    "TLS_RSA_WITH_AES_256_CBC_SHA",
    "TLS_RSA_WITH_AES_256_GCM_SHA384",
    "TLS_RSA_WITH_RC4_128_SHA",
];

//! TLS between nodes: version 1.3, certificates of the cluster's authorities, and no dates.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, verify_server_cert_signed_by_trust_anchor};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::server::{NoServerSessionStorage, ParsedCertificate, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, Error, RootCertStore,
    ServerConfig, SignatureScheme,
};

use sha2::{Digest as _, Sha256};

use super::authority::{NodeName, validity};
use super::identity::{Identity, Issued};

/// Whose certificates count.
#[derive(Debug)]
pub(super) struct Trust {
    provider: Arc<CryptoProvider>,
    known: RwLock<Arc<Known>>,
}

#[derive(Debug)]
struct Known {
    /// Empty until the node belongs to a cluster.
    cluster: String,
    authorities: Vec<CertificateDer<'static>>,
    roots: Arc<RootCertStore>,
}

impl Trust {
    pub(super) fn new() -> Arc<Self> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let nobody = Known {
            cluster: String::new(),
            authorities: Vec::new(),
            roots: Arc::new(RootCertStore::empty()),
        };
        Arc::new(Self { provider, known: RwLock::new(Arc::new(nobody)) })
    }

    /// # Errors
    /// Where a certificate is not one of an authority.
    pub(super) fn set(
        &self,
        cluster: &str,
        authorities: &[CertificateDer<'static>],
    ) -> Result<(), Error> {
        let mut roots = RootCertStore::empty();
        for authority in authorities {
            roots.add(authority.clone())?;
        }
        let known = Known {
            cluster: cluster.into(),
            authorities: authorities.to_vec(),
            roots: Arc::new(roots),
        };
        *self.known.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(known);
        Ok(())
    }

    pub(super) fn authorities(&self) -> Vec<CertificateDer<'static>> {
        self.known().authorities.clone()
    }

    fn known(&self) -> Arc<Known> {
        self.known.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whose it is, of a certificate whose chain was checked.
    pub(super) fn name(&self, certificate: &CertificateDer<'_>) -> Result<NodeName, Error> {
        let name = NodeName::of(certificate).map_err(|_| BAD_NAME)?;
        if name.cluster != self.known().cluster {
            return Err(BAD_NAME);
        }
        Ok(name)
    }

    fn signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signed, algorithms)
    }

    fn old_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let algorithms = &self.provider.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signed, algorithms)
    }

    fn schemes(&self) -> Vec<SignatureScheme> {
        self.provider.signature_verification_algorithms.supported_schemes()
    }
}

/// The moment at which a chain is checked: when the certificate began. A cluster that was off for
/// long, all its nodes sealed, must be able to meet.
fn moment(certificate: &CertificateDer<'_>) -> Result<UnixTime, Error> {
    let (begin, _) = validity(certificate)
        .map_err(|_| Error::InvalidCertificate(CertificateError::BadEncoding))?;
    Ok(UnixTime::since_unix_epoch(Duration::from_secs(begin.seconds())))
}

impl ServerCertVerifier for Trust {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let certificate = ParsedCertificate::try_from(end_entity)?;
        verify_server_cert_signed_by_trust_anchor(
            &certificate,
            &self.known().roots,
            intermediates,
            moment(end_entity)?,
            self.provider.signature_verification_algorithms.all,
        )?;
        self.name(end_entity)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.old_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

impl ClientCertVerifier for Trust {
    /// A node that wants to join has none.
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        let roots = self.known().roots.clone();
        let verifier = WebPkiClientVerifier::builder_with_provider(roots, self.provider.clone())
            .build()
            .map_err(|error| Error::General(error.to_string()))?;
        let verified =
            verifier.verify_client_cert(end_entity, intermediates, moment(end_entity)?)?;
        self.name(end_entity)?;
        Ok(verified)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.old_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes()
    }
}

/// Whether this authority has signed the certificate, whatever their dates.
pub fn is_issued_by(certificate: &CertificateDer<'_>, authority: &CertificateDer<'_>) -> bool {
    let mut roots = RootCertStore::empty();
    let mut verified = || -> Result<(), Error> {
        roots.add(authority.clone().into_owned())?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(certificate)?,
            &roots,
            &[],
            moment(certificate)?,
            aws_lc_rs::default_provider().signature_verification_algorithms.all,
        )
    };
    verified().is_ok()
}

/// For connections that this node accepts. `None` until it has a certificate.
pub(super) fn server_config(
    trust: &Arc<Trust>,
    identity: &Identity,
) -> Result<Option<Arc<ServerConfig>>, Error> {
    let Some(issued) = identity.issued() else { return Ok(None) };
    let mut config = ServerConfig::builder_with_provider(trust.provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .with_client_cert_verifier(trust.clone())
        .with_single_cert(chain(&issued), identity.private_key())?;
    config.alpn_protocols = vec![ALPN.into()];
    // A resumed session would skip the check of certificates.
    config.session_storage = Arc::new(NoServerSessionStorage {});
    config.send_tls13_tickets = 0;
    Ok(Some(Arc::new(config)))
}

/// For connections that this node makes to members. `None` until it has a certificate.
pub(super) fn client_config(
    trust: &Arc<Trust>,
    identity: &Identity,
) -> Result<Option<Arc<ClientConfig>>, Error> {
    let Some(issued) = identity.issued() else { return Ok(None) };
    let config = ClientConfig::builder_with_provider(trust.provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(trust.clone())
        .with_client_auth_cert(vec![issued.certificate.clone()], identity.private_key())?;
    Ok(Some(Arc::new(finish(config))))
}

/// For a node that has a token: it knows the authority's fingerprint, and nobody's certificate.
pub(super) fn token_config(fingerprint: [u8; 32]) -> Result<Arc<ClientConfig>, Error> {
    let trust = Trust::new();
    let verifier = Arc::new(Pinned { trust: trust.clone(), fingerprint });
    let config = ClientConfig::builder_with_provider(trust.provider.clone())
        .with_protocol_versions(&[&TLS13])?
        .dangerous()
        .with_custom_certificate_verifier(verifier)
        .with_no_client_auth();
    Ok(Arc::new(finish(config)))
}

/// The node's own and, for those who know but a fingerprint, the authorities'.
fn chain(issued: &Issued) -> Vec<CertificateDer<'static>> {
    std::iter::once(&issued.certificate).chain(&issued.authorities).cloned().collect()
}

/// Trusts whatever authority of the chain has this fingerprint.
#[derive(Debug)]
struct Pinned {
    trust: Arc<Trust>,
    fingerprint: [u8; 32],
}

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        let matching =
            |authority: &&CertificateDer<'_>| *Sha256::digest(authority) == self.fingerprint;
        let authority = intermediates.iter().find(matching);
        let authority =
            authority.ok_or(Error::InvalidCertificate(CertificateError::UnknownIssuer))?;
        let mut roots = RootCertStore::empty();
        roots.add(authority.clone().into_owned())?;
        verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(end_entity)?,
            &roots,
            &[],
            moment(end_entity)?,
            self.trust.provider.signature_verification_algorithms.all,
        )?;
        NodeName::of(end_entity).map_err(|_| BAD_NAME)?;
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.old_signature(message, certificate, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.trust.signature(message, certificate, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.trust.schemes()
    }
}

fn finish(mut config: ClientConfig) -> ClientConfig {
    config.alpn_protocols = vec![ALPN.into()];
    config.resumption = Resumption::disabled();
    config.enable_sni = false;
    config
}

const BAD_NAME: Error = Error::InvalidCertificate(CertificateError::NotValidForName);
const ALPN: &[u8] = b"h2";

//! Client certificates that are asked for and not judged.
//!
//! **Invariant:** who presents a certificate has proven to hold its key. Whether it is good for
//! anything is for the cert auth method to say, against the CAs of its roles: so neither chain nor
//! dates matter here, nor the version (webpki reads version 3 alone, clients of Vault have others).

use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls13_signature_with_raw_key};
use rustls::pki_types::{CertificateDer, SubjectPublicKeyInfoDer, UnixTime};
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{
    CertificateError, DigitallySignedStruct, DistinguishedName, Error, PeerMisbehaved,
    SignatureScheme,
};
use x509_parser::asn1_rs::{Any, BitString, FromDer as _};
use x509_parser::certificate::X509Certificate;

/// Asks every client for a certificate and needs none.
#[derive(Debug)]
pub(super) struct PossessionVerifier {
    algorithms: WebPkiSupportedAlgorithms,
}

impl PossessionVerifier {
    pub(super) fn new(algorithms: WebPkiSupportedAlgorithms) -> Self {
        Self { algorithms }
    }
}

impl ClientCertVerifier for PossessionVerifier {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    /// None: a hint would keep clients from sending what a role's CA has signed.
    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, Error> {
        // What cannot be read has no key that could be proven.
        public_key(end_entity)?;
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = public_key(certificate)?;
        let (algorithm, bits) = parts(&key)?;
        // In TLS 1.2 a scheme for ECDSA names the hash alone; the curve is the key's.
        let candidates = self
            .algorithms
            .mapping
            .iter()
            .find(|(scheme, _)| *scheme == signed.scheme)
            .map(|(_, candidates)| *candidates)
            .ok_or(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme)?;
        for candidate in candidates {
            if candidate.public_key_alg_id().as_ref() == algorithm {
                return candidate
                    .verify_signature(bits, message, signed.signature())
                    .map(|()| HandshakeSignatureValid::assertion())
                    .map_err(|_| CertificateError::BadSignature.into());
            }
        }
        Err(PeerMisbehaved::SignedHandshakeWithUnadvertisedSigScheme.into())
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        let key = SubjectPublicKeyInfoDer::from(public_key(certificate)?);
        verify_tls13_signature_with_raw_key(message, &key, signed, &self.algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}

/// The certificate's SubjectPublicKeyInfo, in DER.
fn public_key(certificate: &CertificateDer<'_>) -> Result<Vec<u8>, Error> {
    match X509Certificate::from_der(certificate) {
        Ok(([], certificate)) => Ok(certificate.tbs_certificate.subject_pki.raw.to_vec()),
        _ => Err(CertificateError::BadEncoding.into()),
    }
}

/// What is inside the AlgorithmIdentifier, and the key's bits.
fn parts(key: &[u8]) -> Result<(&[u8], &[u8]), Error> {
    let invalid = || Error::from(CertificateError::BadEncoding);
    let (after, outer) = Any::from_der(key).map_err(|_| invalid())?;
    let (rest, algorithm) = Any::from_der(outer.data).map_err(|_| invalid())?;
    let (beyond, bits) = BitString::from_der(rest).map_err(|_| invalid())?;
    if bits.unused_bits != 0 || !after.is_empty() || !beyond.is_empty() {
        return Err(invalid());
    }
    // Nothing stands behind them: they are the last bytes.
    let at = rest.len().checked_sub(bits.data.len()).ok_or_else(invalid)?;
    Ok((algorithm.data, rest.get(at..).ok_or_else(invalid)?))
}

//! Who this node is: id, key and certificate, in its data folder.
//!
//! **Invariant:** what is issued for the key is on disk before anyone hears of it, and no file can
//! be read by another user.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};

use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

use super::authority::{CertificateError, NodeName, certificate_pem};
use crate::rng::Rng;

/// A node's own key, and what was issued for it.
pub struct Identity {
    folder: PathBuf,
    id: u64,
    key: KeyPair,
    issued: RwLock<Option<Arc<Issued>>>,
}

/// A certificate, and the authorities that nodes of the cluster trust.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Issued {
    pub name: NodeName,
    pub certificate: CertificateDer<'static>,
    pub authorities: Vec<CertificateDer<'static>>,
}

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    #[error("`{}`: {error}", .path.display())]
    File { path: PathBuf, error: io::Error },
    #[error("`{}` is damaged", .path.display())]
    Damaged { path: PathBuf },
    #[error(transparent)]
    Certificate(#[from] CertificateError),
    /// Of another node, another cluster or another key.
    #[error("the certificate is not this node's")]
    Foreign,
}

impl Identity {
    /// Reads what the folder holds. An empty one gets a new id and a new key: a node that lost its
    /// folder is another node.
    ///
    /// # Errors
    /// Where a file is missing beside the others, damaged, or cannot be read or written.
    pub fn open(folder: &Path, rng: &dyn Rng) -> Result<Self, IdentityError> {
        let (id_file, key_file) = (folder.join(ID_FILE), folder.join(KEY_FILE));
        let key = match read(&key_file)? {
            Some(text) => {
                let key = KeyPair::from_pem(&text);
                key.map_err(|_| IdentityError::Damaged { path: key_file.clone() })?
            }
            None if id_file.exists() => {
                return Err(IdentityError::Damaged { path: key_file });
            }
            None => {
                let key = KeyPair::generate().map_err(CertificateError::from)?;
                write(&key_file, &key.serialize_pem())?;
                key
            }
        };
        let id = match read(&id_file)? {
            Some(text) => {
                let id = text.trim().parse().ok().filter(|id| *id != 0);
                id.ok_or(IdentityError::Damaged { path: id_file })?
            }
            None => {
                // 0 is what a message without an id would carry.
                let id = u64::from_le_bytes(rng.bytes()).max(1);
                write(&id_file, &format!("{id}\n"))?;
                id
            }
        };
        let identity = Self { folder: folder.into(), id, key, issued: RwLock::new(None) };
        if let Some(text) = read(&folder.join(CERTIFICATE_FILE))? {
            let issued = identity.parse(&text)?;
            identity.set(issued);
        }
        Ok(identity)
    }

    /// Whose folder it is, without making or changing anything: the node's id, and the name on its
    /// certificate once it belongs to a cluster. `None` where no node has used the folder.
    ///
    /// # Errors
    /// Where a file cannot be read or is damaged.
    pub fn glance(folder: &Path) -> Result<Option<(u64, Option<NodeName>)>, IdentityError> {
        let id_file = folder.join(ID_FILE);
        let Some(id) = read(&id_file)? else { return Ok(None) };
        let id = id.trim().parse().map_err(|_| IdentityError::Damaged { path: id_file })?;
        let path = folder.join(CERTIFICATE_FILE);
        let Some(text) = read(&path)? else { return Ok(Some((id, None))) };
        let first = CertificateDer::from_pem_slice(text.as_bytes());
        let first = first.map_err(|_| IdentityError::Damaged { path })?;
        Ok(Some((id, Some(NodeName::of(&first)?))))
    }

    pub fn id(&self) -> u64 {
        self.id
    }

    /// `None` until the node belongs to a cluster.
    pub fn issued(&self) -> Option<Arc<Issued>> {
        self.issued.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A signing request, DER.
    ///
    /// # Errors
    /// Where it cannot be signed.
    pub fn request(&self) -> Result<Vec<u8>, CertificateError> {
        let request = CertificateParams::default().serialize_request(&self.key)?;
        Ok(request.der().to_vec())
    }

    /// Takes a certificate for this node, durably. Later certificates must be of the same cluster.
    ///
    /// # Errors
    /// [`IdentityError::Foreign`] where it is not for this node and its key.
    pub fn install(
        &self,
        certificate: CertificateDer<'static>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<(), IdentityError> {
        let issued = self.check(certificate, authorities)?;
        if self.issued().is_some_and(|before| before.name != issued.name) {
            return Err(IdentityError::Foreign);
        }
        let certificates = std::iter::once(&issued.certificate).chain(&issued.authorities);
        let text: String = certificates.map(certificate_pem).collect();
        // One file, so that certificate and authorities never disagree.
        write(&self.folder.join(CERTIFICATE_FILE), &text)?;
        self.set(issued);
        Ok(())
    }

    /// The next certificate may be of any cluster; the file stays until then.
    pub(super) fn forget(&self) {
        *self.issued.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    pub(super) fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.serialize_der()))
    }

    fn set(&self, issued: Issued) {
        *self.issued.write().unwrap_or_else(PoisonError::into_inner) = Some(Arc::new(issued));
    }

    fn parse(&self, text: &str) -> Result<Issued, IdentityError> {
        let damaged = || IdentityError::Damaged { path: self.folder.join(CERTIFICATE_FILE) };
        let all = CertificateDer::pem_slice_iter(text.as_bytes()).collect::<Result<Vec<_>, _>>();
        let mut all = all.map_err(|_| damaged())?.into_iter();
        let certificate = all.next().ok_or_else(damaged)?;
        self.check(certificate, all.collect())
    }

    fn check(
        &self,
        certificate: CertificateDer<'static>,
        authorities: Vec<CertificateDer<'static>>,
    ) -> Result<Issued, IdentityError> {
        let name = NodeName::of(&certificate)?;
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate)
            .map_err(|_| CertificateError::Unreadable)?;
        let key = &parsed.public_key().subject_public_key.data;
        if name.node != self.id || **key != *self.key.public_key_raw() || authorities.is_empty() {
            return Err(IdentityError::Foreign);
        }
        Ok(Issued { name, certificate, authorities })
    }
}

fn read(path: &Path) -> Result<Option<String>, IdentityError> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(IdentityError::File { path: path.into(), error }),
    }
}

/// Written beside, synced, renamed, and the folder synced: the old file or the new one.
fn write(path: &Path, text: &str) -> Result<(), IdentityError> {
    let beside = path.with_extension("new");
    let written = || -> io::Result<()> {
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        let folder = path.parent().ok_or(io::ErrorKind::NotFound)?;
        File::open(folder)?.sync_all()
    };
    written().map_err(|error| IdentityError::File { path: path.into(), error })
}

const ID_FILE: &str = "node-id";
const KEY_FILE: &str = "node-key.pem";
const CERTIFICATE_FILE: &str = "node-certificate.pem";

#[cfg(test)]
mod tests;

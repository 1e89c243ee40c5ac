//! `-dev-tls`: a CA and a server's certificate, made for one trial.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SanType,
};
use time::OffsetDateTime;

use crate::cli::failure::Failure;
use crate::clock::Clock;
use crate::rng::Rng;

/// The files; a folder that was made for them goes with them when dropped.
pub(super) struct DevTls {
    folder: PathBuf,
    is_temporary: bool,
}

impl DevTls {
    /// Makes certificates for `localhost`, this host's name and `listen`. Without a folder, one is
    /// made among the temporary files.
    ///
    /// # Errors
    /// Where they cannot be written.
    pub(super) fn make(
        folder: Option<&Path>,
        listen: SocketAddr,
        clock: &dyn Clock,
        rng: &dyn Rng,
    ) -> Result<Self, Failure> {
        let files = match folder {
            Some(folder) => Self { folder: folder.to_owned(), is_temporary: false },
            None => {
                let name = format!("strongroom-tls-{:016x}", u64::from_le_bytes(rng.bytes()));
                Self { folder: std::env::temp_dir().join(name), is_temporary: true }
            }
        };
        let wrong = |error: io::Error| {
            Failure::local(format!("-dev-tls: {}: {error}", files.folder.display()))
        };
        // One made among everyone's temporary files must not have been there before.
        let builder = &mut DirBuilder::new();
        builder.mode(0o700).recursive(!files.is_temporary);
        builder.create(&files.folder).map_err(wrong)?;
        let made = certificates(listen, clock)
            .map_err(|error| Failure::local(format!("-dev-tls: {error}")))?;
        for (path, text, mode) in [
            (files.ca(), made.ca, 0o644),
            (files.certificate(), made.certificate, 0o644),
            (files.key(), made.key, 0o600),
        ] {
            write(&path, &text, mode).map_err(wrong)?;
        }
        Ok(files)
    }

    /// For `VAULT_CACERT`. The names are Vault's, which scripts know.
    pub(super) fn ca(&self) -> PathBuf {
        self.folder.join("vault-ca.pem")
    }

    pub(super) fn certificate(&self) -> PathBuf {
        self.folder.join("vault-cert.pem")
    }

    pub(super) fn key(&self) -> PathBuf {
        self.folder.join("vault-key.pem")
    }
}

impl Drop for DevTls {
    fn drop(&mut self) {
        if self.is_temporary {
            // What is left belongs to a trial that has ended, and opens nothing.
            drop(fs::remove_dir_all(&self.folder));
        }
    }
}

/// All in PEM. The CA's key is not kept: nothing else can be signed with it.
struct Made {
    ca: String,
    certificate: String,
    key: String,
}

fn certificates(listen: SocketAddr, clock: &dyn Clock) -> Result<Made, rcgen::Error> {
    let now = i64::try_from(clock.now().seconds()).unwrap_or(i64::MAX);
    let at = |seconds: i64| {
        let time = OffsetDateTime::from_unix_timestamp(now.saturating_add(seconds));
        time.unwrap_or(OffsetDateTime::UNIX_EPOCH)
    };
    let dated = |name: &str| {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.not_before = at(-HOUR_SECONDS);
        params.not_after = at(LIFE_SECONDS);
        params
    };
    let mut ca = dated("Strongroom development CA");
    ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;
    let mut server = dated("localhost");
    let mut names = vec![SanType::DnsName("localhost".try_into()?)];
    let host = crate::server::host_name().try_into();
    names.extend(host.ok().map(SanType::DnsName).filter(|name| !names.contains(name)));
    let mut addresses = vec![IpAddr::from([127, 0, 0, 1]), "::1".parse().unwrap_or(listen.ip())];
    if !listen.ip().is_unspecified() && !addresses.contains(&listen.ip()) {
        addresses.push(listen.ip());
    }
    names.extend(addresses.into_iter().map(SanType::IpAddress));
    server.subject_alt_names = names;
    server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let key = KeyPair::generate()?;
    let certificate = server.signed_by(&key, &ca)?;
    Ok(Made { ca: ca.pem(), certificate: certificate.pem(), key: key.serialize_pem() })
}

/// With this mode from the first byte on.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(text.as_bytes())
}

const HOUR_SECONDS: i64 = 60 * 60;
const LIFE_SECONDS: i64 = 30 * 24 * HOUR_SECONDS;

//! A backup: the whole state in one archive, as Vault's clients save and restore it.
//!
//! A gzip-compressed tar of four files: `meta.json`, `state.bin` (a snapshot of the state store,
//! ciphertext as it is at rest), `SHA256SUMS` of both, and `SHA256SUMS.sealed`, which only a
//! keyring of the cluster makes or opens. Written and read as streams.

mod check;

pub use check::{Checked, Kinds, Opened, deep, walk};

use std::io::{self, BufRead, Read, Write};
use std::path::Path;

use flate2::Compression;
use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::store::{self, SnapshotInfo};

/// What `meta.json` says: the members are those of Vault's, and its tools read them.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Meta {
    /// Of this record: 1.
    pub version: u32,
    #[serde(rename = "ID")]
    pub id: String,
    /// Of the newest entry in the state.
    pub index: u64,
    pub term: u64,
    /// Always empty: a backup brings no members with it. The state has its own.
    pub configuration: Configuration,
    pub configuration_index: u64,
    /// Of `state.bin`, in bytes.
    pub size: u64,
    /// Log time of the state, in milliseconds since the Unix epoch.
    #[serde(default)]
    pub time: u64,
    /// Records and everything else that the state has by key.
    #[serde(default)]
    pub items: u64,
}

#[derive(Clone, Debug, Default, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct Configuration {
    #[serde(default)]
    pub servers: Vec<serde_json::Value>,
}

impl Meta {
    fn of(info: &SnapshotInfo) -> Self {
        Self {
            version: META_VERSION,
            id: format!("strongroom-{}-{}", info.applied.term, info.applied.index),
            index: info.applied.index,
            term: info.applied.term,
            configuration: Configuration::default(),
            configuration_index: 0,
            size: info.bytes,
            time: info.time.0,
            items: info.items,
        }
    }
}

/// Why an archive is no good.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("the archive is cut or damaged: {0}")]
    Read(#[source] io::Error),
    #[error("the archive's contents cannot be put down: {0}")]
    Write(#[source] io::Error),
    #[error("the archive has no {0}: it is incomplete, or no snapshot")]
    Missing(&'static str),
    #[error("the archive has a file that is no part of a snapshot, or is there twice: {0:?}")]
    Unexpected(String),
    #[error("{0} is longer than it can be")]
    TooLong(&'static str),
    #[error("{0} in the archive is malformed")]
    Malformed(&'static str),
    #[error("{name} does not match its checksum in SHA256SUMS: the archive is damaged")]
    Checksum { name: &'static str },
    #[error("state.bin has {found} bytes, and meta.json says {said}")]
    Size { found: u64, said: u64 },
    #[error("something follows the archive's end")]
    Trailing,
    #[error("state.bin is damaged at byte {offset}: {what}")]
    Damaged { offset: u64, what: String },
    #[error("state.bin: {0}")]
    State(store::Error),
}

impl From<store::Error> for Error {
    fn from(error: store::Error) -> Self {
        match error {
            // Its own text tells what to do with a node's folder.
            store::Error::Corrupt { offset, what, .. } => Self::Damaged { offset, what },
            other => Self::State(other),
        }
    }
}

/// Writes the archive of a snapshot file. `seal` seals the checksums.
///
/// # Errors
/// Where the file cannot be read, or `output` written.
pub fn write(
    output: impl Write,
    state: &Path,
    seal: impl FnOnce(&[u8]) -> io::Result<Vec<u8>>,
) -> io::Result<()> {
    let info = store::inspect(state).map_err(io::Error::other)?;
    let meta = serde_json::to_vec(&Meta::of(&info))?;
    // The state is ciphertext, which does not shrink.
    let mut archive = tar::Builder::new(GzEncoder::new(output, Compression::fast()));
    let mtime = info.time.seconds();
    append(&mut archive, META, mtime, meta.len() as u64, meta.as_slice())?;
    let file = std::fs::File::open(state)?;
    let mut state = Hashing { inner: file, hash: Sha256::new(), bytes: 0 };
    append(&mut archive, STATE, mtime, info.bytes, &mut state)?;
    let sums = checksums(&Sha256::digest(&meta).into(), &state.hash.finalize().into());
    append(&mut archive, SUMS, mtime, sums.len() as u64, sums.as_slice())?;
    let sealed = seal(&sums)?;
    append(&mut archive, SEALED_SUMS, mtime, sealed.len() as u64, sealed.as_slice())?;
    archive.into_inner()?.finish()?.flush()
}

fn append(
    archive: &mut tar::Builder<impl Write>,
    name: &str,
    mtime: u64,
    size: u64,
    content: impl Read,
) -> io::Result<()> {
    let mut header = tar::Header::new_gnu();
    header.set_size(size);
    header.set_mode(0o600);
    header.set_mtime(mtime);
    archive.append_data(&mut header, name, content)
}

/// What an archive holds beside the state.
#[derive(Clone, Debug)]
pub struct Unpacked {
    pub meta: Meta,
    pub checksums: Vec<u8>,
    /// As [`write`]'s `seal` has made it of the checksums.
    pub sealed_checksums: Vec<u8>,
}

/// Reads all of an archive, writes its state to `state`, and checks the checksums.
///
/// # Errors
/// Where it is not whole, or not what [`write`] makes.
pub fn unpack(input: impl BufRead, state: impl Write) -> Result<Unpacked, Error> {
    let mut parts = Parts::default();
    let mut state = Some(state);
    let mut archive = tar::Archive::new(GzDecoder::new(input));
    for entry in archive.entries().map_err(Error::Read)? {
        let mut entry = entry.map_err(Error::Read)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        match name.as_str() {
            META if parts.meta.is_none() => parts.meta = Some(small(&mut entry, META)?),
            SUMS if parts.sums.is_none() => parts.sums = Some(small(&mut entry, SUMS)?),
            SEALED_SUMS if parts.sealed.is_none() => {
                parts.sealed = Some(small(&mut entry, SEALED_SUMS)?);
            }
            STATE => match state.take() {
                Some(to) => parts.state = Some(copy(&mut entry, to)?),
                None => return Err(Error::Unexpected(name)),
            },
            _ => return Err(Error::Unexpected(name)),
        }
    }
    // The compressed stream has a checksum of its own, at its end.
    let mut rest = archive.into_inner();
    io::copy(&mut rest, &mut io::sink()).map_err(Error::Read)?;
    if !rest.into_inner().fill_buf().map_err(Error::Read)?.is_empty() {
        return Err(Error::Trailing);
    }
    parts.check()
}

#[derive(Default)]
struct Parts {
    meta: Option<Vec<u8>>,
    /// Digest and length.
    state: Option<([u8; 32], u64)>,
    sums: Option<Vec<u8>>,
    sealed: Option<Vec<u8>>,
}

impl Parts {
    fn check(self) -> Result<Unpacked, Error> {
        let meta = self.meta.ok_or(Error::Missing(META))?;
        let (state, found) = self.state.ok_or(Error::Missing(STATE))?;
        let checksums = self.sums.ok_or(Error::Missing(SUMS))?;
        let sealed_checksums = self.sealed.ok_or(Error::Missing(SEALED_SUMS))?;
        let text = std::str::from_utf8(&checksums).map_err(|_| Error::Malformed(SUMS))?;
        let digests = [(META, Sha256::digest(&meta).into()), (STATE, state)];
        for (name, digest) in digests {
            if !text.lines().any(|said| said == line(name, &digest)) {
                return Err(Error::Checksum { name });
            }
        }
        let meta: Meta = serde_json::from_slice(&meta).map_err(|_| Error::Malformed(META))?;
        if meta.size != found {
            return Err(Error::Size { found, said: meta.size });
        }
        Ok(Unpacked { meta, checksums, sealed_checksums })
    }
}

fn small(entry: &mut impl Read, name: &'static str) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    entry.take(SMALL_BYTES_MAX + 1).read_to_end(&mut bytes).map_err(Error::Read)?;
    if bytes.len() as u64 > SMALL_BYTES_MAX {
        return Err(Error::TooLong(name));
    }
    Ok(bytes)
}

fn copy(entry: &mut impl Read, mut to: impl Write) -> Result<([u8; 32], u64), Error> {
    let mut from = Hashing { inner: entry, hash: Sha256::new(), bytes: 0 };
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        let read = from.read(&mut buffer).map_err(Error::Read)?;
        let Some(piece) = buffer.get(..read).filter(|piece| !piece.is_empty()) else { break };
        to.write_all(piece).map_err(Error::Write)?;
    }
    to.flush().map_err(Error::Write)?;
    Ok((from.hash.finalize().into(), from.bytes))
}

fn checksums(meta: &[u8; 32], state: &[u8; 32]) -> Vec<u8> {
    format!("{}\n{}\n", line(META, meta), line(STATE, state)).into_bytes()
}

/// As `sha256sum` prints it.
fn line(name: &str, digest: &[u8; 32]) -> String {
    let digest = crate::text::hex(digest);
    format!("{digest}  {name}")
}

struct Hashing<R> {
    inner: R,
    hash: Sha256,
    bytes: u64,
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.hash.update(buffer.get(..read).unwrap_or_default());
        self.bytes = self.bytes.saturating_add(read as u64);
        Ok(read)
    }
}

const META: &str = "meta.json";
const STATE: &str = "state.bin";
const SUMS: &str = "SHA256SUMS";
const SEALED_SUMS: &str = "SHA256SUMS.sealed";

const META_VERSION: u32 = 1;

/// Of each file but the state.
const SMALL_BYTES_MAX: u64 = 1 << 20;

const COPY_BYTES: usize = 256 << 10;

#[cfg(test)]
mod tests;

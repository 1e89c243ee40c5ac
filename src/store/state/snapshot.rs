//! The state in one file: what a follower is sent, and what a backup holds.
//!
//! ```text
//! header   magic[8] version:u32 bytes:u32 mark crc:u32     (crc: of all before it)
//! block    bytes:u32 crc:u32, then items of: key:u8 key value:u32 value
//! end      0:u32 items:u64 sha256[32]                      (sha256: of all before it)
//! ```
//! Numbers are little-endian, checksums CRC-32C. Items are in the order of their keys, which are
//! those of a checkpoint. No clock and no name of a node: equal states make equal files.

use std::fs::{self, File};
use std::io::{self, BufReader, BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use bytes::{Buf as _, BufMut as _, Bytes};
use sha2::{Digest as _, Sha256};

use super::checkpoint::{Change, Checkpoint};
use super::table::{Directories, Mark, RawKey, Records, Stage, System, TABLES, Table as _};
use crate::clock::Timestamp;
use crate::store::requests::key_bytes;
use crate::store::{EntryId, Error};

/// What a snapshot is of.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct SnapshotInfo {
    /// The newest entry in it.
    pub applied: EntryId,
    /// As it was given to `apply_membership`.
    pub membership: Option<Bytes>,
    pub time: Timestamp,
    /// Records, directories, system records, and what is remembered of requests.
    pub items: u64,
    /// Of the file.
    pub bytes: u64,
    /// Of the file but for its last 32 bytes, which are this.
    pub sha256: [u8; 32],
}

/// What the file says of itself; that its contents are whole is for [`verify`] to find, which
/// every installation does.
///
/// # Errors
/// Where it is no snapshot, or a newer program's.
pub fn inspect(file: &Path) -> Result<SnapshotInfo, Error> {
    let mut reader = Reader::open(file)?;
    let mark = reader.header()?;
    let bytes = reader.bytes;
    let at = bytes.saturating_sub(END_BYTES as u64);
    reader.input.seek(SeekFrom::Start(at)).map_err(Error::io("read", file))?;
    reader.at = at;
    let end: [u8; END_BYTES] = reader.array()?;
    let mut end = end.as_slice();
    if end.get_u32_le() != 0 {
        return Err(reader.damaged("it has no end"));
    }
    let items = end.get_u64_le();
    let mut sha256 = [0; 32];
    end.copy_to_slice(&mut sha256);
    reader.info(mark, items, sha256)
}

/// Reads all of the file and checks all of its checksums.
///
/// # Errors
/// Where one is wrong, or the file is a newer program's.
pub fn verify(file: &Path) -> Result<SnapshotInfo, Error> {
    read(file, &mut |_, _, _| Ok(()))
}

/// Puts a snapshot into an empty checkpoint.
pub(super) fn load(file: &Path, checkpoint: &dyn Checkpoint) -> Result<SnapshotInfo, Error> {
    let mut changes: Vec<Change> = Vec::new();
    let mut bytes = 0;
    let info = read(file, &mut |_, key, value| {
        bytes += value.len();
        changes.push((key, Some(value)));
        if bytes >= LOAD_BYTES {
            bytes = 0;
            checkpoint.commit(&mut changes.drain(..))?;
        }
        Ok(())
    })?;
    let mark =
        Mark { applied: Some(info.applied), time: info.time, membership: info.membership.clone() };
    changes.push((RawKey::mark(), Some(mark.encode())));
    checkpoint.commit(&mut changes.into_iter())?;
    Ok(info)
}

/// Writes a point of the checkpoint into `file`, which appears whole or not at all.
pub(super) fn write(checkpoint: &dyn Checkpoint, file: &Path) -> Result<SnapshotInfo, Error> {
    let beside = beside(file);
    let result = write_beside(checkpoint, &beside);
    match result {
        Ok(info) => {
            rename(&beside, file)?;
            Ok(info)
        }
        Err(error) => {
            // What is left of it would only take room.
            drop(fs::remove_file(&beside));
            Err(error)
        }
    }
}

/// Durably.
pub(super) fn rename(from: &Path, to: &Path) -> Result<(), Error> {
    fs::rename(from, to).map_err(Error::io("rename to", to))?;
    sync_parent(to)
}

pub(super) fn sync_parent(path: &Path) -> Result<(), Error> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(Error::io("sync", folder))
}

/// Where a file is written before it is renamed to its name.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut name = file.file_name().unwrap_or_default().to_owned();
    name.push(UNFINISHED);
    file.with_file_name(name)
}

fn write_beside(checkpoint: &dyn Checkpoint, file: &Path) -> Result<SnapshotInfo, Error> {
    let point = checkpoint.point()?;
    let mark = point.get(RawKey::mark().as_slice())?.and_then(Mark::decode).unwrap_or_default();
    let Some(applied) = mark.applied else {
        return Err(Error::Database(
            "nothing to make a snapshot of: nothing is applied".to_owned(),
        ));
    };
    let stages = point.get(Stage::key(&0).as_slice())?.is_some();
    let version = if stages { VERSION } else { VERSION_WITHOUT_RESTORE };
    let mut writer = Writer::create(file)?;
    writer.put(&header(version, &mark))?;
    let mut block = Vec::new();
    let mut items = 0;
    point.scan(TABLES, &mut |key, value| {
        block.put_u8(key.len() as u8);
        block.put_slice(key);
        block.put_u32_le(value.len() as u32);
        block.put_slice(value);
        items += 1;
        if block.len() >= BLOCK_BYTES {
            writer.block(&mut block)?;
        }
        Ok(ControlFlow::Continue(()))
    })?;
    if !block.is_empty() {
        writer.block(&mut block)?;
    }
    let mut end = Vec::new();
    end.put_u32_le(0);
    end.put_u64_le(items);
    writer.put(&end)?;
    let (bytes, sha256) = writer.finish()?;
    let Mark { time, membership, .. } = mark;
    Ok(SnapshotInfo { applied, membership, time, items, bytes, sha256 })
}

fn header(version: u32, mark: &Mark) -> Vec<u8> {
    let mark = mark.encode();
    let mut header = MAGIC.to_vec();
    header.put_u32_le(version);
    header.put_u32_le(mark.len() as u32);
    header.put_slice(&mark);
    header.put_u32_le(crc32c::crc32c(&header));
    header
}

/// Given the end of the item's block in the file, its key and its value.
type Visit<'a> = dyn FnMut(u64, RawKey, Vec<u8>) -> Result<(), Error> + 'a;

pub(super) fn read(file: &Path, visit: &mut Visit<'_>) -> Result<SnapshotInfo, Error> {
    let mut reader = Reader::open(file)?;
    let mark = reader.header()?;
    let mut items = 0;
    let mut previous: Option<RawKey> = None;
    while let Some(block) = reader.block()? {
        let mut block = block.as_slice();
        while !block.is_empty() {
            let Some((key, value)) = item(&mut block) else {
                return Err(reader.damaged("an item is cut"));
            };
            let Some(key) = known(key).filter(|key| previous < Some(*key)) else {
                return Err(reader.damaged("a key is unknown or out of order"));
            };
            visit(reader.at, key, value.to_vec())?;
            previous = Some(key);
            items += 1;
        }
    }
    if reader.u64()? != items {
        return Err(reader.damaged("items are missing"));
    }
    let computed: [u8; 32] = reader.hash.clone().finalize().into();
    if reader.array()? != computed {
        return Err(reader.damaged("the digest of the whole file is wrong"));
    }
    if reader.at != reader.bytes {
        return Err(reader.damaged("something follows its end"));
    }
    reader.info(mark, items, computed)
}

fn item<'a>(block: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    let length = block.try_get_u8().ok()?;
    let (key, rest) = block.split_at_checked(usize::from(length))?;
    *block = rest;
    let length = block.try_get_u32_le().ok()?;
    let (value, rest) = block.split_at_checked(length as usize)?;
    *block = rest;
    Some((key, value))
}

/// The keys of each table have one length.
fn known(key: &[u8]) -> Option<RawKey> {
    let (prefix, rest) = key.split_first()?;
    let length = match *prefix {
        Records::PREFIX => 32,
        Directories::PREFIX => 16,
        System::PREFIX | Stage::PREFIX => 4,
        other => key_bytes(other)?,
    };
    (rest.len() == length).then(|| RawKey::new(*prefix, rest))
}

struct Writer {
    path: PathBuf,
    output: BufWriter<File>,
    hash: Sha256,
    bytes: u64,
}

impl Writer {
    fn create(path: &Path) -> Result<Self, Error> {
        use std::os::unix::fs::OpenOptionsExt as _;
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true).mode(0o600);
        let file = options.open(path).map_err(Error::io("create", path))?;
        let output = BufWriter::with_capacity(BLOCK_BYTES, file);
        Ok(Self { path: path.to_owned(), output, hash: Sha256::new(), bytes: 0 })
    }

    fn block(&mut self, block: &mut Vec<u8>) -> Result<(), Error> {
        let mut header = Vec::with_capacity(8);
        header.put_u32_le(block.len() as u32);
        header.put_u32_le(crc32c::crc32c(block));
        self.put(&header)?;
        self.put(block)?;
        block.clear();
        Ok(())
    }

    fn put(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.output.write_all(bytes).map_err(Error::io("write", &self.path))
    }

    fn finish(mut self) -> Result<(u64, [u8; 32]), Error> {
        let sha256: [u8; 32] = self.hash.clone().finalize().into();
        self.put(&sha256)?;
        let failed = Error::io("sync", &self.path);
        let file = self.output.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(failed)?;
        Ok((self.bytes, sha256))
    }
}

struct Reader {
    path: PathBuf,
    input: BufReader<File>,
    hash: Sha256,
    at: u64,
    /// Of the file.
    bytes: u64,
}

impl Reader {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let bytes = file.metadata().map_err(Error::io("measure", path))?.len();
        let input = BufReader::with_capacity(BLOCK_BYTES, file);
        Ok(Self { path: path.to_owned(), input, hash: Sha256::new(), at: 0, bytes })
    }

    fn header(&mut self) -> Result<Mark, Error> {
        if self.array()? != MAGIC {
            return Err(self.damaged("it is not a snapshot"));
        }
        let version = self.u32()?;
        if version > VERSION {
            let path = self.path.clone();
            return Err(Error::Newer { path, found: version, supported: VERSION });
        }
        let length = self.u32()?;
        let encoded = self.take(length)?;
        let mut checked = crc32c::crc32c(&MAGIC);
        for part in [version.to_le_bytes().as_slice(), &length.to_le_bytes(), &encoded] {
            checked = crc32c::crc32c_append(checked, part);
        }
        if self.u32()? != checked {
            return Err(self.damaged("its header fails its checksum"));
        }
        Mark::decode(encoded.into()).ok_or_else(|| self.damaged("its header cannot be read"))
    }

    /// `None` at the end.
    fn block(&mut self) -> Result<Option<Vec<u8>>, Error> {
        let length = self.u32()?;
        if length == 0 {
            return Ok(None);
        }
        let crc = self.u32()?;
        let block = self.take(length)?;
        if crc32c::crc32c(&block) != crc {
            return Err(self.damaged("a block fails its checksum"));
        }
        Ok(Some(block))
    }

    fn u32(&mut self) -> Result<u32, Error> {
        self.array().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.array().map(u64::from_le_bytes)
    }

    fn take(&mut self, length: u32) -> Result<Vec<u8>, Error> {
        // A length that is damaged must not ask for memory that the file cannot fill.
        if u64::from(length) > self.bytes.saturating_sub(self.at) {
            return Err(self.damaged("it is cut"));
        }
        let mut bytes = vec![0; length as usize];
        self.fill(&mut bytes)?;
        Ok(bytes)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let mut array = [0; N];
        self.fill(&mut array)?;
        Ok(array)
    }

    fn fill(&mut self, bytes: &mut [u8]) -> Result<(), Error> {
        match self.input.read_exact(bytes) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => {
                return Err(self.damaged("it is cut"));
            }
            result => result.map_err(Error::io("read", &self.path))?,
        }
        self.hash.update(&*bytes);
        self.at += bytes.len() as u64;
        Ok(())
    }

    fn info(&self, mark: Mark, items: u64, sha256: [u8; 32]) -> Result<SnapshotInfo, Error> {
        let Mark { applied, time, membership } = mark;
        let applied = applied.ok_or_else(|| self.damaged("its header names no entry"))?;
        Ok(SnapshotInfo { applied, membership, time, items, bytes: self.bytes, sha256 })
    }

    fn damaged(&self, what: &str) -> Error {
        Error::corrupt(&self.path, self.at, what)
    }
}

const MAGIC: [u8; 8] = *b"STRGRSNP";
/// Of the file, and of the keys and values in it. 1 has nothing of requests, 2 nothing of a restore
/// that is under way: without one, nodes of an older program can read it.
const VERSION: u32 = 3;
const VERSION_WITHOUT_RESTORE: u32 = 2;
const END_BYTES: usize = 4 + 8 + 32;
/// A block is at least so large, and larger by at most one item.
const BLOCK_BYTES: usize = 256 << 10;
/// Loaded by so many a commit.
pub(super) const LOAD_BYTES: usize = 32 << 20;
/// Added to the name of a file that is being written.
pub(super) const UNFINISHED: &str = ".unfinished";

use std::io;
use std::path::Path;
use std::sync::Arc;

use super::{Error, unpack, write};
use crate::store::{EntryId, State, StateOptions, Watermark, walk};

/// A state with nothing but a blank entry, as a snapshot file.
fn exported(folder: &Path) -> std::path::PathBuf {
    let flushed = Arc::new(Watermark::unbounded());
    let state = State::open(
        &folder.join("state"),
        StateOptions { map_bytes: 64 << 20, ..StateOptions::default() },
        flushed,
        Box::new(|_| {}),
    )
    .unwrap();
    state.apply_blank(EntryId { index: 1, term: 1, node: 1 }).unwrap();
    let file = folder.join("file");
    state.export(&file).unwrap();
    file
}

fn archive(file: &Path) -> Vec<u8> {
    let mut archive = Vec::new();
    write(&mut archive, file, |sums| Ok(sums.to_vec())).unwrap();
    archive
}

#[test]
fn what_is_unpacked_is_what_was_packed() {
    let folder = tempfile::tempdir().unwrap();
    let file = exported(folder.path());
    let mut state = Vec::new();
    let unpacked = unpack(archive(&file).as_slice(), &mut state).unwrap();
    assert_eq!(state, std::fs::read(&file).unwrap());
    assert_eq!((unpacked.meta.index, unpacked.meta.term), (1, 1));
    assert_eq!(unpacked.meta.size, state.len() as u64);
    assert_eq!(unpacked.sealed_checksums, unpacked.checksums);
    assert_eq!(walk(&file, &mut |_| Ok(())).unwrap().applied.index, 1);
}

#[test]
fn a_cut_or_changed_archive_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let whole = archive(&exported(folder.path()));
    for length in 0..whole.len() {
        assert!(unpack(&whole[..length], io::sink()).is_err(), "cut at {length}");
    }
    let longer = [whole.as_slice(), b"x"].concat();
    assert!(matches!(unpack(longer.as_slice(), io::sink()), Err(Error::Trailing)));
    let mut changed = 0;
    for at in 10..whole.len() {
        let mut bytes = whole.clone();
        bytes[at] ^= 1;
        // A few bits of a compressed stream mean nothing; what comes out is then the same.
        let mut state = Vec::new();
        match unpack(bytes.as_slice(), &mut state) {
            Err(_) => changed += 1,
            Ok(unpacked) => assert_eq!(unpacked.meta.size, state.len() as u64, "at {at}"),
        }
    }
    assert!(changed > whole.len() * 9 / 10, "{changed} of {}", whole.len());
}

#[test]
fn an_archive_of_other_files_is_refused() {
    let mut bytes = Vec::new();
    let gzip = flate2::write::GzEncoder::new(&mut bytes, flate2::Compression::fast());
    let mut tar = tar::Builder::new(gzip);
    super::append(&mut tar, "passwd", 0, 1, b"x".as_slice()).unwrap();
    tar.into_inner().unwrap().finish().unwrap();
    assert!(matches!(unpack(bytes.as_slice(), io::sink()), Err(Error::Unexpected(_))));
}

//! No file of any node holds a name or a value: not as it is, and not encoded.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD_NO_PAD, URL_SAFE_NO_PAD};
use memchr::memmem::Finder;

/// What was searched, and which files hold what they must not.
#[derive(Debug, Default)]
pub(crate) struct Searched {
    pub(crate) files: u64,
    pub(crate) bytes: u64,
    pub(crate) problems: Vec<String>,
}

/// Searches every file below a folder.
///
/// # Errors
/// Where one cannot be read: it would be one that was not searched.
pub(crate) fn search(folder: &Path, texts: &[String]) -> Result<Searched, String> {
    let forms: Vec<(String, Vec<u8>)> = texts.iter().flat_map(|text| forms(text)).collect();
    let finders: Vec<(&str, Finder<'_>)> =
        forms.iter().map(|(what, bytes)| (what.as_str(), Finder::new(bytes))).collect();
    let longest = forms.iter().map(|(_, bytes)| bytes.len()).max().unwrap_or_default();
    let mut searched = Searched::default();
    let mut files = Vec::new();
    collect(folder, &mut files)?;
    for path in files {
        let named = path.strip_prefix(folder).unwrap_or(&path).display().to_string();
        let file = File::open(&path).map_err(|error| format!("{named}: {error}"))?;
        let found = search_one(file, &finders, longest, &mut searched.bytes)
            .map_err(|error| format!("{named}: {error}"))?;
        searched.files += 1;
        for (what, finder) in &finders {
            if finder.find(named.as_bytes()).is_some() || found.contains(what) {
                searched.problems.push(format!("{named} holds {what}"));
            }
        }
    }
    Ok(searched)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), String> {
    for entry in fs::read_dir(folder).map_err(|error| error.to_string())? {
        let path = entry.map_err(|error| error.to_string())?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(())
}

/// In pieces that overlap by what could lie across their border.
fn search_one<'a>(
    mut file: impl Read,
    finders: &[(&'a str, Finder<'_>)],
    longest: usize,
    bytes: &mut u64,
) -> Result<Vec<&'a str>, std::io::Error> {
    let mut found = Vec::new();
    let mut window: Vec<u8> = Vec::new();
    loop {
        let kept = window.len().min(longest.saturating_sub(1));
        window.drain(..window.len() - kept);
        let read = file.by_ref().take(PIECE).read_to_end(&mut window)?;
        if read == 0 {
            return Ok(found);
        }
        *bytes += u64::try_from(read).unwrap_or(u64::MAX);
        // The log's files are made in full size: most of it holds nothing yet.
        if ZEROS.get(..window.len()) == Some(window.as_slice()) {
            continue;
        }
        for (what, finder) in finders {
            if !found.contains(what) && finder.find(&window).is_some() {
                found.push(*what);
            }
        }
    }
}

/// As it is, as hexadecimal digits, and as base64 wherever it may lie within what was encoded.
fn forms(text: &str) -> Vec<(String, Vec<u8>)> {
    let raw = text.as_bytes();
    let hex: String = raw.iter().map(|byte| format!("{byte:02x}")).collect();
    let mut forms = vec![
        (text.to_owned(), raw.to_vec()),
        (format!("{text} in upper-case hexadecimal"), hex.to_uppercase().into_bytes()),
        (format!("{text} in hexadecimal"), hex.into_bytes()),
    ];
    for offset in 0..3_usize {
        let mut padded = vec![0; offset];
        padded.extend_from_slice(raw);
        // The first digits hold bits of what comes before, the last ones of what comes after.
        let first = (offset * 8).div_ceil(6);
        let last = padded.len() * 8 / 6;
        for (name, encoded) in [
            ("base64", STANDARD_NO_PAD.encode(&padded)),
            ("URL-safe base64", URL_SAFE_NO_PAD.encode(&padded)),
        ] {
            if let Some(stable) = encoded.as_bytes().get(first..last) {
                forms.push((format!("{text} in {name}"), stable.to_vec()));
            }
        }
    }
    forms
}

const PIECE: u64 = 1 << 18;

/// At least a piece with what is kept of the one before.
static ZEROS: [u8; 1 << 19] = [0; 1 << 19];

#[cfg(test)]
mod tests;

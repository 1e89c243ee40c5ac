//! The archive, or the folder, that what was gathered goes into.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use super::capture::Captures;
use crate::cli::failure::Failure;

pub(super) struct Bundle {
    /// Of the archive or the folder.
    path: PathBuf,
    /// What everything in it is below.
    name: String,
    is_compressed: bool,
}

impl Bundle {
    /// # Errors
    /// Where the path is taken: nothing is overwritten.
    pub(super) fn new(
        output: Option<PathBuf>,
        begun: &str,
        is_compressed: bool,
    ) -> Result<Self, Failure> {
        let time = begun.replace(':', "-");
        let mut path = output.unwrap_or_else(|| format!("strongroom-debug-{time}").into());
        let shown = path.display().to_string();
        let stem = ARCHIVE.iter().find_map(|end| shown.strip_suffix(end)).unwrap_or(&shown);
        let name = Path::new(stem).file_name().map(|name| name.to_string_lossy().into_owned());
        if is_compressed && stem == shown {
            path = format!("{shown}{}", ARCHIVE[0]).into();
        }
        if path.exists() {
            return Err(Failure::local(format!(
                "{} is there already: give another -output",
                path.display()
            )));
        }
        Ok(Self { path, name: name.unwrap_or_else(|| "strongroom-debug".into()), is_compressed })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Under its name only once it is whole.
    pub(super) fn write(self, head: Value, captures: Captures) -> Result<PathBuf, Failure> {
        let files = files(head, captures);
        let written = match self.is_compressed {
            true => self.archive(&files),
            false => self.folder(&files),
        };
        written.map_err(|error| Failure::local(format!("{}: {error}", self.path.display())))?;
        Ok(self.path)
    }

    fn archive(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        let mut partial = self.path.clone().into_os_string();
        partial.push(".partial");
        let partial = PathBuf::from(partial);
        let written = || -> io::Result<()> {
            let mut archive =
                tar::Builder::new(GzEncoder::new(new_file(&partial)?, Compression::default()));
            for (name, bytes) in files {
                let mut header = tar::Header::new_gnu();
                header.set_size(bytes.len() as u64);
                header.set_mode(0o600);
                let path = format!("{}/{name}", self.name);
                archive.append_data(&mut header, path, bytes.as_slice())?;
            }
            archive.into_inner()?.finish()?.sync_all()?;
            fs::rename(&partial, &self.path)
        };
        let result = written();
        if result.is_err() {
            // There may be nothing to remove; what failed says more.
            drop(fs::remove_file(&partial));
        }
        result
    }

    fn folder(&self, files: &[(String, Vec<u8>)]) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(&self.path)?;
        for (name, bytes) in files {
            new_file(&self.path.join(name))?.write_all(bytes)?;
        }
        Ok(())
    }
}

fn new_file(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// `index.json` first.
fn files(mut head: Value, captures: Captures) -> Vec<(String, Vec<u8>)> {
    let gathered = captures.into_inner();
    let mut files = Vec::new();
    for (target, answers) in gathered.answers {
        let name = format!("{}.json", target.replace('-', "_"));
        files.push((name, text(&Value::Array(answers))));
    }
    if !gathered.log.is_empty() {
        files.push(("vault.log".to_owned(), gathered.log));
    }
    if let Some(head) = head.as_object_mut() {
        let names: Vec<&String> = files.iter().map(|(name, _)| name).collect();
        head.insert("output".into(), json!({ "files": names }));
        head.insert("errors".into(), Value::Array(gathered.errors));
    }
    files.insert(0, ("index.json".to_owned(), text(&head)));
    files
}

fn text(value: &Value) -> Vec<u8> {
    format!("{value:#}\n").into_bytes()
}

const ARCHIVE: [&str; 2] = [".tar.gz", ".tgz"];

//! `operator raft snapshot save`

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::fs;
use tokio::io::AsyncWriteExt as _;

use super::archive;
use crate::cli::failure::{Failure, REMOTE};
use crate::cli::session::Session;
use crate::client::{GET, Request};

/// Save all data, encrypted as they are, to a file
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    file: PathBuf,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let path = &args.file;
    let failed_here = |error: std::io::Error| {
        Failure::local(format!("Error writing the snapshot to {}: {error}", path.display()))
    };
    let failed = |error| Failure::during("Error taking the snapshot", error);
    let request = Request::new(GET, "sys/storage/raft/snapshot");
    let (_, body) = session.client()?.open(&request).await.map_err(failed)?;
    let partial = partial_path(path);
    let result = match receive(session, body, &partial).await {
        // Read again, from the disk: an archive that cannot be restored is none.
        Ok(()) => archive::unpack(&partial, std::io::sink()).map(drop),
        Err(failure) => Err(failure),
    };
    let result = match result {
        Ok(()) => put_in_place(&partial, path).map_err(failed_here),
        Err(failure) => Err(failure),
    };
    if result.is_err() {
        // There may be nothing to remove; the failure above says more.
        drop(fs::remove_file(&partial).await);
    }
    result
}

/// A snapshot that ends early must not be taken for a whole one, nor replace an older one: it gets
/// its name at the end.
fn partial_path(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".partial");
    name.into()
}

/// Durably: a power cut leaves the old file or the new one.
fn put_in_place(partial: &Path, path: &Path) -> std::io::Result<()> {
    std::fs::rename(partial, path)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    std::fs::File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

async fn receive(
    session: &mut Session<'_, '_>,
    mut body: Incoming,
    partial: &Path,
) -> Result<(), Failure> {
    let failed_here = |error: std::io::Error| {
        Failure::local(format!("Error writing the snapshot to {}: {error}", partial.display()))
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = fs::OpenOptions::from(options).open(partial).await.map_err(failed_here)?;
    let mut progress = Progress::of(session);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::local(format!("Error taking the snapshot: {error}")).exit(REMOTE)
        })?;
        if let Some(bytes) = frame.data_ref() {
            file.write_all(bytes).await.map_err(failed_here)?;
            progress.received(session, bytes.len());
        }
    }
    progress.end(session);
    file.sync_all().await.map_err(failed_here)
}

/// How much has come, on a terminal. Nobody knows how much there is before all of it was read.
struct Progress {
    is_shown: bool,
    bytes: usize,
    shown: usize,
}

impl Progress {
    fn of(session: &Session<'_, '_>) -> Self {
        let is_shown = session.io.is_output_terminal && !session.global.non_interactive;
        Self { is_shown, bytes: 0, shown: 0 }
    }

    fn received(&mut self, session: &mut Session<'_, '_>, bytes: usize) {
        self.bytes = self.bytes.saturating_add(bytes);
        if self.is_shown && self.bytes.saturating_sub(self.shown) >= MIB {
            self.show(session, "");
        }
    }

    fn end(&mut self, session: &mut Session<'_, '_>) {
        if self.is_shown {
            self.show(session, "\n");
        }
    }

    fn show(&mut self, session: &mut Session<'_, '_>, end: &str) {
        self.shown = self.bytes;
        let (whole, tenths) = (self.bytes / MIB, self.bytes % MIB * 10 / MIB);
        // Nobody is left to be told that standard error is closed.
        drop(write!(session.io.errors, "\rSaving the snapshot: {whole}.{tenths} MiB{end}"));
        drop(session.io.errors.flush());
    }
}

/// Shown so often.
const MIB: usize = 1 << 20;

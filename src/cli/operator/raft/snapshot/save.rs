//! `operator raft snapshot save`

use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use tokio::fs;
use tokio::io::AsyncWriteExt as _;

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
    let result = receive(body, &partial).await;
    let result = match result {
        Ok(()) => fs::rename(&partial, path).await.map_err(failed_here),
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

async fn receive(mut body: Incoming, partial: &Path) -> Result<(), Failure> {
    let failed_here = |error: std::io::Error| {
        Failure::local(format!("Error writing the snapshot to {}: {error}", partial.display()))
    };
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    let mut file = fs::OpenOptions::from(options).open(partial).await.map_err(failed_here)?;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            Failure::local(format!("Error taking the snapshot: {error}")).exit(REMOTE)
        })?;
        if let Some(bytes) = frame.data_ref() {
            file.write_all(bytes).await.map_err(failed_here)?;
        }
    }
    file.sync_all().await.map_err(failed_here)
}

//! `operator raft snapshot restore`

use std::path::PathBuf;

use bytes::{Bytes, BytesMut};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use hyper::body::Frame;
use tokio::fs::File;
use tokio::io::AsyncReadExt as _;

use crate::cli::failure::Failure;
use crate::cli::session::Session;
use crate::client::{POST, Request};

/// Replace all data by those of a snapshot
#[derive(clap::Args)]
pub(in crate::cli) struct Args {
    file: PathBuf,
    /// Even if the snapshot is of another cluster; its unseal keys are then needed.
    #[arg(long)]
    force: bool,
}

pub(in crate::cli) async fn run(session: &mut Session<'_, '_>, args: &Args) -> Result<(), Failure> {
    let file = File::open(&args.file).await.map_err(|error| {
        Failure::local(format!("Error opening {}: {error}", args.file.display()))
    })?;
    let path =
        if args.force { "sys/storage/raft/snapshot-force" } else { "sys/storage/raft/snapshot" };
    let chunks = stream::try_unfold(file, |mut file| async move {
        let mut chunk = BytesMut::with_capacity(CHUNK_BYTES);
        let read = file.read_buf(&mut chunk).await?;
        let frame = Frame::data(Bytes::from(chunk));
        Ok::<_, std::io::Error>((read > 0).then_some((frame, file)))
    });
    let body = StreamBody::new(Box::pin(chunks)).boxed();
    let failed = |error| Failure::during("Error installing the snapshot", error);
    session.client()?.upload(&Request::new(POST, path), body).await.map_err(failed)?;
    session.success("Success! The snapshot is installed.")
}

const CHUNK_BYTES: usize = 256 << 10;

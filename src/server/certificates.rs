//! Certificates that are exchanged without a signal: by tools that only write files.

use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::http::{BoundAddress, Tls};

/// Looks whether the files of listeners have changed.
pub struct CertificateWatch(Vec<Watched>);

struct Watched {
    address: BoundAddress,
    tls: Arc<Tls>,
    seen: Vec<Option<Stamp>>,
}

/// What changes with a file, or with the link that leads to it.
type Stamp = (u64, i64, i64, u64);

impl CertificateWatch {
    pub fn new(listeners: impl IntoIterator<Item = (BoundAddress, Arc<Tls>)>) -> Self {
        let watched = listeners.into_iter().map(|(address, tls)| {
            let seen = stamps(&tls);
            Watched { address, tls, seen }
        });
        Self(watched.collect())
    }

    /// Reads those again that have changed since. A pair that does not fit is refused and told
    /// once; the old one is served until the files change again.
    pub fn look(&mut self) {
        for Watched { address, tls, seen } in &mut self.0 {
            let found = stamps(tls);
            if found == *seen {
                continue;
            }
            *seen = found;
            match tls.reload() {
                Ok(()) => tracing::info!(%address, "certificates have changed and are in use"),
                Err(error) => tracing::error!(
                    %address,
                    error = &error as &dyn std::error::Error,
                    "certificates have changed but cannot be used: the old ones stay"
                ),
            }
        }
    }

    /// Looks until dropped.
    pub async fn run(mut self) {
        if self.0.is_empty() {
            return;
        }
        loop {
            tokio::time::sleep(PAUSE).await;
            self.look();
        }
    }
}

fn stamps(tls: &Tls) -> Vec<Option<Stamp>> {
    tls.files().map(stamp).collect()
}

fn stamp(path: &Path) -> Option<Stamp> {
    let file = std::fs::metadata(path).ok()?;
    Some((file.size(), file.mtime(), file.mtime_nsec(), file.ino()))
}

const PAUSE: Duration = Duration::from_secs(10);

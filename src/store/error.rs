use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What can go wrong between the process and its data folder. Cheap to clone, because one failure
/// is reported to all that wait.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    #[error("cannot {action} `{}`: {source}", path.display())]
    Io { action: &'static str, path: PathBuf, source: Arc<io::Error> },
    /// Not a torn tail: something that was durable has changed. Never repaired silently.
    #[error(
        "`{}` is damaged at byte {offset}: {what}; nothing was changed: restore the file, or \
         remove this node from the cluster and let it join again with an empty data folder",
        path.display()
    )]
    Corrupt { path: PathBuf, offset: u64, what: String },
    #[error(
        "`{}` has format version {found}, newer than the {supported} this program reads: upgrade \
         this node",
        path.display()
    )]
    Newer { path: PathBuf, found: u32, supported: u32 },
    #[error("`{}` is in use by another process", .0.display())]
    Locked(PathBuf),
    #[error("entry {found} does not follow {expected}")]
    Gap { found: u64, expected: u64 },
    #[error("entry of {bytes} bytes exceeds the {bytes_max} that fit into a segment")]
    TooLarge { bytes: usize, bytes_max: usize },
    #[error("entry {index} is no longer in the log")]
    Purged { index: u64 },
    #[error("state store: {0}")]
    Database(String),
    /// An earlier failure stopped it; nothing is written any more.
    #[error("storage has stopped: {0}")]
    Stopped(String),
}

impl Error {
    pub(super) fn io(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { action, path, source: Arc::new(source) }
    }

    pub(super) fn corrupt(path: &Path, offset: u64, what: impl Into<String>) -> Self {
        Self::Corrupt { path: path.to_owned(), offset, what: what.into() }
    }

    /// Whether the disk was full.
    pub fn is_no_space(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == io::ErrorKind::StorageFull)
    }
}

use std::fs;
use std::path::{Path, PathBuf};

use crate::cli::failure::Failure;

/// Tells the process's number; removed when dropped.
pub(super) struct PidFile(PathBuf);

impl PidFile {
    /// Replaces what an earlier process has left.
    ///
    /// # Errors
    /// Where it cannot be written.
    pub(super) fn write(path: &Path) -> Result<Self, Failure> {
        fs::write(path, format!("{}\n", std::process::id()))
            .map_err(|error| Failure::local(format!("pid_file {}: {error}", path.display())))?;
        Ok(Self(path.to_owned()))
    }
}

impl Drop for PidFile {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_file(&self.0) {
            tracing::warn!(path = %self.0.display(), %error, "the pid file stays");
        }
    }
}

//! A data folder that is not there yet: wait or fail, by a rule that the operator sets.

use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::fs::{Access, access};
use tokio::time::{Instant, sleep};

use crate::cli::failure::Failure;
use crate::server::{Notify, plain};

/// Returns once the folder is there and may be written, or at once where `wait` is 0: it is then
/// made when the node opens it, and what fails fails there.
///
/// With a time the folder is never made. A node whose volume is missing would otherwise begin
/// anew, below the mount point, with an empty log.
///
/// # Errors
/// Where it is not there in this time: with the reason, and what to do.
pub(super) async fn wait_for(path: &Path, wait: Duration, notify: &Notify) -> Result<(), Failure> {
    if wait.is_zero() {
        return Ok(());
    }
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        let Err(error) = usable(path) else { return Ok(()) };
        if begun.elapsed() >= wait {
            return Err(Failure::local(format!(
                "data folder {}: {}, after {} s (`path_wait`): mount its volume, or for a new \
                 node make the folder, owned by the user that the server runs as",
                path.display(),
                plain(&error),
                wait.as_secs(),
            )));
        }
        if !is_told {
            is_told = true;
            let (path, error) = (path.display(), plain(&error));
            tracing::warn!(%path, error, "waiting for the data folder");
            notify.status(&format!("starting: waiting for {path}: {error}"));
        }
        sleep(PAUSE).await;
    }
}

fn usable(path: &Path) -> io::Result<()> {
    if !path.metadata()?.is_dir() {
        return Err(io::Error::other("is not a folder"));
    }
    Ok(access(path, Access::READ_OK | Access::WRITE_OK | Access::EXEC_OK)?)
}

const PAUSE: Duration = Duration::from_millis(200);

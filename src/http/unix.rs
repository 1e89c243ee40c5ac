//! Listeners on a socket in the file system.

use std::io;
use std::os::unix::fs::{FileTypeExt as _, PermissionsExt as _, chown};
use std::path::{Path, PathBuf};

use tokio::net::{UnixListener, UnixStream};

use super::settings::UnixSettings;

/// Removes the socket's file when dropped.
pub(super) struct SocketFile(PathBuf);

impl Drop for SocketFile {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.0) {
            tracing::debug!(path = %self.0.display(), %error, "the socket's file stays");
        }
    }
}

/// Binds, in place of a socket that nobody listens on any more.
pub(super) async fn bind(settings: &UnixSettings) -> io::Result<(UnixListener, SocketFile)> {
    // Before the socket is there, so that a wrong name leaves nothing behind.
    let user = settings.user.as_deref().map(|name| id(PASSWD, name)).transpose()?;
    let group = settings.group.as_deref().map(|name| id(GROUP, name)).transpose()?;
    remove_stale(&settings.path).await?;
    let listener = UnixListener::bind(&settings.path)?;
    let file = SocketFile(settings.path.clone());
    if user.is_some() || group.is_some() {
        chown(&settings.path, user, group)?;
    }
    if let Some(mode) = settings.mode {
        std::fs::set_permissions(&settings.path, std::fs::Permissions::from_mode(mode))?;
    }
    Ok((listener, file))
}

/// Anything but a socket stays, and so does one that answers: binding then fails.
async fn remove_stale(path: &Path) -> io::Result<()> {
    let is_socket =
        std::fs::symlink_metadata(path).is_ok_and(|entry| entry.file_type().is_socket());
    if !is_socket {
        return Ok(());
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path)
        }
        _ => Ok(()),
    }
}

/// A number, or a name in a file of the form `name:x:id:…`.
fn id(file: &str, name: &str) -> io::Result<u32> {
    if let Ok(id) = name.parse() {
        return Ok(id);
    }
    let text = std::fs::read_to_string(file)?;
    find_id(&text, name)
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, format!("no `{name}` in {file}")))
}

fn find_id(text: &str, name: &str) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        if fields.next()? != name {
            return None;
        }
        fields.nth(1)?.parse().ok()
    })
}

const GROUP: &str = "/etc/group";
const PASSWD: &str = "/etc/passwd";

#[cfg(test)]
mod tests {
    use super::find_id;

    #[test]
    fn ids_are_found_by_whole_names() {
        let text = "root:x:0:0:root:/root:/bin/sh\nvaulty:x:7:8::/:/bin/sh\nvault:x:9:9::/:/\n";
        assert_eq!(find_id(text, "vault"), Some(9));
        assert_eq!(find_id(text, "vaul"), None);
    }
}

//! The system calls under the log, as a trait, so that tests can cut the power between any two.

mod disk;
#[cfg(test)]
pub(crate) mod model;

pub use disk::Disk;

use std::any::Any;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Names in folders. A change of them is durable only after [`Vfs::sync_folder`].
pub trait Vfs: Send + Sync {
    /// With its parents; no error where it exists. Durable when it returns.
    ///
    /// # Errors
    /// The operating system's.
    fn create_folder(&self, folder: &Path) -> io::Result<()>;

    /// An empty file, readable and writable.
    ///
    /// # Errors
    /// The operating system's; where the file exists.
    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// # Errors
    /// The operating system's; where the file does not exist.
    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>>;

    /// The names in a folder, sorted.
    ///
    /// # Errors
    /// The operating system's.
    fn list(&self, folder: &Path) -> io::Result<Vec<String>>;

    /// Replaces what is called `to`.
    ///
    /// # Errors
    /// The operating system's.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// # Errors
    /// The operating system's.
    fn unlink(&self, path: &Path) -> io::Result<()>;

    /// # Errors
    /// The operating system's.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;

    /// What an unprivileged process may still write on the folder's file system.
    ///
    /// # Errors
    /// The operating system's.
    fn free(&self, folder: &Path) -> io::Result<Free>;

    /// Held until dropped, at the latest until the process ends.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] where another process holds it.
    fn lock(&self, path: &Path) -> io::Result<Lock>;
}

/// What a file system has left for this process.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Free {
    pub bytes: u64,
    /// Files that can still be made; `None` where it makes room for them as they come.
    pub files: Option<u64>,
}

/// An open file. What was written is durable only after [`File::fdatasync`].
pub trait File: Send + Sync {
    /// All of `bytes`.
    ///
    /// # Errors
    /// The operating system's.
    fn pwrite(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Fills the buffer.
    ///
    /// # Errors
    /// The operating system's; where the file ends too early.
    fn pread(&self, buffer: &mut [u8], offset: u64) -> io::Result<()>;

    /// Data, and as much of the metadata as reading them needs.
    ///
    /// # Errors
    /// The operating system's. What was not durable before may be lost for good: a second call
    /// that succeeds proves nothing.
    fn fdatasync(&self) -> io::Result<()>;

    /// Reserves room and sets the length.
    ///
    /// # Errors
    /// The operating system's, such as a full disk.
    fn allocate(&self, bytes: u64) -> io::Result<()>;

    /// # Errors
    /// The operating system's.
    fn bytes(&self) -> io::Result<u64>;
}

/// What [`Vfs::lock`] gives: dropping it unlocks.
pub type Lock = Box<dyn Any + Send + Sync>;

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, FileExt as _, OpenOptionsExt as _};
use std::path::Path;
use std::sync::Arc;

use super::{File, Free, Lock, Vfs};

/// The operating system's file system. Files are for their owner alone.
pub struct Disk;

impl Vfs for Disk {
    fn create_folder(&self, folder: &Path) -> io::Result<()> {
        if folder.is_dir() {
            return Ok(());
        }
        fs::DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        folder.parent().map_or(Ok(()), |parent| self.sync_folder(parent))
    }

    fn create(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(options().create_new(true).open(path)?))
    }

    fn open(&self, path: &Path) -> io::Result<Arc<dyn File>> {
        Ok(Arc::new(options().open(path)?))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::read_dir(folder)? {
            // A name that is not UTF-8 is not one of ours.
            names.extend(entry?.file_name().into_string());
        }
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn unlink(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        let folder = if folder.as_os_str().is_empty() { Path::new(".") } else { folder };
        fs::File::open(folder)?.sync_all()
    }

    fn free(&self, folder: &Path) -> io::Result<Free> {
        let space = rustix::fs::statvfs(folder)?;
        let bytes = space.f_bavail.saturating_mul(space.f_frsize);
        // As btrfs tells it, which has no table of inodes.
        let files = (space.f_files > 0).then_some(space.f_favail);
        Ok(Free { bytes, files })
    }

    fn lock(&self, path: &Path) -> io::Result<Lock> {
        let file = options().create(true).truncate(false).open(path)?;
        file.try_lock()?;
        Ok(Box::new(file))
    }
}

impl File for fs::File {
    fn pwrite(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn pread(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(buffer, offset)
    }

    fn fdatasync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match rustix::fs::fallocate(self, rustix::fs::FallocateFlags::empty(), 0, bytes) {
            // Not every file system can; writing zeros will find out whether there is room.
            Err(rustix::io::Errno::OPNOTSUPP) => self.set_len(bytes),
            result => Ok(result?),
        }
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }
}

fn options() -> fs::OpenOptions {
    let mut options = fs::OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    options
}

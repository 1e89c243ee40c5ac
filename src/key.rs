//! The plain name of a stored value. Ends at the barrier: below it a key is 32 hashed bytes.

use std::fmt;

/// An absolute storage key: a namespace, then a path in it.
///
/// The directory is what stands before the last `/`, that one included, and may be empty.
#[derive(Clone, Eq, Ord, PartialEq, PartialOrd)]
pub struct Key {
    path: String,
    directory_length: usize,
}

impl Key {
    pub fn new(path: String) -> Self {
        // A directory's marker is named `name/` in its parent.
        let stem = path.strip_suffix('/').unwrap_or(&path);
        let directory_length = stem.rfind('/').map_or(0, |slash| slash + 1);
        Self { path, directory_length }
    }

    pub fn path(&self) -> &str {
        &self.path
    }

    /// With its trailing slash; empty at the top.
    pub fn directory(&self) -> &str {
        self.path.get(..self.directory_length).unwrap_or_default()
    }

    /// With a trailing slash where the key is a directory's marker.
    pub fn name(&self) -> &str {
        self.path.get(self.directory_length..).unwrap_or_default()
    }

    /// What stands for this key's directory in the directory above; `None` at the top.
    pub fn marker(&self) -> Option<Self> {
        (self.directory_length > 0).then(|| Self::new(self.directory().to_owned()))
    }
}

/// A path names secrets and people: it is shown in no log.
impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;
use crate::request::Error;
use crate::txn::Scope;

/// All leases below a path that were issued up to a time are revoked, from the entry on that
/// wrote this; a job ends them one by one, and takes the mark away.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct PrefixMark {
    /// With a trailing slash.
    pub prefix: String,
    pub issued_until: Timestamp,
}

impl PrefixMark {
    /// `path` is a lease's id without its last segment.
    pub fn covers(&self, path: &str, issued: Timestamp) -> bool {
        let below = path.strip_prefix(self.prefix.trim_end_matches('/'));
        issued <= self.issued_until
            && below.is_some_and(|below| below.is_empty() || below.starts_with('/'))
    }
}

/// Over the namespace's `core/` scope. Usually there are none, which is one look at a directory.
pub struct PrefixMarks<'s, 't> {
    scope: &'s mut Scope<'t>,
}

impl<'s, 't> PrefixMarks<'s, 't> {
    pub fn new(scope: &'s mut Scope<'t>) -> Self {
        Self { scope }
    }

    /// # Errors
    /// [`Error::Unavailable`] where too many are being worked off.
    pub fn set(&mut self, name: &str, mark: &PrefixMark) -> Result<(), Error> {
        if self.scope.list(MARKS)?.len() >= MARKS_MAX {
            return Err(Error::Unavailable(format!(
                "{MARKS_MAX} prefixes are being revoked: try again when some are done"
            )));
        }
        self.scope.put(&key(name), mark)
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn clear(&mut self, name: &str) -> Result<(), Error> {
        self.scope.delete(&key(name))
    }

    /// # Errors
    /// Where the store cannot be read.
    pub fn all(&mut self) -> Result<Vec<Arc<PrefixMark>>, Error> {
        let mut marks = Vec::new();
        for name in self.scope.list(MARKS)? {
            marks.extend(self.scope.get_shared(&key(&name))?);
        }
        Ok(marks)
    }
}

fn key(name: &str) -> String {
    format!("{MARKS}/{name}")
}

const MARKS: &str = "lease/prefix";

/// Each use of a token looks at all of them.
const MARKS_MAX: usize = 64;

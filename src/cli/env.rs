//! The environment that commands read: `BAO_*` first, then `VAULT_*`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::config::env;

/// A copy, so that tests can set it.
#[derive(Clone, Debug, Default)]
pub struct Env {
    variables: BTreeMap<String, String>,
}

impl Env {
    /// The process's own. Variables that are not UTF-8 are left out.
    pub fn of_process() -> Self {
        let text = |(name, value): (std::ffi::OsString, std::ffi::OsString)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        };
        Self { variables: std::env::vars_os().filter_map(text).collect() }
    }

    pub fn of<'a>(pairs: impl IntoIterator<Item = (&'a str, &'a str)>) -> Self {
        let pairs = pairs.into_iter();
        Self { variables: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect() }
    }

    /// `BAO_NAME`, else `VAULT_NAME`; what is empty counts as not set, as in Vault. The names are
    /// in [`crate::config::env`].
    pub fn get(&self, name: &str) -> Option<&str> {
        env::PREFIXES.iter().find_map(|prefix| self.plain(&format!("{prefix}{name}")))
    }

    /// A variable by its whole name.
    pub fn plain(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    pub fn home(&self) -> Option<PathBuf> {
        self.plain("HOME").map(PathBuf::from)
    }
}

#[cfg(test)]
mod tests;

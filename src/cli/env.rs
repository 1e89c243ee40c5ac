//! The environment that commands read: `BAO_*` first, then `VAULT_*`.

use std::collections::BTreeMap;
use std::path::PathBuf;

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

    pub fn of<const N: usize>(pairs: [(&str, &str); N]) -> Self {
        Self { variables: pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).into() }
    }

    /// `BAO_NAME`, else `VAULT_NAME`; what is empty counts as not set, as in Vault.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.plain(&format!("BAO_{name}")).or_else(|| self.plain(&format!("VAULT_{name}")))
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

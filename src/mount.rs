//! What is mounted where: one stored record for each mount, never one for a table.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::text::{as_name, of_name};

/// The two tables of mounts, each its own URL space.
#[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Table {
    /// Auth methods, under `auth/`.
    Auth,
    /// Secrets engines.
    Secret,
}

/// One mount, as stored and as `sys/mounts` shows it.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct MountEntry {
    pub table: Table,
    /// With a trailing slash, and without `auth/`.
    pub path: String,
    /// Such as `kv`; what the registry of engines knows.
    #[serde(rename = "type")]
    pub kind: String,
    pub description: String,
    /// Names the mount's storage: it outlives a move.
    pub uuid: String,
    /// `<type>_<8 hex digits>`, with `auth_` in front of an auth method's.
    pub accessor: String,
    pub local: bool,
    pub seal_wrap: bool,
    pub external_entropy_access: bool,
    pub options: BTreeMap<String, String>,
    pub config: MountConfig,
    /// Being unmounted: answers nothing more.
    #[serde(default)]
    pub tainted: bool,
}

/// What `sys/mounts/:path/tune` changes. Durations in seconds, 0: the system's.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
#[serde(default)]
pub struct MountConfig {
    pub default_lease_ttl: u64,
    pub max_lease_ttl: u64,
    pub force_no_cache: bool,
    pub audit_non_hmac_request_keys: Vec<String>,
    pub audit_non_hmac_response_keys: Vec<String>,
    /// ``, `hidden` or `unauth`.
    pub listing_visibility: String,
    pub passthrough_request_headers: Vec<String>,
    pub allowed_response_headers: Vec<String>,
    pub allowed_managed_keys: Vec<String>,
    pub delegated_auth_accessors: Vec<String>,
    pub identity_token_key: String,
    /// Of an auth method: `default-service`, `default-batch`, `service` or `batch`.
    pub token_type: String,
    pub user_lockout_config: Option<serde_json::Map<String, serde_json::Value>>,
    pub plugin_version: String,
}

impl MountEntry {
    /// The full path, with `auth/` where it is an auth method's.
    pub fn api_path(&self) -> String {
        match self.table {
            Table::Auth => format!("auth/{}", self.path),
            Table::Secret => self.path.clone(),
        }
    }

    /// Whether it administers the namespace, and so may touch what other mounts store.
    pub fn administers(&self) -> bool {
        self.table == Table::Secret && self.kind == "system"
    }

    /// Whether it files jobs and expiries, which are the namespace's.
    pub fn reaches_namespace(&self) -> bool {
        self.administers() || (self.table == Table::Auth && self.kind == "approle")
    }

    /// Where its records are stored, below the namespace.
    pub fn storage_prefix(&self) -> String {
        match self.kind.as_str() {
            // These keep what belongs to the whole namespace.
            "system" | "token" | "identity" => "core/".into(),
            // With the tokens, so that what revokes one can take its cubbyhole along.
            "cubbyhole" => CUBBYHOLE.into(),
            _ => format!("logical/{}/", self.uuid),
        }
    }
}

impl Table {
    /// The directory of its records, below the namespace.
    pub fn directory(self) -> &'static str {
        match self {
            Self::Auth => "core/auth/",
            Self::Secret => "core/mounts/",
        }
    }

    /// Where a mount's record is stored: its path as one name.
    pub fn key(self, path: &str) -> String {
        format!("{}{}", self.directory(), as_name(path.trim_end_matches('/')))
    }

    /// The path that [`Self::key`] made a name of, with its trailing slash.
    pub fn path_of(name: &str) -> String {
        format!("{}/", of_name(name))
    }
}

/// Where the cubbyholes of a namespace's tokens are, below the namespace.
const CUBBYHOLE: &str = "core/cubbyhole/";

/// The root namespace's part of every key. Others will have their own.
pub const ROOT_NAMESPACE: &str = "root/";

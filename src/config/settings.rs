//! The top level of a configuration.

use std::path::PathBuf;
use std::time::Duration;

use super::audit::AuditDevice;
use super::listener::Listener;
use super::stanza::{Body, Check, Found, Reader, Setting, labelled, more_than_zero, stanza};
use super::storage::Storage;
use super::telemetry::Telemetry;
use super::user_lockout::UserLockouts;
use super::value::{ClusterEndpoint, Endpoint, Size, Version, choice};

stanza! {
    /// What stands outside of every block.
    pub struct Settings in "" {
        /// Where state is kept; `backend` is a synonym.
        pub storage: Storage,
        /// Where clients connect; at least one.
        pub listener: Vec<Listener>,
        /// What guards the root key.
        pub seal: Seal,
        /// Audit devices that are enabled as long as they stand here.
        pub audit: Vec<AuditDevice>,
        /// Whether audit devices may be told to write a `prefix` before each record.
        pub allow_audit_log_prefixing: bool = "false",
        /// Which metrics are kept and how they are named.
        pub telemetry: Telemetry,
        /// When users are locked out after failed logins.
        pub user_lockout: UserLockouts,
        /// Where clients and other nodes reach this one; made of the first TCP listener if not set.
        pub(super) api_addr: Option<Endpoint>,
        /// Where the other nodes reach this one; `api_addr` with the next port if not set.
        pub(super) cluster_addr: Option<ClusterEndpoint>,
        /// The cluster's name; made up when it is initialised if not set.
        pub cluster_name: Option<String>,
        /// What is logged.
        pub log_level: LogLevel = "info",
        /// How it is written.
        pub log_format: LogFormat = "standard",
        /// File that the log goes to besides standard error; a folder if it ends in a slash.
        pub log_file: Option<PathBuf>,
        /// Length at which the file is put aside; 0 is never.
        pub log_rotate_bytes: Option<Size>,
        /// Age at which the file is put aside; 0 is never.
        pub log_rotate_duration: Duration = "24h",
        /// How many files stay aside: 0 keeps all, -1 none.
        pub log_rotate_max_files: i64 = "0",
        /// Whether the user interface is served at /ui.
        pub ui: bool = "false",
        /// Whether memory may be swapped to disk, keys included.
        pub disable_mlock: bool = "false",
        /// Lifetime of a token or secret that asks for none.
        pub default_lease_ttl: Duration = "768h",
        /// Longest such lifetime.
        pub max_lease_ttl: Duration = "768h",
        /// How long a request may run.
        pub default_max_request_duration: Duration = "90s",
        /// File for the number of the process.
        pub pid_file: Option<PathBuf>,
        /// The version of Vault that clients are told, because they tell features from it.
        pub reported_version: Version = "1.19.0",
        /// Whether sys/raw is open to those whose policy allows it.
        pub raw_storage_endpoint: bool = "false",
        /// Whether responses name the host, in `X-Vault-Hostname`.
        pub enable_response_header_hostname: bool = "false",
        /// Whether responses name the node, in `X-Vault-Raft-Node-ID`.
        pub enable_response_header_raft_node_id: bool = "false",
    }
    no_effect {
        ha_storage: "storage \"raft\" is highly available by itself",
        service_registration: "nodes do not register themselves",
        disable_clustering: "a cluster of one node needs no switch",
        log_requests_level: "requests are in the audit log",
        cache_size: CACHE,
        disable_cache: CACHE,
        plugin_directory: PLUGINS,
        plugin_tmpdir: PLUGINS,
        plugin_file_uid: PLUGINS,
        plugin_file_permissions: PLUGINS,
        plugin: PLUGINS,
        plugin_auto_download: PLUGINS,
        introspection_endpoint: "there is no introspection endpoint",
        detect_deadlocks: "there is no such detection",
        imprecise_lease_role_tracking: "leases are counted exactly",
        disable_printable_check: "paths with characters that cannot be printed are always refused",
        disable_sealwrap: "everything is encrypted alike",
        disable_performance_standby: STANDBY,
        disable_standby_reads: STANDBY,
        disable_sentinel_trace: ENTERPRISE,
        enable_post_unseal_trace: "there are no Go traces",
        post_unseal_trace_directory: "there are no Go traces",
        experiments: "there are no experiments",
        license_path: ENTERPRISE,
        administrative_namespace_path: ENTERPRISE,
        enable_multiseal: ENTERPRISE,
        reporting: ENTERPRISE,
        entropy: ENTERPRISE,
        kms_library: ENTERPRISE,
        replication: ENTERPRISE,
        adaptive_overload_protection: ENTERPRISE,
        remove_irrevocable_lease_after: "such leases stay until they are forced away",
        disable_indexing: "there is no such index",
        initialize: "initialise with sys/init",
        unsafe_allow_api_audit_creation: "audit devices can always be enabled through sys/audit",
    }
}

choice! {
    /// What is logged: this and everything graver.
    pub enum LogLevel: "\"trace\", \"debug\", \"info\", \"warn\" or \"error\"" {
        Error = "error" | "err",
        Warn = "warn" | "warning",
        Info = "info" | "notice",
        Debug = "debug",
        Trace = "trace",
    }
}

choice! {
    /// How the log is written.
    pub enum LogFormat: "\"standard\" or \"json\"" {
        /// For people.
        Standard = "standard",
        /// An object a line.
        Json = "json",
    }
}

/// What guards the root key. There is one kind: shares of it (Shamir), which operators hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Seal {
    Shamir,
}

impl Setting for Seal {
    fn kind() -> String {
        "a block `seal \"shamir\"`".to_owned()
    }

    /// Another seal stops the start, unless it is `disabled`: ignored, it would leave an operator
    /// waiting for a node that never opens by itself.
    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let before = reader.problems.len();
        for block in labelled(found, reader) {
            let disabled = Found::of("disabled", block.body.entries);
            let disabled = !disabled.entries.is_empty() && bool::read(&disabled, reader)?;
            if block.label != "shamir" && !disabled {
                let text = format!("`seal` must be \"shamir\", found {:?}", block.label);
                reader.problem(&block.body.place, text);
            }
        }
        (reader.problems.len() == before).then_some(Self::Shamir)
    }

    fn absent() -> Option<Self> {
        Some(Self::Shamir)
    }
}

impl Check for Settings {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        if self.listener.is_empty() {
            reader.problem(
                body.place_of("listener"),
                "at least one `listener` must be set".to_owned(),
            );
        }
        let mut addresses: Vec<_> = self
            .listener
            .iter()
            .filter_map(|listener| match listener {
                Listener::Tcp(tcp) => Some([tcp.address, tcp.cluster_address()]),
                Listener::Unix(_) => None,
            })
            .flatten()
            .filter(|address| address.port() != 0)
            .collect();
        addresses.sort_unstable();
        for pair in addresses.windows(2) {
            if let [left, right] = pair
                && left == right
            {
                let text = format!("two listeners use the address {left}");
                reader.problem(body.place_of("listener"), text);
            }
        }
        if self.default_lease_ttl > self.max_lease_ttl {
            let text = "`default_lease_ttl` must not be more than `max_lease_ttl`";
            reader.problem(body.place_of("default_lease_ttl"), text.to_owned());
        }
        for (key, value) in [
            ("default_lease_ttl", self.default_lease_ttl),
            ("max_lease_ttl", self.max_lease_ttl),
            ("default_max_request_duration", self.default_max_request_duration),
        ] {
            more_than_zero(key, value, body, reader);
        }
        if self.log_rotate_max_files < -1 {
            let text = "`log_rotate_max_files` must be -1 or more";
            reader.problem(body.place_of("log_rotate_max_files"), text.to_owned());
        }
    }
}

const CACHE: &str = "state is read where it lies, without a cache to size";
const ENTERPRISE: &str = "it belongs to a feature of Vault Enterprise that is not offered";
const PLUGINS: &str = "there are no external plugins";
const STANDBY: &str = "reads do not depend on the kind of node";

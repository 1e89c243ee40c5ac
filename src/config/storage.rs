//! `storage "raft" { … }` and `storage "inmem" { }`

use std::path::PathBuf;
use std::time::Duration;

use super::stanza::{Body, Check, Found, KeyDoc, Labelled, Reader, Setting, labelled, stanza};
use super::value::{Endpoint, Size, choice};
use crate::secret::Secret;

/// Where state is kept.
#[derive(Debug)]
pub enum Storage {
    /// Replicated to every node and kept on disk.
    Raft(Box<RaftStorage>),
    /// In memory of one node, lost when it stops: for development.
    Inmem(InmemStorage),
}

stanza! {
    /// A node of a cluster: its files, its name and its peers.
    pub struct RaftStorage in "storage \"raft\"" {
        /// Folder for the log and the state; made if it is missing.
        pub path: PathBuf,
        /// How long a start waits for that folder to be there and writable, before it fails: for
        /// a volume that is mounted late. The folder is then never made.
        pub path_wait: Duration = "0",
        /// The node's name, unique in the cluster; made up on first start if not set.
        pub node_id: Option<String>,
        /// A node to join, tried again until one of them answers.
        pub retry_join: Vec<RetryJoin>,
        /// Whether the node, when it joins, only receives the log and never votes.
        pub retry_join_as_non_voter: bool = "false",
        /// File with a join token: looked for until the node belongs to a cluster.
        pub join_token_file: Option<PathBuf>,
        /// How soon a lost leader is replaced.
        pub ha_profile: HaProfile = "lan",
        /// Multiplies the times of `ha_profile`, from 1 to 10.
        pub performance_multiplier: u32 = "1",
        /// What keeps the state on disk.
        pub state_store: StateStore = "lmdb",
        /// Largest value to store under one key; a larger write is refused.
        pub max_entry_size: Size = "1MiB",
        /// Largest write of several keys at once.
        pub max_transaction_size: Size = "8MiB",
        /// How many entries of the log stay after a snapshot, for nodes that lag.
        pub trailing_logs: u64 = "200000",
        /// How many entries since the last snapshot make the next.
        pub snapshot_threshold: u64 = "50000",
    }
    no_effect {
        snapshot_interval: "that number is looked at with every entry",
        autopilot_reconcile_interval: AUTOPILOT,
        autopilot_update_interval: AUTOPILOT,
        autopilot_upgrade_version: "there are no automated upgrades",
        autopilot_redundancy_zone: "there are no redundancy zones",
        max_mount_and_namespace_table_entry_size: "each mount is an entry of its own",
        raft_wal: "the log has one format",
        raft_log_verifier_enabled: CHECKED,
        raft_log_verification_interval: CHECKED,
    }
}

stanza! {
    /// One node that this one may join through.
    pub struct RetryJoin in "retry_join" {
        /// Its `api_addr`.
        pub leader_api_addr: Endpoint,
        /// Name that its certificate must bear, instead of the host in `leader_api_addr`.
        pub leader_tls_servername: Option<String>,
        /// File with the CA certificates (PEM) that its certificate must come from.
        pub leader_ca_cert_file: Option<PathBuf>,
        /// File with the certificate (PEM) to show it.
        pub leader_client_cert_file: Option<PathBuf>,
        /// File with the key (PEM) of that certificate.
        pub leader_client_key_file: Option<PathBuf>,
        /// The CA certificates themselves.
        pub leader_ca_cert: Option<String>,
        /// The certificate to show it, itself.
        pub leader_client_cert: Option<String>,
        /// The key of that certificate, itself.
        pub leader_client_key: Option<Secret<String>>,
    }
    no_effect {
        auto_join: DISCOVERY,
        auto_join_scheme: DISCOVERY,
        auto_join_port: DISCOVERY,
    }
}

stanza! {
    /// State in memory.
    pub struct InmemStorage in "storage \"inmem\"" {
    }
    no_effect {
        path: "nothing is written",
        node_id: "there is one node",
    }
}

choice! {
    /// How soon a lost leader is replaced.
    pub enum HaProfile: "\"lan\", \"fast\" or \"wan\"" {
        /// Nodes in one place: about half a second.
        Lan = "lan",
        /// Nodes on processors of their own: about 200 ms. On busy machines it replaces leaders
        /// that live.
        Fast = "fast",
        /// Nodes far from each other: about five seconds.
        Wan = "wan",
    }
}

choice! {
    /// What keeps the state on disk.
    pub enum StateStore: "\"lmdb\" or \"sled\"" {
        Lmdb = "lmdb",
        Sled = "sled",
    }
}

impl Check for RaftStorage {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        if self.node_id.as_deref().is_some_and(|name| name.trim().is_empty()) {
            reader.problem(body.place_of("node_id"), "`node_id` must not be empty".to_owned());
        }
        if !(1..=PERFORMANCE_MULTIPLIER_MAX).contains(&self.performance_multiplier) {
            let text = format!(
                "`performance_multiplier` must be from 1 to {PERFORMANCE_MULTIPLIER_MAX}, found {}",
                self.performance_multiplier,
            );
            reader.problem(body.place_of("performance_multiplier"), text);
        }
        if self.state_store == StateStore::Sled && !cfg!(feature = "sled") {
            let text = "`state_store` cannot be \"sled\": this program was built without it";
            reader.problem(body.place_of("state_store"), text.to_owned());
        }
        if self.snapshot_threshold == 0 {
            let text = "`snapshot_threshold` must be more than 0".to_owned();
            reader.problem(body.place_of("snapshot_threshold"), text);
        }
        if self.max_entry_size.0 < ENTRY_BYTES_MIN {
            let text = format!("`max_entry_size` must be {ENTRY_BYTES_MIN} bytes or more");
            reader.problem(body.place_of("max_entry_size"), text);
        }
        if self.max_transaction_size < self.max_entry_size {
            let text = "`max_transaction_size` must not be less than `max_entry_size`";
            reader.problem(body.place_of("max_transaction_size"), text.to_owned());
        }
    }
}

impl Check for RetryJoin {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        let pairs = [
            (
                ("leader_client_cert_file", self.leader_client_cert_file.is_some()),
                ("leader_client_key_file", self.leader_client_key_file.is_some()),
            ),
            (
                ("leader_client_cert", self.leader_client_cert.is_some()),
                ("leader_client_key", self.leader_client_key.is_some()),
            ),
        ];
        for ((certificate, has_certificate), (key, has_key)) in pairs {
            if has_certificate != has_key {
                let given = if has_key { key } else { certificate };
                let text = format!("`{certificate}` and `{key}` must be set together");
                reader.problem(body.place_of(given), text);
            }
        }
        let twice = [
            ("leader_ca_cert", self.leader_ca_cert.is_some(), self.leader_ca_cert_file.is_some()),
            (
                "leader_client_cert",
                self.leader_client_cert.is_some(),
                self.leader_client_cert_file.is_some(),
            ),
        ];
        for (key, itself, file) in twice {
            if itself && file {
                let text = format!("`{key}` and `{key}_file` must not both be set");
                reader.problem(body.place_of(key), text);
            }
        }
    }
}

impl Check for InmemStorage {}

impl Setting for Storage {
    fn kind() -> String {
        "a block `storage \"raft\"` or `storage \"inmem\"`".to_owned()
    }

    fn read(found: &Found<'_>, reader: &mut Reader<'_>) -> Option<Self> {
        let before = reader.problems.len();
        let mut blocks = labelled(found, reader).into_iter();
        let first = blocks.next();
        if let Some(second) = blocks.next() {
            let text = "only one `storage` may be set".to_owned();
            reader.problem(&second.body.place, text);
        }
        let Some(Labelled { label, body }) = first else {
            if let Some(entry) = found.entries.first()
                && reader.problems.len() == before
            {
                let text = format!("`storage` must be {}", Self::kind());
                reader.problem(&entry.node.place, text);
            }
            return None;
        };
        match label {
            "raft" => {
                let mut entries = body.entries.to_vec();
                let overrides = std::mem::take(&mut reader.raft_overrides);
                entries.retain(|entry| overrides.iter().all(|other| other.key != entry.key));
                entries.extend(overrides);
                let body = Body { place: body.place, entries: &entries };
                RaftStorage::read_body(&body, reader).map(Box::new).map(Self::Raft)
            }
            "inmem" => InmemStorage::read_body(&body, reader).map(Self::Inmem),
            other => {
                let text = format!("`storage` must be \"raft\" or \"inmem\", found {other:?}");
                reader.problem(&body.place, text);
                None
            }
        }
    }

    fn document(into: &mut Vec<KeyDoc>) {
        RaftStorage::document(into);
        InmemStorage::document(into);
    }
}

const PERFORMANCE_MULTIPLIER_MAX: u32 = 10;
/// Room for what the server itself must write.
const ENTRY_BYTES_MIN: u64 = 64 * 1024;
const AUTOPILOT: &str = "autopilot keeps times of its own";
const CHECKED: &str = "the log is always verified";
const DISCOVERY: &str =
    "nodes are not discovered: write a `retry_join` with `leader_api_addr` for each";

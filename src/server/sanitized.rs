//! The configuration as `sys/config/state/sanitized` shows it: values that a reader may see, each
//! named here. What is not named is not shown, so that a new key cannot leak.

use serde_json::{Map, Value, json};

use super::log::word;
use crate::config::{Config, Listener, LogFormat, RaftStorage, Storage};

pub(super) fn sanitized(config: &Config) -> Map<String, Value> {
    let settings = &config.settings;
    let listeners: Vec<Value> = settings.listener.iter().map(listener).collect();
    let format = match settings.log_format {
        LogFormat::Standard => "standard",
        LogFormat::Json => "json",
    };
    let shown = [
        ("api_addr", json!(config.api_addr.to_string())),
        ("cluster_addr", json!(config.cluster_addr.to_string())),
        ("cluster_name", json!(settings.cluster_name.clone().unwrap_or_default())),
        ("default_lease_ttl", json!(settings.default_lease_ttl.as_secs())),
        ("max_lease_ttl", json!(settings.max_lease_ttl.as_secs())),
        ("default_max_request_duration", json!(settings.default_max_request_duration.as_secs())),
        ("disable_mlock", json!(settings.disable_mlock)),
        ("enable_response_header_hostname", json!(settings.enable_response_header_hostname)),
        (
            "enable_response_header_raft_node_id",
            json!(settings.enable_response_header_raft_node_id),
        ),
        ("enable_ui", json!(settings.ui)),
        ("log_format", json!(format)),
        ("log_level", json!(word(settings.log_level))),
        ("raw_storage_endpoint", json!(settings.raw_storage_endpoint)),
        ("reported_version", json!(settings.reported_version.to_string())),
        ("listeners", json!(listeners)),
        ("storage", storage(&settings.storage, config)),
    ];
    shown.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

/// Of a development server, which has no file.
pub(super) fn of_dev(address: &str) -> Map<String, Value> {
    let shown = [
        ("api_addr", json!(address)),
        ("listeners", json!([{ "type": "tcp", "config": { "address": address } }])),
        ("storage", json!({ "type": "inmem" })),
    ];
    shown.into_iter().map(|(name, value)| (name.to_owned(), value)).collect()
}

fn listener(listener: &Listener) -> Value {
    match listener {
        Listener::Tcp(tcp) => json!({
            "type": "tcp",
            "config": {
                "address": tcp.address.to_string(),
                "cluster_address": tcp.cluster_address().to_string(),
                "tls_disable": tcp.tls().is_none(),
                "tls_require_and_verify_client_cert": tcp.tls_require_and_verify_client_cert,
                "tls_disable_client_certs": tcp.tls_disable_client_certs,
                "max_connections": tcp.max_connections,
            },
        }),
        Listener::Unix(_) => json!({ "type": "unix", "config": {} }),
    }
}

fn storage(storage: &Storage, config: &Config) -> Value {
    match storage {
        Storage::Raft(raft) => json!({
            "type": "raft",
            "redirect_addr": config.api_addr.to_string(),
            "cluster_addr": config.cluster_addr.to_string(),
            "disable_clustering": false,
            "raft": raft_settings(raft),
        }),
        Storage::Inmem(_) => json!({ "type": "inmem" }),
    }
}

fn raft_settings(raft: &RaftStorage) -> Value {
    json!({
        "max_entry_size": raft.max_entry_size.0,
        "max_transaction_size": raft.max_transaction_size.0,
        "trailing_logs": raft.trailing_logs,
        "snapshot_threshold": raft.snapshot_threshold,
        "performance_multiplier": raft.performance_multiplier,
        "node_id": raft.node_id.clone().unwrap_or_default(),
    })
}

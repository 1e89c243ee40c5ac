use std::collections::BTreeSet;

use super::*;

#[test]
fn every_key_is_documented_once() {
    let mut seen = BTreeSet::new();
    for key in keys() {
        assert!(seen.insert((key.stanza, key.key)), "`{}` in `{}` is twice", key.key, key.stanza);
        assert!(!key.help.is_empty(), "`{}` in `{}` has no help", key.key, key.stanza);
        assert!(!key.help.contains('|'), "`{}` would break its table", key.key);
        assert_eq!(key.kind.is_empty(), !key.has_effect, "`{}` in `{}`", key.key, key.stanza);
    }
}

/// A Vault operator's file must not meet "unknown key" for what Vault documents.
#[test]
fn vaults_keys_are_known() {
    for (stanza, names) in [
        (
            "",
            "storage ha_storage listener seal telemetry service_registration user_lockout api_addr \
             cluster_addr cluster_name disable_clustering ui log_level log_format log_file \
             log_rotate_bytes log_rotate_duration log_rotate_max_files log_requests_level \
             disable_mlock default_lease_ttl max_lease_ttl cache_size disable_cache \
             plugin_directory plugin_tmpdir plugin_file_uid plugin_file_permissions \
             raw_storage_endpoint introspection_endpoint pid_file default_max_request_duration \
             detect_deadlocks imprecise_lease_role_tracking disable_printable_check \
             disable_sealwrap disable_performance_standby disable_sentinel_trace \
             enable_response_header_hostname enable_response_header_raft_node_id \
             enable_post_unseal_trace experiments license_path administrative_namespace_path \
             enable_multiseal initialize audit plugin plugin_auto_download disable_standby_reads \
             unsafe_allow_api_audit_creation allow_audit_log_prefixing",
        ),
        (
            "listener \"tcp\"",
            "address cluster_address tls_disable tls_cert_file tls_key_file tls_min_version \
             tls_max_version tls_cipher_suites tls_client_ca_file \
             tls_require_and_verify_client_cert tls_disable_client_certs http_idle_timeout \
             http_read_timeout http_read_header_timeout http_write_timeout max_request_size \
             max_request_duration max_json_depth proxy_protocol_behavior \
             proxy_protocol_authorized_addrs x_forwarded_for_authorized_addrs \
             x_forwarded_for_hop_skips x_forwarded_for_reject_not_present \
             x_forwarded_for_reject_not_authorized x_forwarded_for_client_cert_header telemetry \
             profiling inflight_requests_logging custom_response_headers redact_addresses \
             redact_version redact_cluster_name chroot_namespace \
             disable_replication_status_endpoints",
        ),
        ("listener \"unix\"", "address socket_mode socket_user socket_group"),
        (
            "storage \"raft\"",
            "path node_id performance_multiplier trailing_logs snapshot_threshold \
             snapshot_interval max_entry_size max_transaction_size autopilot_reconcile_interval \
             autopilot_update_interval autopilot_upgrade_version autopilot_redundancy_zone \
             retry_join retry_join_as_non_voter raft_log_verifier_enabled raft_wal",
        ),
        (
            "retry_join",
            "leader_api_addr leader_tls_servername leader_ca_cert_file leader_client_cert_file \
             leader_client_key_file leader_ca_cert leader_client_cert leader_client_key auto_join \
             auto_join_scheme auto_join_port",
        ),
        (
            "telemetry",
            "prometheus_retention_time disable_hostname enable_hostname_label metrics_prefix \
             usage_gauge_period maximum_gauge_cardinality lease_metrics_epsilon \
             num_lease_metrics_buckets add_lease_metrics_namespace_labels filter_default \
             prefix_filter statsd_address statsite_address dogstatsd_addr dogstatsd_tags \
             circonus_api_token stackdriver_project_id add_mount_point_rollback_metrics",
        ),
    ] {
        for name in names.split_whitespace() {
            let known = keys().iter().any(|key| key.stanza == stanza && key.key == name);
            assert!(known, "`{name}` in `{stanza}`");
        }
    }
}

#[test]
fn environment_looks_for_openbaos_name_first_and_skips_what_is_empty() {
    let set = |pairs: &[(&str, &str)]| {
        let pairs: Vec<_> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let env = move |name: &str| {
            pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone())
        };
        env::lookup(&env, env::ADDR).map(|set| (set.name, set.value))
    };
    let found = |name: &str, value: &str| Some((name.to_owned(), value.to_owned()));
    assert_eq!(set(&[("VAULT_ADDR", "v"), ("BAO_ADDR", "b")]), found("BAO_ADDR", "b"));
    assert_eq!(set(&[("VAULT_ADDR", "v"), ("BAO_ADDR", "")]), found("VAULT_ADDR", "v"));
    assert_eq!(set(&[("VAULT_ADDR", "")]), None);
    assert_eq!(set(&[]), None);
}

#[test]
fn each_variable_that_sets_a_key_names_a_key() {
    for (stanza, table) in [("", TOP_OVERRIDES), ("storage \"raft\"", RAFT_OVERRIDES)] {
        for (suffix, key) in table {
            assert!(env::VARIABLES.iter().any(|variable| variable.suffix == *suffix), "{suffix}");
            assert!(keys().iter().any(|doc| doc.stanza == stanza && doc.key == *key), "{key}");
        }
    }
}

#[test]
fn a_switch_in_the_environment_is_read_as_in_go_and_nothing_else_passes() {
    for (value, expected) in [
        ("", Ok(None)),
        ("0", Ok(Some(false))),
        ("f", Ok(Some(false))),
        ("FALSE", Ok(Some(false))),
        ("1", Ok(Some(true))),
        ("true", Ok(Some(true))),
        ("no", Err("the variable VAULT_SKIP_VERIFY is neither true nor false: \"no\"")),
    ] {
        let env = |name: &str| (name == "VAULT_SKIP_VERIFY").then(|| value.to_owned());
        let read = env::switch(&env, env::SKIP_VERIFY);
        assert_eq!(read, expected.map_err(str::to_owned), "{value:?}");
    }
}

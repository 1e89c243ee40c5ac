use serde_json::json;

use super::super::table;
use super::*;

#[test]
fn a_sealed_server_shows_its_progress() {
    let status = object(json!({
        "type": "shamir", "initialized": true, "sealed": true, "t": 2, "n": 3, "progress": 1,
        "nonce": "", "version": "1.19.0", "build_date": "2026-01-01T00:00:00Z",
        "migration": false, "recovery_seal": false, "storage_type": "raft",
    }));
    assert_eq!(
        table::of_pairs(&rows(&status)),
        "Key                Value\n\
         ---                -----\n\
         Seal Type          shamir\n\
         Initialized        true\n\
         Sealed             true\n\
         Total Shares       3\n\
         Threshold          2\n\
         Unseal Progress    1/2\n\
         Unseal Nonce       n/a\n\
         Version            1.19.0\n\
         Build Date         2026-01-01T00:00:00Z\n\
         Storage Type       raft\n\
         HA Enabled         true"
    );
}

#[test]
fn a_standby_shows_who_leads() {
    let status = object(json!({
        "type": "shamir", "initialized": true, "sealed": false, "t": 1, "n": 1, "progress": 0,
        "version": "1.19.0", "storage_type": "raft", "cluster_name": "c", "cluster_id": "i",
        "ha_enabled": true, "is_self": false, "leader_address": "https://a:8200",
        "leader_cluster_address": "https://a:8201", "raft_committed_index": 7,
        "raft_applied_index": 6,
    }));
    assert_eq!(
        table::of_pairs(&rows(&status)),
        "Key                     Value\n\
         ---                     -----\n\
         Seal Type               shamir\n\
         Initialized             true\n\
         Sealed                  false\n\
         Total Shares            1\n\
         Threshold               1\n\
         Version                 1.19.0\n\
         Storage Type            raft\n\
         Cluster Name            c\n\
         Cluster ID              i\n\
         HA Enabled              true\n\
         HA Cluster              https://a:8201\n\
         HA Mode                 standby\n\
         Active Node Address     https://a:8200\n\
         Raft Committed Index    7\n\
         Raft Applied Index      6"
    );
}

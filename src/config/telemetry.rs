//! `telemetry { … }`

use std::time::Duration;

use super::stanza::{Check, stanza};

stanza! {
    /// Which metrics are kept and how they are named.
    pub struct Telemetry in "telemetry" {
        /// How long a metric is shown after its last change; 0 turns the Prometheus format off.
        pub prometheus_retention_time: Duration = "24h",
        /// Whether each metric has a label with the host's name.
        pub enable_hostname_label: bool = "false",
        /// What every metric's name begins with.
        pub metrics_prefix: String = "vault",
    }
    no_effect {
        disable_hostname: "no name begins with the host's",
        usage_gauge_period: LOOKED_UP,
        maximum_gauge_cardinality: "labels are few: a mount beyond the first 500 has no summary",
        lease_metrics_epsilon: LOOKED_UP,
        num_lease_metrics_buckets: LOOKED_UP,
        add_lease_metrics_namespace_labels: LOOKED_UP,
        add_mount_point_rollback_metrics: NO_ROLLBACK,
        filter_default: NO_FILTER,
        prefix_filter: NO_FILTER,
        rollback_metrics_include_mount_point: NO_ROLLBACK,
        statsd_address: PROMETHEUS_ONLY,
        statsite_address: PROMETHEUS_ONLY,
        dogstatsd_addr: PROMETHEUS_ONLY,
        dogstatsd_tags: PROMETHEUS_ONLY,
        circonus_api_token: PROMETHEUS_ONLY,
        circonus_api_app: PROMETHEUS_ONLY,
        circonus_api_url: PROMETHEUS_ONLY,
        circonus_submission_interval: PROMETHEUS_ONLY,
        circonus_submission_url: PROMETHEUS_ONLY,
        circonus_check_id: PROMETHEUS_ONLY,
        circonus_check_force_metric_activation: PROMETHEUS_ONLY,
        circonus_check_instance_id: PROMETHEUS_ONLY,
        circonus_check_search_tag: PROMETHEUS_ONLY,
        circonus_check_display_name: PROMETHEUS_ONLY,
        circonus_check_tags: PROMETHEUS_ONLY,
        circonus_broker_id: PROMETHEUS_ONLY,
        circonus_broker_select_tag: PROMETHEUS_ONLY,
        stackdriver_project_id: PROMETHEUS_ONLY,
        stackdriver_location: PROMETHEUS_ONLY,
        stackdriver_namespace: PROMETHEUS_ONLY,
        stackdriver_debug_logs: PROMETHEUS_ONLY,
    }
}

impl Check for Telemetry {}

const PROMETHEUS_ONLY: &str = "metrics are fetched from sys/metrics, not sent";
const NO_FILTER: &str = "every metric is kept";
const LOOKED_UP: &str = "counts are looked up when sys/metrics is asked for";
const NO_ROLLBACK: &str = "there are no rollback metrics";

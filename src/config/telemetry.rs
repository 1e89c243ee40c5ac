//! `telemetry { … }`

use std::time::Duration;

use super::stanza::{Body, Check, Reader, more_than_zero, stanza};

stanza! {
    /// Which metrics are kept and how they are named.
    pub struct Telemetry in "telemetry" {
        /// How long a metric is shown after its last change; 0 turns the Prometheus format off.
        pub prometheus_retention_time: Duration = "24h",
        /// Whether gauges go without the host's name before them.
        pub disable_hostname: bool = "false",
        /// Whether each metric has a label with the host's name.
        pub enable_hostname_label: bool = "false",
        /// What every metric's name begins with.
        pub metrics_prefix: String = "vault",
        /// How often the gauges that need counting (tokens, leases, secrets) are counted; 0 is never.
        pub usage_gauge_period: Duration = "10m",
        /// How many different labels such a gauge may have.
        pub maximum_gauge_cardinality: u32 = "500",
        /// Width of the periods into which leases are counted by their end.
        pub lease_metrics_epsilon: Duration = "1h",
        /// Number of those periods.
        pub num_lease_metrics_buckets: u32 = "168",
        /// Whether those counts are told apart by namespace.
        pub add_lease_metrics_namespace_labels: bool = "false",
    }
    no_effect {
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

impl Check for Telemetry {
    fn check(&self, body: &Body<'_>, reader: &mut Reader<'_>) {
        more_than_zero("lease_metrics_epsilon", self.lease_metrics_epsilon, body, reader);
    }
}

const PROMETHEUS_ONLY: &str = "metrics are fetched from sys/metrics, not sent";
const NO_FILTER: &str = "every metric is kept";
const NO_ROLLBACK: &str = "there are no rollback metrics";

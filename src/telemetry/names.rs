//! Every metric there is, with what it tells.

/// One metric.
#[derive(Clone, Copy, Debug)]
pub struct Metric {
    /// Without the prefix, with dots, as in Vault's documentation.
    pub name: &'static str,
    pub kind: Kind,
    pub about: &'static str,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    Counter,
    /// Set where it changes.
    Gauge,
    /// In buckets of seconds.
    Histogram,
    /// A gauge that is looked up when someone asks.
    LookedUp,
    /// Quantiles of the last minute, in milliseconds.
    Summary,
}

const fn of(kind: Kind, name: &'static str, about: &'static str) -> Metric {
    Metric { name, kind, about }
}

/// Sorted by kind and name. `route.OPERATION.MOUNT` comes on top, for the first mounts that are
/// used.
pub const METRICS: &[Metric] = &[
    of(Kind::Counter, "audit.log_request_failure", "Requests that no audit device took."),
    of(Kind::Counter, "audit.log_response_failure", "Responses that no audit device took."),
    of(Kind::Counter, "failover.count", "Times that the cluster's leader changed, as seen here."),
    of(Kind::Counter, "ha.rpc.client.forward.errors", "Requests whose forwarding failed."),
    of(Kind::Counter, "http.requests", "Requests answered, by status."),
    of(Kind::Counter, "quota.lease_count.violation", "Leases refused by a lease-count quota."),
    of(Kind::Counter, "raft.apply", "Entries that this node proposed as leader."),
    of(Kind::Counter, "raft.state.follower", "Times that this node became a follower."),
    of(Kind::Counter, "raft.state.leader", "Times that this node became leader."),
    of(Kind::Counter, "request.conflicts", "Tries of requests that lost to another one."),
    of(Kind::Counter, "token.creation", "Tokens made by logins, by method."),
    of(Kind::Gauge, "core.in_flight_requests", "Requests at work on this node's listeners."),
    of(Kind::Gauge, "failover_last_seconds", "How long there was no leader, the last time."),
    of(Kind::Histogram, "http.request.duration_seconds", "From a request's head to its answer."),
    of(Kind::LookedUp, "autopilot.failure_tolerance", "Voters that may fail. On the leader."),
    of(Kind::LookedUp, "autopilot.healthy", "1 where all voters are in contact. On the leader."),
    of(Kind::LookedUp, "autopilot.node.healthy", "1 where the node is in contact. On the leader."),
    of(Kind::LookedUp, "build_info", "1, with the program's version and Vault's as labels."),
    of(
        Kind::LookedUp,
        "cluster_cert_not_after_seconds",
        "When this node's certificate for the cluster ends, as Unix time.",
    ),
    of(Kind::LookedUp, "core.active", "1 where this node serves requests."),
    of(Kind::LookedUp, "core.performance_standby", "0: standbys forward."),
    of(Kind::LookedUp, "core.unsealed", "1 where this node has its keys."),
    of(
        Kind::LookedUp,
        "listener_cert_not_after_seconds",
        "When a listener's certificate ends, as Unix time.",
    ),
    of(Kind::LookedUp, "process_cpu_seconds_total", "Processor time of this process, in seconds."),
    of(Kind::LookedUp, "process_open_fds", "Open files and connections."),
    of(Kind::LookedUp, "process_resident_memory_bytes", "Memory in use, mapped files included."),
    of(Kind::LookedUp, "process_start_time_seconds", "When the process began, as Unix time."),
    of(Kind::LookedUp, "process_threads", "Threads of the process."),
    of(Kind::LookedUp, "process_virtual_memory_bytes", "Address space in use."),
    of(Kind::LookedUp, "raft.last_index", "Index of the newest entry in this node's log."),
    of(Kind::LookedUp, "raft.peers", "Members of the cluster."),
    of(Kind::LookedUp, "raft_log_first_index", "Where this node's log begins."),
    of(
        Kind::LookedUp,
        "raft_storage.follower.applied_index_delta",
        "Entries that a follower is behind. On the leader.",
    ),
    of(
        Kind::LookedUp,
        "raft_storage.follower.last_heartbeat_ms",
        "Since a follower last answered. On the leader.",
    ),
    of(
        Kind::LookedUp,
        "raft_storage.stats.applied_index",
        "Index of the newest entry that this node has applied.",
    ),
    of(
        Kind::LookedUp,
        "raft_storage.stats.commit_index",
        "Index of the newest committed entry that this node knows of.",
    ),
    of(
        Kind::LookedUp,
        "raft_storage.stats.fsm_pending",
        "Committed entries that this node has yet to apply.",
    ),
    of(
        Kind::LookedUp,
        "raft_storage.stats.snapshot_index",
        "Index of the newest entry in this node's snapshot.",
    ),
    of(Kind::LookedUp, "raft_storage.stats.term", "Raft's term."),
    of(Kind::LookedUp, "removed_from_cluster", "1 where this node was taken out of its cluster."),
    of(Kind::LookedUp, "runtime.alloc_bytes", "Memory of the process's own."),
    of(Kind::LookedUp, "runtime.sys_bytes", "Memory in use, mapped files included."),
    of(Kind::LookedUp, "seal_unseal_progress", "Shares given to this node so far."),
    of(Kind::LookedUp, "seal_unseal_threshold", "Shares that are needed."),
    of(Kind::LookedUp, "standby_held_requests", "Requests that wait for an active node."),
    of(Kind::LookedUp, "storage_disk_free_bytes", "Free space where this node keeps its data."),
    of(
        Kind::LookedUp,
        "storage_disk_total_bytes",
        "Size of the file system where this node keeps its data.",
    ),
    of(Kind::Summary, "audit.log_request", "Telling audit of a request."),
    of(Kind::Summary, "audit.log_response", "Telling audit of a response."),
    of(Kind::Summary, "core.check_token", "Finding out whose request it is, and what they may do."),
    of(Kind::Summary, "core.handle_login_request", "A login, from token check to commit."),
    of(Kind::Summary, "core.handle_request", "A request, from token check to commit."),
    of(Kind::Summary, "core.leadership_lost", "How long this node had been active."),
    of(Kind::Summary, "ha.rpc.client.forward", "A forwarded request, until its answer."),
    of(Kind::Summary, "raft.commitTime", "From proposing an entry until it is applied here."),
];

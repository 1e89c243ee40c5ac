//! Timers and bounds.

use std::time::Duration;

use openraft::{Config, SnapshotPolicy};

/// `ha_profile`: how quickly a silent leader is given up.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Profile {
    /// Nodes in one place, whose cores may be busy.
    #[default]
    Lan,
    /// Nodes in one place, on cores of their own.
    Fast,
    /// Nodes far from each other.
    Wan,
}

/// A leader that is silent for the longest election timeout may be replaced; it is, on average,
/// after one and a half of them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Timing {
    /// Must exceed the time that a disk usually takes to flush.
    pub heartbeat: Duration,
    pub election_min: Duration,
    pub election_max: Duration,
}

impl Timing {
    /// `multiplier` is `performance_multiplier`; 0, where it is not set, counts as 1.
    pub fn new(profile: Profile, multiplier: u32) -> Self {
        let [heartbeat, election_min, election_max] = match profile {
            Profile::Lan => [50, 150, 300],
            Profile::Fast => [20, 60, 100],
            Profile::Wan => [500, 1500, 3000],
        }
        .map(|milliseconds| Duration::from_millis(milliseconds) * multiplier.clamp(1, 100));
        Self { heartbeat, election_min, election_max }
    }

    /// After so long without a leader, a node that is no candidate stands all the same.
    pub fn caretaker_after(&self) -> Duration {
        self.election_max * 4
    }
}

impl Default for Timing {
    fn default() -> Self {
        Self::new(Profile::default(), 1)
    }
}

#[derive(Clone, Debug)]
pub struct Options {
    pub timing: Timing,
    /// Of one entry, in bytes; at most [`TRANSACTION_BYTES_MOST`].
    pub transaction_bytes_max: usize,
    /// Of proposals that are not applied yet, all together.
    pub proposal_bytes_max: usize,
    /// Entries that stay in the log behind a snapshot, for nodes that were away.
    pub log_entries_kept: u64,
    /// As [`Self::log_entries_kept`], in bytes: whichever is less.
    pub log_bytes_kept: u64,
    /// So many entries after a snapshot, the next is made.
    pub snapshot_every_entries: u64,
    /// Threads of raft's own runtime.
    pub threads: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            timing: Timing::default(),
            transaction_bytes_max: 8 * 1024 * 1024,
            proposal_bytes_max: 128 * 1024 * 1024,
            log_entries_kept: 200_000,
            log_bytes_kept: 1 << 30,
            snapshot_every_entries: 50_000,
            threads: 2,
        }
    }
}

impl Options {
    pub(super) fn transaction_bytes_max(&self) -> usize {
        self.transaction_bytes_max.min(TRANSACTION_BYTES_MOST)
    }

    /// # Errors
    /// Where the timers contradict each other.
    pub(super) fn raft(&self) -> Result<Config, String> {
        let milliseconds =
            |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let election_max = milliseconds(self.timing.election_max);
        let config = Config {
            cluster_name: "strongroom".into(),
            heartbeat_interval: milliseconds(self.timing.heartbeat),
            election_timeout_min: milliseconds(self.timing.election_min),
            election_timeout_max: election_max,
            // Else a node that was cut off would depose a healthy leader when it comes back.
            enable_pre_vote: Some(true),
            // Else a restarted leader would lead on, sealed and with what it had then.
            enable_leader_restore: Some(false),
            // Else a leader that reaches one node, but no quorum, would keep that node from
            // voting for one that does.
            quorum_loss_probe_interval: Some(election_max.saturating_mul(4)),
            max_payload_entries: 1024,
            snapshot_policy: SnapshotPolicy::Never,
            max_in_snapshot_log_to_keep: self.log_entries_kept,
            purge_batch_size: 4096.min(self.log_entries_kept.max(1)),
            install_snapshot_timeout: milliseconds(SNAPSHOT_TIMEOUT),
            // A node that lost its log must not be taken back under its id.
            allow_log_reversion: None,
            ..Config::default()
        };
        config.validate().map_err(|error| error.to_string())
    }
}

/// Whatever the configuration says: the message that carries it has room to spare.
pub const TRANSACTION_BYTES_MOST: usize = 32 * 1024 * 1024;

/// Between attempts to reach a node; the last one for all further ones.
pub(super) const BACKOFF: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(50), Duration::from_millis(100)];

/// For all of a snapshot.
pub(super) const SNAPSHOT_TIMEOUT: Duration = Duration::from_secs(600);

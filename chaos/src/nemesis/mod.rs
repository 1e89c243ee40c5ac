//! What is done to the nodes: one file per fault.

mod kill;

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::random::Random;
use crate::workload::Workload;

/// Who is ended with SIGKILL.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Fault {
    Leader,
    Standby,
    All,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "kill the leader",
            Self::Standby => "kill a standby",
            Self::All => "kill all three",
        })
    }
}

/// What a fault did to those who write.
pub(crate) struct Effect {
    pub(crate) fault: Fault,
    /// Until every node that was left had taken a new write; where none was left, until all had.
    pub(crate) outage: Duration,
    /// Until every node had taken a new write.
    pub(crate) healed: Duration,
}

/// As many faults as asked for, or as there is time for, each after the one before has healed.
pub(crate) async fn run(
    cluster: &Cluster,
    workload: &Workload,
    random: &mut Random,
    faults: u64,
    time: Duration,
    told: impl Fn(u64, &Effect),
) -> Result<Vec<Effect>, String> {
    let deadline = Instant::now() + time;
    let mut effects = Vec::new();
    for number in 0..faults {
        if Instant::now() >= deadline {
            break;
        }
        let fault = choose(number, random);
        sleep(Duration::from_millis(random.within(100..800))).await;
        let effect = kill::run(cluster, workload, random, fault)
            .await
            .map_err(|error| format!("fault {number} ({fault}): {error}"))?;
        told(number, &effect);
        effects.push(effect);
    }
    Ok(effects)
}

/// One of each first, so that a short run has them all.
fn choose(number: u64, random: &mut Random) -> Fault {
    match number {
        0 => Fault::Leader,
        1 => Fault::Standby,
        2 => Fault::All,
        _ => match random.within(0..5) {
            0 | 1 => Fault::Leader,
            2 | 3 => Fault::Standby,
            _ => Fault::All,
        },
    }
}

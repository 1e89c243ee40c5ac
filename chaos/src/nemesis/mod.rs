//! What is done to the nodes: one file per fault.

mod kill;

use std::fmt;
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::cluster::Cluster;
use crate::random::Random;
use crate::workload::Workload;

/// Who is ended with SIGKILL, and what is done otherwise.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, clap::ValueEnum)]
pub(crate) enum Fault {
    Leader,
    Standby,
    All,
    /// SIGTERM to the leader.
    Terminate,
    /// The leader is told to let another lead.
    StepDown,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Leader => "kill the leader",
            Self::Standby => "kill a standby",
            Self::All => "kill all three",
            Self::Terminate => "end the leader",
            Self::StepDown => "step down",
        })
    }
}

/// What a fault did to those who write.
pub(crate) struct Effect {
    pub(crate) fault: Fault,
    /// The longest time for which a node that was left took no write; where none was left, until
    /// all had taken one.
    pub(crate) outage: Duration,
    /// Until every node had taken a new write.
    pub(crate) healed: Duration,
}

/// As many faults as asked for, or as there is time for, each after the one before has healed.
pub(crate) async fn run(
    cluster: &Cluster,
    workload: &Workload,
    random: &mut Random,
    (faults, chosen): (u64, &[Fault]),
    time: Duration,
    told: impl Fn(u64, &Effect),
) -> Result<Vec<Effect>, String> {
    let deadline = Instant::now() + time;
    let mut effects = Vec::new();
    for number in 0..faults {
        if Instant::now() >= deadline {
            break;
        }
        let fault = choose(number, random, chosen);
        sleep(Duration::from_millis(random.within(100..800))).await;
        let effect = match fault {
            Fault::StepDown => kill::step_down(cluster, workload).await,
            _ => kill::run(cluster, workload, random, fault).await,
        };
        let effect = effect.map_err(|error| format!("fault {number} ({fault}): {error}"))?;
        told(number, &effect);
        effects.push(effect);
    }
    Ok(effects)
}

/// One of each first, so that a short run has them all.
fn choose(number: u64, random: &mut Random, chosen: &[Fault]) -> Fault {
    let in_turn = usize::try_from(number).unwrap_or(usize::MAX);
    if !chosen.is_empty() {
        return chosen.get(in_turn % chosen.len()).copied().unwrap_or(Fault::Leader);
    }
    match number {
        0 => Fault::Leader,
        1 => Fault::Standby,
        2 => Fault::All,
        3 => Fault::Terminate,
        4 => Fault::StepDown,
        _ => match random.within(0..7) {
            0 | 1 => Fault::Leader,
            2 | 3 => Fault::Standby,
            4 => Fault::All,
            5 => Fault::Terminate,
            _ => Fault::StepDown,
        },
    }
}

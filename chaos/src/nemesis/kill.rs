//! `kill -9`, and a start with the same data.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use super::{Effect, Fault};
use crate::cluster::Cluster;
use crate::node::Node;
use crate::random::Random;
use crate::workload::Workload;

pub(super) async fn run(
    cluster: &Cluster,
    workload: &Workload,
    random: &mut Random,
    fault: Fault,
) -> Result<Effect, String> {
    let victims = victims(cluster, random, fault).await?;
    let is_victim = |node: &Node| victims.iter().any(|victim| victim.name == node.name);
    for node in &victims {
        node.disturb();
    }
    let then = workload.now();
    workload.watch_gaps();
    for node in &victims {
        match fault {
            Fault::Terminate => node.terminate().await?,
            _ => node.kill().await?,
        }
    }
    let mut outage = Duration::ZERO;
    if victims.len() < cluster.nodes.len() {
        workload.served_since(then, |node| !is_victim(node), OUTAGE_MAX).await?;
        sleep(SETTLED).await;
        outage = workload.longest_gap(|node| !is_victim(node));
    }
    sleep(Duration::from_millis(random.within(0..400))).await;
    for node in &victims {
        node.start().await?;
    }
    for node in &victims {
        node.unseal(&cluster.shares).await?;
    }
    let healed = workload.served_since(then, |_| true, HEALED_MAX).await?;
    for node in &victims {
        node.calm();
    }
    if outage == Duration::ZERO {
        outage = healed;
    }
    Ok(Effect { fault, outage, healed })
}

/// Another node is asked to lead; nobody ends, so nobody may see an error.
pub(super) async fn step_down(cluster: &Cluster, workload: &Workload) -> Result<Effect, String> {
    workload.watch_gaps();
    cluster.change_leader().await?;
    sleep(SETTLED).await;
    let outage = workload.longest_gap(|_| true);
    Ok(Effect { fault: Fault::StepDown, outage, healed: outage })
}

async fn victims(
    cluster: &Cluster,
    random: &mut Random,
    fault: Fault,
) -> Result<Vec<Arc<Node>>, String> {
    let active = cluster.active().await?;
    let standbys: Vec<_> = cluster.nodes.iter().filter(|node| node.name != active.name).collect();
    let standby = usize::try_from(random.within(0..2)).unwrap_or_default();
    Ok(match fault {
        Fault::Leader | Fault::Terminate | Fault::StepDown => vec![active],
        Fault::Standby => standbys.get(standby).map(|node| Arc::clone(node)).into_iter().collect(),
        Fault::All => cluster.nodes.clone(),
    })
}

/// What a fault does is over by then, where nodes serve again.
const SETTLED: Duration = Duration::from_millis(300);

/// Far beyond what an election takes: it is to be seen, not to be guessed at.
const OUTAGE_MAX: Duration = Duration::from_secs(30);

const HEALED_MAX: Duration = Duration::from_secs(90);

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
    for node in &victims {
        node.kill().await?;
    }
    let mut outage = Duration::ZERO;
    if victims.len() < cluster.nodes.len() {
        outage = workload.served_since(then, |node| !is_victim(node), OUTAGE_MAX).await?;
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

async fn victims(
    cluster: &Cluster,
    random: &mut Random,
    fault: Fault,
) -> Result<Vec<Arc<Node>>, String> {
    let active = cluster.active().await?;
    let standbys: Vec<_> = cluster.nodes.iter().filter(|node| node.name != active.name).collect();
    let standby = usize::try_from(random.within(0..2)).unwrap_or_default();
    Ok(match fault {
        Fault::Leader => vec![active],
        Fault::Standby => standbys.get(standby).map(|node| Arc::clone(node)).into_iter().collect(),
        Fault::All => cluster.nodes.clone(),
    })
}

/// Far beyond what an election takes: it is to be seen, not to be guessed at.
const OUTAGE_MAX: Duration = Duration::from_secs(30);

const HEALED_MAX: Duration = Duration::from_secs(90);

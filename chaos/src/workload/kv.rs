//! Writers that each have paths of their own.

use std::sync::Arc;

use super::Workload;

pub(super) async fn run(workload: Arc<Workload>, number: usize) {
    let mut written = 0_u64;
    while !workload.is_stopped() {
        let path = format!("kv-{number}-{}", written / VERSIONS_OF_ONE);
        written += 1;
        workload.write(number, path).await;
    }
}

/// Three at every node.
pub(super) const WRITERS: usize = 9;

const VERSIONS_OF_ONE: u64 = 20;

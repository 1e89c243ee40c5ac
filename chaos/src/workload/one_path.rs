//! Writers that all write the same path: each of their writes needs the one before it.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Workload;

pub(super) async fn run(workload: Arc<Workload>, number: usize) {
    while !workload.is_stopped() {
        // They move on together: a write costs more with each version that the path has.
        let turn = workload.turns.fetch_add(1, Ordering::SeqCst);
        workload.write(number, format!("one-{}", turn / VERSIONS_OF_ONE)).await;
    }
}

pub(crate) const WRITERS: usize = 64;

const VERSIONS_OF_ONE: usize = 512;

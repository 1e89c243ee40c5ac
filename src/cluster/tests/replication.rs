use std::sync::Arc;

use super::harness::*;
use crate::log::{LogError, ReplicatedLog as _};
use crate::raft::*;

fn options() -> Options {
    Options::default()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn writes_reach_every_node_and_survive_the_leader() {
    let mut world = World::of(&["a", "b", "c"], options()).await;
    world.put(1, b"one").await;
    for name in ["a", "b", "c"] {
        world.holds(name, 1, b"one").await;
    }
    world.kill("a");
    let leader = world.leader(|name| name != "a").await;
    world.put(2, b"two").await;
    for name in ["b", "c"] {
        world.holds(name, 1, b"one").await;
        world.holds(name, 2, b"two").await;
    }
    let follower = if leader == "b" { "c" } else { "b" };
    let elsewhere = world.node(follower).raft.begin().await;
    assert!(matches!(elsewhere, Err(LogError::NotLeader)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_leader_that_is_cut_off_answers_no_read_and_takes_no_write() {
    let world = World::of(&["a", "b", "c"], options()).await;
    world.put(1, b"old").await;
    let before = world.node("a").raft.begin().await.unwrap();
    assert!(world.node("a").raft.has_quorum());
    world.cut("a", true);
    let silent = async {
        // Until it asks the others again, it still takes itself for the leader.
        while world.node("a").raft.has_quorum() {
            tokio::time::sleep(options().timing.heartbeat).await;
        }
    };
    within(silent, "no quorum has answered for long").await;
    let successor = world.leader(|name| name != "a").await;
    let raft = &world.node(successor).raft;
    let point = within(
        async {
            loop {
                if let Ok(point) = raft.begin().await {
                    return point;
                }
            }
        },
        "the successor reads",
    )
    .await;
    within(raft.propose(entry(point.leadership, 1, b"new")), "a write").await.unwrap();
    let read = within(world.node("a").raft.begin(), "an answer").await;
    assert!(matches!(read, Err(LogError::NotLeader)), "the old value would be read");
    let write = world.node("a").raft.propose(entry(before.leadership, 1, b"lost"));
    let write = within(write, "an answer").await;
    assert!(matches!(write, Err(LogError::NotLeader | LogError::Unknown)), "{write:?}");
    world.cut("a", false);
    world.holds("a", 1, b"new").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_cluster_that_was_off_finds_all_again_and_elects_the_unsealed_node() {
    for on_disk in [false, true] {
        finds_all_again(World::with(&["a", "b", "c"], options(), on_disk).await).await;
    }
}

async fn finds_all_again(mut world: World) {
    world.put(1, b"one").await;
    for name in ["a", "b", "c"] {
        world.holds(name, 1, b"one").await;
    }
    for name in ["a", "b", "c"] {
        world.restart(name).await;
    }
    world.node("b").raft.set_candidate(true);
    world.leader(|name| name == "b").await;
    world.put(2, b"two").await;
    for name in ["a", "c"] {
        world.holds(name, 1, b"one").await;
        world.holds(name, 2, b"two").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_that_missed_what_the_log_has_let_go_gets_the_state() {
    for on_disk in [false, true] {
        let options = Options { log_entries_kept: 0, ..options() };
        gets_the_state(World::with(&["a"], options, on_disk).await).await;
    }
}

async fn gets_the_state(mut world: World) {
    for key in 1..=50 {
        world.put(key, &[key; 100]).await;
    }
    let raft = world.node("a").raft.clone();
    raft.snapshot().await.unwrap();
    let purged = async {
        let mut applied = raft.applied();
        while raft.progress().purged < Some(40) {
            // Every write brings the log's state up to date.
            world.put(99, b"more").await;
            applied.borrow_and_update();
        }
    };
    within(purged, "the log is let go").await;
    world.start("b").await;
    world.join("b").await;
    for key in 1..=50 {
        world.holds("b", key, &[key; 100]).await;
    }
    let [a, b] = ["a", "b"].map(|name| world.node(name).get(7).unwrap());
    assert_eq!(a.revision, b.revision);
    world.node("b").raft.set_candidate(true);
    world.put(60, b"after").await;
    world.holds("b", 60, b"after").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_log_of_large_entries_is_let_go_by_its_bytes() {
    let options = Options { log_bytes_kept: 8 << 20, ..options() };
    let world = World::of(&["a"], options).await;
    let let_go = async {
        while world.node("a").raft.progress().purged < Some(10) {
            world.put(1, &[1; 1 << 20]).await;
        }
    };
    within(let_go, "the log is let go").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn leadership_goes_to_whoever_is_unsealed_when_it_is_handed_over() {
    let timing = Timing::new(Profile::Lan, 4);
    let world = World::of(&["a", "b", "c"], Options { timing, ..options() }).await;
    world.put(1, b"one").await;
    let raft = Arc::clone(&world.node("a").raft);
    world.node("b").raft.set_candidate(false);
    let (b, c) = (world.id("b"), world.id("c"));
    let sealed = |id, wanted| {
        let member = raft.configuration().into_iter().find(|member| member.id == id).unwrap();
        member.status.is_some_and(|status| status.sealed == wanted)
    };
    let known = async {
        // The next heartbeats tell.
        while !sealed(b, true) || !sealed(c, false) {
            tokio::task::yield_now().await;
        }
    };
    within(known, "the leader knows who is sealed").await;
    let sealed = raft.transfer_leader(world.id("b")).await;
    assert!(matches!(sealed, Err(MembershipError::NoSuccessor)), "{sealed:?}");
    let started = tokio::time::Instant::now();
    assert_eq!(raft.hand_over().await.unwrap(), world.id("c"));
    world.leader(|name| name == "c").await;
    assert!(started.elapsed() < timing.election_max, "it took {:?}", started.elapsed());
    world.put(2, b"two").await;
    world.holds("a", 2, b"two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_sealed_leader_hands_over_when_another_is_unsealed() {
    let world = World::of(&["a", "b", "c"], options()).await;
    for name in ["b", "c", "a"] {
        world.node(name).raft.set_candidate(false);
    }
    world.put(1, b"one").await;
    world.node("c").raft.set_candidate(true);
    world.leader(|name| name == "c").await;
    world.put(2, b"two").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn the_largest_transaction_reaches_a_follower() {
    let options = Options { transaction_bytes_max: usize::MAX, ..options() };
    let world = World::of(&["a", "b"], options).await;
    let value = vec![7; TRANSACTION_BYTES_MOST - 1024];
    world.put(1, &value).await;
    world.holds("b", 1, &value).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn a_node_that_leaves_is_replaced_in_one_change() {
    let mut world = World::of(&["a", "b", "c"], options()).await;
    world.put(1, b"one").await;
    let old = world.id("c");
    world.kill("c");
    world.start("d").await;
    let (raft, new) = (world.node("a").raft.clone(), world.node("d"));
    raft.add_learner(new.raft.id(), new.info.clone()).await.unwrap();
    raft.promote(new.raft.id(), Some(old), DEADLINE).await.unwrap();
    world.holds("d", 1, b"one").await;
    let mut members: Vec<_> =
        raft.configuration().into_iter().map(|member| (member.info.name, member.voter)).collect();
    members.sort();
    let expected = [("a", true), ("b", true), ("d", true)];
    assert_eq!(members, expected.map(|(name, voter)| (name.to_owned(), voter)));
    raft.remove(world.id("b")).await.unwrap();
    assert_eq!(raft.configuration().len(), 2);
    let again = raft.remove(old).await;
    assert!(matches!(again, Err(MembershipError::Unknown)), "{again:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn writes_stop_where_a_quorum_lacks_disk_space() {
    let world = World::of(&["a", "b", "c"], options()).await;
    let raft = world.node("a").raft.clone();
    world.node("b").raft.set_disk_low(true);
    world.put(1, b"one").await;
    world.node("c").raft.set_disk_low(true);
    let known = async {
        while !raft.is_disk_full() {
            tokio::task::yield_now().await;
        }
    };
    within(known, "the leader knows").await;
    let point = raft.begin().await.unwrap();
    let refused = raft.propose(entry(point.leadership, 2, b"two")).await;
    assert!(matches!(refused, Err(LogError::DiskFull)), "{refused:?}");
}

/// A voter forgets the lease that it gave when it restarts. Were it to vote at once, two nodes
/// could take themselves for the leader: one with its lease, the other with its votes.
#[tokio::test(flavor = "multi_thread", worker_threads = 1)]
async fn voter_that_restarts_elects_nobody_while_its_old_lease_may_hold() {
    let timing = Timing::new(Profile::Lan, 5);
    let mut world = World::of(&["a", "b", "c"], Options { timing, ..options() }).await;
    world.put(1, b"old").await;
    for name in ["a", "b", "c"] {
        world.holds(name, 1, b"old").await;
    }
    // `c` hears the leader no more, and asks `b` for its vote again and again.
    world.part("a", "c");
    let silent = async {
        while world.node("c").raft.since_leader() <= timing.election_max * 2 {
            tokio::time::sleep(timing.heartbeat).await;
        }
    };
    within(silent, "`c` would stand").await;
    assert!(world.node("a").raft.is_leader(), "`b` hears it, and does not vote");
    // Then `b` restarts, and the leader does not reach it any more either.
    let begin = tokio::time::Instant::now();
    world.bar("a", "b");
    world.restart("b").await;
    world.part("a", "b");
    world.node("b").raft.set_candidate(true);
    world.leader(|name| name != "a").await;
    let after = begin.elapsed();
    assert!(after >= timing.election_max, "elected {after:?} after the restart");
    world.put_through(|name| name != "a", 1, b"new").await;
    let read = within(world.node("a").raft.begin(), "an answer").await;
    assert!(matches!(read, Err(LogError::NotLeader)), "the old value would be read");
}

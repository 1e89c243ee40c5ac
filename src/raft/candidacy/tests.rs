use super::*;
use crate::raft::Profile;

#[tokio::test]
async fn a_node_that_voted_before_it_started_grants_nothing_at_first() {
    // So long that the test never sees its end.
    let timing = Timing::new(Profile::Wan, 100);
    let restarted = Candidacy::new(&timing, true);
    restarted.set_candidate(true);
    assert!(!restarted.may_vote(false));
    assert!(restarted.may_vote(true), "the leader itself has asked for the election");
    assert!(!restarted.may_stand());
    let fresh = Candidacy::new(&timing, false);
    assert!(fresh.may_vote(false));
    assert!(!fresh.may_stand(), "sealed");
    fresh.set_candidate(true);
    assert!(fresh.may_stand());
}

#[tokio::test]
async fn a_sealed_node_stands_after_long_without_a_leader() {
    let mut timing = Timing::new(Profile::Wan, 100);
    timing.election_max = Duration::ZERO;
    let candidacy = Candidacy::new(&timing, true);
    assert!(candidacy.may_stand());
    assert!(!candidacy.accepts_transfer());
}

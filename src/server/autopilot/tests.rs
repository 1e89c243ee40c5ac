use std::time::Duration;

use super::dead;
use crate::raft::{Member, NodeInfo};
use crate::sys::AutopilotConfiguration;

fn member(id: u64, voter: bool, silent_seconds: u64) -> Member {
    Member {
        id,
        info: NodeInfo::default(),
        voter,
        leader: id == 1,
        matched: None,
        silent: (id != 1).then_some(Duration::from_secs(silent_seconds)),
        status: None,
    }
}

fn asked(min_quorum: u64) -> AutopilotConfiguration {
    AutopilotConfiguration {
        cleanup_dead_servers: true,
        dead_server_last_contact_threshold: 60,
        min_quorum,
        ..AutopilotConfiguration::default()
    }
}

#[test]
fn a_dead_voter_goes_where_enough_are_left_and_most_are_alive() {
    let of = |silent: &[u64], min_quorum| {
        let mut members = vec![member(1, true, 0)];
        members.extend((2..).zip(silent).map(|(id, seconds)| member(id, true, *seconds)));
        dead(&members, Duration::from_secs(600), &asked(min_quorum))
    };
    assert_eq!(of(&[0, 0, 59], 3), None, "it may come back");
    assert_eq!(of(&[0, 0, 60], 3), Some(4));
    assert_eq!(of(&[0, 60], 3), None, "two would be left");
    assert_eq!(of(&[60, 60, 0], 3), None, "half are silent: the leader may be cut off");
    assert_eq!(of(&[60, 60, 0, 0], 3), Some(2), "one at a time");
    assert_eq!(of(&[60, 60, 0, 0], 5), None);
}

#[test]
fn a_dead_learner_goes_whatever_the_quorum() {
    let members = [member(1, true, 0), member(2, true, 0), member(3, false, 61)];
    assert_eq!(dead(&members, Duration::ZERO, &asked(3)), Some(3));
}

#[test]
fn who_was_never_heard_of_counts_from_when_this_node_began_to_lead() {
    let mut members = vec![member(1, true, 0), member(2, true, 0), member(3, true, 0)];
    members.push(Member { silent: None, ..member(4, true, 0) });
    assert_eq!(dead(&members, Duration::from_secs(59), &asked(3)), None);
    assert_eq!(dead(&members, Duration::from_secs(60), &asked(3)), Some(4));
}

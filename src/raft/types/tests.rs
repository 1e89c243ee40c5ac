use std::collections::{BTreeMap, BTreeSet};

use prost::Message as _;

use super::*;

fn log_id(index: u64) -> LogId {
    LogId { leader_id: LeaderId { term: 3, node_id: u64::MAX }, index }
}

fn membership() -> Membership {
    let node = |name: &str| NodeInfo {
        name: name.into(),
        cluster_address: "10.0.0.1:8201".into(),
        api_address: "https://10.0.0.1:8200".into(),
    };
    let nodes = BTreeMap::from([(1, node("a")), (2, node("b")), (3, node("learner"))]);
    Membership::new(vec![BTreeSet::from([1]), BTreeSet::from([1, 2])], nodes).unwrap()
}

#[test]
fn what_is_encoded_is_decoded_again() {
    for payload in [
        EntryPayload::Blank,
        EntryPayload::Normal(Payload(Bytes::from_static(b"batch"))),
        EntryPayload::Membership(membership()),
    ] {
        let entry = Entry { log_id: log_id(9), payload };
        let bytes = encode_entry(&entry).encode_to_vec();
        assert_eq!(decode_entry(proto::Entry::decode(bytes.as_slice()).unwrap()).unwrap(), entry);
    }
    let vote = Vote { leader_id: LeaderId { term: 1, node_id: 2 }, committed: true };
    assert_eq!(decode_vote(Some(&encode_vote(&vote))).unwrap(), vote);
    let position = Position {
        last_applied: Some(log_id(7)),
        membership: StoredMembership::new(Some(log_id(2)), membership()),
    };
    assert_eq!(decode_position(&encode_position(&position)).unwrap(), position);
    let nothing = Position::default();
    assert_eq!(decode_position(&encode_position(&nothing)).unwrap(), nothing);
}

#[test]
fn what_lacks_a_part_is_refused() {
    assert!(decode_vote(None).is_err());
    assert!(decode_vote(Some(&proto::Vote { leader: None, committed: true })).is_err());
    assert!(decode_log_id(&proto::LogId { leader: None, index: 1 }).is_err());
    assert!(
        decode_entry(proto::Entry { id: Some(encode_log_id(&log_id(1))), payload: None }).is_err()
    );
    let stranger = proto::Membership {
        configurations: vec![proto::Voters { nodes: vec![1] }],
        members: vec![],
    };
    assert!(decode_membership(&stranger).is_err());
}

use std::sync::Mutex;

use super::*;
use crate::barrier::Repeat;
use crate::clock::Timestamp;
use crate::log::Point;
use crate::record::{Contested, Leadership, Revision};
use crate::rng::{Rng, SystemRng};
use crate::seal::{self, Initialised, RootKey, SealConfiguration};
use crate::store::MemoryState;

const LEADERSHIP: Leadership = Leadership { term: 4, node: 9 };
const CONTESTED: Contested = Contested::System(SystemKey::Keyring);

struct Node {
    barrier: Arc<Barrier>,
    state: Arc<MemoryState>,
    observer: Observer,
    alarmed: watch::Receiver<bool>,
    cut: Arc<Mutex<Vec<u64>>>,
}

/// A sealed node, beside the one whose entries it applies.
fn node() -> Node {
    let barrier = Arc::new(Barrier::new(rng()));
    let state = Arc::new(MemoryState::default());
    let (alarm, alarmed) = watch::channel(false);
    let cut: Arc<Mutex<Vec<u64>>> = Arc::default();
    let ends = cut.clone();
    let end = move |id| ends.lock().unwrap().push(id);
    let observer = Observer::new(barrier.clone(), state.clone(), end, alarm);
    Node { barrier, state, observer, alarmed, cut }
}

impl Node {
    fn is_alarmed(&self) -> bool {
        *self.alarmed.borrow()
    }

    fn sees(&self, (batch, encoded, mac): &(SealedBatch, Bytes, Bytes), applied: Applied) {
        self.observer.on_applied(7, batch, encoded, mac, applied);
    }

    /// As a snapshot from the leader would.
    fn installs(&self, records: &[(SystemKey, Bytes)]) {
        self.has(records);
        self.observer.on_installed(8);
    }

    fn has(&self, records: &[(SystemKey, Bytes)]) {
        let mut tables = self.state.tables();
        for (key, record) in records {
            tables.system.insert(*key, (Revision(8), record.clone()));
        }
        self.state.replace(tables);
    }
}

fn rng() -> Arc<dyn Rng> {
    Arc::new(SystemRng)
}

fn sealed_by_shares() -> Initialised {
    let configuration = SealConfiguration::new(1, 1).unwrap();
    seal::initialise(rng().as_ref(), Timestamp(1), &configuration)
}

/// An entry of a node with this keyring, with these system records.
fn entry(keyring: &Keyring, records: &[(SystemKey, Bytes)]) -> (SealedBatch, Bytes, Bytes) {
    let barrier = Barrier::new(rng());
    barrier.open(Arc::new(keyring.clone()));
    let point = Point { leadership: LEADERSHIP, view: Arc::new(MemoryState::default()) };
    let mut txn = barrier.begin(point, Timestamp(1)).unwrap();
    txn.scope("root/").put("a", &1).unwrap();
    for (key, record) in records {
        txn.put_system(*key, record.clone());
    }
    let batch = txn.into_batch().unwrap().unwrap();
    let entry = barrier.seal(batch, Repeat::default()).unwrap();
    SealedBatch::decode_entry(entry).unwrap()
}

fn keyring_record(made: &Initialised) -> Bytes {
    made.records[1].1.clone()
}

#[test]
fn entry_that_no_unsealed_node_made_seals_the_node_whatever_came_of_it() {
    let ours = sealed_by_shares();
    let theirs = sealed_by_shares();
    let (batch, encoded, mac) = entry(&ours.keyring, &[]);
    let mut flipped = mac.to_vec();
    flipped[0] ^= 1;
    let (other, other_encoded, _) = entry(&ours.keyring, &[]);
    for (what, forged) in [
        ("another key's", entry(&theirs.keyring, &[])),
        ("a changed MAC", (batch, encoded, flipped.into())),
        ("another entry's MAC", (other, other_encoded, mac)),
        ("no MAC", {
            let (batch, encoded, _) = entry(&ours.keyring, &[]);
            (batch, encoded, Bytes::new())
        }),
    ] {
        for applied in [Applied::Committed, Applied::Conflict(CONTESTED), Applied::Fenced] {
            let node = node();
            node.barrier.open(Arc::new(ours.keyring.clone()));
            node.sees(&entry(&ours.keyring, &[]), applied);
            assert!(!node.barrier.is_sealed() && !node.is_alarmed(), "{applied:?}");
            node.sees(&forged, applied);
            assert!(node.barrier.is_sealed() && node.is_alarmed(), "{what}, {applied:?}");
        }
    }
}

/// It has no key to tell by.
#[test]
fn sealed_node_takes_any_entry_and_raises_no_alarm() {
    let node = node();
    node.sees(&entry(&sealed_by_shares().keyring, &[]), Applied::Committed);
    assert!(node.barrier.is_sealed() && !node.is_alarmed());
}

#[test]
fn keyring_is_followed_where_the_present_one_leads_to_it() {
    let made = sealed_by_shares();
    let record = KeyringRecord::decode(&keyring_record(&made)).unwrap();
    let (rotated, next) =
        seal::rotate(rng().as_ref(), Timestamp(2), &made.keyring, &record).unwrap();
    let configuration = SealConfiguration::new(2, 2).unwrap();
    let seal_key = crate::crypto::LockedKey::generate(rng().as_ref());
    let to = seal::Reseal {
        configuration: &configuration,
        root_key: RootKey::Renew,
        seal_key: &seal_key,
        seals: Vec::new(),
        previous: None,
    };
    let (keyring, records) = seal::reseal(rng().as_ref(), &made.keyring, to).unwrap();
    let renewed = Initialised { keyring, records, shares: Vec::new() };
    let bridged = KeyringRecord::decode(&keyring_record(&renewed)).unwrap();
    let unbridged = bridged.without_bridge().encode();
    for (what, record, leads_to) in [
        ("rotated", next.encode(), Some(&rotated)),
        ("rekeyed", keyring_record(&renewed), Some(&renewed.keyring)),
        ("rekeyed, the bridge gone", unbridged, None),
        ("another cluster's", keyring_record(&sealed_by_shares()), None),
        ("nonsense", Bytes::from_static(b"\xff\xff"), None),
    ] {
        let records = [(SystemKey::Keyring, record)];
        for installed in [false, true] {
            let what = format!("{what}, in a snapshot: {installed}");
            let node = node();
            node.barrier.open(Arc::new(made.keyring.clone()));
            if installed {
                node.installs(&records);
            } else {
                node.sees(&entry(&made.keyring, &records), Applied::Committed);
            }
            assert_eq!(node.barrier.is_sealed(), leads_to.is_none(), "{what}");
            assert_eq!(node.is_alarmed(), leads_to.is_none(), "{what}");
            if let Some(keyring) = leads_to {
                // From then on, it knows the other's entries by the new keyring.
                node.sees(&entry(keyring, &[]), Applied::Committed);
                assert!(!node.barrier.is_sealed(), "{what}");
            }
        }
    }
}

#[test]
fn keyring_of_an_entry_without_effect_is_not_followed() {
    let made = sealed_by_shares();
    let node = node();
    node.barrier.open(Arc::new(made.keyring.clone()));
    let records = [(SystemKey::Keyring, Bytes::from_static(b"nonsense"))];
    let applied = Applied::Conflict(CONTESTED);
    node.sees(&entry(&made.keyring, &records), applied);
    assert!(!node.barrier.is_sealed() && !node.is_alarmed());
}

/// Unlike a snapshot from the leader, what is restored may have fewer keys than before.
#[test]
fn keyring_that_is_restored_may_be_older_and_needs_the_same_root_key() {
    let made = sealed_by_shares();
    let record = KeyringRecord::decode(&keyring_record(&made)).unwrap();
    let (rotated, next) =
        seal::rotate(rng().as_ref(), Timestamp(2), &made.keyring, &record).unwrap();
    for (what, record, term) in [
        ("older", keyring_record(&made), Some(1)),
        ("the same", next.encode(), Some(2)),
        ("another cluster's", keyring_record(&sealed_by_shares()), None),
        ("nonsense", Bytes::from_static(b"\xff\xff"), None),
    ] {
        let node = node();
        node.barrier.open(Arc::new(rotated.clone()));
        let restored = node.observer.restored();
        node.has(&[(SystemKey::Keyring, record.clone())]);
        node.observer.on_restored(8, RestoreId([1; 16]));
        let found = node.barrier.keyring().ok().map(|keyring| keyring.active_term());
        assert_eq!((found, node.is_alarmed()), (term, term.is_none()), "{what}");
        let told = Restored { index: 8, id: RestoreId([1; 16]) };
        assert_eq!(*restored.borrow(), Some(told), "{what}");
    }
    let node = node();
    node.barrier.open(Arc::new(rotated));
    node.installs(&[(SystemKey::Keyring, keyring_record(&made))]);
    assert!(node.barrier.is_sealed(), "older keys in a snapshot from the leader may be a thief's");
}

#[test]
fn snapshot_without_a_keyring_seals() {
    let node = node();
    node.barrier.open(Arc::new(sealed_by_shares().keyring));
    node.installs(&[]);
    assert!(node.barrier.is_sealed() && node.is_alarmed());
}

/// Sealed or not: whoever was removed is to be heard no more.
#[test]
fn nodes_that_were_removed_are_cut_off() {
    let made = sealed_by_shares();
    let ids = |ids: &[u64]| -> Bytes {
        ids.iter().flat_map(|id| id.to_be_bytes()).collect::<Vec<u8>>().into()
    };
    for unsealed in [false, true] {
        let node = node();
        if unsealed {
            node.barrier.open(Arc::new(made.keyring.clone()));
        }
        let records = [(SystemKey::RemovedNodes, ids(&[5, 6]))];
        let removal = entry(&made.keyring, &records);
        node.sees(&removal, Applied::Conflict(CONTESTED));
        assert!(node.cut.lock().unwrap().is_empty(), "nothing was removed");
        node.sees(&removal, Applied::Committed);
        assert_eq!(*node.cut.lock().unwrap(), [5, 6], "unsealed: {unsealed}");
        node.installs(&[
            (SystemKey::RemovedNodes, ids(&[5, 6, 7])),
            (SystemKey::Keyring, keyring_record(&made)),
        ]);
        assert_eq!(*node.cut.lock().unwrap(), [5, 6, 5, 6, 7], "unsealed: {unsealed}");
        assert_eq!(node.barrier.is_sealed(), !unsealed);
    }
}

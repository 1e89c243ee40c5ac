use super::*;
use crate::clock::Timestamp;
use crate::rng::SystemRng;
use crate::seal::{Initialised, Reseal, RootKey, SealConfiguration, initialise, reseal};

#[test]
fn shares_open_a_challenge_and_give_the_key_that_its_maker_recalls() {
    let made = cluster();
    let sealed = challenge(&SystemRng, &made.keyring, b"node 7").unwrap();
    let recalled = recall_challenge(&made.keyring, b"node 7", &sealed).unwrap();
    let joiner = record_of(&made).for_joiner();
    let opened = open_challenge(&joiner, &made.shares[1..], b"node 7", &sealed).unwrap();
    assert_eq!(opened.expose(), recalled.expose());
    let another = challenge(&SystemRng, &made.keyring, b"node 7").unwrap();
    let another = recall_challenge(&made.keyring, b"node 7", &another).unwrap();
    assert_ne!(another.expose(), recalled.expose());
}

#[test]
fn a_challenge_opens_for_its_context_and_cluster_alone() {
    let (made, other) = (cluster(), cluster());
    let record = record_of(&made);
    let sealed = challenge(&SystemRng, &made.keyring, b"node 7").unwrap();
    assert!(recall_challenge(&made.keyring, b"node 8", &sealed).is_none());
    assert!(recall_challenge(&other.keyring, b"node 7", &sealed).is_none());
    assert!(recall_challenge(&made.keyring, b"node 7", &sealed[1..]).is_none());
    let error =
        |shares: &[Share], context: &[u8]| open_challenge(&record, shares, context, &sealed).err();
    assert_eq!(error(&made.shares[..2], b"node 7"), None);
    assert_eq!(error(&made.shares[..2], b"node 8"), Some(UnsealError::Challenge));
    assert_eq!(error(&other.shares[..2], b"node 7"), Some(UnsealError::WrongShares));
}

#[test]
fn a_challenge_ends_with_its_root_key() {
    let made = cluster();
    let sealed = challenge(&SystemRng, &made.keyring, b"node 7").unwrap();
    let next = SealConfiguration::new(3, 2).unwrap().next(3, 2).unwrap();
    let seal_key = LockedKey::generate(&SystemRng);
    let to = Reseal {
        configuration: &next,
        root_key: RootKey::Renew,
        seal_key: &seal_key,
        seals: Vec::new(),
        previous: None,
    };
    let (renewed, _) = reseal(&SystemRng, &made.keyring, to).unwrap();
    assert!(recall_challenge(&renewed, b"node 7", &sealed).is_none());
}

#[test]
fn a_joiner_is_not_told_the_keyring() {
    let made = cluster();
    let joiner = record_of(&made).for_joiner();
    assert!(open_root_key(&joiner, &made.shares[..2]).is_ok());
    assert!(crate::seal::try_open(&joiner, &made.shares[..2]).is_err());
}

fn cluster() -> Initialised {
    initialise(&SystemRng, Timestamp(1), &SealConfiguration::new(3, 2).unwrap())
}

fn record_of(made: &Initialised) -> KeyringRecord {
    KeyringRecord::decode(&made.records[1].1).unwrap()
}

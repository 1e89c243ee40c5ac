use super::*;
use crate::rng::SystemRng;
use crate::seal::split;

fn key_of(shares: i64, threshold: i64) -> (LockedKey, Division, Vec<Share>) {
    let key = LockedKey::generate(&SystemRng);
    let division = Division::new(shares, threshold).unwrap();
    let parts = split(&SystemRng, &key, division);
    (key, division, parts)
}

fn copy(share: &Share) -> Share {
    Share::new(share.bytes())
}

#[test]
fn enough_shares_of_a_known_key_are_that_key() {
    let (key, division, parts) = key_of(5, 3);
    let guard = Guard::of_key(division, 1, key_check(&key));
    let mut quorum = Quorum::default();
    let mut offer = |share: &Share| {
        let opened = quorum.offer(&SystemRng, &guard, copy(share));
        (opened.map(|opened| opened.map(|opened| *opened.key.expose())), quorum.progress())
    };
    assert_eq!(offer(&parts[4]), (Ok(None), 1));
    assert_eq!(offer(&parts[4]), (Ok(None), 1));
    assert_eq!(offer(&parts[0]), (Ok(None), 2));
    let whole = *key.expose();
    assert_eq!(offer(&parts[2]), (Ok(Some(whole)), 3));
    // What lost to another request runs again: with a share that was given, with no other.
    assert_eq!(offer(&parts[0]), (Ok(Some(whole)), 3));
    assert_eq!(offer(&parts[1]), (Err(UnsealError::TooMany), 3));
}

#[test]
fn shares_of_another_key_are_forgotten() {
    let (key, division, parts) = key_of(3, 2);
    let (_, _, others) = key_of(3, 2);
    let guard = Guard::of_key(division, 1, key_check(&key));
    let mut quorum = Quorum::default();
    quorum.offer(&SystemRng, &guard, copy(&others[0])).unwrap();
    let error = quorum.offer(&SystemRng, &guard, copy(&others[1])).err();
    assert_eq!((error, quorum.progress()), (Some(UnsealError::WrongKey), 0));
    quorum.offer(&SystemRng, &guard, copy(&parts[0])).unwrap();
    assert!(quorum.offer(&SystemRng, &guard, copy(&parts[1])).unwrap().is_some());
}

#[test]
fn another_generation_makes_a_fresh_start() {
    let (key, division, parts) = key_of(3, 2);
    let mut quorum = Quorum::default();
    for generation in [1, 2] {
        let guard = Guard::of_key(division, generation, key_check(&key));
        quorum.offer(&SystemRng, &guard, copy(&parts[generation as usize])).unwrap();
        assert_eq!(quorum.progress(), 1, "{generation}");
    }
}

use super::*;
use crate::clock::Timestamp;
use crate::rng::SystemRng;
use crate::seal::{Initialised, initialise};

struct Sealed {
    configuration: SealConfiguration,
    record: KeyringRecord,
    shares: Vec<Share>,
    unseal: Unseal,
}

impl Sealed {
    fn new(shares: i64, threshold: i64) -> Self {
        let configuration = SealConfiguration::new(shares, threshold).unwrap();
        let Initialised { records, shares, .. } =
            initialise(&SystemRng, Timestamp(1), &configuration);
        let record = KeyringRecord::decode(&records[1].1).unwrap();
        Self { configuration, record, shares, unseal: Unseal::default() }
    }

    fn share(&self, number: usize) -> Share {
        Share::new(self.shares[number].bytes())
    }

    fn add(&mut self, share: Share) -> Result<Option<Keyring>, UnsealError> {
        let opened = self.unseal.add(&SystemRng, &self.configuration, &self.record, share)?;
        Ok(opened.map(|(keyring, _)| keyring))
    }

    /// Adds the share of this number and says whether the keyring is open.
    fn opens(&mut self, number: usize) -> bool {
        self.add(self.share(number)).unwrap().is_some()
    }
}

#[test]
fn the_last_of_a_threshold_of_shares_opens() {
    let mut sealed = Sealed::new(5, 3);
    assert_eq!((sealed.unseal.progress(), sealed.unseal.nonce()), (0, ""));
    assert!(!sealed.opens(4));
    let nonce = sealed.unseal.nonce().to_owned();
    assert_eq!((sealed.unseal.progress(), nonce.len()), (1, 36));
    assert!(!sealed.opens(0));
    assert_eq!((sealed.unseal.progress(), sealed.unseal.nonce()), (2, nonce.as_str()));
    assert!(sealed.opens(2));
    assert_eq!((sealed.unseal.progress(), sealed.unseal.nonce()), (0, ""));
    assert!(Sealed::new(1, 1).opens(0));
}

#[test]
fn the_same_share_does_not_count_twice() {
    let mut sealed = Sealed::new(3, 2);
    for _ in 0..3 {
        assert!(!sealed.opens(1));
        assert_eq!(sealed.unseal.progress(), 1);
    }
    let as_base64 = Share::parse(sealed.shares[1].base64().expose()).unwrap();
    assert!(sealed.add(as_base64).unwrap().is_none());
    assert_eq!(sealed.unseal.progress(), 1);
    assert!(sealed.opens(2));
}

#[test]
fn a_wrong_combination_is_told_and_starts_over() {
    let mut sealed = Sealed::new(3, 2);
    let mut wrong = sealed.shares[1].bytes().to_vec();
    wrong[0] ^= 1;
    assert!(!sealed.opens(0));
    let first_nonce = sealed.unseal.nonce().to_owned();
    assert_eq!(sealed.add(Share::new(&wrong)).err(), Some(UnsealError::WrongShares));
    assert_eq!((sealed.unseal.progress(), sealed.unseal.nonce()), (0, ""));
    assert!(!sealed.opens(0));
    assert_ne!(sealed.unseal.nonce(), first_nonce);
    assert!(sealed.opens(1));

    let mut same_coordinate = sealed.shares[0].bytes().to_vec();
    same_coordinate[0] ^= 1;
    assert!(!sealed.opens(0));
    let error = sealed.add(Share::new(&same_coordinate)).err().unwrap();
    assert_eq!(
        error.to_string(),
        "invalid key: failed to compute combined key: duplicate part detected"
    );
    assert_eq!(sealed.unseal.progress(), 0);
}

#[test]
fn what_cannot_be_a_share_keeps_the_others() {
    let mut sealed = Sealed::new(3, 2);
    assert!(!sealed.opens(0));
    for (bytes, error) in [
        (&[1; 32][..], ShareError::Short { expected: 33 }),
        (&[1; 34], ShareError::Long { expected: 33 }),
        (&[0; 33], ShareError::NoCoordinate),
    ] {
        assert_eq!(sealed.add(Share::new(bytes)).err(), Some(UnsealError::Share(error)));
        assert_eq!(sealed.unseal.progress(), 1);
    }
    assert!(sealed.opens(1));
}

#[test]
fn a_reset_forgets_the_shares() {
    let mut sealed = Sealed::new(3, 2);
    assert!(!sealed.opens(0));
    sealed.unseal.reset();
    assert_eq!((sealed.unseal.progress(), sealed.unseal.nonce()), (0, ""));
    assert!(!sealed.opens(1));
    assert!(sealed.opens(0));
}

#[test]
fn shares_of_another_cluster_do_not_open() {
    let mut sealed = Sealed::new(3, 2);
    let other = Sealed::new(3, 2);
    assert!(sealed.add(other.share(0)).unwrap().is_none());
    assert_eq!(sealed.add(other.share(1)).err(), Some(UnsealError::WrongShares));
}

#[test]
fn a_rekey_makes_a_fresh_start() {
    let mut sealed = Sealed::new(3, 2);
    assert!(!sealed.opens(0));
    let next = Sealed::new(3, 2);
    let message =
        crate::proto::seal::KeyringRecord { version: 1, generation: 2, ..Default::default() };
    sealed.record = KeyringRecord::decode(&prost::Message::encode_to_vec(&message)).unwrap();
    assert!(sealed.add(next.share(1)).unwrap().is_none());
    assert_eq!(sealed.unseal.progress(), 1, "the first is of the generation before");
}

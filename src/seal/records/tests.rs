use proptest::prelude::{prop_assert, proptest};

use super::*;
use crate::key::Key;
use crate::rng::SystemRng;

const NOW: Timestamp = Timestamp(1_000);

#[test]
fn what_init_makes_opens_with_its_shares_alone() {
    let configuration = SealConfiguration::new(5, 3).unwrap();
    let made = initialise(&SystemRng, NOW, &configuration);
    let [(SystemKey::SealConfiguration, stored), (SystemKey::Keyring, record)] = &made.records
    else {
        panic!("both records");
    };
    assert_eq!(SealConfiguration::decode(stored), Ok(configuration));
    let record = KeyringRecord::decode(record).unwrap();
    assert_eq!(made.shares.len(), 5);

    let opened = try_open(&record, &made.shares[1..4]).unwrap();
    assert_same(&made.keyring, &opened);
    let root = open_root_key(&record, &made.shares[2..]).unwrap();
    assert_eq!(root.expose(), made.keyring.root_key().expose());

    assert_eq!(try_open(&record, &made.shares[..2]).err(), Some(UnsealError::WrongShares));
    let other = initialise(&SystemRng, NOW, &configuration);
    assert_eq!(try_open(&record, &other.shares[..3]).err(), Some(UnsealError::WrongShares));
    assert_eq!(try_open(&record, &[]).err(), Some(UnsealError::Combine(CombineError::None)));
}

#[test]
fn a_record_put_together_of_two_does_not_open() {
    let configuration = SealConfiguration::new(1, 1).unwrap();
    let made = initialise(&SystemRng, NOW, &configuration);
    let other = initialise(&SystemRng, NOW, &configuration);
    let (record, other) = (record_of(&made), record_of(&other));
    let mixed = KeyringRecord { keyring: other.keyring, ..record.clone() };
    let error = UnsealError::Keyring(UnwrapError::WrongRootKey);
    assert_eq!(try_open(&mixed, &made.shares).err(), Some(error));
    let mixed = KeyringRecord { generation: 2, ..record };
    assert_eq!(try_open(&mixed, &made.shares).err(), Some(UnsealError::WrongShares));
}

#[test]
fn a_rotation_needs_no_shares_and_leaves_them_good() {
    let made = initialise(&SystemRng, NOW, &SealConfiguration::new(3, 2).unwrap());
    let record = record_of(&made);
    let (rotated, changed) = rotate(&SystemRng, Timestamp(2_000), &made.keyring, &record).unwrap();
    assert_eq!((rotated.active_term(), changed.generation()), (2, 1));
    assert_same(&rotated, &try_open(&changed, &made.shares[..2]).unwrap());
    let followed = changed.follow(&made.keyring).unwrap();
    assert_same(&rotated, &followed);
    assert_eq!(record.follow(&rotated).err(), Some(UnwrapError::Older));
}

#[test]
fn counts_of_encryptions_outlive_following() {
    let made = initialise(&SystemRng, NOW, &SealConfiguration::new(1, 1).unwrap());
    made.keyring.seal_response(&SystemRng, b"", b"").unwrap();
    let (_, changed) =
        rotate(&SystemRng, Timestamp(2_000), &made.keyring, &record_of(&made)).unwrap();
    let followed = changed.follow(&made.keyring).unwrap();
    let counts: Vec<_> = followed.terms().map(|(_, key)| key.encryptions()).collect();
    assert_eq!(counts, [1, 0]);
}

#[test]
fn after_a_rekey_only_the_new_shares_open() {
    let old = initialise(&SystemRng, NOW, &SealConfiguration::new(3, 2).unwrap());
    for root_key in [RootKey::Keep, RootKey::Renew] {
        let new = rekeyed(&old, (5, 3), root_key, None);
        let record = record_of(&new);
        assert_eq!(record.generation(), 2);
        assert_same(&old.keyring, &try_open(&record, &new.shares[..3]).unwrap());
        for shares in [&old.shares[..2], &new.shares[..2]] {
            assert_eq!(try_open(&record, shares).err(), Some(UnsealError::WrongShares));
        }
        let is_same_root = new.keyring.root_key().expose() == old.keyring.root_key().expose();
        assert_eq!(is_same_root, root_key == RootKey::Keep);
        assert_eq!(record.has_bridge(), root_key == RootKey::Renew);
        assert_eq!(new.records[1].1, record.encode());
    }
}

#[test]
fn until_the_new_shares_have_arrived_the_old_ones_open_too() {
    let configuration = SealConfiguration::new(3, 2).unwrap();
    let old = initialise(&SystemRng, NOW, &configuration);
    let key = shamir::combine(&old.shares[..2]).unwrap();
    let new = rekeyed(&old, (5, 3), RootKey::Renew, Some((&key, 1, configuration.division())));
    let next = SealConfiguration::decode(&new.records[0].1).unwrap();
    let both = record_of(&new);
    assert!(both.has_previous());
    let opens = |record: &KeyringRecord, shares: &[Share]| {
        let mut unseal = crate::seal::Unseal::default();
        let mut outcome = Ok(None);
        for share in shares {
            outcome = unseal.add(&SystemRng, &next, record, Share::new(share.bytes()));
        }
        outcome.map(|opened| opened.map(|(_, generation)| generation))
    };
    assert_eq!(opens(&both, &old.shares[1..]), Ok(Some(1)));
    assert_eq!(opens(&both, &new.shares[1..4]), Ok(Some(2)));
    assert_eq!(both.division_of(1, &next), configuration.division());
    let ended = both.without_previous();
    assert_eq!(opens(&ended, &old.shares), Err(UnsealError::WrongShares));
    assert_eq!(opens(&ended, &new.shares[..3]), Ok(Some(2)));
    assert!(!both.for_joiner().has_previous());
}

#[test]
fn an_unsealed_node_follows_a_rekey_while_there_is_a_bridge() {
    let old = initialise(&SystemRng, NOW, &SealConfiguration::new(3, 2).unwrap());
    let new = rekeyed(&old, (3, 2), RootKey::Renew, None);
    let record = record_of(&new);
    let followed = record.follow(&old.keyring).unwrap();
    assert_same(&new.keyring, &followed);
    assert_eq!(followed.root_key().expose(), new.keyring.root_key().expose());

    let (_, rotated) = rotate(&SystemRng, NOW, &new.keyring, &record).unwrap();
    assert!(rotated.has_bridge(), "a rotation right after the rekey takes nobody along otherwise");
    assert_same(&rotated.follow(&old.keyring).unwrap(), &rotated.follow(&followed).unwrap());

    let crossed = record.without_bridge();
    assert!(!crossed.has_bridge());
    assert_eq!(crossed.follow(&old.keyring).err(), Some(UnwrapError::WrongRootKey));
    assert_same(&new.keyring, &crossed.follow(&followed).unwrap());
    assert_same(&new.keyring, &try_open(&crossed, &new.shares[..2]).unwrap());

    let stranger = initialise(&SystemRng, NOW, &SealConfiguration::new(1, 1).unwrap());
    assert_eq!(record.follow(&stranger.keyring).err(), Some(UnwrapError::WrongRootKey));
}

#[test]
fn a_record_is_read_back_and_newer_and_damaged_ones_are_refused() {
    let made = initialise(&SystemRng, NOW, &SealConfiguration::new(1, 1).unwrap());
    let record = record_of(&made);
    assert_eq!(record.encode(), made.records[1].1);
    let of_version = |version| {
        let message = wire::KeyringRecord { version, ..Default::default() };
        KeyringRecord::decode(&message.encode_to_vec()).err()
    };
    assert_eq!(of_version(1), None);
    assert_eq!(of_version(2), None);
    assert_eq!(of_version(3), Some(RecordError::Newer { version: 3 }));
    assert_eq!(of_version(0), Some(RecordError::Malformed));
    assert_eq!(KeyringRecord::decode(b"\xff"), Err(RecordError::Malformed));
}

#[test]
fn a_record_of_the_checked_in_format_opens() {
    let golden = include_str!("../../../tests/golden/keyring_record.hex").trim_end();
    let share = include_str!("../../../tests/golden/keyring_record_share.hex").trim_end();
    let made = initialise(&Counting::default(), NOW, &SealConfiguration::new(1, 1).unwrap());
    assert_eq!(made.shares[0].hex().expose(), share);
    assert_eq!(Share::new(&made.records[1].1).hex().expose(), golden);

    let shares = [Share::parse(share).unwrap()];
    let record = KeyringRecord::decode(Share::parse(golden).unwrap().bytes()).unwrap();
    let keyring = try_open(&record, &shares).unwrap();
    assert_eq!((keyring.created(), keyring.active_term()), (NOW, 1));
}

proptest! {
    #[test]
    fn arbitrary_bytes_are_refused_and_never_panic(bytes: Vec<u8>, text: String) {
        let keyring = Keyring::generate(&SystemRng, NOW);
        prop_assert!(Keyring::unwrap(keyring.root_key(), &bytes).is_err());
        prop_assert!(keyring.follow(&bytes, Some(&bytes)).is_err());
        if let Ok(record) = KeyringRecord::decode(&bytes) {
            prop_assert!(record.follow(&keyring).is_err());
        }
        if let Ok(configuration) = SealConfiguration::decode(&bytes) {
            prop_assert!(configuration.threshold() <= configuration.shares());
        }
        if let Ok(share) = Share::parse(&text) {
            prop_assert!(shamir::combine(&[share]).is_err() || text.len() >= 43);
        }
    }
}

#[test]
fn records_with_all_there_can_be_have_the_checked_in_format() {
    let rng = Counting::default();
    let configuration = SealConfiguration::new(3, 2).unwrap();
    let old = initialise(&rng, NOW, &configuration);
    let key = LockedKey::generate(&rng);
    let division = Division::new(5, 3).unwrap();
    let next = configuration.migrated(SealKind::Static, Division::WHOLE, Some(division));
    let seal = WrappedSealKey {
        name: "first".into(),
        kind: SealKind::Static,
        key_id: "id-1".into(),
        wrapped: vec![1, 2, 3],
    };
    let to = Reseal {
        configuration: &next,
        root_key: RootKey::Renew,
        seal_key: &key,
        seals: vec![seal.clone()],
        previous: Some((&key, 1, configuration.division())),
    };
    let (_, records) = reseal(&rng, &old.keyring, to).unwrap();
    let golden = include_str!("../../../tests/golden/keyring_record_v2.hex").trim_end();
    assert_eq!(Share::new(&records[1].1).hex().expose(), golden);
    let golden = include_str!("../../../tests/golden/seal_configuration_v2.hex").trim_end();
    assert_eq!(Share::new(&records[0].1).hex().expose(), golden);

    assert_eq!(SealConfiguration::decode(&records[0].1), Ok(next));
    let record = KeyringRecord::decode(&records[1].1).unwrap();
    assert_eq!(record.seals(), [seal]);
    let root = record.open_root_key(&key).unwrap();
    assert_same(&old.keyring, &record.open_with(&root).unwrap());
    let wrong = LockedKey::generate(&rng);
    assert_eq!(record.open_root_key(&wrong).err(), Some(UnsealError::WrongSealKey));
}

/// Random bytes that are the same in each run: 0, 1, 2 and so on.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Rng for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

fn rekeyed(
    old: &Initialised,
    (shares, threshold): (i64, i64),
    root_key: RootKey,
    previous: Option<(&LockedKey, u64, Division)>,
) -> Initialised {
    let configuration = SealConfiguration::new(3, 2).unwrap().next(shares, threshold).unwrap();
    let key = LockedKey::generate(&SystemRng);
    let to = Reseal {
        configuration: &configuration,
        root_key,
        seal_key: &key,
        seals: Vec::new(),
        previous,
    };
    let (keyring, records) = reseal(&SystemRng, &old.keyring, to).unwrap();
    let shares = split(&SystemRng, &key, configuration.division());
    Initialised { keyring, records, shares }
}

fn record_of(made: &Initialised) -> KeyringRecord {
    KeyringRecord::decode(&made.records[1].1).unwrap()
}

/// Whether each reads what the other wrote, where the other looks for it.
fn assert_same(a: &Keyring, b: &Keyring) {
    let key = Key::new("directory/name".into());
    for (writer, reader) in [(a, b), (b, a)] {
        let (stored, value) = writer.seal_record(&SystemRng, &key, b"value").unwrap();
        assert_eq!(stored, reader.stored_key(&key));
        assert_eq!(reader.open_record(&stored, &value).unwrap().1.expose(), b"value");
        assert_eq!(writer.mac(b"batch"), reader.mac(b"batch"));
        assert_eq!(writer.created(), reader.created());
        assert_eq!(writer.installed(), reader.installed());
    }
}

use proptest::prelude::{prop_assert, prop_assert_eq, proptest};
use prost::Message as _;

use super::*;
use crate::proto::seal::KeyringContent;
use crate::rng::SystemRng;

const NOW: Timestamp = Timestamp(1_000);
const LATER: Timestamp = Timestamp(2_000);

#[test]
fn a_record_opens_where_it_was_sealed() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    for (path, name) in [("", ""), ("a", "a"), ("a/b", "b"), ("a/b/", "b/"), ("x/ä ö", "ä ö")] {
        let key = Key::new(path.to_owned());
        let (stored, value) = keyring.seal_record(&SystemRng, &key, b"value").unwrap();
        assert_eq!(stored, keyring.stored_key(&key));
        let (opened, plaintext) = keyring.open_record(&stored, &value).unwrap();
        assert_eq!((opened.as_str(), plaintext.expose().as_slice()), (name, b"value".as_slice()));
    }
}

#[test]
fn a_record_opens_nowhere_else() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    let (stored, value) =
        keyring.seal_record(&SystemRng, &Key::new("a/b".into()), b"value").unwrap();
    let elsewhere = keyring.stored_key(&Key::new("a/c".into()));
    assert_eq!(keyring.open_record(&elsewhere, &value).err(), Some(OpenError::Tampered));
    let another = Keyring::generate(&SystemRng, NOW);
    assert_eq!(another.open_record(&stored, &value).err(), Some(OpenError::Tampered));
    assert_eq!(keyring.open_response(&stored.0, &value).err(), Some(OpenError::Tampered));
    let response = keyring.seal_response(&SystemRng, &stored.0, b"\0\0value").unwrap();
    assert_eq!(keyring.open_record(&stored, &response).err(), Some(OpenError::Tampered));
}

#[test]
fn no_changed_byte_of_a_record_is_opened() {
    let keyring = Keyring::generate(&SystemRng, NOW).rotate(&SystemRng, LATER).unwrap();
    let key = Key::new("a/b".into());
    let (stored, value) = keyring.seal_record(&SystemRng, &key, b"value").unwrap();
    let bytes = value.as_bytes();
    for at in 0..bytes.len() {
        let mut changed = bytes.to_vec();
        changed[at] ^= 3;
        let changed = Ciphertext::from_sealed(changed.into());
        let error = keyring.open_record(&stored, &changed).err().unwrap();
        let expected = match at {
            0 => OpenError::NewerFormat { format: 2 },
            1 => OpenError::UnknownTerm { term: 0x0300_0002 },
            2 => OpenError::UnknownTerm { term: 0x0003_0002 },
            3 => OpenError::UnknownTerm { term: 0x0000_0302 },
            // Term 2 becomes term 1, which exists.
            _ => OpenError::Tampered,
        };
        assert_eq!(error, expected, "byte {at}");
    }
    for length in 0..bytes.len() {
        let short = Ciphertext::from_sealed(bytes.slice(..length));
        assert!(keyring.open_record(&stored, &short).is_err(), "{length} bytes");
    }
}

#[test]
fn a_name_that_does_not_fit_is_refused() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    let sealed =
        |length| keyring.seal_record(&SystemRng, &Key::new("n".repeat(length)), b"").map(|_| ());
    assert_eq!(sealed(65_535), Ok(()));
    assert_eq!(sealed(65_536), Err(SealError::NameTooLong));
}

#[test]
fn stored_keys_differ_wherever_keys_do_and_share_their_directory() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    let paths = ["", "a", "a/", "a/b", "a/b/", "a/bc", "ab", "ab/c", "a/b/c", "b/a"];
    let stored: std::collections::BTreeSet<_> =
        paths.iter().map(|path| keyring.stored_key(&Key::new((*path).into()))).collect();
    assert_eq!(stored.len(), paths.len());
    for path in paths {
        let key = Key::new(path.into());
        let directory = keyring.stored_directory(key.directory());
        assert_eq!(keyring.stored_key(&key).directory(), directory, "{path}");
    }
    let rotated = keyring.rotate(&SystemRng, LATER).unwrap();
    let key = Key::new("a/b".into());
    assert_eq!(rotated.stored_key(&key), keyring.stored_key(&key));
    assert_ne!(
        Keyring::generate(&SystemRng, NOW).stored_key(&key),
        keyring.stored_key(&key),
        "another cluster stores it elsewhere"
    );
}

#[test]
fn a_rotation_adds_a_term_and_keeps_the_rest() {
    let first = Keyring::generate(&SystemRng, NOW);
    let key = Key::new("a/b".into());
    let (stored, old) = first.seal_record(&SystemRng, &key, b"old").unwrap();
    let second = first.rotate(&SystemRng, LATER).unwrap();
    assert_eq!((first.active_term(), second.active_term()), (1, 2));
    assert_eq!((first.installed(), second.installed()), (NOW, LATER));
    assert_eq!(second.created(), NOW);
    let (_, new) = second.seal_record(&SystemRng, &key, b"new").unwrap();
    assert_eq!(second.open_record(&stored, &old).unwrap().1.expose(), b"old");
    assert_eq!(second.open_record(&stored, &new).unwrap().1.expose(), b"new");
    assert_eq!(first.open_record(&stored, &new).err(), Some(OpenError::UnknownTerm { term: 2 }));
    assert_eq!(first.mac(b"batch"), second.mac(b"batch"));
    let proof = |keyring: &Keyring| keyring.forward_proof(b"exporter", ProofRole::Dialler, 1, 2);
    assert_eq!(proof(&first), proof(&second));
    let counts: Vec<_> = second.terms().map(|(term, key)| (term, key.encryptions())).collect();
    assert_eq!(counts, [(1, 1), (2, 1)]);
}

#[test]
fn a_response_opens_with_its_context_alone() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    let sealed = keyring.seal_response(&SystemRng, b"context", b"response").unwrap();
    assert_eq!(keyring.open_response(b"context", &sealed).unwrap().expose(), b"response");
    assert_eq!(keyring.open_response(b"other", &sealed).err(), Some(OpenError::Tampered));
}

#[test]
fn a_mac_is_of_one_batch_and_one_cluster() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    let mac = keyring.mac(b"batch");
    assert!(keyring.verify_mac(b"batch", &mac));
    assert!(!keyring.verify_mac(b"batcH", &mac));
    assert!(!keyring.verify_mac(b"batch", &mac[..31]));
    assert!(!keyring.verify_mac(b"batch", b""));
    assert!(!Keyring::generate(&SystemRng, NOW).verify_mac(b"batch", &mac));
}

#[test]
fn a_forwarding_proof_is_of_one_connection_end_and_pair() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    let proof = keyring.forward_proof(b"exporter", ProofRole::Dialler, 1, 2);
    for (exporter, role, dialler, listener, is_good) in [
        (b"exporter".as_slice(), ProofRole::Dialler, 1, 2, true),
        (b"exporteR", ProofRole::Dialler, 1, 2, false),
        (b"exporter", ProofRole::Listener, 1, 2, false),
        (b"exporter", ProofRole::Dialler, 2, 1, false),
        (b"exporter", ProofRole::Dialler, 1, 3, false),
    ] {
        assert_eq!(
            keyring.verify_forward_proof(exporter, role, dialler, listener, &proof),
            is_good,
            "{role:?} {dialler} {listener}"
        );
    }
}

#[test]
fn a_wrapped_keyring_opens_with_its_root_key_alone() {
    let keyring = Keyring::generate(&SystemRng, NOW).rotate(&SystemRng, LATER).unwrap();
    let key = Key::new("a/b".into());
    let (stored, value) = keyring.seal_record(&SystemRng, &key, b"value").unwrap();
    let wrapped = keyring.wrap(&SystemRng);
    let opened = Keyring::unwrap(keyring.root_key(), &wrapped).unwrap();
    assert_eq!(opened.open_record(&stored, &value).unwrap().1.expose(), b"value");
    assert_eq!(opened.active_term(), 2);
    assert_eq!((opened.created(), opened.installed()), (NOW, LATER));
    assert_eq!(opened.mac(b"batch"), keyring.mac(b"batch"));
    assert_eq!(opened.root_key().expose(), keyring.root_key().expose());

    let error = |root: &LockedKey, wrapped: &[u8]| Keyring::unwrap(root, wrapped).err();
    let another = LockedKey::generate(&SystemRng);
    assert_eq!(error(&another, &wrapped), Some(UnwrapError::WrongRootKey));
    for at in 0..wrapped.len() {
        let mut changed = wrapped.to_vec();
        changed[at] ^= 1;
        assert_eq!(error(keyring.root_key(), &changed), Some(UnwrapError::WrongRootKey));
    }
}

#[test]
fn printing_a_keyring_shows_no_key() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    assert_eq!(format!("{keyring:?}"), "Keyring(term 1)");
    assert_eq!(format!("{:?}", keyring.terms().next().unwrap().1), "DataKey(..)");
}

#[test]
fn keyrings_of_newer_versions_and_malformed_ones_are_refused() {
    let keyring = Keyring::generate(&SystemRng, NOW);
    let of = |change: fn(&mut KeyringContent)| {
        let mut content = keyring.content();
        change(&mut content);
        let encoded = content.encode_to_vec();
        let wrapped =
            aead_seal(keyring.root_key(), &SystemRng, content::WRAP_TAG, &[], &[&encoded]).unwrap();
        Keyring::unwrap(keyring.root_key(), &wrapped).err()
    };
    assert_eq!(of(|_| {}), None);
    assert_eq!(of(|content| content.version = 2), Some(UnwrapError::Newer { version: 2 }));
    assert_eq!(of(|content| content.version = 0), Some(UnwrapError::Malformed));
    assert_eq!(of(|content| content.terms.clear()), Some(UnwrapError::Malformed));
    assert_eq!(of(|content| content.path_key.push(0)), Some(UnwrapError::Malformed));
    assert_eq!(of(|content| content.terms[0].key.clear()), Some(UnwrapError::Malformed));
}

#[test]
fn a_stored_value_of_the_checked_in_format_opens() {
    let golden = include_str!("../../../tests/golden/stored_value.hex");
    let lines: Vec<Vec<u8>> = golden.lines().map(hex).collect();
    let keyring = Keyring::generate(&Counting::default(), NOW);
    let key = Key::new("secret/name".into());
    let (stored, value) = keyring.seal_record(&Counting::default(), &key, b"value").unwrap();
    assert_eq!([stored.0.to_vec(), value.as_bytes().to_vec()], lines.as_slice());

    let stored = StoredKey(lines[0].clone().try_into().unwrap());
    let value = Ciphertext::from_sealed(lines[1].clone().into());
    let (name, plaintext) = keyring.open_record(&stored, &value).unwrap();
    assert_eq!((name.as_str(), plaintext.expose().as_slice()), ("name", b"value".as_slice()));
}

proptest! {
    #[test]
    fn values_of_arbitrary_bytes_are_refused_and_never_panic(mut bytes: Vec<u8>, is_likely: bool) {
        let keyring = Keyring::generate(&SystemRng, NOW);
        if is_likely {
            bytes.splice(..0, header(FIRST_TERM));
        }
        let value = Ciphertext::from_sealed(bytes.into());
        prop_assert!(keyring.open_record(&StoredKey([0; 32]), &value).is_err());
        prop_assert!(keyring.open_response(b"", &value).is_err());
    }

    #[test]
    fn names_and_values_of_any_kind_come_back(path: String, plaintext: Vec<u8>) {
        let keyring = Keyring::generate(&SystemRng, NOW);
        let key = Key::new(path);
        let (stored, value) = keyring.seal_record(&SystemRng, &key, &plaintext).unwrap();
        let (name, opened) = keyring.open_record(&stored, &value).unwrap();
        prop_assert_eq!(name.as_str(), key.name());
        prop_assert_eq!(opened.expose(), &plaintext);
    }
}

/// Random bytes that are the same in each run: 0, 1, 2 and so on.
#[derive(Default)]
struct Counting(std::sync::atomic::AtomicU8);

impl Rng for Counting {
    fn fill(&self, buffer: &mut [u8]) {
        for byte in buffer {
            *byte = self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

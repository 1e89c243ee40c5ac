use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::batch::{Item, Items};
use super::hash::Hash;
use super::kind::Kind;
use super::material::{Extra, StoredVersion, Version};
use super::signature::{Manner, Marshaling, Padding, Salt};
use crate::clock::Timestamp;
use crate::rng::SystemRng;
use crate::secret::Secret;

fn hex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2);
    digits.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

fn imported(kind: Kind, key: &[u8]) -> Version {
    let key = Secret::new(key.to_vec());
    let stored = StoredVersion::import(kind, &key, &SystemRng, Timestamp(0)).unwrap();
    Version::try_from(stored).unwrap()
}

fn generated(kind: Kind) -> Version {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let made = StoredVersion::generate(kind, None, &SystemRng, Timestamp(0));
    Version::try_from(runtime.block_on(made).unwrap()).unwrap()
}

fn manner(hash: Hash) -> Manner {
    Manner {
        hash: Some(hash),
        prehashed: false,
        padding: Padding::Pss,
        marshaling: Marshaling::Asn1,
        salt: Salt::Auto,
        context: None,
    }
}

#[test]
fn hashes_and_hmacs_are_those_of_the_standards() {
    // FIPS 180-4 and FIPS 202, examples for "abc".
    for (name, digest) in [
        ("sha1", "a9993e364706816aba3e25717850c26c9cd0d89d"),
        ("sha2-224", "23097d223405d8228642a477bda255b32aadbce4bda0b3f7e36c9da7"),
        ("sha2-256", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        ("sha3-224", "e642824c3f8cf24ad09234ee7d3c766fc9a3a5168d0c94ad73b46fdf"),
        ("sha3-256", "3a985da74fe225b2045c172d6bd390bd855f086e3e9d525b46bfe24511431532"),
    ] {
        let hash = Hash::parse(name).unwrap();
        assert_eq!(hash.of(b"abc"), hex(digest), "{name}");
        assert_eq!((hash.name(), hash.bytes()), (name, digest.len() / 2));
    }
    // RFC 4231, test case 2.
    let hmac = Hash::Sha2_256.hmac(b"Jefe", b"what do ya want for nothing?").unwrap();
    assert_eq!(hmac, hex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"));
}

#[test]
fn ciphertexts_of_the_standards_are_opened() {
    // NIST's GCM test case 14 and 16 shortened to what they share: key, nonce, ciphertext, tag.
    let key = imported(Kind::Aes256, &[0; 32]);
    let sealed = hex(
        "000000000000000000000000cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919",
    );
    assert_eq!(key.decrypt(&sealed, &Extra::default()).unwrap().expose(), &vec![0; 16]);
    let key = imported(Kind::Aes128, &[0; 16]);
    let sealed = hex(
        "0000000000000000000000000388dace60b6a392f328c2b971b2fe78ab6e47d42cec13bdf53a67b21257bddf",
    );
    assert_eq!(key.decrypt(&sealed, &Extra::default()).unwrap().expose(), &vec![0; 16]);
    // RFC 8439, section 2.8.2.
    let key = imported(
        Kind::ChaCha20,
        &hex("808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f"),
    );
    let sealed = hex(concat!(
        "070000004041424344454647",
        "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da92728b",
        "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7bc",
        "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691",
    ));
    let extra = Extra { associated: hex("50515253c0c1c2c3c4c5c6c7"), ..Extra::default() };
    let opened = key.decrypt(&sealed, &extra).unwrap();
    assert!(opened.expose().starts_with(b"Ladies and Gentlemen of the class of '99"));
    key.decrypt(&sealed, &Extra::default()).unwrap_err();
}

#[test]
fn what_is_encrypted_opens_with_the_same_key_context_and_data_alone() {
    let extra = |context: Option<&[u8]>, associated: &[u8], convergent| Extra {
        context: context.map(<[u8]>::to_vec),
        associated: associated.to_vec(),
        convergent,
    };
    for kind in [Kind::Aes128, Kind::Aes256, Kind::ChaCha20] {
        let key = generated(kind);
        for convergent in [false, true] {
            let right = extra(Some(b"c"), b"a", convergent);
            let seal = |text: &[u8], extra: &Extra| key.encrypt(text, extra, &SystemRng).unwrap();
            let sealed = seal(b"text", &right);
            assert_eq!(key.decrypt(&sealed, &right).unwrap().expose(), b"text");
            for wrong in [
                extra(Some(b"d"), b"a", convergent),
                extra(Some(b"c"), b"", convergent),
                extra(None, b"a", convergent),
            ] {
                key.decrypt(&sealed, &wrong).unwrap_err();
            }
            let mut bent = sealed.clone();
            bent[14] ^= 1;
            key.decrypt(&bent, &right).unwrap_err();
            key.decrypt(b"short", &right).unwrap_err();
            assert_eq!(seal(b"text", &right) == sealed, convergent, "{kind:?}");
            // No two messages under one nonce.
            let other = seal(b"text", &extra(Some(b"c"), b"b", convergent));
            assert_ne!(other[..12], sealed[..12], "{kind:?}");
        }
    }
}

#[test]
fn ed25519_signs_as_rfc_8032_says() {
    // Section 7.1, test 2.
    let key = imported(
        Kind::Ed25519,
        &hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb"),
    );
    let signature = key.sign(&[0x72], &manner(Hash::Sha2_256)).unwrap();
    assert_eq!(
        signature,
        hex(concat!(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da",
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ))
    );
    let public = key.public_key(None).unwrap().unwrap();
    assert_eq!(
        BASE64.decode(public).unwrap(),
        hex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
    );
}

#[test]
fn signatures_hold_for_their_message_and_manner_alone() {
    let hashes = [Hash::Sha2_256, Hash::Sha2_384, Hash::Sha2_512];
    let more = [Hash::Sha1, Hash::Sha2_224, Hash::Sha3_224, Hash::Sha3_256, Hash::Sha3_512];
    for kind in [Kind::EcdsaP256, Kind::EcdsaP384, Kind::EcdsaP521, Kind::Rsa2048, Kind::Ed25519] {
        let key = generated(kind);
        for hash in hashes.into_iter().chain(more) {
            for (marshaling, padding, salt) in [
                (Marshaling::Asn1, Padding::Pss, Salt::Auto),
                (Marshaling::Jws, Padding::Pss, Salt::Hash),
                (Marshaling::Asn1, Padding::Pkcs1v15, Salt::Auto),
            ] {
                let manner = Manner { marshaling, padding, salt, ..manner(hash) };
                let signed = key.sign(b"message", &manner);
                if kind.is_rsa() && more.contains(&hash) {
                    signed.unwrap_err();
                    continue;
                }
                let signature = signed.unwrap();
                assert!(
                    key.verify(b"message", &signature, &manner).unwrap(),
                    "{kind:?} {manner:?}"
                );
                assert!(
                    !key.verify(b"massage", &signature, &manner).unwrap(),
                    "{kind:?} {manner:?}"
                );
                assert!(!key.verify(b"message", b"none", &manner).unwrap(), "{kind:?}");
                if kind == Kind::Ed25519 {
                    continue;
                }
                let digest = Manner { prehashed: true, ..manner.clone() };
                assert!(key.verify(&hash.of(b"message"), &signature, &digest).unwrap());
                key.sign(b"message", &digest).unwrap_err();
            }
        }
    }
}

#[test]
fn only_keys_of_the_type_can_be_imported() {
    for (kind, key) in [
        (Kind::Aes256, vec![0; 16]),
        (Kind::Aes128, vec![0; 32]),
        (Kind::Hmac, vec![0; 31]),
        (Kind::Ed25519, vec![0; 31]),
        (Kind::EcdsaP256, vec![0; 32]),
        (Kind::Rsa2048, vec![1; 100]),
    ] {
        StoredVersion::import(kind, &Secret::new(key), &SystemRng, Timestamp(0)).err().unwrap();
    }
    let p256 = generated(Kind::EcdsaP256);
    assert!(p256.private_key().unwrap().starts_with("-----BEGIN EC PRIVATE KEY-----\n"));
    assert!(p256.public_key(None).unwrap().unwrap().starts_with("-----BEGIN PUBLIC KEY-----\n"));
}

/// Others' requests get their turn between the items of a batch.
#[tokio::test]
async fn a_batch_does_not_hold_its_thread() {
    for (kind, turns) in [(Kind::Aes256, 100 / 16), (Kind::EcdsaP256, 99), (Kind::Rsa2048, 99)] {
        let batch = serde_json::Value::from(vec![serde_json::json!({}); 100]);
        let items = Items::new(Item::default(), Some(batch), None).unwrap();
        let mut run = Box::pin(items.each(kind, |_| Ok(serde_json::Map::new())));
        let mut pending = 0;
        while futures_util::poll!(&mut run).is_pending() {
            pending += 1;
        }
        assert_eq!(pending, turns, "{kind:?}");
    }
}

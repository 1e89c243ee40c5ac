use super::*;
use crate::rng::SystemRng;

#[test]
fn sealing_gives_the_published_answers() {
    // McGrew and Viega, "The Galois/Counter Mode of Operation", test cases 13, 14 and 16.
    let long_key = "feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308";
    let zero_key = &"00".repeat(32);
    let zero_nonce = &"00".repeat(12);
    for (key, nonce, associated, plaintext, ciphertext, tag) in [
        (zero_key.as_str(), zero_nonce.as_str(), "", "", "", "530f8afbc74536b9a963b4f1c4cb738b"),
        (
            zero_key,
            zero_nonce,
            "",
            "00000000000000000000000000000000",
            "cea7403d4d606b6e074ec5d3baf39d18",
            "d0d1c8a799996bf0265b98b5d48ab919",
        ),
        (
            long_key,
            "cafebabefacedbaddecaf888",
            "feedfacedeadbeeffeedfacedeadbeefabaddad2",
            "d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
             1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39",
            "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa\
             8cb08e48590dbb3da7b08b1056828838c5f61e6393ba7a0abcc9f662",
            "76fc6ece0f4e1768cddf8853bb2d551b",
        ),
    ] {
        let key = LockedKey::from_slice(&hex(key)).unwrap();
        let associated = hex(associated);
        let plaintext = hex(plaintext);
        let nonce = hex(nonce).try_into().unwrap();
        let sealed =
            seal_with_nonce(&key, nonce, &associated, b"header", &[&plaintext[..]]).unwrap();
        let expected = [b"header".as_slice(), &nonce, &hex(ciphertext), &hex(tag)].concat();
        assert_eq!(sealed, expected);
        let opened = aead_open(&key, &associated, &sealed[b"header".len()..]).unwrap();
        assert_eq!(opened.expose(), &plaintext);
    }
}

#[test]
fn no_changed_bit_is_opened() {
    let key = LockedKey::generate(&SystemRng);
    let sealed = aead_seal(&key, &SystemRng, b"place", &[], &[b"se", b"cret"]).unwrap();
    assert_eq!(aead_open(&key, b"place", &sealed).unwrap().expose(), b"secret");
    for bit in 0..sealed.len() * 8 {
        let mut changed = sealed.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert_eq!(aead_open(&key, b"place", &changed).err(), Some(AeadError), "bit {bit}");
    }
    for length in 0..sealed.len() {
        assert!(aead_open(&key, b"place", &sealed[..length]).is_err(), "{length} bytes");
    }
    assert!(aead_open(&key, b"another", &sealed).is_err());
    assert!(aead_open(&LockedKey::generate(&SystemRng), b"place", &sealed).is_err());
}

#[test]
fn one_message_is_never_sealed_alike_twice() {
    let key = LockedKey::generate(&SystemRng);
    let seal = || aead_seal(&key, &SystemRng, b"", &[], &[b"secret"]).unwrap();
    assert_ne!(seal(), seal());
}

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> =
        text.chars().map(|digit| u8::try_from(digit.to_digit(16).unwrap()).unwrap()).collect();
    digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
}

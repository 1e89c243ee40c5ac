use super::*;

#[test]
fn sha256_gives_the_published_answers() {
    // FIPS 180-2, appendix B.
    for (parts, hash) in [
        (&[b"".as_slice()][..], "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
        (&[b"abc"], "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"),
        (
            &[b"abcdbcdecdefdefgefghfghig", b"hijhijkijkljklmklmnlmnomnopnopq"],
            "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
        ),
    ] {
        assert_eq!(hex(&sha256(parts)), hash);
    }
}

#[test]
fn what_is_written_in_pieces_is_hashed_as_in_one() {
    let value = serde_json::json!({"a": [1.50, null, "\u{e9}\n"], "b": {"c": true}});
    let mut pieces = Sha256Writer::default();
    pieces.update(b"before");
    pieces.json(&value);
    assert_eq!(pieces.finish(), sha256(&[b"before", value.to_string().as_bytes()]));
}

#[test]
fn hmac_gives_the_published_answers() {
    // RFC 4231, test cases 1, 2 and 6.
    for (key, parts, mac) in [
        (
            &[0x0b; 20][..],
            &[b"Hi ".as_slice(), b"There"][..],
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7",
        ),
        (
            b"Jefe",
            &[b"what do ya want ", b"for nothing?"],
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        ),
        (
            &[0xaa; 131],
            &[b"Test Using Larger Than Block-Size Key - Hash Key First"],
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54",
        ),
    ] {
        assert_eq!(hex(&hmac_sha256(key, parts)), mac);
    }
}

#[test]
fn hkdf_gives_the_published_answers() {
    // RFC 5869, appendix A, test cases 1 and 3: the first 32 bytes of their output.
    let salt: Vec<u8> = (0..=0x0c).collect();
    let info: Vec<u8> = (0xf0..=0xf9).collect();
    for (salt, info, key) in [
        (
            salt.as_slice(),
            info.as_slice(),
            "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf",
        ),
        (&[], &[], "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d"),
    ] {
        assert_eq!(hex(hkdf_sha256(&[0x0b; 22], salt, info).expose()), key);
    }
}

#[test]
fn equality_is_of_all_bytes_and_of_the_length() {
    for (a, b, is_equal) in [
        (b"".as_slice(), b"".as_slice(), true),
        (b"secret", b"secret", true),
        (b"secret", b"secreT", false),
        (b"Secret", b"secret", false),
        (b"secret", b"secre", false),
        (b"", b"s", false),
    ] {
        assert_eq!(equal(a, b), is_equal, "{a:?} {b:?}");
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

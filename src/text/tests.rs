use super::*;

#[test]
fn bytes_are_two_digits_each() {
    // RFC 4648, section 10.
    assert_eq!(hex(b"foobar"), "666f6f626172");
    assert_eq!(hex(&[0x00, 0x0f, 0xf0, 0xff]), "000ff0ff");
    assert_eq!(hex(b""), "");
}

#[test]
fn what_a_url_cannot_hold_is_escaped() {
    for (text, in_path, elsewhere) in [
        ("a/b-c._~9", "a/b-c._~9", "a%2Fb-c._~9"),
        ("a b%?#", "a%20b%25%3F%23", "a%20b%25%3F%23"),
        ("é+:@", "%C3%A9+:@", "%C3%A9%2B%3A%40"),
        ("\n\u{7f}\"", "%0A%7F%22", "%0A%7F%22"),
    ] {
        for (kept, expected) in [(PATH_KEPT, in_path), (UNRESERVED, elsewhere)] {
            let mut encoded = String::from("/");
            percent_encode(text, kept, &mut encoded);
            assert_eq!(encoded, format!("/{expected}"), "{text}");
        }
    }
}

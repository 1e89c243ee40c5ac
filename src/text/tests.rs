use super::*;

#[test]
fn bytes_are_two_digits_each() {
    // RFC 4648, section 10.
    assert_eq!(hex(b"foobar"), "666f6f626172");
    assert_eq!(hex(&[0x00, 0x0f, 0xf0, 0xff]), "000ff0ff");
    assert_eq!(hex(b""), "");
    assert_eq!(of_hex("666F6f626172").as_deref(), Some(&b"foobar".to_vec()));
    for text in ["", "0", "000", "0g", "é0", " 00"] {
        assert!(of_hex(text).is_none(), "{text:?}");
    }
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

#[test]
fn a_path_is_one_name_and_comes_back() {
    for (path, name) in [
        ("a/b/", "a%2Fb%2F"),
        ("a%2Fb/c", "a%252Fb%2Fc"),
        ("%25/%", "%2525%2F%25"),
        ("100%/ä", "100%25%2Fä"),
        ("plain", "plain"),
    ] {
        assert_eq!((as_name(path).as_str(), of_name(name).as_str()), (name, path));
    }
}

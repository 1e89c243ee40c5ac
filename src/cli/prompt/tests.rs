use super::*;

#[test]
fn keys_make_a_line() {
    for (keys, line) in [
        ("secret\n", "secret"),
        ("secret\rmore", "secret"),
        ("wrong\x15right\n", "right"),
        ("abd\x7fc\x08\n", "ab"),
        ("\x7fa\n", "a"),
        ("end", "end"),
        ("end\x04more", "end"),
    ] {
        let read = read_keys(&mut keys.as_bytes()).unwrap();
        assert_eq!(read.expose(), line, "{keys:?}");
    }
    assert!(read_keys(&mut &b"abc\x03"[..]).is_err());
    assert!(read_keys(&mut &b"\xff\n"[..]).is_err());
}
